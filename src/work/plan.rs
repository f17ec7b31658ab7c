//! What is declared, as one value that replaces another as a whole.
//! It is made by `runtime` from the settings and the open stores; nothing here opens or checks anything.

use super::action::BaseEnv;
use super::handler::Handlers;
use crate::name::{StoreName, WorkerName};
use crate::settings::workers::{Scheduler, Worker};
use crate::store::{Connection, Database};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything the scheduler works with between two reloads.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The declared work, also what is switched off.
    pub workers: BTreeMap<WorkerName, Arc<Worker>>,
    /// The stores that actions may use.
    pub stores: BTreeMap<StoreName, Connection>,
    /// Where runs are recorded; its tables exist.
    pub ledger: Database,
    /// Its limits.
    pub scheduler: Arc<Scheduler>,
}

/// What the process lends to the actions.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// The variables that a command inherits.
    pub env: BaseEnv,
    /// The Rust functions that workers can name.
    pub handlers: Handlers,
}

/// Who this process is, in the ledger and in what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id of this process, another one after each start: two processes with one id would renew each other's leases.
    pub replica: String,
}
