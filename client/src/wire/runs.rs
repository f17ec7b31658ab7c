//! One execution of a worker: for a tick, a backfill or a manual request, with its attempts and its output.
//! The output travels apart from the record, in pieces.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Time;

words! {
    /// What a run is for.
    pub enum RunKind {
        /// A tick of the schedule.
        Tick = "tick",
        /// A tick of the past that somebody asked for.
        Backfill = "backfill",
        /// A request.
        Manual = "manual",
    }
}

words! {
    /// Where a run is in its life.
    pub enum RunState {
        /// Waits for a slot.
        Queued = "queued",
        /// A replica has it and has not started it.
        Claimed = "claimed",
        /// An attempt is in progress.
        Running = "running",
        /// Waits for its next attempt.
        Retrying = "retrying",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended badly, after its last attempt.
        Failed = "failed",
        /// Took longer than its time-out, at its last attempt.
        TimedOut = "timed_out",
        /// Somebody stopped it.
        Cancelled = "cancelled",
        /// Was left out on purpose.
        Skipped = "skipped",
        /// Nobody was there to run it.
        Missed = "missed",
        /// Died, and was not retried.
        Lost = "lost",
    }
}

words! {
    /// How one attempt ended.
    pub enum AttemptOutcome {
        /// Well.
        Succeeded = "succeeded",
        /// Badly.
        Failed = "failed",
        /// It took longer than the time-out.
        TimedOut = "timed_out",
        /// Somebody stopped it.
        Cancelled = "cancelled",
        /// Its process died.
        Lost = "lost",
        /// A stopping process gave it back; it costs no attempt.
        Released = "released",
    }
}

impl RunState {
    /// Whether nothing more will happen to a run in this state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Claimed | Self::Running | Self::Retrying)
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Whose run it is.
    pub worker: String,
    /// What it is for.
    pub kind: RunKind,
    /// The tick; null for a manual run.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub tick_at: Option<Time>,
    /// When it should start: the tick with its jitter, or the moment it was asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub due_at: Time,
    /// Where it is in its life.
    pub state: RunState,
    /// Why it is there, where that is not plain.
    pub reason: Option<String>,
    /// The replica that has it, or had it last.
    pub replica: Option<String>,
    /// The number of its attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Its attempts so far.
    pub attempts: Vec<Attempt>,
    /// When its first attempt started.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub started_at: Option<Time>,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Time>,
    /// Milliseconds from its start to its end.
    pub duration_ms: Option<u64>,
    /// Milliseconds from when it was due to when it started.
    pub lateness_ms: Option<u64>,
    /// The exit code of a command.
    pub exit_code: Option<i32>,
    /// What the action gave back, as in the number of rows.
    pub result: Option<Value>,
    /// Why it ended badly.
    pub error: Option<String>,
    /// Bytes of output it wrote.
    pub output_bytes: u64,
    /// Whether only a part of its output was kept.
    pub output_truncated: bool,
    /// Who asked for it; null for a tick.
    pub requested_by: Option<String>,
}

/// One attempt of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Its number, from 1.
    pub n: u32,
    /// The replica that made it.
    pub replica: String,
    /// When it started.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub started_at: Time,
    /// When it ended; null while it runs.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Time>,
    /// How it ended; null while it runs.
    pub outcome: Option<AttemptOutcome>,
    /// Why it ended badly.
    pub error: Option<String>,
}

/// From where output is wanted, in the query of `GET …/{id}/output`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct OutputQuery {
    /// The `next` of the piece before; the beginning where unset.
    #[serde(default)]
    pub after: Option<u64>,
}

/// A piece of a run's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunOutput {
    /// The text; bytes that are not UTF-8 are replaced.
    pub data: String,
    /// What `after` takes to get what follows: a count of bytes.
    pub next: u64,
    /// Whether nothing follows.
    pub done: bool,
}
