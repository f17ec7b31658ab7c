//! `POST /api/keys/verify`: whether a key is good, and for what.
//! A key that is malformed or invalid tells nothing else: every other field is null then.

use serde::{Deserialize, Serialize};

use super::{Environment, KeyText, Time};

words! {
    /// The verdict in one word.
    pub enum VerifyCode {
        /// The key is good for what was asked.
        Valid = "valid",
        /// It is not the text of a key, or was mistyped.
        Malformed = "malformed",
        /// Nobody knows it.
        Invalid = "invalid",
        /// It was ended.
        Revoked = "revoked",
        /// It is switched off.
        Disabled = "disabled",
        /// Its time is over.
        Expired = "expired",
        /// It may not be used from there, or nobody said from where.
        IpDenied = "ip_denied",
        /// It does not allow what was asked.
        ScopeMissing = "scope_missing",
        /// It was used too often.
        RateLimited = "rate_limited",
    }
}

/// The question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VerifyKey {
    /// The whole key.
    pub key: KeyText,
    /// The declared policy it has to satisfy.
    #[serde(default)]
    pub policy: Option<String>,
    /// Scopes it has to hold, besides those of the policy.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The address it was used from.
    #[serde(default)]
    pub ip: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verdict {
    /// Whether the key is good for what was asked.
    pub valid: bool,
    /// The same in one word, or why not.
    pub code: VerifyCode,
    /// Its public id.
    pub kid: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// What it may be used for.
    pub environment: Option<Environment>,
    /// What it allows.
    pub scopes: Option<Vec<String>>,
    /// When it ends by itself.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
    /// Where it stands with its limit; null where it has none.
    pub rate_limit: Option<RateLimit>,
    /// Milliseconds since the index that answered was proved to be current.
    pub stale_ms: Option<u64>,
}

impl Verdict {
    /// A verdict that tells nothing but its code, as for `malformed` and `invalid`.
    #[must_use]
    pub const fn bare(code: VerifyCode) -> Self {
        Self {
            valid: matches!(code, VerifyCode::Valid),
            code,
            kid: None,
            name: None,
            owner: None,
            environment: None,
            scopes: None,
            expires_at: None,
            rate_limit: None,
            stale_ms: None,
        }
    }
}

/// Where a key stands with its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RateLimit {
    /// How many uses in a row the limit allows.
    pub limit: u64,
    /// How many are left of them.
    pub remaining: u64,
    /// Milliseconds until all of them are back.
    pub reset_ms: u64,
}
