//! `GET /health`: how the server is, in words that everyone may see, and with a token also why.
//! Causes and latencies must stay in the two fields that are absent without a token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ReloadOutcome, StoreDetails, StoreState, Time, Trigger};

words! {
    /// The state of the whole, worst part first; the order is from good to bad.
    pub enum HealthStatus {
        /// All parts work.
        Ok = "ok",
        /// A store is down, the last reload was rejected, or there is an error finding.
        Degraded = "degraded",
        /// Starting, or keys cannot be verified; answered with 503.
        Down = "down",
    }
}

words! {
    /// What a process does.
    pub enum ProcessRole {
        /// Serves the API, and runs workers unless told otherwise.
        Serve = "serve",
        /// Only runs workers.
        Worker = "worker",
    }
}

words! {
    /// How bad a finding is; the order is from harmless to bad.
    pub enum Severity {
        /// Worth knowing.
        Info = "info",
        /// Will become a problem.
        Warning = "warning",
        /// Is a problem, and makes the status degraded.
        Error = "error",
    }
}

/// The answer to `GET /health`, also where its status is 503.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The state of the whole.
    pub status: HealthStatus,
    /// The version of the program.
    pub version: String,
    /// The commit it was built from; null where the build did not know.
    pub commit: Option<String>,
    /// The profile it runs with.
    pub profile: String,
    /// The id of the process that answered.
    pub replica: String,
    /// What this process does.
    pub role: ProcessRole,
    /// When it started.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub started_at: Time,
    /// How long it has been running, in seconds.
    pub uptime_s: u64,
    /// The number of settings committed in this process; 0 while it starts.
    pub generation: u64,
    /// Whether it takes traffic.
    pub ready: bool,
    /// The running configuration.
    pub config: ConfigHealth,
    /// The key index.
    pub keys: KeysHealth,
    /// The state of each declared store.
    pub stores: BTreeMap<String, StoreState>,
    /// The workers, counted.
    pub workers: WorkersHealth,
    /// Causes and latencies of each store; only with a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_details: Option<BTreeMap<String, StoreDetails>>,
    /// What an operator should look at; only with a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<Finding>>,
}

/// The running configuration, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigHealth {
    /// The identity of the settings across replicas; null while starting.
    pub hash: Option<String>,
    /// Whether the files on disk mean what is running; null while starting.
    pub disk_matches_running: Option<bool>,
    /// The last reload; null where there was none.
    pub last_reload: Option<LastReload>,
}

/// The last reload, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastReload {
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// What asked for it.
    pub trigger: Trigger,
}

/// The key index, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysHealth {
    /// The store that holds the keys, or `memory`.
    pub store: String,
    /// Whether the keys outlive the process.
    pub persistent: bool,
    /// How many keys the index holds.
    pub count: u64,
    /// Whether the index was proved to be current a moment ago.
    pub fresh: bool,
    /// Milliseconds since that proof; null where there was none yet.
    pub age_ms: Option<u64>,
}

/// The workers, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkersHealth {
    /// Declared workers.
    pub total: u64,
    /// Those with a run in progress.
    pub running: u64,
    /// Those whose last run failed.
    pub failing: u64,
    /// Those whose tick is overdue.
    pub overdue: u64,
    /// Those that somebody paused.
    pub paused: u64,
}

/// One thing that an operator should look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// A stable code, as in `store_down`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: the name of a store, a worker, a key of the configuration.
    pub subject: String,
    /// Since when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Time,
    /// What is wrong, in words.
    pub message: String,
}
