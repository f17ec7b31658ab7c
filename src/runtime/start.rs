//! From nothing to the first generation: the same reading, compiling and preparing as a reload, with nothing running yet.
//! An unreachable store is no obstacle; a wrong configuration or a port in use is.

use super::apart::{is_rebuilt, keys_home, ledger_home};
use super::count::Count;
use super::events::Events;
use super::failpoints::FailPoints;
use super::homes::Homes;
use super::last_good::{self, Broken};
use super::prepare::{Prepared, Tools, prepare};
use super::reload::{Reloader, read};
use super::report::{Ending, Report, Trigger};
use super::revisions::Revisions;
use super::snapshot::{Candidate, Snapshot};
use super::sockets::Sockets;
use super::tasks::Tasks;
use super::watch::Watch;
use super::{App, Disk, Front, InMemory, MAX_REQUESTS, Part, Request, alerts, follow, refresh};
use crate::audit::Recorder;
use crate::auth::denied::Denied;
use crate::auth::{Throttle, dev};
use crate::clock::Timestamp;
use crate::config::commands::Commands;
use crate::config::environment::Environment;
use crate::config::{Loaded, Sources};
use crate::keys::Keys;
use crate::problem::{Problem, Problems};
use crate::settings::admin::SigningSecret;
use crate::settings::{Home, Settings};
use crate::store::{Database, Store};
use crate::telemetry::{Log, metrics::Metrics, recent::Recent};
use crate::work::handler::Handlers;
use crate::work::{BaseEnv, Host, Identity, Plan, Work};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(Problems),
    /// The configuration is right, but something it needs is not to be had, such as a port.
    #[error("{0}")]
    Refused(Problems),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

/// Starts the process: on return it listens and everything it does is under way.
///
/// # Errors
/// [`StartError`], with every mistake of the configuration.
pub async fn start(
    mut sources: Sources,
    part: Part,
    front: Arc<dyn Front>,
    handlers: Handlers,
    runs_workers: bool,
) -> Result<Arc<App>, StartError> {
    let began = Instant::now();
    let tasks = Tasks::default();
    sources.handlers = handlers.names().map(str::to_owned).collect();
    sources.commands = Commands::asked(&sources.environment, tasks.stopping().clone());
    let points = FailPoints::from_environment(&sources.environment);
    let (candidate, broken) = match read(&sources, &points).await {
        Ok(candidate) => (candidate, None),
        Err(unread) => {
            let (candidate, broken) = last_good::instead(&sources, part, *unread).map_err(StartError::Configuration)?;
            sources.config = sources.config.or_else(|| Some(broken.loaded.base_dir.join("monolith.toml")));
            (candidate, Some(broken))
        }
    };
    let Candidate { loaded, settings, warnings } = &candidate;
    if (!runs_workers || part == Part::Worker) && settings.scheduler.store == Home::Memory {
        return Err(StartError::Configuration(ledger_in_memory(loaded, part)));
    }
    // What was found once must stay: a file that vanishes is a mistake and never the wish for defaults.
    sources.config = sources.config.or_else(|| loaded.base_file.clone());
    let log = Log::install(&settings.telemetry);
    tell(loaded, settings, warnings, part);
    let metrics = Arc::new(Metrics::new().map_err(|error| StartError::Internal(error.to_string()))?);
    let tools = Tools { metrics: &metrics, points: &points, homes: &Homes::default() };
    let prepared = prepare(None, &Sockets::default(), &candidate, tools).await;
    let Prepared { changes, stores, auth, tls, sockets } = prepared.map_err(|why| StartError::Refused(why.problems))?;
    let snapshot = Arc::new(Snapshot::new(1, &candidate, stores, auth, tls));
    let (app, wishes) = app(&snapshot, part, (metrics, log.recent()), points, tasks, handlers, &sources)
        .map_err(StartError::Internal)?;
    let revision = broken.as_ref().map_or(0, |broken| broken.revision);
    app.last_good.store(revision, Ordering::Relaxed);
    let (ending, problems) = match &broken {
        Some(broken) => (Ending::Rejected, broken.problems.errors()),
        None => (Ending::Applied, Vec::new()),
    };
    let mut reloader = reloader(&app, sources, front, log, candidate.loaded, broken);
    let report = Report {
        attempt: 1,
        ending,
        generation: 1,
        hash: snapshot.settings.hash.to_string(),
        trigger: Trigger::Start,
        actor: None,
        at: Timestamp::now(),
        took: began.elapsed(),
        nodes: changes.into_iter().map(Into::into).collect(),
        problems,
    };
    reloader.publish(&Arc::new(report)).await;
    app.commands.adopt(&reloader.loaded);
    refresh::begin(&app);
    reloader.watch_stores(&snapshot);
    follow::begin(&app, runs_workers);
    alerts::begin(&app);
    keep_dev_token(&app, &snapshot)?;
    reloader.sockets.commit(sockets, &app, &reloader.front);
    app.tasks.spawn(reloader.run(wishes));
    Ok(app)
}

