//! What is recorded, and by which rules: each tick once, each claim by compare-and-set, each later write with its fencing epoch, due
//! times and leases by the clock of the database. Rules and statements stand apart; nothing here starts a run.

mod accounts; // rules: what became of each expected tick
mod book; // what the rules ask of a database
mod claims; // rules: up to the start of a run
mod controls; // rules: what operators do
mod ends; // rules: the end of a run
mod postgres; // Postgres' statements
mod reads; // rules: what is shown and kept
mod schedules; // rules: workers and their ticks
mod sqlite; // SQLite's statements
mod takeover; // rules: from what is declared to rows

pub(crate) use accounts::Asked;
pub(super) use book::Book;
pub(super) use ends::finish as finish_in;
pub(crate) use takeover::{Occasion, TakenOver};

use super::due;
use super::plan::{Identity, Plan};
use super::run::{Done, Output, RunId, RunKind, RunState};
use super::view::{Counts, OutputView, Page, Pause, RunView, Ticks};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::Home;
use crate::settings::workers::{History, Worker};
use crate::store::database::Kind;
use crate::store::{Database, StoreError};
use book::{Claims as _, Controls as _, Ends as _, History as _, Holding, Schedules as _};
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
    /// Another run of the worker comes first; it was put back.
    Waits,
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
    /// Whether rows were left to others who were writing them; what those do not do is looked at again soon.
    pub(crate) passed_over: bool,
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

/// Work that changes something, in one transaction of its own.
macro_rules! change {
    ($ledger:expr, $what:literal, |$book:ident| $work:expr) => {
        match $ledger.database.kind() {
            Kind::Sqlite(sqlite) => {
                let work = async |c: &mut sqlx::SqliteConnection| {
                    let mut tx = c.begin_with("begin immediate").await?;
                    let $book = &mut *tx;
                    let done = $work.await?;
                    tx.commit().await?;
                    Ok(done)
                };
                sqlite.call($what, work).await
            }
            Kind::Postgres(postgres) => {
                let work = async |c: &mut sqlx::PgConnection| {
                    let mut tx = c.begin().await?;
                    let $book = &mut *tx;
                    let done = $work.await?;
                    tx.commit().await?;
                    Ok(done)
                };
                postgres.call($what, work).await
            }
        }
    };
}

/// Work that only reads: on SQLite it takes no lock. A pooler in transaction mode wants a transaction for it all the same.
macro_rules! look {
    ($ledger:expr, $what:literal, |$book:ident| $work:expr) => {
        match $ledger.database.kind() {
            Kind::Sqlite(sqlite) => {
                let work = async |c: &mut sqlx::SqliteConnection| {
                    let mut tx = c.begin().await?;
                    let $book = &mut *tx;
                    $work.await
                };
                sqlite.call($what, work).await
            }
            Kind::Postgres(postgres) => {
                let work = async |c: &mut sqlx::PgConnection| {
                    let mut tx = c.begin().await?;
                    let $book = &mut *tx;
                    let done = $work.await?;
                    tx.commit().await?;
                    Ok(done)
                };
                postgres.call($what, work).await
            }
        }
    };
}

/// A run as it is shown, from a row of either dialect.
macro_rules! run_view {
    ($row:expr) => {{
        use crate::work::ledger::{instant, run_id, small, unexpected, worker_name};
        let row = $row;
        let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(instant);
        let (kind, state): (String, String) = (row.try_get("kind")?, row.try_get("state")?);
        let due_at = crate::clock::Timestamp::from_millis(row.try_get("due_at")?);
        let (started_at, finished_at) = (time("started_at")?, time("finished_at")?);
        let length = |from: crate::clock::Timestamp, to: crate::clock::Timestamp| {
            u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
        };
        Ok(crate::work::view::RunView {
            id: run_id(row.try_get("id")?)?,
            worker: worker_name(row.try_get("worker")?)?,
            kind: crate::work::run::RunKind::parse(&kind).ok_or_else(|| unexpected("kind", &kind))?,
            tick_at: time("tick_at")?,
            due_at,
            state: crate::work::run::RunState::parse(&state).ok_or_else(|| unexpected("state", &state))?,
            reason: row.try_get("reason")?,
            replica: row.try_get("owner")?,
            attempt: small(row.try_get("attempt")?),
            attempts: Vec::new(),
            started_at,
            finished_at,
            duration_ms: started_at.zip(finished_at).map(|(from, to)| length(from, to)),
            lateness_ms: started_at.map(|at| length(due_at, at)),
            exit_code: row.try_get("exit_code")?,
            result: row.try_get("result")?,
            error: row.try_get("error")?,
            output_bytes: u64::try_from(row.try_get::<i64, _>("output_bytes")?).unwrap_or(0),
            output_truncated: row.try_get("output_truncated")?,
            requested_by: row.try_get("requested_by")?,
            range: time("range_from")?.zip(time("range_to")?),
            count: u64::try_from(row.try_get::<i64, _>("count")?).unwrap_or(0),
        })
    }};
}

