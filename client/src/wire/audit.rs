//! `GET /api/admin/audit`: what was done, by whom, and whether it was allowed; each entry sealed by the next.
//! No secret, key or token stands in an entry.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Role, Time};

words! {
    /// How an attempted change ended.
    pub enum AuditOutcome {
        /// It was done.
        Ok = "ok",
        /// The caller may not.
        Denied = "denied",
        /// It went wrong.
        Failed = "failed",
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its place in the chain.
    pub seq: u64,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    /// Who: the subject of a token, or the program itself.
    pub actor: String,
    /// In which role; null for the program itself.
    pub role: Option<Role>,
    /// From which address.
    pub ip: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
    /// What, as in `key.revoke`.
    pub action: String,
    /// To what, as in the id of a key.
    pub subject: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// What changed, by field; null where nothing did.
    pub changes: Value,
    /// The hash of the entry before; null for the first.
    pub prev_hash: Option<String>,
    /// The hash of this entry, over all of the above.
    pub hash: String,
}
