//! What is recorded, and by which rules: each tick once, each claim by compare-and-set, each later write with its fencing epoch, due
//! times and leases by the clock of the database. The statements stand in one file a dialect; nothing here starts a run.

pub(crate) mod sqlite; // SQLite's statements

use super::plan::{Identity, Plan};
use super::run::{Done, RunId, RunKind, RunState};
use super::view::{Counts, OutputView, Page, Pause, RunView};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::Home;
use crate::settings::workers::{History, Worker};
use crate::store::database::Kind;
use crate::store::sqlite::Sqlite;
use crate::store::{Database, StoreError};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How many finished runs one statement of the retention deletes.
pub(crate) const RETAIN_BATCH: i64 = 1_000;
/// How many expired leases one look judges.
pub(crate) const REAP_BATCH: i64 = 500;

/// The declared workers, by name.
pub(crate) type Workers = BTreeMap<WorkerName, Arc<Worker>>;

/// The ledger as one replica sees it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    database: Database,
    replica: Arc<str>,
    lease: Duration,
}

/// A run that this replica holds, and the epoch that proves it.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) run: RunId,
    pub(crate) epoch: i64,
    pub(crate) worker: Arc<Worker>,
    pub(crate) kind: RunKind,
    pub(crate) tick_at: Option<Timestamp>,
    /// When it should start, by the clock of the database.
    pub(crate) at: Timestamp,
}

/// What became of the wish to start a claimed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It runs.
    Started { attempt: u32, lateness: Duration },
    /// Another run of the worker is in progress; it was recorded as skipped.
    Overlapped,
    /// Somebody else holds it, or it was withdrawn.
    Lost,
}

/// What became of the wish to record an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It is recorded, now or by an earlier try whose answer was lost.
    Recorded { state: RunState, at: Timestamp },
    /// The lease was lost: somebody else records the end.
    Lost,
}

/// Ticks that came to their end without an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) worker: WorkerName,
    pub(crate) state: RunState,
    pub(crate) reason: &'static str,
    pub(crate) count: u64,
}

/// What one look at the due schedules did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Materialised {
    pub(crate) queued: usize,
    pub(crate) recorded: Vec<Recorded>,
    /// Whether there is more to do at once.
    pub(crate) more: bool,
}

/// What is recorded of a worker.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct WorkerRecord {
    pub(crate) spec_hash: String,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) paused: Option<Pause>,
    pub(crate) last_run: Option<RunView>,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) consecutive_failures: u32,
    pub(crate) running: bool,
    /// When the oldest run that is not started should have been.
    pub(crate) waiting_since: Option<Timestamp>,
    pub(crate) counts_24h: Counts,
}

/// All that is recorded of workers, at one instant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overview {
    pub(crate) now: Timestamp,
    pub(crate) workers: BTreeMap<WorkerName, WorkerRecord>,
}

impl Ledger {
    pub(crate) fn new(plan: &Plan, identity: &Identity) -> Self {
        Self { database: plan.ledger.clone(), replica: identity.replica.as_str().into(), lease: plan.scheduler.lease }
    }

    /// Whether an action on this store can commit together with the record of its end.
    pub(crate) fn lives_in(&self, home: &Home) -> bool {
        self.database.home() == home
    }

    pub(crate) fn replica(&self) -> &str {
        &self.replica
    }

    fn sqlite(&self) -> Result<&Sqlite, StoreError> {
        match self.database.kind() {
            Kind::Sqlite(sqlite) => Ok(sqlite),
            Kind::Postgres(_) => Err(StoreError::Unexpected("a ledger in postgres is not possible yet".into())),
        }
    }

    /// The clock of the database.
    pub(crate) async fn now(&self) -> Result<Timestamp, StoreError> {
        self.sqlite()?.call("reading the ledger's clock", async |c| sqlite::now(c).await).await
    }

    /// Takes the rows of all workers over to what is declared: new ones get their first tick, edited schedules start afresh and what was
    /// queued for them is withdrawn, gone ones are retired, and those that come back are taken up again.
    pub(crate) async fn sync_workers(&self, workers: &Workers) -> Result<Vec<Recorded>, StoreError> {
        let by = self.replica();
        self.sqlite()?.call("taking over the workers", async |c| sqlite::sync(c, workers, by).await).await
    }

