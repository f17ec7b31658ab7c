//! What a key is, as the database holds it and the index keeps it. A record is judged by the clock, never stored as judged.
//! Rows of an adopted database may lack nearly everything.

use super::hash::KeyHash;
use crate::clock::Timestamp;
use crate::name::Kid;
use crate::settings::keys::Environment;
use compact_str::CompactString;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// A key without its secret. A million of them are in memory, so that it is small: what many keys have in common they
/// share, once the index has taken them in, and what few keys have is in a box of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The public id.
    pub kid: Kid,
    /// What it is called.
    pub name: Option<CompactString>,
    /// Whose it is.
    pub owner: Option<Arc<str>>,
    /// Whose environment it is.
    pub environment: Option<Environment>,
    /// What it may be used for.
    pub scopes: Arc<[Box<str>]>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Option<Arc<str>>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was seen last.
    pub last_used_at: Option<Timestamp>,
    /// What few keys have.
    pub rare: Rare,
    /// Counts its changes, from one.
    pub version: i64,
    /// The hash of its secret; a key of the original service has none of ours and never verifies.
    pub hash: Option<KeyHash>,
}

/// What few keys have; nothing, and no memory, for all the others.
#[derive(Clone, Default)]
pub struct Rare(Option<Box<Extras>>);

/// What may be said of a key besides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extras {
    /// Since when it is switched off.
    pub disabled_at: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revoke_reason: Option<Box<str>>,
    /// The key that took its place.
    pub rotated_to: Option<Kid>,
    /// Until when it may still be used after that.
    pub grace_until: Option<Timestamp>,
    /// From where it may be used; empty: from anywhere.
    pub ip_allow: Vec<IpNet>,
    /// How often, such as `100/s`.
    pub rate_limit: Option<Box<str>>,
    /// What its owner wrote down about it.
    pub metadata: BTreeMap<String, String>,
}

impl Extras {
    const NONE: Self = Self {
        disabled_at: None,
        revoked_at: None,
        revoke_reason: None,
        rotated_to: None,
        grace_until: None,
        ip_allow: Vec::new(),
        rate_limit: None,
        metadata: BTreeMap::new(),
    };
}

impl Rare {
    /// With these, where there are any.
    #[must_use]
    pub fn of(extras: Extras) -> Self {
        Self((extras != Extras::NONE).then(|| Box::new(extras)))
    }

    /// Changes some of them.
    pub fn edit(&mut self, change: impl FnOnce(&mut Extras)) {
        let mut extras = self.0.take().map(|extras| *extras).unwrap_or_default();
        change(&mut extras);
        *self = Self::of(extras);
    }
}

impl Deref for Rare {
    type Target = Extras;

    fn deref(&self) -> &Extras {
        static NONE: Extras = Extras::NONE;
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl PartialEq for Rare {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Rare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&**self, f)
    }
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// It can be used.
    Active,
    /// Somebody switched it off.
    Disabled,
    /// Its time is over.
    Expired,
    /// Somebody ended it, for good.
    Revoked,
    /// Another key took its place, and it can be used for a little longer.
    Retiring,
}

impl KeyState {
    /// All of them, in the order of the API.
    pub const ALL: [Self; 5] = [Self::Active, Self::Disabled, Self::Expired, Self::Revoked, Self::Retiring];

    /// As it stands in the API and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Retiring => "retiring",
        }
    }
}

impl Record {
    /// Where it stands at an instant.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        let is_over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        if self.rare.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.rare.disabled_at.is_some() {
            KeyState::Disabled
        } else if is_over(self.expires_at) || is_over(self.rare.grace_until) {
            KeyState::Expired
        } else if self.rare.rotated_to.is_some() {
            KeyState::Retiring
        } else {
            KeyState::Active
        }
    }

    /// Whether it may be used from an address.
    #[must_use]
    pub fn allows_from(&self, ip: IpAddr) -> bool {
        self.rare.ip_allow.iter().any(|net| net.contains(&ip.to_canonical()))
    }

    /// One number for all that it says, but for its last use; never zero. It means something in this process only.
    pub(super) fn fingerprint(&self) -> i64 {
        let mut hasher = DefaultHasher::new();
        (&self.kid, &self.name, &self.owner, &self.scopes, self.created_at, &self.created_by).hash(&mut hasher);
        (self.expires_at, self.rare.disabled_at, self.rare.revoked_at, &self.rare.revoke_reason, &self.rare.rotated_to)
            .hash(&mut hasher);
        (self.rare.grace_until, &self.rare.ip_allow, &self.rare.rate_limit, &self.rare.metadata, self.version)
            .hash(&mut hasher);
        self.environment.map(Environment::as_str).hash(&mut hasher);
        self.hash.as_ref().map(|hash| (hash.algorithm(), &hash.pepper, hash.bytes)).hash(&mut hasher);
        hasher.finish().max(1).cast_signed()
    }

    /// Whether it has all of these scopes.
    #[must_use]
    pub fn has_scopes<S: AsRef<str>>(&self, wanted: &[S]) -> bool {
        wanted.iter().all(|scope| self.scopes.iter().any(|own| **own == *scope.as_ref()))
    }
}
