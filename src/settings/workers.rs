//! The declared work: what to do, when, and what to do when it goes wrong.
//! Running it is `crate::work`.

use super::{Home, schedule::Schedule};
use crate::name::{StoreName, WorkerName};
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where the run ledger lives and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// Where runs are recorded.
    pub store: Home,
    /// The most runs at once in this process.
    pub max_concurrent_runs: usize,
    /// For how long a claim holds without being renewed.
    pub lease: Duration,
    /// What is kept of finished runs.
    pub history: History,
}

/// What is kept of finished runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// For how long.
    pub keep: Duration,
    /// How many for each worker.
    pub max_runs_per_worker: u32,
    /// How many bytes of each run's output.
    pub max_output: usize,
}

/// One declared piece of scheduled work.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Its name.
    pub name: WorkerName,
    /// When it is due.
    pub schedule: Schedule,
    /// The longest one run may take.
    pub timeout: Duration,
    /// Whether it runs; a disabled worker is shown and can be run by hand.
    pub enabled: bool,
    /// What it does.
    pub action: Action,
    /// SHA-256 in hex, first sixteen digits, over everything above but the values of secrets: an old replica cannot
    /// advance an edited schedule.
    pub spec_hash: String,
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Runs a statement in a declared Postgres or SQLite store.
    Sql {
        /// The store.
        store: StoreName,
        /// The statement, with `:worker :run_id :tick_at :attempt` not yet bound.
        statement: String,
        /// Whether, on the ledger's own store, it commits with the run's finish.
        transactional: bool,
    },
    /// Starts a program, without a shell.
    Command {
        /// The program and its arguments; never empty.
        argv: Vec<String>,
        /// Its own variables, beside `PATH HOME LANG TZ TMPDIR` and the run's identity.
        env: BTreeMap<String, Secret>,
        /// Where it runs; absolute.
        cwd: PathBuf,
    },
}

impl Action {
    /// As it stands in the file and in the API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sql { .. } => "sql",
            Self::Command { .. } => "command",
        }
    }
}
