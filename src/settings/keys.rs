//! Where API keys live and the rules for them.
//! The keys themselves, their format and their index are `crate::keys`.

use super::Home;
use crate::name::SecretName;
use crate::secret::Secret;
use std::time::Duration;

/// The rules for API keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// Where they are kept.
    pub store: Home,
    /// Which environment's keys are issued and accepted here.
    pub environment: Environment,
    /// The peppers, in the order of the file: the first is used for new keys, all verify. Empty: plain SHA-256.
    pub peppers: Vec<Pepper>,
    /// The life of a key that asks for none.
    pub default_ttl: Duration,
    /// The longest life of a key.
    pub max_ttl: Duration,
    /// Who may ask whether a key is valid.
    pub verify: VerifyAccess,
    /// For how long the index may answer without a proof that it is fresh.
    pub max_staleness: Duration,
    /// What is answered after that.
    pub on_stale: OnStale,
}

/// A secret that is mixed into the hashes at rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Pepper {
    /// The name of the secret; kept beside each hash that used it.
    pub id: SecretName,
    /// The secret.
    pub value: Secret,
}

/// Part of every key: a key of the other environment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// `mono_test_…`
    Test,
    /// `mono_live_…`
    Live,
}

impl Environment {
    /// As it stands in a key, in the file and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// Who may call `POST /api/keys/verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyAccess {
    /// Anyone who can reach it.
    Open,
    /// The holder of an admin token, or of a key with the scope `monolith:verify`.
    Token,
}

/// What verify answers when the index was not proved fresh for `max_staleness`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStale {
    /// 503.
    Deny,
    /// From memory.
    Allow,
}
