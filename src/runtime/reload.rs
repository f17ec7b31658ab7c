//! The one actor that changes the settings: reads, compiles, prepares, and either commits as a whole or changes nothing.
//! Nothing after the swap can fail; everything before it can be dropped.

use super::failpoints::{FailPoints, Step};
use super::prepare::{Prepared, Tools, prepare};
use super::publish;
use super::report::{Ending, NodeReport, Rejection, Report, Trigger};
use super::snapshot::{Candidate, Snapshot};
use super::sockets::Sockets;
use super::watch::{Watch, content, digest, settled};
use super::{App, Front, Request};
use crate::clock::Timestamp;
use crate::config::{self, Loaded, Sources};
use crate::name::StoreName;
use crate::problem::{Place, Problem};
use crate::secret::Secret;
use crate::settings;
use crate::store::Store;
use crate::store::health::Health;
use crate::telemetry::Log;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a text that is the beginning of the running one must stay unchanged.
const HALF_WRITTEN: Duration = Duration::from_secs(5);
/// Between two looks whether a retired store has users left.
const RETIRE_LOOK: Duration = Duration::from_millis(100);
/// How long closing the connections of a retired store may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// A reading that came to nothing.
pub(super) struct Unread {
    /// What was read, where that much was possible.
    pub(super) loaded: Option<Loaded>,
    pub(super) why: Rejection,
}

impl Unread {
    fn of(loaded: Option<Loaded>, why: impl Into<Rejection>) -> Box<Self> {
        Box::new(Self { loaded, why: why.into() })
    }
}

/// Reads and compiles once; blocking work is kept off the async threads.
pub(super) async fn read(sources: &Sources, points: &FailPoints) -> Result<Candidate, Box<Unread>> {
    let (sources, points) = (sources.clone(), points.clone());
    let compiled = tokio::task::spawn_blocking(move || {
        points.at(Step::Read).map_err(|problem| Unread::of(None, *problem))?;
        let loaded = config::load(&sources);
        points.at(Step::Compile).map_err(|problem| Unread::of(None, *problem))?;
        match settings::compile(&loaded, Timestamp::now()) {
            Ok((settings, warnings)) => Ok(Candidate { loaded, settings: Arc::new(settings), warnings }),
            Err(problems) => Err(Unread::of(Some(loaded), problems)),
        }
    });
    compiled.await.unwrap_or_else(|error| {
        let problem = Problem::new(Place::Nowhere, "", format!("the reading broke off: {error}"));
        Err(Unread::of(None, problem))
    })
}

/// The actor's own state.
pub(super) struct Reloader {
    pub(super) app: Arc<App>,
    pub(super) sources: Sources,
    pub(super) front: Arc<dyn Front>,
    pub(super) log: Log,
    pub(super) watch: Watch,
    /// What the files held when they were last read, applied or not.
    pub(super) seen: [u8; 32],
    /// The hash of what that means, where it means something.
    pub(super) seen_hash: Option<String>,
    /// What they held when what is running was read.
    pub(super) running: [u8; 32],
    /// The files of the last reading.
    pub(super) loaded: Loaded,
    /// The text of the base file that is running.
    pub(super) running_text: Secret,
    /// Since when the base file is a beginning of that text and nothing more.
    pub(super) cut_off: Option<([u8; 32], Instant)>,
    pub(super) attempts: u64,
    pub(super) probes: BTreeMap<StoreName, (Arc<Store>, CancellationToken)>,
    pub(super) sockets: Sockets,
}

