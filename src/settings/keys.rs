//! Where API keys live and the rules for them.
//! The keys themselves, their format and their index are `crate::keys`.

use super::compile::{Compiler, Declared};
use super::{Home, stores::StoreKind};
use crate::config::written;
use crate::name::{SecretName, StoreName};
use crate::secret::Secret;
use std::collections::BTreeMap;
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
    /// The Redis that all replicas share: for the limits of keys, and for the news that keys changed.
    pub rate_limit_store: Option<StoreName>,
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

impl Compiler<'_> {
    pub(super) fn keys(
        &mut self,
        written: &written::Keys,
        kinds: &BTreeMap<StoreName, StoreKind>,
        declared: &Declared,
    ) -> Keys {
        let second = Duration::from_secs(1);
        let store = self.home("keys.store", &written.store, kinds, declared);
        let environment = match written.environment {
            written::Environment::Test => Environment::Test,
            written::Environment::Live => Environment::Live,
        };
        if environment == Environment::Live && written.store == "memory" {
            self.error_with_hint(
                "keys.environment",
                "live keys cannot be kept in memory: they would be gone at restart",
                "set keys.store to a postgres or sqlite store",
            );
        }
        let default_ttl = self.duration("keys.default_ttl", &written.default_ttl, second);
        let max_ttl = self.duration("keys.max_ttl", &written.max_ttl, second);
        if default_ttl > max_ttl {
            self.error("keys.default_ttl", "must not be longer than keys.max_ttl");
        }
        Keys {
            store,
            environment,
            peppers: self.peppers(&written.pepper),
            default_ttl,
            max_ttl,
            verify: self.verify_access(written.verify),
            max_staleness: self.duration("keys.max_staleness", &written.max_staleness, Duration::from_secs(2)),
            on_stale: match written.on_stale {
                written::OnStale::Deny => OnStale::Deny,
                written::OnStale::Allow => OnStale::Allow,
            },
            rate_limit_store: self.shared_redis(written.rate_limit_store.as_deref(), kinds, declared),
        }
    }

    fn shared_redis(
        &mut self,
        text: Option<&str>,
        kinds: &BTreeMap<StoreName, StoreKind>,
        declared: &Declared,
    ) -> Option<StoreName> {
        let key = "keys.rate_limit_store";
        let name = self.store(key, text?, kinds, declared)?;
        if !matches!(kinds.get(&name), Some(StoreKind::Redis { .. })) {
            self.error(key, format!("must be a redis store; `{name}` is not one"));
            return None;
        }
        Some(name)
    }

    fn peppers(&mut self, names: &[String]) -> Vec<Pepper> {
        let mut peppers = Vec::new();
        for (n, name) in names.iter().enumerate() {
            let value = self.secret(&format!("keys.pepper[{n}]"), name);
            if let (Some(value), Ok(id)) = (value, SecretName::parse(name)) {
                peppers.push(Pepper { id, value });
            }
        }
        peppers
    }

    fn verify_access(&mut self, written: written::VerifyAccess) -> VerifyAccess {
        match written {
            written::VerifyAccess::Token => VerifyAccess::Token,
            written::VerifyAccess::Open if self.profile.is_strict() => {
                let message = format!("must be \"token\" in the profile {}, which is strict", self.profile);
                self.error("keys.verify", message);
                VerifyAccess::Token
            }
            written::VerifyAccess::Open => VerifyAccess::Open,
        }
    }
}