/// The process as requests and tasks see it, before anything of it runs.
fn app(
    snapshot: &Arc<Snapshot>,
    part: Part,
    (metrics, logs): (Arc<Metrics>, Recent),
    fail_points: FailPoints,
    tasks: Tasks,
    handlers: Handlers,
    sources: &Sources,
) -> Result<(Arc<App>, mpsc::Receiver<Request>), String> {
    let settings = &snapshot.settings;
    let in_memory = InMemory {
        keys: (settings.keys.store == Home::Memory).then(Database::in_memory),
        ledger: (settings.scheduler.store == Home::Memory).then(Database::in_memory),
    };
    let replica = replica_name();
    let (database, follower) = keys_home(snapshot, &in_memory)?;
    let keys = Keys::new(replica.clone(), database, follower, Arc::clone(&settings.keys));
    keys.share_limits_through(shared_limits(snapshot));
    let events = Arc::new(Events::default());
    let observer = Arc::new(Count::new(Arc::clone(&metrics), Arc::clone(&events)));
    let plan = plan(snapshot, &in_memory, None)?;
    let host = Host { env: base_env(&sources.environment), handlers };
    let work = Work::new(Identity { replica: replica.clone() }, host, plan, observer);
    let (requests, wishes) = mpsc::channel(MAX_REQUESTS);
    let app = App {
        replica,
        part,
        started_at: Timestamp::now(),
        metrics,
        keys: Arc::new(keys),
        denied: Denied::open(&settings.server.data_dir),
        failures: Throttle::default(),
        denials: Throttle::default(),
        audit: Recorder::open(&settings.server.data_dir),
        logs,
        work: Arc::new(work),
        tasks,
        commands: sources.commands.clone(),
        snapshot: ArcSwap::new(Arc::clone(snapshot)),
        last_reload: ArcSwapOption::empty(),
        events,
        revisions: Arc::new(Revisions::open(&settings.server.data_dir, part)),
        disk: ArcSwap::from_pointee(Disk { matches: true, since: Timestamp::now(), hash: None, problems: Vec::new() }),
        address: ArcSwapOption::empty(),
        admin_address: ArcSwapOption::empty(),
        committed: Notify::new(),
        workers: ArcSwap::from_pointee(Vec::new()),
        undelivered: ArcSwap::from_pointee(Vec::new()),
        in_memory,
        homes: Homes::default(),
        last_good: AtomicU64::new(0),
        keys_loaded: AtomicBool::new(false),
        ledger_opened: AtomicBool::new(false),
        was_ready: AtomicBool::new(false),
        draining: AtomicBool::new(false),
        requests,
        sources: sources.clone(),
        fail_points,
    };
    Ok((Arc::new(app), wishes))
}

/// The actor that will change the settings, with what was read first.
fn reloader(
    app: &Arc<App>,
    sources: Sources,
    front: Arc<dyn Front>,
    log: Log,
    loaded: Loaded,
    broken: Option<Broken>,
) -> Reloader {
    let (running, running_text) = (loaded.digest, loaded.base_text.clone());
    let loaded = broken.map_or(loaded, |broken| broken.loaded);
    let mut watch = Watch::new();
    watch.follow(&loaded.files);
    Reloader {
        app: Arc::clone(app),
        sources,
        front,
        log,
        watch,
        seen: loaded.digest,
        seen_hash: None,
        running,
        running_text,
        cut_off: None,
        loaded,
        attempts: 1,
        probes: BTreeMap::new(),
        sockets: Sockets::default(),
    }
}

