//! `POST /api/admin/tokens/deny`: a token that is refused before its time.
//! A whole token travels in a type that never prints itself.

use serde::{Deserialize, Serialize};

use super::{KeyText, Time};

/// Which token: exactly one of `jti` and `token`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DenyToken {
    /// Its own id, as `monolith token inspect` shows it.
    #[serde(default)]
    pub jti: Option<String>,
    /// The whole token, as it was found.
    #[serde(default)]
    pub token: Option<KeyText>,
    /// In the words of whoever denies it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A token that is denied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeniedToken {
    /// Its own id.
    pub jti: String,
    /// Until when it is denied; later it has expired anyway.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Time,
}
