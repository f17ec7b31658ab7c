//! The rows that the rules and the dialects hand each other, many at a time, and how they travel as one parameter.
//! Nothing here knows a database.

use crate::clock::Timestamp;
use crate::work::run::RunId;
use crate::work::view::{OutputView, Pause};
use serde::Serialize;
use std::time::Duration;

/// What the ledger holds of a declaration.
#[derive(Debug, Clone)]
pub(in crate::work) struct Stored {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) schedule: String,
    pub(in crate::work::ledger) next_at: Option<i64>,
    pub(in crate::work::ledger) retired: bool,
    /// Since when it is paused.
    pub(in crate::work::ledger) paused_at: Option<i64>,
    pub(in crate::work::ledger) paused_until: Option<i64>,
    /// Who changed it last.
    pub(in crate::work::ledger) by: String,
}

/// Which schedule a worker has from now on.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Period {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) schedule: Option<String>,
    pub(in crate::work::ledger) spec_hash: String,
}

/// What was recorded of a tick, or of a stretch of ticks.
#[derive(Debug, Clone)]
pub(in crate::work) struct TickRow {
    pub(in crate::work::ledger) id: RunId,
    pub(in crate::work::ledger) at: i64,
    /// The last tick of a stretch; of a single tick, itself.
    pub(in crate::work::ledger) to: i64,
    pub(in crate::work::ledger) n: i64,
    pub(in crate::work::ledger) state: String,
    pub(in crate::work::ledger) reason: Option<String>,
    pub(in crate::work::ledger) spec_hash: String,
}

/// What a replica declares of a worker.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Declared {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) schedule: String,
    pub(in crate::work::ledger) next_at: Option<i64>,
}

/// A row that is due.
#[derive(Debug, Clone)]
pub(in crate::work) struct Due {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) next_at: Timestamp,
}

/// One move of a worker's clock.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Step {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) old: i64,
    pub(in crate::work::ledger) new: Option<i64>,
}

/// A run for a tick.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct NewTick {
    pub(in crate::work::ledger) id: String,
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) tick_at: i64,
    pub(in crate::work::ledger) due_at: i64,
    pub(in crate::work::ledger) late: bool,
}

/// A stretch of ticks that have come to their end without a run.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct NewSpan {
    pub(in crate::work::ledger) id: String,
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) state: &'static str,
    pub(in crate::work::ledger) reason: &'static str,
    pub(in crate::work::ledger) from: i64,
    pub(in crate::work::ledger) to: i64,
    pub(in crate::work::ledger) n: u64,
}

/// So many ends of a worker.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Count {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) outcome: &'static str,
    pub(in crate::work::ledger) n: u64,
}

/// A run that may be claimed.
#[derive(Debug, Clone)]
pub(in crate::work) struct Candidate {
    pub(in crate::work::ledger) id: RunId,
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) kind: String,
    pub(in crate::work::ledger) tick_at: Option<i64>,
    pub(in crate::work::ledger) available_at: i64,
    pub(in crate::work::ledger) late: bool,
    pub(in crate::work::ledger) epoch: i64,
}

/// A run and the epoch that proves that it is held.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Holding {
    pub(in crate::work::ledger) id: String,
    pub(in crate::work::ledger) epoch: i64,
}

/// A claimed run at its instant.
#[derive(Debug, Clone)]
pub(in crate::work) struct Claimed {
    pub(in crate::work::ledger) id: RunId,
    pub(in crate::work::ledger) due_at: i64,
    pub(in crate::work::ledger) late: bool,
    /// Whether it was never started.
    pub(in crate::work::ledger) first: bool,
    pub(in crate::work::ledger) attempt: i64,
}

/// A run that stands in the way of others of its worker.
#[derive(Debug, Clone)]
pub(in crate::work) struct Open {
    pub(in crate::work::ledger) id: RunId,
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) due_at: i64,
    pub(in crate::work::ledger) started: bool,
    pub(in crate::work::ledger) late: bool,
    /// It waits because of the overlap.
    pub(in crate::work::ledger) queued: bool,
}

/// An attempt that begins.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Starting {
    pub(in crate::work::ledger) id: String,
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) attempt: i64,
    pub(in crate::work::ledger) started_at: i64,
}

