//! Whether a key is good, and for what: format, record, secret, state, address, scope, in this order. Pure: the clock
//! and the freshness of the index are arguments, and nothing is allocated for a key that is good.

use super::format::parse;
use super::hash::{Covers, KeyHash};
use super::index::Index;
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
    /// The key that it is about, where that is known.
    #[must_use]
    pub const fn record(&self) -> Option<&Arc<Record>> {
        match self {
            Self::Valid(record) | Self::Refused(_, record) => Some(record),
            Self::Malformed | Self::Invalid | Self::Undecidable => None,
        }
    }

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

/// Judges a key.
pub(super) fn judge(text: &str, need: Need<'_>, rules: &Rules, index: &Index, now: Timestamp) -> Verdict {
    match find(text, rules, index) {
        Ok(record) => judge_record(record, need, rules, index, now),
        Err(verdict) => verdict,
    }
}

/// Judges a key whose text is known to be right.
pub(super) fn judge_record(
    record: Arc<Record>,
    need: Need<'_>,
    rules: &Rules,
    index: &Index,
    now: Timestamp,
) -> Verdict {
    let stale = index.age().is_none_or(|age| age > rules.max_staleness);
    if stale && rules.on_stale == OnStale::Deny {
        return Verdict::Undecidable;
    }
    match refusal(&record, need, now) {
        None => Verdict::Valid(record),
        Some(why) => Verdict::Refused(why, record),
    }
}

/// The record that a text is the key of.
fn find(text: &str, rules: &Rules, index: &Index) -> Result<Arc<Record>, Verdict> {
    let Ok(key) = parse(text) else { return find_foreign(text, rules, index) };
    let Some(record) = index.get(key.kid) else {
        KeyHash::pretend(key.secret, &rules.peppers);
        return Err(unknown(index));
    };
    let right = record.hash.as_ref().is_some_and(|hash| hash.matches(Covers::Secret, key.secret, &rules.peppers));
    let ours = key.environment == rules.environment && record.environment == Some(rules.environment);
    if right && ours { Ok(record) } else { Err(Verdict::Invalid) }
}

/// A key that was issued elsewhere has nothing in its text to look it up by but all of it.
fn find_foreign(text: &str, rules: &Rules, index: &Index) -> Result<Arc<Record>, Verdict> {
    if !index.may_be_foreign(text) {
        return Err(Verdict::Malformed);
    }
    let found = KeyHash::of_whole(text, &rules.peppers).find_map(|hash| index.by_hash(&hash));
    let Some(record) = found else { return Err(unknown(index)) };
    if record.environment == Some(rules.environment) { Ok(record) } else { Err(Verdict::Invalid) }
}

/// Another replica may have made it a moment ago.
pub(super) fn unknown(index: &Index) -> Verdict {
    if index.age().is_some_and(|age| age <= FRESH) { Verdict::Invalid } else { Verdict::Undecidable }
}

/// The rate that counts for a key, and whether the policy set it: the lower one wins.
pub(super) fn rate_for(record: &Record, policy: Option<&Access>) -> Option<(Rate, bool)> {
    let own = record.rare.rate_limit.as_deref().and_then(Rate::parse);
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
    let from_anywhere = record.rare.ip_allow.is_empty();
    let from_there = need.ip.is_some_and(|ip| record.allows_from(ip));
    if !from_anywhere && !from_there {
        return Some(Refused::IpDenied);
    }
    let policy = need.policy.map(|policy| policy.scopes.as_slice()).unwrap_or_default();
    (!record.has_scopes(need.scopes) || !record.has_scopes(policy)).then_some(Refused::ScopeMissing)
}
