//! The running process: one pointer to what is live, the one actor that replaces it, and the end of it all.
//! It is the only spawner; it knows nothing of HTTP, which is handed in as a [`Front`].

pub mod events; // what happens here, for whoever looks on
pub mod plan; // what posted texts would change, without changing it
pub mod report; // what came of an attempt to change the settings
pub mod revisions; // what was made of the settings, kept in data_dir
pub mod snapshot; // everything that one generation made live
pub mod sockets; // bound, served, and retired without losing anyone
pub mod tasks; // the only place that spawns

pub(crate) mod failpoints; // faults on demand, in tests

mod alerts; // trouble is noticed, and told once for the fleet
mod apart; // the homes of keys and ledger, behind connections of their own
mod compare; // finds what was changed in the keys' database without an event
mod count; // what happened to scheduled work, into the metrics
mod follow; // keeps the key index fresh, from a start without its store on
mod homes; // which databases keys and ledger live in
mod last_good; // what ran last, where the files are broken at the start
mod news; // hears early that keys changed
mod prepare; // the part of a reload that can fail
mod publish; // tells everybody what came of an attempt
mod refresh; // asks for secrets again
mod reload; // the one actor that changes the settings
mod replicas; // tells the others that this one lives, and how far it has come
mod shutdown; // from a signal to the end
mod start; // from nothing to the first generation
mod usage; // writes how keys are used
mod watch; // notices that a file changed

pub use shutdown::Shutdown;
pub use start::{StartError, start, wants_dev_token};

use crate::alerts::outbox::Undelivered;
use crate::audit::{Change, Recorder};
use crate::auth::Throttle;
use crate::auth::denied::Denied;
use crate::clock::Timestamp;
use crate::config::Sources;
use crate::config::commands::Commands;
use crate::keys::Keys;
use crate::problem::Problem;
use crate::store::Database;
use crate::telemetry::{metrics::Metrics, recent::Recent};
use crate::work::{Work, WorkerView};
use arc_swap::{ArcSwap, ArcSwapOption};
use report::{Report, Trigger};
use snapshot::Snapshot;
use sockets::Socket;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tasks::Tasks;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, oneshot};

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Serves, and runs workers unless told not to.
    Serve,
    /// Only runs workers.
    Worker,
}

/// What serves a socket: handed in from above, so that nothing here knows HTTP.
pub trait Front: Send + Sync + 'static {
    /// Serves a socket until its end, then empties its queue, finishes what was accepted, and returns.
    fn serve(self: Arc<Self>, app: Arc<App>, socket: Socket) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The running process, as requests and tasks see it.
#[derive(Debug)]
pub struct App {
    /// The name of this replica: its host and a few random digits.
    pub replica: String,
    /// What it does.
    pub part: Part,
    /// When it started.
    pub started_at: Timestamp,
    /// Every metric.
    pub metrics: Arc<Metrics>,
    /// The API keys.
    pub keys: Arc<Keys>,
    /// Tokens that are refused before their time.
    pub denied: Denied,
    /// How often an address may fail to prove who it is.
    pub failures: Throttle,
    /// How often an address may ask for what it may not, before that is not recorded any more.
    pub denials: Throttle,
    /// Records changes that are made elsewhere than in the home of the keys.
    pub audit: Recorder,
    /// The last warnings and errors.
    pub logs: Recent,
    /// The scheduled work.
    pub work: Arc<Work>,
    /// The tasks.
    pub tasks: Tasks,
    /// What happens here.
    pub events: Arc<events::Events>,
    /// What was made of the settings.
    pub revisions: Arc<revisions::Revisions>,
    /// The programs that tell secrets, and what they told.
    pub commands: Commands,
    snapshot: ArcSwap<Snapshot>,
    last_reload: ArcSwapOption<Report>,
    disk: ArcSwap<Disk>,
    /// Where it really listens: with port 0 the system chooses.
    address: ArcSwapOption<SocketAddr>,
    /// Where it really listens for administrators, where that is another socket.
    admin_address: ArcSwapOption<SocketAddr>,
    /// Told of each commit: who waits under an old limit looks at the new one.
    committed: Notify,
    /// What the ledger said of the workers last: /health and /metrics must not wait for it.
    workers: ArcSwap<Vec<WorkerView>>,
    /// The receivers of alerts that do not take their messages.
    undelivered: ArcSwap<Vec<Undelivered>>,
    /// The databases that live in this process and must outlive every reload.
    in_memory: InMemory,
    /// The revision that runs in the place of broken files; 0: none.
    last_good: AtomicU64,
    /// Which databases the homes are.
    homes: homes::Homes,
    keys_loaded: AtomicBool,
    ledger_opened: AtomicBool,
    was_ready: AtomicBool,
    draining: AtomicBool,
    requests: mpsc::Sender<Request>,
    /// From where this process reads its configuration.
    sources: Sources,
    pub(crate) fail_points: failpoints::FailPoints,
}