/// A run whose attempt ends.
#[derive(Debug, Clone)]
pub(in crate::work) struct Ending {
    pub(in crate::work::ledger) id: RunId,
    pub(in crate::work::ledger) state: String,
    pub(in crate::work::ledger) tries: i64,
    pub(in crate::work::ledger) attempt: i64,
    pub(in crate::work::ledger) finished_at: Option<i64>,
}

/// How an attempt ended, and where its run stands now.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct End {
    pub(in crate::work::ledger) id: String,
    pub(in crate::work::ledger) attempt: i64,
    pub(in crate::work::ledger) outcome: &'static str,
    pub(in crate::work::ledger) state: &'static str,
    pub(in crate::work::ledger) reason: Option<&'static str>,
    pub(in crate::work::ledger) tries: i64,
    pub(in crate::work::ledger) finished_at: Option<i64>,
    pub(in crate::work::ledger) available_at: i64,
    pub(in crate::work::ledger) exit_code: Option<i32>,
    pub(in crate::work::ledger) result: Option<String>,
    pub(in crate::work::ledger) error: Option<String>,
    pub(in crate::work::ledger) output: String,
    pub(in crate::work::ledger) output_bytes: u64,
    pub(in crate::work::ledger) output_truncated: bool,
}

/// The ends of some attempts, what they add to the outcomes of this hour, and what they say about their workers.
#[derive(Debug)]
pub(in crate::work) struct Closing {
    pub(in crate::work::ledger) ends: Vec<End>,
    pub(in crate::work::ledger) counts: Vec<Count>,
    pub(in crate::work::ledger) health: Vec<Health>,
}

/// What an end says about its worker.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Health {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) succeeded: bool,
    /// How many failures in a row this adds, or begins with after a success.
    pub(in crate::work::ledger) failures: i64,
}

/// A run whose lease has run out.
#[derive(Debug, Clone)]
pub(in crate::work) struct Expired {
    pub(in crate::work::ledger) id: RunId,
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) running: bool,
    pub(in crate::work::ledger) untouched: bool,
    pub(in crate::work::ledger) crashes: i64,
    pub(in crate::work::ledger) attempt: i64,
    pub(in crate::work::ledger) retired: bool,
}

/// What becomes of a run whose replica died.
#[derive(Debug, Clone, Serialize)]
pub(in crate::work) struct Crash {
    pub(in crate::work::ledger) id: String,
    pub(in crate::work::ledger) state: &'static str,
    pub(in crate::work::ledger) reason: Option<&'static str>,
    pub(in crate::work::ledger) crashes: i64,
    pub(in crate::work::ledger) attempt: i64,
    pub(in crate::work::ledger) finished_at: Option<i64>,
    /// How the attempt ended, where one was under way.
    pub(in crate::work::ledger) outcome: Option<&'static str>,
    pub(in crate::work::ledger) error: Option<&'static str>,
}

/// What a run wrote.
#[derive(Debug, Clone)]
pub(in crate::work) struct Written {
    pub(in crate::work::ledger) text: String,
    pub(in crate::work::ledger) bytes: u64,
    pub(in crate::work::ledger) done: bool,
}

/// The row of a worker, as it is shown.
#[derive(Debug, Clone)]
pub(in crate::work) struct RecordRow {
    pub(in crate::work::ledger) worker: String,
    pub(in crate::work::ledger) spec_hash: String,
    pub(in crate::work::ledger) next_at: Option<i64>,
    pub(in crate::work::ledger) paused: Option<Pause>,
    pub(in crate::work::ledger) last_success_at: Option<i64>,
    pub(in crate::work::ledger) scheduled_since: Option<i64>,
    pub(in crate::work::ledger) consecutive_failures: i64,
}

/// Rows as one parameter: both dialects take them apart again.
pub(in crate::work::ledger) fn json(rows: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".into())
}

/// A length for a statement.
pub(in crate::work::ledger) fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 2)
}

/// The part of a text after what was already read: offsets count from the first byte the run wrote, and what was cut off at the
/// front is passed over.
pub(in crate::work::ledger) fn output_after(written: Written, after: u64) -> OutputView {
    let Written { text, bytes, done } = written;
    let cut_off = bytes.saturating_sub(text.len() as u64);
    let skip = usize::try_from(after.saturating_sub(cut_off)).unwrap_or(usize::MAX);
    let start = (skip..=text.len()).find(|at| text.is_char_boundary(*at));
    let data = start.and_then(|at| text.get(at..)).unwrap_or("").to_owned();
    OutputView { data, next: bytes.max(after), done }
}
