//! What the ledger answers: what is held, what became of a wish, what was recorded.
//! Values only; no rule and no statement stands here.

use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::workers::Worker;
use crate::work::run::{RunId, RunKind, RunState};
use crate::work::view::{Counts, Pause, RunView};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    /// Since when it has the schedule that it has.
    pub(crate) scheduled_since: Option<Timestamp>,
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
