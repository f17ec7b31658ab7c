//! Whether a key is good, and for what: format, record, secret, state, address, scope, in this order. Pure: the clock
//! and the freshness of the index are arguments, and nothing is allocated for a key that is good.

use super::format::parse;
use super::hash::KeyHash;
use super::record::{KeyState, Record};
use crate::clock::Timestamp;
use crate::settings::access::{Access, Rate};
use crate::settings::keys::{Keys as Rules, OnStale};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// For how long after a proof of freshness an id that is not known is surely invalid.
pub const FRESH: Duration = Duration::from_secs(2);

/// What is asked of a key beside being one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Need<'a> {
    /// Scopes it must have, all of them.
    pub scopes: &'a [String],
    /// A policy that it must satisfy, too.
    pub policy: Option<&'a Access>,
    /// From where it is used, where that is known.
    pub ip: Option<IpAddr>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is good.
    Valid(Arc<Record>),
    /// The text does not have the form of a key.
    Malformed,
    /// There is no such key here, or its secret is another one.
    Invalid,
    /// There is, but it cannot be used for this.
    Refused(Refused, Arc<Record>),
    /// Nobody can tell now: the index was not proved fresh for too long.
    Undecidable,
}

/// Why a key that exists cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Somebody ended it.
    Revoked,
    /// Somebody switched it off.
    Disabled,
    /// Its time is over.
    Expired,
    /// Not from there.
    IpDenied,
    /// Not for this.
    ScopeMissing,
    /// Too often.
    RateLimited,
}

impl Verdict {
    /// As it stands in the API and the metrics; `None` where there is no answer.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Valid(_) => "valid",
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::Refused(Refused::Revoked, _) => "revoked",
            Self::Refused(Refused::Disabled, _) => "disabled",
            Self::Refused(Refused::Expired, _) => "expired",
            Self::Refused(Refused::IpDenied, _) => "ip_denied",
            Self::Refused(Refused::ScopeMissing, _) => "scope_missing",
            Self::Refused(Refused::RateLimited, _) => "rate_limited",
            Self::Undecidable => return None,
        })
    }
}

/// Judges a key. `find` looks a record up; `age` is how long ago the index was proved fresh.
pub(super) fn judge(
    text: &str,
    need: Need<'_>,
    rules: &Rules,
    age: Option<Duration>,
    now: Timestamp,
    find: impl FnOnce(&str) -> Option<Arc<Record>>,
) -> Verdict {
    let Ok(key) = parse(text) else { return Verdict::Malformed };
    let Some(record) = find(key.kid) else {
        KeyHash::pretend(key.secret, &rules.peppers);
        // Another replica may have made it a moment ago.
        return if age.is_some_and(|age| age <= FRESH) { Verdict::Invalid } else { Verdict::Undecidable };
    };
    let right = record.hash.as_ref().is_some_and(|hash| hash.matches(key.secret, &rules.peppers));
    let ours = key.environment == rules.environment && record.environment == Some(rules.environment);
    if !right || !ours {
        return Verdict::Invalid;
    }
    let stale = age.is_none_or(|age| age > rules.max_staleness);
    if stale && rules.on_stale == OnStale::Deny {
        return Verdict::Undecidable;
    }
    match refusal(&record, need, now) {
        None => Verdict::Valid(record),
        Some(why) => Verdict::Refused(why, record),
    }
}

/// The rate that counts for a key, and whether the policy set it: the lower one wins.
pub(super) fn rate_for(record: &Record, policy: Option<&Access>) -> Option<(Rate, bool)> {
    let own = record.rate_limit.as_deref().and_then(Rate::parse);
    match (own, policy.and_then(|policy| policy.rate)) {
        (Some(own), Some(theirs)) => Some((own.lower(theirs), own.lower(theirs) != own)),
        (Some(own), None) => Some((own, false)),
        (None, Some(theirs)) => Some((theirs, true)),
        (None, None) => None,
    }
}

fn refusal(record: &Record, need: Need<'_>, now: Timestamp) -> Option<Refused> {
    match record.state(now) {
        KeyState::Revoked => return Some(Refused::Revoked),
        KeyState::Disabled => return Some(Refused::Disabled),
        KeyState::Expired => return Some(Refused::Expired),
        KeyState::Active | KeyState::Retiring => {}
    }
    let from_anywhere = record.ip_allow.is_empty();
    let from_there = need.ip.is_some_and(|ip| record.ip_allow.iter().any(|net| net.contains(&ip.to_canonical())));
    if !from_anywhere && !from_there {
        return Some(Refused::IpDenied);
    }
    let policy = need.policy.map(|policy| policy.scopes.as_slice()).unwrap_or_default();
    (!record.has_scopes(need.scopes) || !record.has_scopes(policy)).then_some(Refused::ScopeMissing)
}
