//! Scheduled work: what is declared, when it is due next, and how it has been going.
//! Single executions are in `runs`.

use serde::{Deserialize, Serialize};

use super::{Run, Time};

words! {
    /// What a worker does.
    pub enum ActionKind {
        /// A statement in a Postgres or SQLite store.
        Sql = "sql",
        /// A request.
        Http = "http",
        /// A command of a redis store.
        Redis = "redis",
        /// A command of a mongodb store.
        Mongodb = "mongodb",
        /// A program of the machine.
        Command = "command",
        /// A function of an embedding program.
        Handler = "handler",
    }
}

words! {
    /// What a worker is doing at the moment.
    pub enum WorkerState {
        /// Waits for its next tick.
        Idle = "idle",
        /// A run is in progress, or between two attempts.
        Running = "running",
        /// Somebody paused it.
        Paused = "paused",
        /// The file switches it off.
        Disabled = "disabled",
        /// Live replicas disagree about what it is.
        ConfigSplit = "config_split",
    }
}

words! {
    /// How an expected tick ended.
    pub enum TickOutcome {
        /// It was run; the run says how that went.
        Ran = "ran",
        /// It was left out on purpose.
        Skipped = "skipped",
        /// Nobody was there to run it.
        Missed = "missed",
        /// Its run died and was not retried.
        Lost = "lost",
        /// It has not ended yet.
        Pending = "pending",
    }
}

/// A declared worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Worker {
    /// Its name in the file.
    pub name: String,
    /// What it does.
    pub kind: ActionKind,
    /// Whether the file switches it on.
    pub enabled: bool,
    /// Its cron expression; null where it has `every_ms`.
    pub schedule: Option<String>,
    /// Its period in milliseconds; null where it has `schedule`.
    pub every_ms: Option<u64>,
    /// The time zone of its schedule.
    pub timezone: String,
    /// What it is doing.
    pub state: WorkerState,
    /// Its next ticks, at most five.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub next: Vec<Time>,
    /// Its last run.
    pub last_run: Option<Run>,
    /// Runs that failed since the last one that succeeded.
    pub consecutive_failures: u64,
    /// Milliseconds from when its last run was due to when it started.
    pub lateness_ms: Option<u64>,
    /// Whether most of its recent runs took longer than the time from a tick to the next; then it does less than it says.
    #[serde(default)]
    pub outlasts: Option<Outlasts>,
    /// Since when it should have been run.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub overdue_since: Option<Time>,
    /// Who paused it.
    pub paused: Option<Paused>,
    /// The identity of what is declared.
    pub spec_hash: String,
    /// How the ticks of the last 24 hours ended.
    pub counts_24h: Counts,
}

/// Runs that take longer than the time from a tick to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outlasts {
    /// How long the middle one of them took.
    pub took_ms: u64,
    /// From its tick to the next.
    pub interval_ms: u64,
}

/// A pause of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Paused {
    /// Who paused it.
    pub by: String,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    /// Why.
    pub reason: String,
    /// Until when; null until somebody resumes it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub until: Option<Time>,
}

/// How ticks and runs ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed, timed out or were cancelled.
    pub failed: u64,
    /// Ticks that were left out on purpose.
    pub skipped: u64,
    /// Ticks that nobody was there to run.
    pub missed: u64,
    /// Runs that died and were not retried.
    pub lost: u64,
}

/// The answer to `POST …/{name}/run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunStarted {
    /// The run that was queued.
    pub run_id: String,
}

/// The body of `POST …/{name}/pause`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseWorker {
    /// In the words of whoever pauses it.
    pub reason: String,
    /// Until when; where unset, until somebody resumes it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub until: Option<Time>,
}

/// The body of `POST …/{name}/backfill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Backfill {
    /// The first instant, included.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from: Time,
    /// The last instant, excluded.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub to: Time,
    /// How many runs at most.
    pub max: u32,
}

/// The answer to `POST …/{name}/backfill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackfillStarted {
    /// How many runs were queued.
    pub runs: u64,
}

/// Which ticks `GET …/{name}/ticks` tells about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct TicksQuery {
    /// The first instant, included.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = DateTime))]
    pub from: Option<Time>,
    /// The last instant, excluded.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = DateTime))]
    pub to: Option<Time>,
    /// How many spans; 50 where unset, at most 500.
    #[serde(default)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// What became of the ticks that were expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticks {
    /// How many ticks the schedule has in the whole range.
    pub expected: u64,
    /// What became of them, oldest first.
    pub items: Vec<TickSpan>,
    /// What `after` takes to get the next page; null on the last one.
    pub next: Option<String>,
}

/// One tick, or a stretch of ticks that ended alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TickSpan {
    /// The first tick.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from: Time,
    /// The last tick; the same as `from` for a single one.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub to: Time,
    /// How many ticks.
    pub count: u64,
    /// How they ended.
    pub outcome: TickOutcome,
    /// Why, where they were not run.
    pub reason: Option<String>,
    /// The run of a single tick.
    pub run_id: Option<String>,
}