/// Where serving and running workers are two processes, neither sees a ledger in the memory of the other.
fn ledger_in_memory(loaded: &Loaded, part: Part) -> Problems {
    const KEY: &str = "scheduler.store";
    let mut problems = Problems::default();
    let (message, hint) = match part {
        Part::Serve => (
            "is \"memory\", which no other process can see, and this one runs no workers",
            "name a postgres or sqlite store, or serve with workers",
        ),
        Part::Worker => (
            "is \"memory\", which no other process can see: nobody could ask this one for a run or learn what became of it",
            "name a postgres or sqlite store that the servers use, too; `monolith serve` runs workers on a ledger in memory",
        ),
    };
    problems.error(Problem::new(loaded.places.of(KEY), KEY, message).hint(hint));
    problems
}

/// Gives the scheduled work its new plan, and the keys their new connections where their store was rebuilt.
pub(super) fn hand_over(app: &App, old: &Snapshot, new: &Snapshot) {
    let ledger = match &new.settings.scheduler.store {
        Home::Store(name) if is_rebuilt(old, new, name) => None,
        _ => Some(app.work.ledger_database()),
    };
    match plan(new, &app.in_memory, ledger) {
        Ok(plan) => app.work.set_plan(plan),
        Err(error) => tracing::error!("the new plan of the workers is not taken over: {error}"),
    }
    app.keys.share_limits_through(shared_limits(new));
    let Home::Store(name) = &new.settings.keys.store else { return };
    if is_rebuilt(old, new, name)
        && let Ok((database, follower)) = keys_home(new, &app.in_memory)
    {
        app.keys.set_database(database, follower);
    }
}

/// The Redis that counts uses of keys for all replicas.
fn shared_limits(snapshot: &Snapshot) -> Option<Arc<Store>> {
    snapshot.stores.get(snapshot.settings.keys.rate_limit_store.as_ref()?).cloned()
}

/// What the scheduler works with under these settings; a ledger that is open already stays so.
fn plan(snapshot: &Snapshot, in_memory: &InMemory, ledger: Option<Database>) -> Result<Plan, String> {
    let settings = &snapshot.settings;
    Ok(Plan {
        workers: settings.workers.clone(),
        stores: snapshot.stores.iter().map(|(name, store)| (name.clone(), store.connection().clone())).collect(),
        ledger: match ledger {
            Some(open) => open,
            None => ledger_home(snapshot, in_memory)?,
        },
        scheduler: Arc::clone(&settings.scheduler),
    })
}

/// The five variables that commands inherit.
fn base_env(environment: &Environment) -> BaseEnv {
    let get = |name: &str| environment.get(name).map(ToOwned::to_owned);
    BaseEnv { path: get("PATH"), home: get("HOME"), lang: get("LANG"), tz: get("TZ"), tmpdir: get("TMPDIR") }
}

fn replica_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(63).collect();
    let random = Uuid::now_v7().simple().to_string();
    let digits: String = random.chars().skip(24).collect();
    if host.is_empty() { format!("monolith-{digits}") } else { format!("{host}-{digits}") }
}

fn tell(loaded: &Loaded, settings: &Settings, warnings: &[Problem], part: Part) {
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if settings.keys.store == Home::Memory && part == Part::Serve {
        tracing::warn!("API keys are kept in memory and are gone at restart (keys.store)");
    }
    if settings.scheduler.store == Home::Memory {
        tracing::warn!("the run ledger is kept in memory and is gone at restart (scheduler.store)");
    }
}

/// On a laptop, a token for console and CLI lies ready before the server is, and is renewed at half its life.
fn keep_dev_token(app: &Arc<App>, snapshot: &Snapshot) -> Result<(), StartError> {
    if app.part == Part::Worker || !wants_dev_token(&snapshot.settings) {
        return Ok(());
    }
    let ttl = dev::TOKEN_TTL.min(snapshot.settings.admin.max_token_ttl);
    let renew = move |snapshot: &Snapshot| {
        dev::renew_token(&snapshot.auth, &snapshot.settings.server.data_dir, ttl, Timestamp::now())
    };
    renew(snapshot).map_err(|error| StartError::Internal(format!("the dev token cannot be written: {error}")))?;
    let renewing = Arc::clone(app);
    app.tasks.spawn(async move {
        loop {
            tokio::time::sleep(ttl / 2).await;
            if let Err(error) = renew(&renewing.snapshot()) {
                tracing::warn!(%error, "the dev token could not be renewed");
            }
        }
    });
    Ok(())
}

/// Whether this is a laptop that made its own secret.
#[must_use]
pub fn wants_dev_token(settings: &Settings) -> bool {
    let generated = settings.admin.signing_keys.first().is_some_and(|key| key.secret == SigningSecret::Generated);
    generated && settings.profile.is_dev() && settings.server.abroad().is_none()
}
