//! What becomes of a key that exists: patched, replaced, ended. Pure: a record and a wish go in, the next record comes out.
//! Nothing is stored here, and nothing that a rule forbids comes out.

use super::new::NewKey;
use super::record::{Extras, KeyState, Record};
use super::{FieldError, KeysError};
use crate::clock::{Timestamp, write_duration};
use crate::settings::keys::Keys as Rules;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a replaced key is good for beside its successor where nobody says: long enough to roll a fleet out.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(3600);

/// A change of some fields: what is `None` stays, an inner `None` clears.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// A new name.
    pub name: Option<String>,
    /// A new owner.
    pub owner: Option<Option<String>>,
    /// New scopes, all of them.
    pub scopes: Option<Vec<String>>,
    /// `false` switches the key off, `true` on.
    pub enabled: Option<bool>,
    /// A new end.
    pub expires_at: Option<Timestamp>,
    /// New networks, all of them.
    pub ip_allow: Option<Vec<IpNet>>,
    /// A new limit.
    pub rate_limit: Option<Option<String>>,
    /// Merged member by member; an inner `None` removes one, a `None` for the whole removes all.
    pub metadata: Option<Option<BTreeMap<String, Option<String>>>>,
    /// The version that it was made for.
    pub version: Option<i64>,
}

/// The next state of a record, and what its event says.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) record: Record,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Patch {
    /// The record after the change; `None` where nothing would change.
    pub(super) fn apply(&self, record: &Record, rules: &Rules, now: Timestamp) -> Result<Option<Edited>, KeysError> {
        issued_here(record)?;
        if self.version.is_some_and(|version| version != record.version) {
            return Err(KeysError::Stale(record.version));
        }
        if record.state(now) == KeyState::Revoked && (self.enabled.is_some() || self.expires_at.is_some()) {
            return Err(KeysError::Conflict("the key is revoked, for good; make a new one".into()));
        }
        let mut next = record.clone();
        self.texts(&mut next);
        if let Some(enabled) = self.enabled {
            let since = if enabled { None } else { record.rare.disabled_at.or(Some(now)) };
            next.rare.edit(|rare| rare.disabled_at = since);
        }
        if let Some(end) = self.expires_at {
            next.expires_at = Some(end);
        }
        self.check(&next, rules, now)?;
        if next == *record {
            return Ok(None);
        }
        let body = changes(record, &next);
        next.version = record.version.saturating_add(1);
        let kind = match (record.rare.disabled_at, next.rare.disabled_at) {
            (None, Some(_)) => "key.disabled",
            (Some(_), None) => "key.enabled",
            _ => "key.updated",
        };
        Ok(Some(Edited { record: next, kind, body }))
    }

    fn texts(&self, next: &mut Record) {
        if let Some(name) = &self.name {
            next.name = Some(name.as_str().into());
        }
        if let Some(owner) = &self.owner {
            next.owner = owner.as_deref().map(Into::into);
        }
        if let Some(scopes) = &self.scopes {
            next.scopes = scopes.iter().map(|scope| scope.as_str().into()).collect();
        }
        next.rare.edit(|rare| self.rare(rare));
    }

    fn rare(&self, next: &mut Extras) {
        if let Some(networks) = &self.ip_allow {
            next.ip_allow.clone_from(networks);
        }
        if let Some(rate) = &self.rate_limit {
            next.rate_limit = rate.as_deref().map(Into::into);
        }
        match &self.metadata {
            None => {}
            Some(None) => next.metadata.clear(),
            Some(Some(members)) => {
                for (name, value) in members {
                    match value {
                        Some(value) => next.metadata.insert(name.clone(), value.clone()),
                        None => next.metadata.remove(name),
                    };
                }
            }
        }
    }

    /// The same rules as for a new key, over what would be there.
    fn check(&self, next: &Record, rules: &Rules, now: Timestamp) -> Result<(), KeysError> {
        let mut errors = Vec::new();
        wish_of(next).check_fields(&mut |key: &str, message| errors.push(FieldError { key: key.into(), message }));
        match self.expires_at {
            Some(end) if end <= now => {
                let message = "must lie in the future; to end the key now, revoke it".into();
                errors.push(FieldError { key: "expires_at".into(), message });
            }
            Some(end) if end > now.after(rules.max_ttl) => {
                let message = format!("must be at most {} away (keys.max_ttl)", write_duration(rules.max_ttl));
                errors.push(FieldError { key: "expires_at".into(), message });
            }
            _ => {}
        }
        if errors.is_empty() { Ok(()) } else { Err(KeysError::Invalid(errors)) }
    }
}

