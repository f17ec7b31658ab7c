//! API keys: the record that everyone with a token may read, and the bodies that create, change and end a key.
//! A whole key travels in one type only, `KeyText`, which never prints itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::Time;

words! {
    /// What a key may be used for; a part of the key's text.
    pub enum Environment {
        /// `mono_test_…`
        Test = "test",
        /// `mono_live_…`
        Live = "live",
    }
}

words! {
    /// Where a key is in its life.
    pub enum KeyState {
        /// It verifies.
        Active = "active",
        /// Somebody switched it off; it can be switched on again.
        Disabled = "disabled",
        /// Its time is over.
        Expired = "expired",
        /// It was ended, for good.
        Revoked = "revoked",
        /// It was rotated and still verifies until `grace_until`.
        Retiring = "retiring",
    }
}

/// The text of a whole key. Its `Debug` says `[redacted]`; `expose` is the one way to read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct KeyText(String);

impl KeyText {
    /// Takes a text for a key, whatever it holds: the server judges it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to show or send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The record of a key; never its secret or its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Key {
    /// Its public id.
    pub kid: String,
    /// What people call it; null on a row that was adopted without one.
    pub name: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// What it may be used for; null on a row that was adopted without one.
    pub environment: Option<Environment>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Where it is in its life, judged by the clock of the answer.
    pub state: KeyState,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Time,
    /// Who created it.
    pub created_by: Option<String>,
    /// When it ends by itself.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
    /// When it last verified, to within the batch in which uses are written.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_used_at: Option<Time>,
    /// When it was switched off.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub disabled_at: Option<Time>,
    /// When it was revoked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Time>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// The id of the key that replaces it.
    pub rotated_to: Option<String>,
    /// Until when it verifies beside its replacement.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub grace_until: Option<Time>,
    /// The networks (CIDR) it may be used from; empty allows all.
    pub ip_allow: Vec<String>,
    /// Its own limit, as in `100/s`.
    pub rate_limit: Option<String>,
    /// What its owner wrote beside it.
    pub metadata: BTreeMap<String, String>,
    /// Counts changes, for `If-Match`.
    pub version: u64,
}

/// A new key: its record, and once its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuedKey {
    /// The record.
    #[serde(flatten)]
    pub record: Key,
    /// The whole key, shown this once; null where an `Idempotency-Key` was repeated.
    pub key: Option<KeyText>,
}

/// The body of `POST /api/admin/api-keys`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What people call it.
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it allows.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How long it lives, as in `90d`; not together with `expires_at`.
    #[serde(default)]
    pub ttl: Option<String>,
    /// When it ends by itself; not together with `ttl`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
    /// The networks (CIDR) it may be used from.
    #[serde(default)]
    pub ip_allow: Vec<String>,
    /// Its own limit, as in `100/s`.
    #[serde(default)]
    pub rate_limit: Option<String>,
    /// What its owner writes beside it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Which keys `GET /api/admin/api-keys` lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct KeysQuery {
    /// Only those in this state.
    #[serde(default)]
    pub state: Option<KeyState>,
    /// Only those of this owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// Only those with this scope.
    #[serde(default)]
    pub scope: Option<String>,
    /// Only those whose id, name or owner holds this text.
    #[serde(default)]
    pub q: Option<String>,
    /// The field to sort by; a `-` before it turns the order round.
    #[serde(default)]
    pub sort: Option<String>,
    /// How many; 50 where unset, at most 500.
    #[serde(default)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// The body of `PATCH …/{kid}`, a merge patch of the record: what is absent stays, null clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PatchKey {
    /// A new name; it cannot be cleared.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub name: Option<String>,
    /// A new owner.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub owner: Option<Option<String>>,
    /// New scopes, all of them.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Option<Vec<String>>>,
    /// `disabled` switches the key off, `active` on; on a revoked key it is refused with 409.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub state: Option<KeyState>,
    /// A new end.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Option<Time>>,
    /// Null is the same as `state: active`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub disabled_at: Option<Option<Time>>,
    /// Null would un-revoke, which is refused with 409.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Option<Time>>,
    /// New networks, all of them.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ip_allow: Option<Option<Vec<String>>>,
    /// A new limit.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Option<String>>,
    /// Merged member by member: null removes one, null for the whole removes all.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Option<BTreeMap<String, Option<String>>>>,
}

/// The body of `POST …/{kid}/rotate`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the old key verifies beside the new one, as in `1h`; never beyond its own end.
    #[serde(default)]
    pub grace: Option<String>,
}

/// Why a key is revoked, in the query of `DELETE …/{kid}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct RevokeQuery {
    /// In the words of whoever revokes it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How far a revocation has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The key.
    pub kid: String,
    /// When it was revoked; the same however often it is asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub revoked_at: Time,
    /// Why.
    pub reason: Option<String>,
    /// Replicas seen within `keys.max_staleness`.
    pub replicas_known: u64,
    /// Those of them that refuse the key by now.
    pub replicas_acked: u64,
    /// Milliseconds until the last of them did; null where one has not.
    pub lag_ms: Option<u64>,
    /// Whether all of them did.
    pub complete: bool,
    /// After how many milliseconds nobody accepts the key at the latest; null where `keys.on_stale` sets no bound.
    pub bound_ms: Option<u64>,
}

/// The body of `POST /api/admin/api-keys/bulk-revoke`: one of `owner`, `scope` and `kids`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkRevoke {
    /// All keys of this owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// All keys with this scope.
    #[serde(default)]
    pub scope: Option<String>,
    /// These keys.
    #[serde(default)]
    pub kids: Option<Vec<String>>,
    /// In the words of whoever revokes them.
    pub reason: String,
    /// Only say what would be revoked. It has no default: nobody revokes by leaving something out.
    pub dry_run: bool,
}

/// What a bulk revocation did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkRevoked {
    /// Keys that it is about.
    pub matched: u64,
    /// Keys that it revoked; 0 in a dry run.
    pub revoked: u64,
    /// The ids of those that it is about.
    pub kids: Vec<String>,
}

/// Tells a present null from an absent field: an absent one never gets here, so what is read was there.
fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
