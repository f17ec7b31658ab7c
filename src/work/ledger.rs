//! What is recorded, and by which rules: each tick once, each claim by compare-and-set, each later write with its fencing epoch, due
//! times and leases by the clock of the database. Rules and statements stand apart; nothing here starts a run.

mod accounts; // rules: what became of each expected tick
mod answers; // what it says
mod book; // what the rules ask of a database
mod claims; // rules: up to the start of a run
mod controls; // rules: what operators do
mod ends; // rules: the end of a run
mod frames; // the transaction around the rules
mod group; // ends that come together are written together
mod postgres; // Postgres' statements
mod reads; // rules: what is shown and kept
mod rows; // rows of either dialect, as values
mod schedules; // rules: workers and their ticks
mod sqlite; // SQLite's statements
mod takeover; // rules: from what is declared to rows

pub(crate) use accounts::Asked;
pub(crate) use answers::{Claim, Finish, Materialised, Overview, Recorded, Start, WorkerRecord};
pub(super) use book::Book;
pub(super) use ends::finish as finish_in;
pub(super) use frames::{idle_limit, settle};
pub(super) use postgres::PostgresBook;
pub(crate) use takeover::{Occasion, TakenOver};

use super::due;
use super::plan::{Identity, Plan};
use super::run::{Done, Output, RunId};
use super::seeded::{self, Bug};
use super::view::{OutputView, Page, RunView, Ticks};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::Home;
use crate::settings::stores::Pooler;
use crate::settings::workers::{History, Worker};
use crate::store::database::Kind;
use crate::store::{Database, StoreError};
use book::{Claims as _, Controls as _, Ends as _, History as _, Holding, Schedules as _};
use frames::{change, look};
use group::Group;
use sqlx::Connection;
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
    /// Shared by all clones: their ends come together.
    group: Arc<Group>,
}

impl Ledger {
    pub(crate) fn new(plan: &Plan, identity: &Identity) -> Self {
        Self {
            database: plan.ledger.clone(),
            replica: identity.replica.as_str().into(),
            lease: plan.scheduler.lease,
            group: Arc::default(),
        }
    }

    /// Whether an action on this store can commit together with the record of its end.
    pub(crate) fn lives_in(&self, home: &Home) -> bool {
        self.database.home() == home
    }

    pub(crate) fn replica(&self) -> &str {
        &self.replica
    }

    /// The clock of the database.
    pub(crate) async fn now(&self) -> Result<Timestamp, StoreError> {
        look!(self, "reading the ledger's clock", |book| book.now())
    }

    /// Takes the rows of all workers over to what is declared: new ones get their first tick, edited schedules start afresh and what was
    /// queued for them is withdrawn, gone ones are retired, and those that come back are taken up again. What a replica that lives stands
    /// for is changed by a reload only.
    pub(crate) async fn take_over(&self, workers: &Workers, occasion: Occasion<'_>) -> Result<TakenOver, StoreError> {
        change!(self, "taking over the workers", |book| takeover::take_over(book, self, workers, occasion))
    }

    /// Says that this replica lives and still stands for what it declared.
    pub(crate) async fn sign(&self) -> Result<(), StoreError> {
        let now = self.now().await?;
        change!(self, "giving a sign of life", |book| book.seen(&self.replica, now))
    }

    /// Says that this replica stands for nothing any more.
    pub(crate) async fn leave(&self) -> Result<(), StoreError> {
        change!(self, "leaving", |book| book.forget(&self.replica, Timestamp::EPOCH))
    }

