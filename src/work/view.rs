//! Workers and runs as they are shown, whatever shows them.
//! Nothing here reads the ledger or knows a wire format.

use super::run::{RunId, RunKind, RunState};
use crate::clock::Timestamp;
use crate::name::WorkerName;

/// One worker, as declared and as recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    /// Its name.
    pub name: WorkerName,
    /// What it does: `sql`, `command`.
    pub kind: &'static str,
    /// Whether it runs on its schedule.
    pub enabled: bool,
    /// The cron expression; `None` for a period.
    pub schedule: Option<String>,
    /// The period in milliseconds; `None` for a cron expression.
    pub every_ms: Option<u64>,
    /// The IANA zone of a cron expression; `None` for a period.
    pub timezone: Option<String>,
    /// Where it stands.
    pub state: WorkerState,
    /// The next ticks, at most five; none where it is disabled or paused.
    pub next: Vec<Timestamp>,
    /// The run that was started last.
    pub last_run: Option<RunView>,
    /// How many runs have failed since the last success.
    pub consecutive_failures: u32,
    /// When a run succeeded last, on any replica.
    pub last_success_at: Option<Timestamp>,
    /// Since when it has the schedule that it has.
    pub scheduled_since: Option<Timestamp>,
    /// How late the last run was started.
    pub lateness_ms: Option<u64>,
    /// Whether most of its recent runs took longer than the time from a tick to the next.
    pub outlasts: Option<Outlasts>,
    /// The oldest instant that should have been dealt with by now.
    pub overdue_since: Option<Timestamp>,
    /// Who paused it, and why.
    pub paused: Option<Pause>,
    /// The identity of its declaration.
    pub spec_hash: String,
    /// What became of its ticks in the last 24 hours.
    pub counts_24h: Counts,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It waits for its next tick.
    Idle,
    /// A run is in progress.
    Running,
    /// Somebody paused it.
    Paused,
    /// It is declared with `enabled = false`.
    Disabled,
    /// The ledger holds another declaration of it, from another replica.
    ConfigSplit,
}

impl WorkerState {
    /// As it stands in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::ConfigSplit => "config_split",
        }
    }
}

/// Why a worker does not run for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who paused it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
    /// Until when; `None`: until somebody resumes it.
    pub until: Option<Timestamp>,
}

/// Runs that take longer than the time from a tick to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlasts {
    /// When the oldest of them started.
    pub since: Timestamp,
    /// How long they take: the middle one of them.
    pub took: std::time::Duration,
    /// From the tick of that one to the next.
    pub interval: std::time::Duration,
}

/// What became of ticks and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Ended well.
    pub succeeded: u64,
    /// Failed or timed out.
    pub failed: u64,
    /// Never began, by a rule.
    pub skipped: u64,
    /// Nobody was there.
    pub missed: u64,
    /// Died with their replicas.
    pub lost: u64,
}

/// One run, or one stretch of ticks that did not run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub worker: WorkerName,
    /// Why there is one.
    pub kind: RunKind,
    /// Its tick; `None` for a manual run.
    pub tick_at: Option<Timestamp>,
    /// When it should have started.
    pub due_at: Timestamp,
    /// Where it stands.
    pub state: RunState,
    /// Why it stands there: `overlap`, `withdrawn`, `catch_up`, `crashed`, `shutdown`.
    pub reason: Option<String>,
    /// Who holds or held it.
    pub replica: Option<String>,
    /// The number of the last attempt, 0 before the first.
    pub attempt: u32,
    /// All its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    /// From the first start to the end.
    pub duration_ms: Option<u64>,
    /// From when it should have started to when it did.
    pub lateness_ms: Option<u64>,
    /// The exit code of a command.
    pub exit_code: Option<i32>,
    /// What it answered: rows affected, the first rows of a query.
    pub result: Option<String>,
    /// Why it did not end well.
    pub error: Option<String>,
    /// How much it wrote in all.
    pub output_bytes: u64,
    /// Whether only the end of that is kept.
    pub output_truncated: bool,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// For a stretch of ticks: the first and the last of them.
    pub range: Option<(Timestamp, Timestamp)>,
    /// How many ticks it stands for.
    pub count: u64,
}

/// One attempt of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// Counted from one.
    pub n: u32,
    /// Who made it.
    pub replica: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How: `succeeded`, `failed`, `timed_out`, `crashed`, `released`.
    pub outcome: Option<String>,
    /// Why it did not end well.
    pub error: Option<String>,
}

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next part starts; `None`: there is none.
    pub next: Option<RunId>,
}

/// A part of what a run wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputView {
    /// The text.
    pub data: String,
    /// Where the next part starts, in bytes since the run began to write.
    pub next: u64,
    /// Whether nothing more will come.
    pub done: bool,
}

/// What became of a worker's ticks in some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticks {
    /// How many ticks the schedule had in the whole time.
    pub expected: u64,
    /// A part of what was recorded, oldest first; the counts of all parts add up to what was expected.
    pub items: Vec<TickSpan>,
    /// After which tick the next part starts; `None`: there is none.
    pub next: Option<Timestamp>,
}

/// One tick, or a stretch of ticks that ended alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickSpan {
    /// The first tick.
    pub from: Timestamp,
    /// The last tick.
    pub to: Timestamp,
    /// How many.
    pub count: u64,
    /// What became of them.
    pub outcome: TickOutcome,
    /// Why, where they did not run.
    pub reason: Option<String>,
    /// The run of a single tick.
    pub run: Option<RunId>,
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickOutcome {
    /// It ran, well or not.
    Ran,
    /// It was left out by a rule.
    Skipped,
    /// Nobody was there.
    Missed,
    /// It died with its replicas.
    Lost,
    /// It has not come to its end.
    Pending,
}
