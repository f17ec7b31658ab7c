//! What can be typed under `[scheduler]` and `[workers]`.
//! What it means is `settings::workers`.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The run ledger.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduler {
    /// `memory`, or the name of a postgres or sqlite store.
    pub store: String,
    /// The most runs at once in this process.
    pub max_concurrent_runs: u32,
    /// For how long a claim holds without being renewed.
    pub lease: String,
    /// What is kept of finished runs.
    pub history: History,
}

/// What is kept of finished runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// For how long.
    pub keep: String,
    /// How many for each worker.
    pub max_runs_per_worker: u32,
    /// How much of each run's output.
    pub max_output: String,
}

/// Scheduled work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Cron with five or six fields, or a nickname such as `@daily`; or use `every`.
    pub schedule: Option<String>,
    /// A period such as `30s`, aligned to the epoch; or use `schedule`.
    pub every: Option<String>,
    /// The IANA zone of `schedule`.
    pub timezone: String,
    /// The most that a tick is moved, by a hash that is the same on every replica.
    pub jitter: String,
    /// The longest one run may take.
    pub timeout: String,
    /// What to do when an attempt fails.
    pub retry: Retry,
    /// What to do when a tick is due while a run is in progress.
    pub overlap: Overlap,
    /// What to do with ticks that nobody was there for.
    pub catch_up: CatchUp,
    /// What to do with a run whose process died.
    pub on_crash: OnCrash,
    /// `false` switches it off.
    pub enabled: bool,
    /// Who is told when it fails or is overdue.
    pub alert: Option<WorkerAlert>,
    /// An address that is called after each success; `${secrets.NAME}` is replaced.
    pub ping: Option<Secret>,
    /// What it does.
    #[schemars(required)]
    pub run: Option<Run>,
}

/// What to do when an attempt fails.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts that ended by themselves, in all.
    pub attempts: u32,
    /// How the wait between attempts grows.
    pub backoff: Backoff,
    /// The first wait.
    pub initial: String,
    /// The longest wait.
    pub max: String,
}

/// How the wait between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// It doubles.
    Exponential,
    /// It stays.
    Fixed,
}

/// What to do when a tick is due while a run is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Record it as skipped.
    Skip,
    /// Let at most one wait.
    Queue,
    /// Run both.
    Allow,
}

/// What to do with ticks that nobody was there for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatchUp {
    /// Which of them run.
    pub policy: CatchUpPolicy,
    /// The most that run.
    pub max: u32,
    /// The oldest that runs.
    pub within: String,
    /// How late a tick may be and still count as on time.
    pub grace: String,
}

/// Which missed ticks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUpPolicy {
    /// None.
    Skip,
    /// The newest.
    Last,
    /// All, oldest first.
    All,
}

/// What to do with a run whose process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCrash {
    /// Run it again.
    Retry,
    /// Declare it lost.
    Lost,
}

/// Who is told when a worker fails or is overdue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerAlert {
    /// The name of an alert.
    #[schemars(required)]
    pub to: Option<String>,
    /// After how many failures in a row; 3 where unset.
    pub after_failures: Option<u32>,
    /// How long after a tick it should have succeeded; `15m` where unset.
    pub overdue_after: Option<String>,
}

/// What a worker does: its kind, and what that kind needs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Run {
    /// A statement in a postgres or sqlite store.
    Sql {
        /// The store's name.
        #[schemars(required)]
        store: Option<String>,
        /// The statement; `:worker :run_id :tick_at :attempt` are bound.
        #[schemars(required)]
        statement: Option<String>,
        /// Whether, on the ledger's own store, it commits with the run's finish.
        transactional: Option<bool>,
    },
    /// An HTTP request.
    Http {
        /// Such as `POST`; `GET` where it is left out.
        method: Option<String>,
        /// Where to.
        #[schemars(required)]
        url: Option<Secret>,
        /// Headers; `${secrets.NAME}` is replaced here, in `url` and in `body`.
        #[serde(default)]
        headers: BTreeMap<String, Secret>,
        /// The body.
        body: Option<Secret>,
        /// The status codes that count as success; every 2xx where it is left out.
        expect_status: Option<Vec<u16>>,
    },
    /// A Redis command.
    Redis {
        /// The store's name.
        #[schemars(required)]
        store: Option<String>,
        /// The command and its arguments, with `${run.id}`, `${run.worker}`, `${run.tick_at}`, `${run.attempt}`.
        #[schemars(required)]
        command: Option<Vec<String>>,
    },
    /// A MongoDB command.
    Mongodb {
        /// The store's name.
        #[schemars(required)]
        store: Option<String>,
        /// The database.
        #[schemars(required)]
        database: Option<String>,
        /// The command document, its name first; `${run.id}` and the like are replaced in its texts.
        #[schemars(required)]
        command: Option<BTreeMap<String, serde_json::Value>>,
    },
    /// A program, without a shell.
    Command {
        /// The program and its arguments.
        #[schemars(required)]
        argv: Option<Vec<String>>,
        /// Its own variables; `${secrets.NAME}` is replaced.
        #[serde(default)]
        env: BTreeMap<String, Secret>,
        /// Where it runs.
        cwd: Option<String>,
    },
    /// A Rust function that the embedding program registered.
    Handler {
        /// The name it was registered under.
        #[schemars(required)]
        name: Option<String>,
    },
}
