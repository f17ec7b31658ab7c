//! Keeps the key index fresh and the scheduled work going: brings each home's tables up to date, then follows or runs.
//! A home that cannot be reached is tried again for as long as the process lives; nobody waits for it here.

use super::{App, Part, compare, news, publish, replicas, usage};
use crate::clock::Timestamp;
use crate::settings::stores::{Migrate, StoreKind};
use crate::settings::{Home, Settings};
use crate::store::{Database, StoreError, schema};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// From one look at the events to the next: the bound without any accelerator is two of these.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// From one look at the workers to the next, for /health and /metrics.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A long list is looked at less often: looking takes at most one part in so many of the time.
const LOOK_SHARE: u32 = 20;
/// What of `drain_timeout` is left for runs that were cut off to be released.
const RELEASE: Duration = Duration::from_secs(2);

/// Begins to keep the index, and to run scheduled work where this process does.
pub(super) fn begin(app: &Arc<App>, runs_workers: bool) {
    // A process that only runs workers is never asked about a key.
    if app.part == Part::Serve {
        let keeping = Arc::clone(app);
        app.tasks.spawn_last(move |stop| async move { keep_keys(&keeping, &stop).await });
        let keeping = Arc::clone(app);
        app.tasks.spawn_last(move |stop| async move { keep_others(&keeping, &stop).await });
        news::begin(app);
        compare::begin(app);
        usage::begin(app);
    }
    replicas::begin(app);
    let working = Arc::clone(app);
    app.tasks.spawn_graceful(move |stop| async move { work(&working, stop, runs_workers).await });
    let looking = Arc::clone(app);
    app.tasks.spawn(async move { look(&looking).await });
}

async fn keep_keys(app: &App, stop: &CancellationToken) {
    let mut trouble = Trouble::about("the key index is fresh again", "the key index cannot be kept fresh");
    while !stop.is_cancelled() {
        // A step that waits for a store must not hold up the end; what it reads can be read again.
        tokio::select! {
            () = stop.cancelled() => return,
            outcome = step(app) => trouble.tell(&outcome),
        }
        tokio::select! {
            () = app.keys.wanted() => {}
            () = pause(stop, FOLLOW_EVERY) => {}
        }
    }
}

/// Follows what else lives in the home of the keys, for itself: it shares its connections with everybody, and a pool that is
/// busy must not make the key index old.
async fn keep_others(app: &App, stop: &CancellationToken) {
    let mut trouble = Trouble::about(
        "denied tokens and the audit are followed again",
        "denied tokens and the audit cannot be followed",
    );
    while !stop.is_cancelled() {
        if app.has_keys() {
            tokio::select! {
                () = stop.cancelled() => return,
                outcome = follow_others(app) => trouble.tell(&outcome),
            }
        }
        pause(stop, FOLLOW_EVERY).await;
    }
}

/// Runs scheduled work as soon as its ledger has its tables.
async fn work(app: &Arc<App>, stop: CancellationToken, runs_workers: bool) {
    let mut trouble = Trouble::about("the run ledger can be used", "the run ledger cannot be used");
    while !stop.is_cancelled() {
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = prepare_ledger(app) => outcome,
        };
        trouble.tell(&outcome);
        if outcome.is_ok() {
            break;
        }
        pause(&stop, FOLLOW_EVERY).await;
    }
    if !runs_workers || stop.is_cancelled() {
        return;
    }
    let cut = CancellationToken::new();
    let (cutting, limit) = (cut.clone(), app.snapshot().settings.server.drain_timeout.saturating_sub(RELEASE));
    let running = app.work.run(stop.clone(), cut);
    let limiting = async move {
        stop.cancelled().await;
        tokio::time::sleep(limit).await;
        cutting.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = running => {}
        () = limiting => {}
    }
}

async fn prepare_ledger(app: &App) -> Result<(), StoreError> {
    let settings = Arc::clone(&app.snapshot().settings);
    let ledger = app.work.ledger_database();
    bring_up_to_date(&settings, &settings.scheduler.store, &ledger).await?;
    app.homes.opened_ledger(&ledger).await?;
    app.ledger_opened.store(true, Ordering::Relaxed);
    Ok(())
}

/// Asks the ledger about the workers, so that /health and /metrics need not.
async fn look(app: &App) {
    loop {
        app.keys.tidy();
        app.failures.tidy();
        app.denials.tidy();
        if app.part == Part::Worker && app.audit.spooling().waiting > 0 {
            // A server does so while it follows the keys. What cannot be chained now waits on.
            drop(app.audit.drain(&app.keys.database()).await);
        }
        let asked = Instant::now();
        if let Ok(workers) = app.work.workers().await {
            app.workers.store(Arc::new(workers));
        }
        tokio::time::sleep(LOOK_EVERY.max(asked.elapsed() * LOOK_SHARE)).await;
    }
}

async fn pause(stop: &CancellationToken, length: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(length) => {}
    }
}

async fn step(app: &App) -> Result<(), StoreError> {
    if app.has_keys() {
        return app.keys.follow(|happened| publish::key(app, &happened)).await;
    }
    let settings = Arc::clone(&app.snapshot().settings);
    let database = app.keys.database();
    bring_up_to_date(&settings, &settings.keys.store, &database).await?;
    app.homes.opened_keys(&database).await?;
    // Registered first: whoever revokes a key from now on waits for this replica, and what was revoked before is loaded.
    replicas::tell(app).await?;
    app.keys.load().await?;
    app.keys_loaded.store(true, Ordering::Relaxed);
    follow_others(app).await
}

/// What else lives in the home of the keys: denied tokens, and what waits to be chained.
async fn follow_others(app: &App) -> Result<(), StoreError> {
    let database = app.keys.database();
    app.denied.follow(&database, app.keys.restarts(), Timestamp::now()).await?;
    app.audit.drain(&database).await
}

/// Applies what is missing, unless an operator wants to do it.
pub(super) async fn bring_up_to_date(settings: &Settings, home: &Home, database: &Database) -> Result<(), StoreError> {
    let by_hand = match home {
        Home::Memory => false,
        Home::Store(name) => settings.stores.get(name).is_some_and(|store| match store.kind {
            StoreKind::Postgres { migrate, .. } | StoreKind::Sqlite { migrate, .. } => migrate == Migrate::Manual,
            StoreKind::Redis { .. } | StoreKind::Mongodb { .. } => false,
        }),
    };
    if !by_hand {
        for applied in schema::migrate(database).await? {
            tracing::info!(home = %home, "migration {applied} applied to {home}");
        }
        return Ok(());
    }
    let status = schema::status(database).await?;
    match status.pending.is_empty() {
        true => Ok(()),
        false => Err(StoreError::Unexpected(format!(
            "the schema of {home} is behind ({} missing): run `monolith migrate`",
            status.pending.join(", ")
        ))),
    }
}

/// Tells trouble when it begins and when it ends, not each second.
struct Trouble {
    over: &'static str,
    began: &'static str,
    told: Option<String>,
}

impl Trouble {
    const fn about(over: &'static str, began: &'static str) -> Self {
        Self { over, began, told: None }
    }

    fn tell(&mut self, outcome: &Result<(), StoreError>) {
        match outcome {
            Ok(()) if self.told.take().is_some() => tracing::info!("{}", self.over),
            Ok(()) => {}
            Err(error) => {
                let words = error.to_string();
                if self.told.as_ref() != Some(&words) {
                    tracing::error!("{}: the store {words}", self.began);
                    self.told = Some(words);
                }
            }
        }
    }
}