/// The wish that would make a key like this one, for its successor and for checking.
pub(super) fn wish_of(record: &Record) -> NewKey {
    NewKey {
        // A row of the original service has no name, and nobody can be asked for one.
        name: record.name.as_deref().unwrap_or(record.kid.as_str()).to_owned(),
        owner: record.owner.as_deref().map(str::to_owned),
        scopes: record.scopes.iter().map(ToString::to_string).collect(),
        ttl: None,
        expires_at: None,
        ip_allow: record.rare.ip_allow.to_vec(),
        rate_limit: record.rare.rate_limit.as_deref().map(str::to_owned),
        metadata: record.rare.metadata.clone(),
    }
}

/// How long a successor lives: as long as the key that it replaces was meant to, within the rules of today.
pub(super) fn life_of(record: &Record, rules: &Rules) -> Duration {
    let meant = record.expires_at.map(|end| end.since(record.created_at)).filter(|life| !life.is_zero());
    meant.unwrap_or(rules.default_ttl).min(rules.max_ttl)
}

/// The record of a key once another one replaces it; it ends when its grace is over, never later than before.
pub(super) fn retired(
    record: &Record,
    successor: &Record,
    grace: Duration,
    now: Timestamp,
) -> Result<Edited, KeysError> {
    issued_here(record)?;
    let refused = match record.state(now) {
        KeyState::Active => None,
        KeyState::Retiring => Some("the key was rotated already; rotate its successor"),
        KeyState::Disabled => Some("the key is disabled; enable it first"),
        KeyState::Expired => Some("the key has expired; make a new one"),
        KeyState::Revoked => Some("the key is revoked; make a new one"),
    };
    if let Some(why) = refused {
        return Err(KeysError::Conflict(why.into()));
    }
    let mut next = record.clone();
    let end = now.after(grace);
    let end = record.expires_at.map_or(end, |expiry| expiry.min(end));
    next.rare.edit(|rare| {
        rare.rotated_to = Some(successor.kid.clone());
        rare.grace_until = Some(end);
    });
    next.version = record.version.saturating_add(1);
    let body = serde_json::json!({
        "rotated_to": successor.kid.as_str(),
        "grace_until": end.to_string(),
    });
    Ok(Edited { record: next, kind: "key.rotated", body: body.to_string() })
}

/// A row of the original service has no hash of ours: it never verifies, and only ending it makes sense.
fn issued_here(record: &Record) -> Result<(), KeysError> {
    match record.hash {
        Some(_) => Ok(()),
        None => Err(KeysError::Conflict("the key was not issued here: it can be revoked, and nothing else".into())),
    }
}

/// What an event says of a change: each field with what it was and what it is.
fn changes(old: &Record, new: &Record) -> String {
    let mut changes = serde_json::Map::new();
    for (name, old, new) in [
        ("name", old.name.as_deref(), new.name.as_deref()),
        ("owner", old.owner.as_deref(), new.owner.as_deref()),
        ("rate_limit", old.rare.rate_limit.as_deref(), new.rare.rate_limit.as_deref()),
    ] {
        if old != new {
            changes.insert(name.into(), serde_json::json!({ "from": old, "to": new }));
        }
    }
    let texts = |items: &[Box<str>]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    if old.scopes != new.scopes {
        let change = serde_json::json!({ "from": texts(&old.scopes), "to": texts(&new.scopes) });
        changes.insert("scopes".into(), change);
    }
    if old.rare.ip_allow != new.rare.ip_allow {
        let texts = |items: &[IpNet]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        let change = serde_json::json!({ "from": texts(&old.rare.ip_allow), "to": texts(&new.rare.ip_allow) });
        changes.insert("ip_allow".into(), change);
    }
    for (name, old, new) in
        [("expires_at", old.expires_at, new.expires_at), ("disabled_at", old.rare.disabled_at, new.rare.disabled_at)]
    {
        if old != new {
            let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
            changes.insert(name.into(), serde_json::json!({ "from": text(old), "to": text(new) }));
        }
    }
    if old.rare.metadata != new.rare.metadata {
        // Whose business the values are is not known here; the names say enough.
        let names = |record: &Record| record.rare.metadata.keys().cloned().collect::<Vec<_>>();
        changes.insert("metadata".into(), serde_json::json!({ "from": names(old), "to": names(new) }));
    }
    serde_json::Value::Object(changes).to_string()
}
