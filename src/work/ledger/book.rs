//! What the rules of the ledger ask of a database, inside one transaction: rows in, rows out, many at a time.
//! Each dialect answers with its own statements; no rule stands there, and no statement stands in the rules.
//!
//! Locks are taken in one order everywhere, so that no two transactions wait for each other: first the rows of workers
//! ([`Schedules::lock_workers`]), by name, then runs, by id. SQLite has one writer and needs none of it.

mod rows; // the rows that travel between both

pub(in crate::work) use rows::*;

use crate::clock::Timestamp;
use crate::work::run::{Output, RunId};
use crate::work::view::{AttemptView, Pause, RunView};
use std::future::Future;
use std::time::Duration;

/// The result of one or a few statements.
pub(in crate::work) type Answer<T> = Result<T, sqlx::Error>;

/// A database's side of the ledger.
pub(in crate::work) trait Book: Schedules + Claims + Ends + History + Controls + Accounts {}

impl<T: Schedules + Claims + Ends + History + Controls + Accounts> Book for T {}

/// Workers and their ticks.
pub(in crate::work) trait Schedules: Send {
    /// The clock of the database.
    fn now(&mut self) -> impl Future<Output = Answer<Timestamp>> + Send;

    /// Locks the rows of these workers until the transaction ends, in the order of their names; the clock of the database once
    /// all of them are locked.
    fn lock_workers(&mut self, workers: &[&str]) -> impl Future<Output = Answer<Timestamp>> + Send;

    /// All rows, retired ones included, locked.
    fn stored(&mut self) -> impl Future<Output = Answer<Vec<Stored>>> + Send;