    /// Pauses a worker; `None`: no replica runs it.
    pub(crate) async fn pause(
        &self,
        worker: &Worker,
        by: &str,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<Option<Vec<Recorded>>, StoreError> {
        change!(self, "pausing a worker", |book| controls::pause(book, worker, by, reason, until))
    }

    /// Ends the pause of a worker; `None`: no replica runs it.
    pub(crate) async fn resume(&self, worker: &Worker) -> Result<Option<Vec<Recorded>>, StoreError> {
        change!(self, "resuming a worker", |book| controls::resume(book, worker))
    }

    /// Cancels a run; `None`: there is no such run.
    pub(crate) async fn cancel(&self, id: RunId, by: &str) -> Result<Option<()>, StoreError> {
        change!(self, "cancelling a run", |book| controls::cancel(book, id, by))
    }

    /// Which of the runs somebody wants to stop, and who.
    pub(crate) async fn cancels(&self, ids: &[RunId]) -> Result<Vec<(RunId, String)>, StoreError> {
        look!(self, "looking for cancelled runs", |book| book.cancels(ids))
    }

    /// The last few runs for ticks of some workers that came to their end, newest first, without their attempts.
    pub(crate) async fn recent_runs(
        &self,
        workers: impl Iterator<Item = &WorkerName>,
    ) -> Result<BTreeMap<WorkerName, Vec<RunView>>, StoreError> {
        let workers: Vec<&WorkerName> = workers.collect();
        if workers.is_empty() {
            return Ok(BTreeMap::new());
        }
        look!(self, "reading recent runs", |book| reads::recent(book, &workers))
    }

    /// What became of a worker's ticks.
    pub(crate) async fn ticks(&self, worker: &Worker, asked: Asked) -> Result<Ticks, StoreError> {
        look!(self, "reading ticks", |book| accounts::ticks(book, worker, asked))
    }

    /// Queues ticks of the past that did not run; how many. `None`: no replica runs the worker.
    pub(crate) async fn backfill(
        &self,
        worker: &Worker,
        time: (Timestamp, Timestamp),
        max: u32,
        by: &str,
    ) -> Result<Option<u64>, StoreError> {
        change!(self, "queueing ticks of the past", |book| accounts::backfill(book, worker, time, max, by))
    }

    /// Records the ticks that are due within the horizon, each once, whoever comes first. One transaction deals with some hundred
    /// workers: others can write in between.
    pub(crate) async fn materialise(&self, workers: &Workers) -> Result<Materialised, StoreError> {
        let now = self.now().await?;
        let mut done = Materialised::default();
        if !look!(self, "looking for pauses", |book| book.pauses_over(now))?.is_empty() {
            done.recorded = change!(self, "ending pauses", |book| controls::end_pauses(book, workers))?;
        }
        let due = look!(self, "looking for due ticks", |book| book.due(now.after(due::HORIZON)))?;
        let decided = schedules::decide(workers, &due, now);
        for some in decided.chunks(schedules::BATCH) {
            let step = if seeded::has(Bug::AdvanceFirst) {
                self.advance_first(some).await?
            } else {
                change!(self, "recording due ticks", |book| schedules::advance(book, some))?
            };
            done.queued += step.queued;
            done.recorded.extend(step.recorded);
            done.more |= step.more;
            done.passed_over |= step.passed_over;
        }
        Ok(done)
    }

    /// The bug that loses the ticks of a process that dies in between, which is made long enough to be met.
    async fn advance_first(&self, some: &[schedules::Decided<'_>]) -> Result<Materialised, StoreError> {
        let ours = change!(self, "moving clocks", |book| schedules::advance_clocks(book, some))?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        change!(self, "recording due ticks", |book| schedules::record(book, &ours, some.len()))
    }

    /// Gives a next tick to workers that lost theirs; says which.
    pub(crate) async fn watchdog(&self, workers: &Workers) -> Result<Vec<WorkerName>, StoreError> {
        let stopped = look!(self, "looking for stopped schedules", |book| book.stopped())?;
        if stopped.is_empty() {
            return Ok(Vec::new());
        }
        change!(self, "starting stopped schedules", |book| schedules::rearm(book, workers))
    }

    /// Whether anything waits that is due within the horizon. It takes no lock.
    pub(crate) async fn any_wait(&self) -> Result<bool, StoreError> {
        look!(self, "looking for runs", |book| claims::waits(book))
    }

    /// Takes at most `free` runs that are due within the horizon and whose worker is declared here as it was recorded.
    pub(crate) async fn claim(&self, workers: &Workers, free: usize) -> Result<Vec<Claim>, StoreError> {
        change!(self, "claiming runs", |book| claims::claim(book, self, workers, free))
    }

    /// Starts claimed runs, in order: overlap is judged here, at the instant itself.
    pub(crate) async fn start(&self, claims: &[Claim]) -> Result<Vec<Start>, StoreError> {
        change!(self, "starting runs", |book| claims::start(book, self, claims))
    }

    /// Puts back what was claimed and not started, at no cost.
    pub(crate) async fn unclaim(&self, claims: &[Claim]) -> Result<(), StoreError> {
        let held = claims::holdings(claims);
        change!(self, "releasing runs", |book| book.put_back(&held, None))
    }

    /// Renews leases; answers which of them still hold.
    pub(crate) async fn heartbeat(&self, held: &[(RunId, i64)]) -> Result<HashSet<RunId>, StoreError> {
        let held: Vec<_> = held.iter().map(|(run, epoch)| Holding { id: run.to_string(), epoch: *epoch }).collect();
        let kept = change!(self, "renewing leases", |book| book.renew(&held, self.lease))?;
        Ok(kept.into_iter().collect())
    }

    /// Records what a run has written so far; whoever lost its lease writes nothing.
    pub(crate) async fn write_output(&self, claim: &Claim, output: &Output) -> Result<(), StoreError> {
        let held = Holding { id: claim.run.to_string(), epoch: claim.epoch };
        change!(self, "writing a run's output", |book| book.write_output(&held, output))
    }

    /// Records the ends of attempts in one transaction.
    async fn finish_together(&self, ended: &[(&Claim, &Done)]) -> Result<Vec<Finish>, StoreError> {
        change!(self, "recording the ends of runs", |book| finish_in(book, ended))
    }

    /// Judges runs whose lease has run out: what was not started goes back, what was is tried again or lost.
    pub(crate) async fn reap(&self, workers: &Workers) -> Result<Vec<Recorded>, StoreError> {
        if !look!(self, "looking for dead runs", |book| ends::any_expired(book))? {
            return Ok(Vec::new());
        }
        change!(self, "judging dead runs", |book| ends::reap(book, workers))
    }

    /// Deletes a batch of what is no longer kept; answers how many rows went, zero when there is nothing left to do.
    pub(crate) async fn retain(&self, history: &History) -> Result<u64, StoreError> {
        change!(self, "deleting old runs", |book| reads::retain(book, history))
    }

    /// Queues a run that somebody asked for.
    pub(crate) async fn run_now(&self, worker: &Worker, requested_by: &str) -> Result<RunId, StoreError> {
        change!(self, "queueing a run", |book| claims::run_now(book, worker, requested_by))
    }

    /// The runs of a worker, newest first, after the one named.
    pub(crate) async fn runs(
        &self,
        worker: &WorkerName,
        limit: u32,
        after: Option<RunId>,
    ) -> Result<Page<RunView>, StoreError> {
        look!(self, "reading runs", |book| reads::runs(book, worker, limit, after))
    }

    /// One run.
    pub(crate) async fn run(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        look!(self, "reading a run", |book| reads::run(book, id))
    }

    /// What a run wrote, from an offset.
    pub(crate) async fn output(&self, id: RunId, after: u64) -> Result<Option<OutputView>, StoreError> {
        let written = look!(self, "reading a run's output", |book| book.output(id))?;
        Ok(written.map(|written| book::output_after(written, after)))
    }

    /// What is recorded of all workers.
    pub(crate) async fn overview(&self) -> Result<Overview, StoreError> {
        look!(self, "reading workers", |book| reads::overview(book))
    }
}

#[cfg(test)]
mod policies; // tests: policies, operators, other replicas
#[cfg(test)]
mod tests;