/// Homes that are kept in memory; each is empty where a store is the home.
#[derive(Debug, Clone, Default)]
struct InMemory {
    keys: Option<Database>,
    ledger: Option<Database>,
}

/// What is known of the files, as opposed to what is running.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Whether they say what is running.
    pub matches: bool,
    /// Since when they do, or do not.
    pub since: Timestamp,
    /// The hash of what they mean, where they mean something.
    pub hash: Option<String>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// A wish for a reload.
#[derive(Debug)]
struct Request {
    trigger: Trigger,
    actor: Option<String>,
    answer: Option<oneshot::Sender<Arc<Report>>>,
}

/// How many wishes for a reload may wait; more are answered by "busy".
const MAX_REQUESTS: usize = 16;
/// The longest that somebody waits for the outcome of a reload.
pub const RELOAD_LIMIT: Duration = Duration::from_secs(120);

impl App {
    /// What is live now. A request loads it once and sees one generation to its end.
    #[must_use]
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The last attempt to change the settings.
    #[must_use]
    pub fn last_reload(&self) -> Option<Arc<Report>> {
        self.last_reload.load_full()
    }

    /// What is known of the files.
    #[must_use]
    pub fn disk(&self) -> Arc<Disk> {
        self.disk.load_full()
    }

    /// The revision that runs in the place of files that were broken at the start, until a mended file is taken up.
    #[must_use]
    pub fn last_good(&self) -> Option<u64> {
        Some(self.last_good.load(Ordering::Relaxed)).filter(|revision| *revision > 0)
    }

    /// Where it listens; `None` where it does not.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.load().as_deref().copied()
    }

    /// Where it listens for administrators, where that is another socket.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address.load().as_deref().copied()
    }

    /// Returns at the next commit.
    pub fn committed(&self) -> Notified<'_> {
        self.committed.notified()
    }

    /// What the ledger said of the workers last, at most a few seconds ago while it answers.
    #[must_use]
    pub fn workers(&self) -> Arc<Vec<WorkerView>> {
        self.workers.load_full()
    }

    /// The receivers of alerts that do not take their messages, as it was known a few seconds ago.
    #[must_use]
    pub fn undelivered(&self) -> Arc<Vec<Undelivered>> {
        self.undelivered.load_full()
    }

    /// Whether the process is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether the key index was loaded once.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.keys_loaded.load(Ordering::Relaxed)
    }

    /// Whether what this process is there for could begin: the key index was loaded once or, where it only runs workers,
    /// the ledger was opened once.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        match self.part {
            Part::Serve => self.has_keys(),
            Part::Worker => self.ledger_opened.load(Ordering::Relaxed),
        }
    }

    /// Whether traffic may come: settings are committed, each required store was reached once, its work could begin
    /// once, and the process is not about to end. A store that is lost later changes nothing: a restart would not help.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && (self.was_ready.load(Ordering::Relaxed) || self.is_ready_at_last())
    }

    fn is_ready_at_last(&self) -> bool {
        let snapshot = self.snapshot();
        let reached = snapshot.stores.values().all(|store| !store.settings().required || store.health().reached);
        let ready = reached && self.has_begun();
        if ready {
            self.was_ready.store(true, Ordering::Relaxed);
        }
        ready
    }

    /// Records a change that was made elsewhere than in the home of the keys, or that was refused.
    pub async fn record(&self, change: Change) {
        self.audit.record(&self.keys.database(), change).await;
    }

    /// Asks for a reload and waits for what comes of it; `None` where the actor is gone or too busy.
    pub async fn reload(&self, trigger: Trigger, actor: Option<String>) -> Option<Arc<Report>> {
        let (answer, outcome) = oneshot::channel();
        self.requests.try_send(Request { trigger, actor, answer: Some(answer) }).ok()?;
        tokio::time::timeout(RELOAD_LIMIT, outcome).await.ok()?.ok()
    }
}
