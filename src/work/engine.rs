//! The scheduler as the rest of the program holds it: it takes plans, answers questions and runs until it is told to stop.
//! The loop itself is `turn`; nothing here knows what an action does.

mod attempt; // one attempt, from its start to its record
mod clock; // the database's clock, told by the local one
mod trouble; // what is done while the ledger does not answer
mod turn; // the loop

use super::action::{BaseEnv, Job};
use super::event::{Observer, WorkEvent};
use super::handler::Handlers;
use super::ledger::{Asked, Ledger};
use super::outbound::Outbound;
use super::ping::{self, Ping, Pings};
use super::plan::{Host, Identity, Plan};
use super::run::RunId;
use super::view::{OutputView, Page, RunView, Ticks, WorkerView};
use super::{WorkError, cadence, show};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::workers::Worker;
use crate::store::{Database, StoreError};
use arc_swap::ArcSwap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The longest time whose ticks are told or backfilled at once; counting cron ticks takes time.
const LONGEST_TIME: Duration = Duration::from_secs(31 * 86_400);
/// The most ticks that one backfill queues.
pub(super) const MOST_BACKFILLED: u32 = 10_000;

/// The scheduler of this replica. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Work(pub(super) Arc<Shared>);

pub(super) struct Shared {
    identity: Identity,
    env: Arc<BaseEnv>,
    handlers: Handlers,
    pub(super) outbound: Arc<Outbound>,
    pub(super) pings: Pings,
    plan: ArcSwap<Plan>,
    observer: Arc<dyn Observer>,
    wake: Notify,
    in_progress: AtomicUsize,
}

