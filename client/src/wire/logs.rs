//! `GET /api/admin/logs`: recent warnings and errors of the replica that answers.
//! It is a bounded ring for a look at three in the morning, not a log store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Time;

words! {
    /// How bad a line is; the order is from bad to chatty.
    pub enum LogLevel {
        /// Something failed.
        Error = "error",
        /// Something may fail.
        Warn = "warn",
        /// Something happened.
        Info = "info",
        /// For whoever looks for a fault.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogEntry {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    /// How bad.
    pub level: LogLevel,
    /// The module that wrote it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// The request it belongs to.
    pub request_id: Option<String>,
    /// What it says besides, by name.
    pub fields: BTreeMap<String, Value>,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct LogsQuery {
    /// Only those as bad as this, or worse.
    #[serde(default)]
    pub level: Option<LogLevel>,
    /// Only those of this request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// How many; 50 where unset, at most 500.
    #[serde(default)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}
