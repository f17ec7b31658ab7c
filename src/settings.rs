//! What the configuration means: complete, valid values that nobody checks again. Pure: no file, no socket, no clock.
//! What was typed is `config`; making it live is `store`, `keys`, `work` and `runtime`.

pub mod access; // what a caller must satisfy beside holding a good key
pub mod admin; // who may sign and hold admin tokens
mod advice; // what was probably meant by what is wrong
pub mod alerts; // who is told of trouble, of which, and how
pub mod assertion; // the key that signs what gateways are told
mod compile; // from what was written to what it means
pub mod diff; // what changes from one settings to the next
pub mod document; // a MongoDB command, in the order in which it was written
pub mod keys; // where API keys live and the rules for them
pub mod policy; // what happens when work overlaps, was missed, fails or crashes
pub mod request; // an HTTP request of a worker
pub mod schedule; // when a worker is due
pub mod server; // sockets, limits and time-outs of the HTTP side
pub mod statement; // an SQL statement of a worker, with its parameters found
pub mod stores; // the declared databases
pub mod telemetry; // what is logged, and how
pub mod template; // a text that is told which run it is
pub mod tls; // the certificate that is shown, with its key
pub mod workers; // the declared work, and the scheduler that runs it

pub use compile::compile;

use crate::name::{AlertName, PolicyName, StoreName, WorkerName};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Everything the program needs to know, complete and consistent. Nodes that can be carried over a reload are shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The environment it runs in.
    pub profile: Profile,
    /// Sockets, limits and time-outs of the HTTP side.
    pub server: Arc<server::Server>,
    /// Who may sign and hold admin tokens.
    pub admin: Arc<admin::Admin>,
    /// The declared databases, without the ones switched off.
    pub stores: BTreeMap<StoreName, Arc<stores::Store>>,
    /// Where API keys live and the rules for them.
    pub keys: Arc<keys::Keys>,
    /// What callers must satisfy, by the name of a policy.
    pub policies: BTreeMap<PolicyName, Arc<access::Access>>,
    /// Answers to gateways.
    pub forward_auth: Arc<assertion::ForwardAuth>,
    /// Where the run ledger lives and its limits.
    pub scheduler: Arc<workers::Scheduler>,
    /// Who is told of trouble, by name.
    pub alerts: BTreeMap<AlertName, Arc<alerts::Alert>>,
    /// The declared work, also what is switched off: it is shown as disabled.
    pub workers: BTreeMap<WorkerName, Arc<workers::Worker>>,
    /// What is logged, and how.
    pub telemetry: Arc<telemetry::Telemetry>,
    /// The identity of these settings across replicas.
    pub hash: Hash,
}

/// The environment a replica runs in, by the name of its profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(pub String);

impl Profile {
    /// Whether conveniences are refused: every profile is strict but `dev` and `test`.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        !matches!(self.0.as_str(), "dev" | "test")
    }

    /// Whether it is the laptop's: only there is a token printed.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.0 == "dev"
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over what the settings mean, in hex, first sixteen digits; without what differs between replicas by nature
/// (`bind`, `admin_bind`, `data_dir`, flags) and without the values of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hash(pub String);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the keys or the ledger live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In an embedded SQLite in memory, gone at restart.
    Memory,
    /// In a declared Postgres or SQLite store.
    Store(StoreName),
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Store(name) => f.write_str(name.as_str()),
        }
    }
}