    /// Records the ticks that are due within the horizon, each once, whoever comes first.
    pub(crate) async fn materialise(&self, workers: &Workers) -> Result<Materialised, StoreError> {
        self.sqlite()?.call("recording due ticks", async |c| sqlite::materialise(c, workers).await).await
    }

    /// Gives a next tick to workers that lost theirs; says which.
    pub(crate) async fn watchdog(&self, workers: &Workers) -> Result<Vec<WorkerName>, StoreError> {
        self.sqlite()?.call("looking for stopped schedules", async |c| sqlite::rearm(c, workers).await).await
    }

    /// Takes at most `free` runs that are due within the horizon and whose worker is declared here as it was recorded.
    pub(crate) async fn claim(&self, workers: &Workers, free: usize) -> Result<Vec<Claim>, StoreError> {
        self.sqlite()?.call("claiming runs", async |c| sqlite::claim(c, self, workers, free).await).await
    }

    /// Starts claimed runs, in order: overlap is judged here, at the instant itself.
    pub(crate) async fn start(&self, claims: &[Claim]) -> Result<Vec<Start>, StoreError> {
        self.sqlite()?.call("starting runs", async |c| sqlite::start(c, self, claims).await).await
    }

    /// Puts back what was claimed and not started, at no cost.
    pub(crate) async fn unclaim(&self, claims: &[Claim]) -> Result<(), StoreError> {
        self.sqlite()?.call("releasing runs", async |c| sqlite::unclaim(c, claims).await).await
    }

    /// Renews leases; answers which of them still hold.
    pub(crate) async fn heartbeat(&self, held: &[(RunId, i64)]) -> Result<HashSet<RunId>, StoreError> {
        self.sqlite()?.call("renewing leases", async |c| sqlite::heartbeat(c, self, held).await).await
    }

    /// Records the end of an attempt.
    pub(crate) async fn finish(&self, claim: &Claim, done: &Done) -> Result<Finish, StoreError> {
        self.sqlite()?.call("recording a run's end", async |c| sqlite::finish(c, claim, done).await).await
    }

    /// Judges runs whose lease has run out: what was not started goes back, what was is tried again or lost.
    pub(crate) async fn reap(&self, workers: &Workers) -> Result<Vec<Recorded>, StoreError> {
        self.sqlite()?.call("looking for dead runs", async |c| sqlite::reap(c, workers).await).await
    }

    /// Deletes a batch of what is no longer kept; answers how many rows went, zero when there is nothing left to do.
    pub(crate) async fn retain(&self, history: &History) -> Result<u64, StoreError> {
        self.sqlite()?.call("deleting old runs", async |c| sqlite::retain(c, history).await).await
    }

    /// Queues a run that somebody asked for.
    pub(crate) async fn run_now(&self, worker: &Worker, requested_by: &str) -> Result<RunId, StoreError> {
        self.sqlite()?.call("queueing a run", async |c| sqlite::run_now(c, worker, requested_by).await).await
    }

    /// The runs of a worker, newest first, after the one named.
    pub(crate) async fn runs(
        &self,
        worker: &WorkerName,
        limit: u32,
        after: Option<RunId>,
    ) -> Result<Page<RunView>, StoreError> {
        self.sqlite()?.call("reading runs", async |c| sqlite::runs(c, worker, limit, after).await).await
    }

    /// One run.
    pub(crate) async fn run(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        self.sqlite()?.call("reading a run", async |c| sqlite::run(c, id).await).await
    }

    /// What a run wrote, from an offset.
    pub(crate) async fn output(&self, id: RunId, after: u64) -> Result<Option<OutputView>, StoreError> {
        self.sqlite()?.call("reading a run's output", async |c| sqlite::output(c, id, after).await).await
    }

    /// What is recorded of all workers.
    pub(crate) async fn overview(&self) -> Result<Overview, StoreError> {
        self.sqlite()?.call("reading workers", async |c| sqlite::overview(c).await).await
    }

    pub(crate) fn lease_millis(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

#[cfg(test)]
mod tests;