/// What the ledger holds of a declaration, from a row of either dialect.
macro_rules! stored_row {
    ($row:expr) => {{
        let row = $row;
        Ok(crate::work::ledger::book::Stored {
            worker: row.try_get("worker")?,
            spec_hash: row.try_get("spec_hash")?,
            schedule: row.try_get("schedule")?,
            next_at: row.try_get("next_at")?,
            retired: row.try_get("retired")?,
            paused_at: row.try_get("paused_at")?,
            paused_until: row.try_get("paused_until")?,
            by: row.try_get("updated_by")?,
        })
    }};
}

/// What was recorded of a tick, from a row of either dialect.
macro_rules! tick_row {
    ($row:expr) => {{
        let row = $row;
        Ok(crate::work::ledger::book::TickRow {
            id: crate::work::ledger::run_id(row.try_get("id")?)?,
            at: row.try_get("at")?,
            to: row.try_get("upto")?,
            n: row.try_get("count")?,
            state: row.try_get("state")?,
            reason: row.try_get("reason")?,
            spec_hash: row.try_get("spec_hash")?,
        })
    }};
}

/// The row of a worker, from a row of either dialect.
macro_rules! record_row {
    ($row:expr) => {{
        let row = $row;
        let by: Option<String> = row.try_get("paused_by")?;
        let (reason, until) =
            (row.try_get("pause_reason")?, crate::work::ledger::instant(row.try_get("paused_until")?));
        let paused_at: Option<i64> = row.try_get("paused_at")?;
        let paused = crate::work::ledger::instant(paused_at).map(|at| crate::work::view::Pause {
            by: by.unwrap_or_default(),
            at,
            reason,
            until,
        });
        Ok(crate::work::ledger::book::RecordRow {
            worker: row.try_get("worker")?,
            spec_hash: row.try_get("spec_hash")?,
            next_at: row.try_get("next_at")?,
            paused,
            last_success_at: row.try_get("last_success_at")?,
            consecutive_failures: row.try_get("consecutive_failures")?,
        })
    }};
}

use {record_row, run_view, stored_row, tick_row};

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
            let step = change!(self, "recording due ticks", |book| schedules::advance(book, some))?;
            done.queued += step.queued;
            done.recorded.extend(step.recorded);
            done.more |= step.more;
            done.passed_over |= step.passed_over;
        }
        Ok(done)
    }

    /// Gives a next tick to workers that lost theirs; says which.
    pub(crate) async fn watchdog(&self, workers: &Workers) -> Result<Vec<WorkerName>, StoreError> {
        let stopped = look!(self, "looking for stopped schedules", |book| book.stopped())?;
        if stopped.is_empty() {
            return Ok(Vec::new());
        }
        change!(self, "starting stopped schedules", |book| schedules::rearm(book, workers))
    }

    /// Takes at most `free` runs that are due within the horizon and whose worker is declared here as it was recorded.
    pub(crate) async fn claim(&self, workers: &Workers, free: usize) -> Result<Vec<Claim>, StoreError> {
        if !look!(self, "looking for runs", |book| claims::waits(book))? {
            return Ok(Vec::new());
        }
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
        let kept = change!(self, "renewing leases", |book| book.renew(&held, self.lease_millis()))?;
        Ok(kept.into_iter().collect())
    }

    /// Records what a run has written so far; whoever lost its lease writes nothing.
    pub(crate) async fn write_output(&self, claim: &Claim, output: &Output) -> Result<(), StoreError> {
        let held = Holding { id: claim.run.to_string(), epoch: claim.epoch };
        change!(self, "writing a run's output", |book| book.write_output(&held, output))
    }

    /// Records the end of an attempt.
    pub(crate) async fn finish(&self, claim: &Claim, done: &Done) -> Result<Finish, StoreError> {
        let ended = [(claim, done)];
        let finishes = change!(self, "recording a run's end", |book| finish_in(book, &ended))?;
        Ok(finishes.first().copied().unwrap_or(Finish::Lost))
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

    fn lease_millis(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

/// How many there are of each.
fn tallied(names: Vec<String>) -> Vec<(String, u64)> {
    let mut tally: BTreeMap<String, u64> = BTreeMap::new();
    for name in names {
        *tally.entry(name).or_default() += 1;
    }
    tally.into_iter().collect()
}

/// A value that this program did not write.
fn unexpected(what: &'static str, text: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} `{}`", text.chars().take(80).collect::<String>()).into())
}

fn worker_name(text: &str) -> Result<WorkerName, sqlx::Error> {
    WorkerName::parse(text).map_err(|_| unexpected("worker", text))
}

fn run_id(text: &str) -> Result<RunId, sqlx::Error> {
    RunId::parse(text).ok_or_else(|| unexpected("run", text))
}

fn instant(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

fn small(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod policies; // tests: policies, operators, other replicas
#[cfg(test)]
mod tests;
