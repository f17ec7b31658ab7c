//! `GET /api/admin/api-keys/{kid}/usage`: how often a key was used, by day and by what came of it.
//! Counts are written in batches: the last seconds may be missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many days are wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// Today among them; 30 where unset, at most 92.
    #[serde(default)]
    pub days: Option<u32>,
}

/// What a key was used for on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageDay {
    /// The day in UTC, as in `2026-01-31`.
    pub day: String,
    /// How often, by the code of `POST /api/keys/verify`: `valid`, `revoked`, `rate_limited` and so on.
    pub outcomes: BTreeMap<String, u64>,
}