impl Work {
    /// A scheduler with its first plan; nothing is read or run before [`Work::run`].
    #[must_use]
    pub fn new(identity: Identity, host: Host, plan: Plan, observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(Shared {
            identity,
            env: Arc::new(host.env),
            handlers: host.handlers,
            outbound: Arc::default(),
            pings: Pings::default(),
            plan: ArcSwap::from_pointee(plan),
            observer,
            wake: Notify::new(),
            in_progress: AtomicUsize::new(0),
        }))
    }

    /// Replaces the plan as a whole; a run in progress keeps its worker and its stores. The ledger is taken over by the loop.
    pub fn set_plan(&self, plan: Plan) {
        self.0.plan.store(Arc::new(plan));
        self.0.wake.notify_one();
    }

    /// Finds, starts and records runs until `stop` fires; then lets those in progress finish until `cut` fires, and releases the rest
    /// without costing them an attempt. Dropping the future ends every run at once, as a crash would.
    pub async fn run(&self, stop: CancellationToken, cut: CancellationToken) {
        ping::beside(self, turn::run(self, stop, cut)).await;
    }

    /// The database of the ledger.
    #[must_use]
    pub fn ledger_database(&self) -> Database {
        self.plan().ledger.clone()
    }

    /// How many runs are in progress on this replica.
    #[must_use]
    pub fn in_progress(&self) -> usize {
        self.0.in_progress.load(Ordering::Relaxed)
    }

    /// All declared workers, by name, as declared here and as recorded.
    ///
    /// # Errors
    /// Any [`StoreError`] of the ledger.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        let plan = self.plan();
        let ledger = self.ledger(&plan);
        let overview = ledger.overview().await?;
        let recorded = |worker: &Worker| overview.workers.get(&worker.name);
        let is_suspect = |worker: &&Worker| recorded(worker).is_some_and(|record| cadence::is_suspect(worker, record));
        let suspects: Vec<&Worker> = plan.workers.values().map(AsRef::as_ref).filter(is_suspect).collect();
        let mut recent = ledger.recent_runs(suspects.iter().map(|worker| &worker.name)).await?;
        let view = |worker: &Arc<Worker>| {
            let recent = recent.remove(&worker.name).unwrap_or_default();
            show::worker(worker, recorded(worker), &recent, overview.now)
        };
        Ok(plan.workers.values().map(view).collect())
    }

    /// One worker.
    ///
    /// # Errors
    /// [`WorkError::UnknownWorker`], or the ledger's.
    pub async fn worker(&self, name: &WorkerName) -> Result<WorkerView, WorkError> {
        let found = self.workers().await?.into_iter().find(|worker| worker.name == *name);
        found.ok_or_else(|| WorkError::UnknownWorker(name.clone()))
    }

    /// The runs of a worker, newest first, at most 500, after the one named.
    ///
    /// # Errors
    /// [`WorkError::UnknownWorker`] where it is not declared, or the ledger's.
    pub async fn runs(&self, name: &WorkerName, limit: u32, after: Option<RunId>) -> Result<Page<RunView>, WorkError> {
        let plan = self.plan();
        if !plan.workers.contains_key(name) {
            return Err(WorkError::UnknownWorker(name.clone()));
        }
        Ok(self.ledger(&plan).runs(name, limit, after).await?)
    }

    /// One run.
    ///
    /// # Errors
    /// [`WorkError::UnknownRun`], or the ledger's.
    pub async fn run_view(&self, id: RunId) -> Result<RunView, WorkError> {
        self.ledger(&self.plan()).run(id).await?.ok_or(WorkError::UnknownRun(id))
    }

    /// What a run wrote, from an offset in bytes.
    ///
    /// # Errors
    /// [`WorkError::UnknownRun`], or the ledger's.
    pub async fn output(&self, id: RunId, after: u64) -> Result<OutputView, WorkError> {
        self.ledger(&self.plan()).output(id, after).await?.ok_or(WorkError::UnknownRun(id))
    }

    /// Queues a run now, also of a disabled worker; whichever replica has a free slot makes it.
    ///
    /// # Errors
    /// [`WorkError::UnknownWorker`], or the ledger's.
    pub async fn run_now(&self, name: &WorkerName, requested_by: &str) -> Result<RunId, WorkError> {
        let plan = self.plan();
        let id = self.ledger(&plan).run_now(declared(&plan, name)?, requested_by).await?;
        self.0.wake.notify_one();
        Ok(id)
    }

    /// Pauses a worker until somebody resumes it or an instant comes; a run in progress goes on.
    ///
    /// # Errors
    /// [`WorkError::UnknownWorker`], [`WorkError::NotTakenOver`], or the ledger's.
    pub async fn pause(
        &self,
        name: &WorkerName,
        by: &str,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<WorkerView, WorkError> {
        let plan = self.plan();
        let paused = self.ledger(&plan).pause(declared(&plan, name)?, by, reason, until).await?;
        self.tell_recorded(&paused.ok_or_else(|| WorkError::NotTakenOver(name.clone()))?);
        self.worker(name).await
    }

    /// Ends the pause of a worker; one that is not paused stays as it is.
    ///
    /// # Errors
    /// As [`Work::pause`].
    pub async fn resume(&self, name: &WorkerName) -> Result<WorkerView, WorkError> {
        let plan = self.plan();
        let resumed = self.ledger(&plan).resume(declared(&plan, name)?).await?;
        self.tell_recorded(&resumed.ok_or_else(|| WorkError::NotTakenOver(name.clone()))?);
        self.0.wake.notify_one();
        self.worker(name).await
    }

    /// Cancels a run: one that waits ends at once, one in progress is stopped by whoever has it. One that is at its end stays as it is.
    ///
    /// # Errors
    /// [`WorkError::UnknownRun`], or the ledger's.
    pub async fn cancel(&self, id: RunId, by: &str) -> Result<RunView, WorkError> {
        self.ledger(&self.plan()).cancel(id, by).await?.ok_or(WorkError::UnknownRun(id))?;
        self.0.wake.notify_one();
        self.run_view(id).await
    }

    /// What became of a worker's ticks from `from` (included) to `to` (excluded).
    ///
    /// # Errors
    /// [`WorkError::UnknownWorker`], [`WorkError::TooLong`], or the ledger's.
    pub async fn ticks(
        &self,
        name: &WorkerName,
        (from, to): (Timestamp, Timestamp),
        after: Option<Timestamp>,
        limit: u32,
    ) -> Result<Ticks, WorkError> {
        let plan = self.plan();
        let worker = declared(&plan, name)?;
        if to.since(from) > LONGEST_TIME {
            return Err(WorkError::TooLong(LONGEST_TIME));
        }
        Ok(self.ledger(&plan).ticks(worker, Asked { from, to, after, limit }).await?)
    }

    /// Queues the ticks from `from` (included) to `to` (excluded) that lie back and did not run, at most `max`, oldest first; how many.
    ///
    /// # Errors
    /// As [`Work::ticks`], and [`WorkError::NotTakenOver`].
    pub async fn backfill(
        &self,
        name: &WorkerName,
        (from, to): (Timestamp, Timestamp),
        max: u32,
        by: &str,
    ) -> Result<u64, WorkError> {
        let plan = self.plan();
        let worker = declared(&plan, name)?;
        if to.since(from) > LONGEST_TIME {
            return Err(WorkError::TooLong(LONGEST_TIME));
        }
        let queued = self.ledger(&plan).backfill(worker, (from, to), max.min(MOST_BACKFILLED), by).await?;
        self.0.wake.notify_one();
        queued.ok_or_else(|| WorkError::NotTakenOver(name.clone()))
    }

    fn plan(&self) -> Arc<Plan> {
        self.0.plan.load_full()
    }

    fn ledger(&self, plan: &Plan) -> Ledger {
        Ledger::new(plan, &self.0.identity)
    }

    pub(super) fn tell(&self, event: &WorkEvent) {
        self.0.observer.observe(event);
    }

    /// Tells whoever is named by the worker that it succeeded; the run does not wait for it.
    fn ping(&self, job: &Job) {
        let (worker, run) = (job.claim.worker.name.clone(), job.claim.run);
        let Some(address) = job.claim.worker.ping.clone() else { return };
        if !self.0.pings.add(Ping { worker: worker.clone(), run, address }) {
            self.tell(&WorkEvent::Pinged { worker, run, error: Some("too many pings wait already".into()) });
        }
    }

    fn tell_recorded(&self, recorded: &[super::ledger::Recorded]) {
        for one in recorded {
            let (worker, state, reason, count) = (one.worker.clone(), one.state, one.reason, one.count);
            self.tell(&WorkEvent::Recorded { worker, state, reason, count });
        }
    }
}

fn declared<'p>(plan: &'p Plan, name: &WorkerName) -> Result<&'p Worker, WorkError> {
    plan.workers.get(name).map(AsRef::as_ref).ok_or_else(|| WorkError::UnknownWorker(name.clone()))
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("identity", &self.0.identity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
