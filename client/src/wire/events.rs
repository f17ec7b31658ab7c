//! `GET /api/admin/events`: what the `data` line of a server-sent event carries.
//! The name of an event (`key.revoked`, `run.finished`, …) and its id are lines of their own and not in here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Time;

/// The event after which a reader has to ask for everything anew.
pub const RESET: &str = "reset";

/// The data of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventData {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    /// The replica it happened in.
    pub replica: String,
    /// What it is about: the id of a key or a run, the name of a worker or a store.
    pub subject: String,
    /// The body of that thing, or what changed in it.
    pub data: Value,
}
