//! Hears early that keys changed: Postgres announces each commit, and Redis passes on what the replicas publish.
//! Both only make the next look sooner. The look each second stays, so that whatever is lost here costs a second and no more.

use super::App;
use crate::audit::chain::CHANNEL;
use crate::store::database::Kind;
use crate::store::postgres::Postgres;
use crate::store::{Connection, Store, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before the first try to listen again, and the longest between two of them: the double each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Begins to listen, and to publish where a Redis is there for it.
pub(super) fn begin(app: &Arc<App>) {
    let listening = Arc::clone(app);
    app.tasks.spawn(async move { keep(&listening, "postgres", hear_postgres).await });
    let subscribing = Arc::clone(app);
    app.tasks.spawn(async move { keep(&subscribing, "redis", hear_redis).await });
    let publishing = Arc::clone(app);
    app.tasks.spawn(async move { publish(&publishing).await });
}

/// Listens for as long as there is something to listen to, again and again.
async fn keep(app: &App, from: &'static str, hear: impl AsyncFn(&App) -> Result<(), StoreError>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        if let Err(error) = hear(app).await {
            tracing::debug!("news of keys come by the look each second, not from {from}: the store {error}");
            // Who heard for long was only interrupted.
            pause = if began.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { pause };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Listens to the keys' home until its connections change; waits for a commit where there is nothing to hear.
async fn hear_postgres(app: &App) -> Result<(), StoreError> {
    let database = app.keys.database();
    let Kind::Postgres(postgres) = database.kind() else { return nothing_to_hear(app).await };
    let Some(mut listening) = postgres.listen(CHANNEL).await? else { return nothing_to_hear(app).await };
    app.keys.look_now();
    loop {
        tokio::select! {
            heard = listening.heard() => heard?,
            () = app.committed() => if !still_listens_to(app, postgres) { return Ok(()) },
        }
        app.keys.look_now();
    }
}

fn still_listens_to(app: &App, postgres: &Postgres) -> bool {
    matches!(app.keys.database().kind(), Kind::Postgres(now) if now.shares_pool(postgres))
}

async fn hear_redis(app: &App) -> Result<(), StoreError> {
    let Some(store) = messenger(app) else { return nothing_to_hear(app).await };
    let Connection::Redis(redis) = store.connection() else { return nothing_to_hear(app).await };
    let mut subscribed = redis.subscribe(CHANNEL).await?;
    app.keys.look_now();
    loop {
        tokio::select! {
            heard = subscribed.heard() => heard?,
            () = app.committed() => {
                if !messenger(app).is_some_and(|now| now.shares_connections(&store)) { return Ok(()) }
            }
        }
        app.keys.look_now();
    }
}

async fn nothing_to_hear(app: &App) -> Result<(), StoreError> {
    app.committed().await;
    Ok(())
}

/// Publishes that keys changed here. What cannot be published is found by the look each second.
async fn publish(app: &App) {
    loop {
        app.keys.made().await;
        let Some(store) = messenger(app) else { continue };
        let Connection::Redis(redis) = store.connection() else { continue };
        if let Err(error) = redis.publish(CHANNEL, &app.replica).await {
            tracing::debug!("a change of keys was not published: the store {error}");
        }
    }
}

/// The Redis that all replicas share for the limits of keys carries the news of them, too: there is no key of its own for it.
fn messenger(app: &App) -> Option<Arc<Store>> {
    let snapshot = app.snapshot();
    let name = snapshot.settings.keys.rate_limit_store.as_ref()?;
    snapshot.stores.get(name).cloned()
}
