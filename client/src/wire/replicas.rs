//! `GET /api/admin/replicas`: the processes that share one ledger and one set of keys.
//! It tells what each of them last wrote about itself, not what is true by now.

use serde::{Deserialize, Serialize};

use super::{ProcessRole, Time};

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Replica {
    /// Its id.
    pub id: String,
    /// What it does.
    pub role: ProcessRole,
    /// The version of its program.
    pub version: String,
    /// When it started.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub started_at: Time,
    /// When it last wrote about itself.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub seen_at: Time,
    /// The number of settings committed in it.
    pub generation: u64,
    /// Their identity; replicas whose hashes differ run different configurations.
    pub hash: String,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Milliseconds since its key index was proved to be current; null where it has none.
    pub index_age_ms: Option<u64>,
    /// The last change of keys that it follows; null where it has no index.
    pub acked_seq: Option<u64>,
    /// Milliseconds by which its clock is ahead of the database's; null where nobody measured it.
    pub clock_skew_ms: Option<i64>,
    /// Runs in progress in it.
    pub running: u64,
}