impl Reloader {
    /// Waits for wishes and for files that change, until everything stops.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let stop = self.app.tasks.stopping().clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                request = requests.recv() => match request {
                    Some(request) => self.answer(request, &mut requests).await,
                    None => return,
                },
                () = self.watch.hint() => self.look().await,
            }
        }
    }

    /// One attempt answers every wish that came before it began.
    async fn answer(&mut self, first: Request, requests: &mut mpsc::Receiver<Request>) {
        let mut waiting = vec![first];
        while let Ok(request) = requests.try_recv() {
            waiting.push(request);
        }
        let (trigger, actor) = waiting.first().map_or((Trigger::Api, None), |r| (r.trigger, r.actor.clone()));
        let report = self.attempt(trigger, actor).await;
        for request in waiting.into_iter().filter_map(|request| request.answer) {
            // Whoever asked may have gone away; the report stands in /health all the same.
            drop(request.send(Arc::clone(&report)));
        }
    }

    /// Looks whether the files hold something new.
    async fn look(&mut self) {
        let now = digest(&self.loaded.base_dir, &self.loaded.files).await;
        if now == self.seen {
            self.cut_off = None;
            return;
        }
        let Some(settled) = settled(&self.loaded.base_dir, &self.loaded.files).await else { return };
        if settled != self.seen && !self.may_be_half_written(settled).await {
            let open = &self.loaded.open_files;
            let same = digest(&self.loaded.base_dir, &open.files).await == open.digest;
            self.attempt(if same { Trigger::Secret } else { Trigger::File }, None).await;
        }
    }

    /// A text that is the beginning of the running one is what a write leaves that was interrupted or is still going on,
    /// and it may well be valid. It must stay as it is for a while before it is believed.
    async fn may_be_half_written(&mut self, digest: [u8; 32]) -> bool {
        let Some(file) = self.loaded.base_file.clone().or_else(|| self.sources.config.clone()) else { return false };
        let text = content(&self.loaded.base_dir, file).await;
        let running = self.running_text.expose();
        if text.is_empty() || text.len() >= running.len() || !running.starts_with(&text) {
            self.cut_off = None;
            return false;
        }
        match self.cut_off {
            Some((seen, since)) if seen == digest => since.elapsed() < HALF_WRITTEN,
            _ => {
                self.cut_off = Some((digest, Instant::now()));
                true
            }
        }
    }

    /// One attempt, from reading to the report.
    pub(super) async fn attempt(&mut self, trigger: Trigger, actor: Option<String>) -> Arc<Report> {
        let began = Instant::now();
        self.attempts += 1;
        if !matches!(trigger, Trigger::File | Trigger::Secret) {
            // Whoever asks may ask in the middle of a write; who looked at the files has waited for it already.
            settled(&self.loaded.base_dir, &self.loaded.files).await;
        }
        let outcome = self.change().await;
        let snapshot = self.app.snapshot();
        let (ending, nodes, problems) = match outcome {
            Ok((ending, nodes)) => (ending, nodes, Vec::new()),
            Err(rejection) => (Ending::Rejected, rejection.nodes, rejection.problems.errors()),
        };
        let report = Arc::new(Report {
            attempt: self.attempts,
            ending,
            generation: snapshot.generation,
            hash: snapshot.settings.hash.to_string(),
            trigger,
            actor,
            at: Timestamp::now(),
            took: began.elapsed(),
            nodes,
            problems,
        });
        self.publish(&report).await;
        report
    }

    /// Reads, compares, prepares, commits.
    async fn change(&mut self) -> Result<(Ending, Vec<NodeReport>), Rejection> {
        self.seen_hash = None;
        let candidate = match read(&self.sources, &self.app.fail_points).await {
            Ok(candidate) => candidate,
            Err(unread) => {
                if let Some(loaded) = unread.loaded {
                    self.remember(loaded);
                }
                return Err(unread.why);
            }
        };
        self.seen = candidate.loaded.digest;
        self.seen_hash = Some(candidate.settings.hash.to_string());
        let running = self.app.snapshot.load_full();
        if running.settings == candidate.settings {
            self.is_running(&candidate.loaded);
            self.remember(candidate.loaded);
            return Ok((Ending::Unchanged, Vec::new()));
        }
        let app = &self.app;
        let tools = Tools { metrics: &app.metrics, points: &app.fail_points, homes: &app.homes };
        let prepared = match prepare(Some(&running), &self.sockets, &candidate, tools).await {
            Ok(prepared) => prepared,
            Err(rejection) => {
                self.remember(candidate.loaded);
                return Err(rejection);
            }
        };
        let nodes = prepared.changes.iter().cloned().map(Into::into).collect();
        self.commit(prepared, &candidate);
        self.is_running(&candidate.loaded);
        self.remember(candidate.loaded);
        Ok((Ending::Applied, nodes))
    }

    fn is_running(&mut self, loaded: &Loaded) {
        self.running = loaded.digest;
        self.sources.commands.adopt(loaded);
        self.running_text = loaded.base_text.clone();
    }

    fn remember(&mut self, loaded: Loaded) {
        self.seen = loaded.digest;
        self.watch.follow(&loaded.files);
        self.loaded = loaded;
    }

    /// Makes the prepared generation the running one. Nothing here can fail.
    fn commit(&mut self, prepared: Prepared, candidate: &Candidate) {
        let old = self.app.snapshot.load_full();
        let settings = Arc::clone(&candidate.settings);
        let snapshot =
            Arc::new(Snapshot::new(old.generation + 1, candidate, prepared.stores, prepared.auth, prepared.tls));
        self.app.snapshot.store(Arc::clone(&snapshot));
        if old.settings.telemetry != settings.telemetry {
            self.log.apply(&settings.telemetry);
        }
        self.app.keys.set_rules(Arc::clone(&settings.keys));
        super::start::hand_over(&self.app, &old, &snapshot);
        self.watch_stores(&snapshot);
        self.retire_stores(&old, &snapshot);
        self.sockets.commit(prepared.sockets, &self.app, &self.front);
        self.app.committed.notify_waiters();
    }

    /// Begins to probe stores that are new, and ends the probing of stores that are gone.
    pub(super) fn watch_stores(&mut self, snapshot: &Snapshot) {
        let is_live = |name: &StoreName, store: &Arc<Store>| {
            snapshot.stores.get(name).is_some_and(|live| Arc::ptr_eq(live, store))
        };
        self.probes.retain(|name, (store, probing)| {
            let keep = is_live(name, store);
            if !keep {
                probing.cancel();
            }
            keep
        });
        for (name, store) in &snapshot.stores {
            if !self.probes.contains_key(name) {
                let probing = self.probe(Arc::clone(store));
                self.probes.insert(name.clone(), (Arc::clone(store), probing));
            }
        }
    }

    fn probe(&self, store: Arc<Store>) -> CancellationToken {
        let token = self.app.tasks.stopping().child_token();
        let (stop, metrics, events) = (token.clone(), Arc::clone(&self.app.metrics), Arc::clone(&self.app.events));
        self.app.tasks.spawn(async move {
            let tell = |health: &Health| publish::store(&events, store.settings(), health);
            store.watch(&metrics, &stop, &tell).await;
        });
        token
    }

    /// Closes the pools that no longer belong to anything, after their last user: a request or a run in progress keeps
    /// the connections it began with.
    fn retire_stores(&self, old: &Snapshot, new: &Snapshot) {
        let longest = old.settings.workers.values().map(|worker| worker.timeout).max().unwrap_or_default();
        let limit = longest + old.settings.server.request_timeout;
        for (name, store) in &old.stores {
            let kept = new.stores.get(name).is_some_and(|kept| kept.shares_connections(store));
            if !kept {
                self.app.tasks.spawn(retire(name.clone(), Arc::clone(store), limit));
            }
        }
    }
}

/// Waits for the last user of a retired store, within a limit, and closes it.
async fn retire(name: StoreName, store: Arc<Store>, limit: Duration) {
    let give_up = Instant::now() + limit;
    while store.users() > 0 && Instant::now() < give_up {
        tokio::time::sleep(RETIRE_LOOK).await;
    }
    if store.users() > 0 {
        tracing::warn!(store = %name, "the old connections of {name} are still in use after {limit:?}; they are closed");
    }
    if tokio::time::timeout(CLOSE_LIMIT, store.close()).await.is_err() {
        tracing::warn!(store = %name, "the old connections of {name} did not close in time");
    }
}