    /// Adds rows; leaves alone what somebody else has added meanwhile.
    fn insert_schedules(
        &mut self,
        rows: &[Declared],
        now: Timestamp,
        by: &str,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Overwrites what rows say of their declaration; what was retired is no longer.
    fn update_schedules(
        &mut self,
        rows: &[Declared],
        now: Timestamp,
        by: &str,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Retires workers.
    fn retire(&mut self, workers: &[&str], now: Timestamp, by: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Forgets ticks of these workers that lie ahead and were not started, and ends those that were due as skipped; says whose
    /// and how many. Manual runs stay.
    fn withdraw(
        &mut self,
        workers: &[&str],
        reason: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Vec<(String, u64)>>> + Send;

    /// Ends as cancelled what waits, started before or not.
    fn cancel_waiting(
        &mut self,
        workers: &[&str],
        reason: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Gives open runs the declaration of today.
    fn respec(&mut self, rows: &[Declared]) -> impl Future<Output = Answer<()>> + Send;

    /// What is due until then, oldest first; what is paused or retired is not.
    fn due(&mut self, until: Timestamp) -> impl Future<Output = Answer<Vec<Due>>> + Send;

    /// Moves the clocks of rows that are still as they were read; says which, and leaves out what others are writing just now.
    fn advance(&mut self, steps: &[Step]) -> impl Future<Output = Answer<Vec<String>>> + Send;

    /// Adds runs for ticks that have none; how many those were.
    fn insert_ticks(&mut self, ticks: &[NewTick], now: Timestamp) -> impl Future<Output = Answer<u64>> + Send;

    /// Adds stretches of ticks that have come to their end.
    fn insert_spans(&mut self, spans: &[NewSpan], now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Adds to the outcomes of this hour.
    fn count(&mut self, counts: &[Count], now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Rows that have no next tick though nothing says why: worker and declaration.
    fn stopped(&mut self) -> impl Future<Output = Answer<Vec<(String, String)>>> + Send;

    /// Gives such a row a next tick.
    fn rearm(&mut self, worker: &str, spec_hash: &str, next_at: i64) -> impl Future<Output = Answer<()>> + Send;
}

/// Runs up to their start.
pub(in crate::work) trait Claims: Send {
    /// Whether anything waits that may start until then.
    fn waits(&mut self, until: Timestamp) -> impl Future<Output = Answer<bool>> + Send;

    /// What waits and may start within the horizon, oldest first, locked; what others are taking is left out, and so are the
    /// declarations named (`worker:spec_hash`). Caught-up runs whose worker has another run under way, or another caught-up one
    /// claimed, are left out, too.
    fn candidates(
        &mut self,
        horizon: Duration,
        not: &[String],
        limit: i64,
    ) -> impl Future<Output = Answer<Vec<Candidate>>> + Send;

    /// Takes runs: the epoch grows, and the lease begins by the clock of the database.
    fn take(&mut self, ids: &[RunId], replica: &str, lease: Duration) -> impl Future<Output = Answer<()>> + Send;

    /// Those of the runs that are claimed and still have this epoch, locked.
    fn claimed(&mut self, held: &[Holding]) -> impl Future<Output = Answer<Vec<Claimed>>> + Send;

    /// What of these workers may stand in the way of a run: all that is under way, all that waits because of it, and, of those that catch
    /// up, the oldest one that waits.
    fn open_runs(&mut self, workers: &[&str], catching_up: &[&str]) -> impl Future<Output = Answer<Vec<Open>>> + Send;

    /// Starts attempts; from now on, each lease holds for at least half of its length.
    fn start(
        &mut self,
        starts: &[Starting],
        replica: &str,
        now: Timestamp,
        lease: Duration,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Ends runs that were not started.
    fn skip(&mut self, ids: &[RunId], reason: &str, now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Puts claimed runs back; with a reason, they wait for the worker's other runs from now on.
    fn put_back(&mut self, held: &[Holding], queued: Option<&str>) -> impl Future<Output = Answer<()>> + Send;

    /// Renews leases by the clock of the database; says which runs were still held.
    fn renew(&mut self, held: &[Holding], lease: Duration) -> impl Future<Output = Answer<Vec<RunId>>> + Send;

    /// Adds a run that somebody asked for.
    fn insert_manual(
        &mut self,
        id: RunId,
        worker: &str,
        spec_hash: &str,
        requested_by: &str,
    ) -> impl Future<Output = Answer<()>> + Send;
}

/// What operators do, and which replica declares what.
pub(in crate::work) trait Controls: Send {
    /// Lets one replica after the other take workers over, until the transaction ends.
    fn lock_take_over(&mut self) -> impl Future<Output = Answer<()>> + Send;

    /// Says what this replica declares: a JSON object of worker and declaration.
    fn announce(&mut self, replica: &str, workers: &str, now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Says that this replica lives.
    fn seen(&mut self, replica: &str, now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// What the replicas declare that were seen since: replica and JSON object.
    fn live(&mut self, since: Timestamp) -> impl Future<Output = Answer<Vec<(String, String)>>> + Send;

    /// Forgets this replica and those that were not seen since.
    fn forget(&mut self, replica: &str, since: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Begins a period in which workers have these schedules, or none.
    fn open_periods(&mut self, periods: &[Period], now: Timestamp, by: &str)
    -> impl Future<Output = Answer<()>> + Send;

    /// One row, whether retired or not; lock it first.
    fn schedule(&mut self, worker: &str) -> impl Future<Output = Answer<Option<Stored>>> + Send;

    /// Pauses a worker, or ends its pause.
    fn set_pause(&mut self, worker: &str, pause: Option<&Pause>) -> impl Future<Output = Answer<()>> + Send;

    /// Workers whose pause has come to its end.
    fn pauses_over(&mut self, now: Timestamp) -> impl Future<Output = Answer<Vec<String>>> + Send;

    /// Moves the clock of a worker.
    fn set_next(&mut self, worker: &str, next_at: Option<i64>) -> impl Future<Output = Answer<()>> + Send;

    /// Ends the worker's ticks that were not started as skipped; how many.
    fn skip_waiting(&mut self, worker: &str, reason: &str, now: Timestamp) -> impl Future<Output = Answer<u64>> + Send;

    /// Ends a run as cancelled that is not in progress; whether it did.
    fn cancel_idle(&mut self, id: RunId, error: &str, now: Timestamp) -> impl Future<Output = Answer<bool>> + Send;

    /// Asks whoever holds a run to stop it.
    fn ask_to_cancel(&mut self, id: RunId, by: &str, now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Which of the runs somebody wants to stop, and who.
    fn cancels(&mut self, ids: &[RunId]) -> impl Future<Output = Answer<Vec<(RunId, String)>>> + Send;
}

/// What became of each expected tick.
pub(in crate::work) trait Accounts: Send {
    /// What was recorded of a worker's ticks from `from` (included) to `to` (excluded), oldest first.
    fn ticks(
        &mut self,
        worker: &str,
        from: Timestamp,
        to: Timestamp,
        limit: i64,
    ) -> impl Future<Output = Answer<Vec<TickRow>>> + Send;

    /// The last record that begins before an instant.
    fn tick_before(&mut self, worker: &str, at: Timestamp) -> impl Future<Output = Answer<Option<TickRow>>> + Send;

    /// How many ticks were backfilled from `from` (included) to `to` (excluded).
    fn backfilled(&mut self, worker: &str, from: Timestamp, to: Timestamp) -> impl Future<Output = Answer<i64>> + Send;

    /// The periods of a worker, oldest first: since when, and with which schedule.
    fn periods(&mut self, worker: &str) -> impl Future<Output = Answer<Vec<(i64, Option<String>)>>> + Send;

    /// Up to which tick its runs are no longer kept.
    fn forgotten(&mut self, worker: &str) -> impl Future<Output = Answer<Option<i64>>> + Send;

    /// Changes a stretch to these ticks.
    fn change_span(&mut self, id: RunId, from: i64, to: i64, n: u64) -> impl Future<Output = Answer<()>> + Send;

    /// Takes a stretch away whose ticks are all recorded otherwise.
    fn delete_span(&mut self, id: RunId) -> impl Future<Output = Answer<()>> + Send;

    /// Queues ticks again that came to their end without running.
    fn requeue(
        &mut self,
        ids: &[RunId],
        spec_hash: &str,
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<u64>> + Send;

    /// Queues ticks of the past; how many of them had no record.
    fn insert_backfill(
        &mut self,
        ticks: &[NewTick],
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<u64>> + Send;
}

/// The ends of runs.
pub(in crate::work) trait Ends: Send {
    /// The runs that have this epoch, locked.
    fn ending(&mut self, held: &[Holding]) -> impl Future<Output = Answer<Vec<Ending>>> + Send;

    /// Writes how attempts ended, where their runs stand now, and what that adds up to.
    fn end(&mut self, closing: &Closing, now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Writes what a run in progress has written so far, where it still has this epoch.
    fn write_output(&mut self, held: &Holding, output: &Output) -> impl Future<Output = Answer<()>> + Send;

    /// Writes what ends say about the health of their workers: the last one of each worker is the last in the list.
    fn health(&mut self, ends: &[Health], now: Timestamp) -> impl Future<Output = Answer<()>> + Send;

    /// Runs whose lease has run out; nothing is locked.
    fn expired(&mut self, now: Timestamp, limit: i64) -> impl Future<Output = Answer<Vec<Expired>>> + Send;

    /// Those of the runs whose lease has still run out, as they are now, locked.
    fn still_expired(&mut self, ids: &[RunId], now: Timestamp) -> impl Future<Output = Answer<Vec<Expired>>> + Send;

    /// Writes what becomes of runs whose replica died.
    fn bury(&mut self, crashes: &[Crash], now: Timestamp) -> impl Future<Output = Answer<()>> + Send;
}

/// What was recorded, and how long it is kept.
pub(in crate::work) trait History: Send {
    /// The runs of a worker, newest first.
    fn runs(
        &mut self,
        worker: &str,
        after: Option<RunId>,
        limit: i64,
    ) -> impl Future<Output = Answer<Vec<RunView>>> + Send;

    /// One run, without its attempts.
    fn run(&mut self, id: RunId) -> impl Future<Output = Answer<Option<RunView>>> + Send;

    /// The newest runs for ticks that were started and came to their end, newest first, without their attempts.
    fn recent_runs(&mut self, worker: &str, limit: i64) -> impl Future<Output = Answer<Vec<RunView>>> + Send;

    /// The run of each worker that was started last, without its attempts.
    fn last_runs(&mut self) -> impl Future<Output = Answer<Vec<RunView>>> + Send;

    /// The attempts of runs, by run and number.
    fn attempts(&mut self, ids: &[RunId]) -> impl Future<Output = Answer<Vec<(RunId, AttemptView)>>> + Send;

    /// What a run wrote: the kept text, how much there was in all, and whether the run is at its end.
    fn output(&mut self, id: RunId) -> impl Future<Output = Answer<Option<Written>>> + Send;

    /// The rows of workers that are not retired.
    fn records(&mut self) -> impl Future<Output = Answer<Vec<RecordRow>>> + Send;

    /// Per worker with open runs: whether one runs, and since when the oldest other one should.
    fn open(&mut self) -> impl Future<Output = Answer<Vec<(String, bool, Option<i64>)>>> + Send;

    /// Outcomes per worker since an instant.
    fn counts(&mut self, since: Timestamp) -> impl Future<Output = Answer<Vec<(String, String, i64)>>> + Send;

    /// Deletes a batch of runs that ended before; never the last one of a worker. What is deleted is noted as forgotten.
    fn delete_old(&mut self, before: Timestamp, limit: i64) -> impl Future<Output = Answer<u64>> + Send;

    /// Deletes a batch of each worker's runs beyond the newest `keep`, noted as forgotten.
    fn delete_surplus(&mut self, keep: i64, limit: i64) -> impl Future<Output = Answer<u64>> + Send;

    /// Deletes outcomes by the hour from before.
    fn delete_counts(&mut self, before: Timestamp) -> impl Future<Output = Answer<()>> + Send;
}
