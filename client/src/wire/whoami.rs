//! `GET /api/admin/whoami`: whom the server takes the caller for.
//! The token itself never comes back.

use serde::{Deserialize, Serialize};

use super::Time;

words! {
    /// What a caller may do; each role may also do what the ones before it may.
    pub enum Role {
        /// Reads.
        Viewer = "viewer",
        /// Acts on keys and workers, plans and reloads.
        Operator = "operator",
        /// Also revokes in bulk, imports, and denies tokens.
        Admin = "admin",
    }
}

/// The caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Whoami {
    /// The subject of the token.
    pub sub: String,
    /// Its role.
    pub role: Role,
    /// When it ends.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
    /// The id of the process that answered.
    pub replica: String,
}
