//! A wish for a new key, and what is wrong with it: every field at once.
//! Pure: what is allowed comes from the rules, and `now` is an argument.

use super::{FieldError, KeysError};
use crate::clock::{Timestamp, write_duration};
use crate::settings::access::{MAX_SCOPE, Rate, is_scope};
use crate::settings::keys::Keys as Rules;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest name or owner, in characters.
const MAX_TEXT: usize = 200;
/// The most scopes of a key.
const MAX_SCOPES: usize = 64;
/// The most networks in an allow-list.
const MAX_NETWORKS: usize = 64;
/// The most entries of metadata, and the longest of each half.
const MAX_METADATA: (usize, usize, usize) = (32, 64, 512);

/// A wish for a new key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewKey {
    /// What to call it.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// How long it lives.
    pub ttl: Option<Duration>,
    /// Or until when.
    pub expires_at: Option<Timestamp>,
    /// From where it may be used; empty: from anywhere.
    pub ip_allow: Vec<IpNet>,
    /// How often, such as `100/s`.
    pub rate_limit: Option<String>,
    /// What its owner wants to write down about it.
    pub metadata: BTreeMap<String, String>,
}

impl NewKey {
    /// Checks the wish, and says when the key ends.
    pub(super) fn check(&self, rules: &Rules, now: Timestamp) -> Result<Timestamp, KeysError> {
        let mut errors = Vec::new();
        let mut wrong = |key: &str, message: String| errors.push(FieldError { key: key.to_owned(), message });
        self.check_fields(&mut wrong);
        let ends = self.end(rules, now, &mut wrong);
        if errors.is_empty() { Ok(ends) } else { Err(KeysError::Invalid(errors)) }
    }

    /// Checks everything but the end.
    pub(super) fn check_fields(&self, wrong: &mut impl FnMut(&str, String)) {
        if !is_text(&self.name) {
            wrong("name", format!("must be 1 to {MAX_TEXT} printable characters"));
        }
        if self.owner.as_deref().is_some_and(|owner| !is_text(owner)) {
            wrong("owner", format!("must be 1 to {MAX_TEXT} printable characters"));
        }
        if self.scopes.len() > MAX_SCOPES {
            wrong("scopes", format!("must be at most {MAX_SCOPES}"));
        }
        for (n, scope) in self.scopes.iter().enumerate().filter(|(_, scope)| !is_scope(scope)) {
            let shown: String = scope.chars().filter(|c| !c.is_control()).take(40).collect();
            wrong(
                &format!("scopes[{n}]"),
                format!("`{shown}` is not a scope: use letters, digits and :._/*- , at most {MAX_SCOPE}"),
            );
        }
        if self.ip_allow.len() > MAX_NETWORKS {
            wrong("ip_allow", format!("must be at most {MAX_NETWORKS}"));
        }
        if self.rate_limit.as_deref().is_some_and(|rate| Rate::parse(rate).is_none()) {
            wrong("rate_limit", "must be a rate such as 100/s, 50/m, 10/h or 1000/d".into());
        }
        let (entries, key_length, value_length) = MAX_METADATA;
        let fits = |(key, value): (&String, &String)| {
            (1..=key_length).contains(&key.chars().count()) && value.chars().count() <= value_length
        };
        if self.metadata.len() > entries || !self.metadata.iter().all(fits) {
            wrong(
                "metadata",
                format!("must be at most {entries} entries of {key_length} and {value_length} characters"),
            );
        }
    }

    fn end(&self, rules: &Rules, now: Timestamp, wrong: &mut impl FnMut(&str, String)) -> Timestamp {
        let longest = write_duration(rules.max_ttl);
        match (self.ttl, self.expires_at) {
            (Some(_), Some(_)) => wrong("expires_at", "a key has either `ttl` or `expires_at`, not both".into()),
            (Some(ttl), None) if ttl.is_zero() => wrong("ttl", "must be longer than nothing".into()),
            (Some(ttl), None) if ttl > rules.max_ttl => {
                wrong("ttl", format!("must be at most {longest} (keys.max_ttl)"))
            }
            (Some(ttl), None) => return now.after(ttl),
            (None, Some(end)) if end <= now => wrong("expires_at", "must lie in the future".into()),
            (None, Some(end)) if end > now.after(rules.max_ttl) => {
                wrong("expires_at", format!("must be at most {longest} away (keys.max_ttl)"));
            }
            (None, Some(end)) => return end,
            (None, None) => return now.after(rules.default_ttl),
        }
        now
    }
}

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.chars().count()) && !text.chars().any(char::is_control) && !text.trim().is_empty()
}
