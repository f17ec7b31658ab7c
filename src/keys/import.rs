//! Keys that were issued elsewhere, taken over by the hash of their whole text: their owners go on using them, and nobody has
//! to know them. They are found by that hash, never by a part of their text; everything else about them is as for our own.

use super::hash::{Covers, KeyHash};
use super::new::NewKey;
use super::record::{Extras, Rare, Record};
use super::{FieldError, KeysError};
use crate::clock::Timestamp;
use crate::name::Kid;
use crate::settings::keys::Keys as Rules;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// The most keys in one wish: one transaction, which holds the end of the chain for as long as it takes.
pub const MAX_IMPORT: usize = 1000;

/// One key of elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// The id that it gets here.
    pub kid: String,
    /// The hash of its whole text: 32 bytes in hexadecimal or base64.
    pub hash: String,
    /// `sha256` or `hmac-sha256`.
    pub algorithm: String,
    /// The name of the pepper that was mixed in, which `keys.pepper` must hold.
    pub pepper: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Everything else.
    pub wish: NewKey,
}

/// What to do with those that cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only say which.
    DryRun,
    /// Take over none.
    AllOrNothing,
    /// Take over the others.
    Partial,
}

/// A key that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Its place among the given ones.
    pub n: usize,
    /// What is wrong.
    pub errors: Vec<FieldError>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Keys that were taken over, or would be.
    pub count: usize,
    /// The others.
    pub unfit: Vec<Unfit>,
}

/// Which of the records stand in the way of what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clash {
    /// A key has its id.
    Kid,
    /// A key has its hash.
    Hash,
}

impl Clash {
    pub(super) fn error(self) -> FieldError {
        let (key, message) = match self {
            Self::Kid => ("kid", "there is a key with this id already"),
            Self::Hash => ("hash", "there is a key with this hash already"),
        };
        FieldError { key: key.into(), message: message.into() }
    }
}

impl Foreign {
    /// The record of the key, or everything that is wrong with it.
    pub(super) fn record(&self, by: &str, rules: &Rules, now: Timestamp) -> Result<Record, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut wrong = |key: &str, message: String| errors.push(FieldError { key: key.to_owned(), message });
        let kid = Kid::parse(&self.kid).map_err(|error| wrong("kid", error.to_string())).ok();
        let hash = self.hash(rules, &mut wrong);
        if self.created_at.is_some_and(|at| at > now) {
            wrong("created_at", "must not lie in the future".into());
        }
        let end = match self.wish.check(rules, now) {
            Ok(end) => Some(end),
            Err(KeysError::Invalid(more)) => {
                errors.extend(more);
                None
            }
            Err(_) => None,
        };
        match (kid, hash, end) {
            (Some(kid), Some(hash), Some(end)) if errors.is_empty() => {
                Ok(self.with(kid, hash, end, by, rules, self.created_at.unwrap_or(now)))
            }
            _ => Err(errors),
        }
    }

    fn hash(&self, rules: &Rules, wrong: &mut impl FnMut(&str, String)) -> Option<KeyHash> {
        let bytes = bytes_of(&self.hash);
        if bytes.is_none() {
            wrong("hash", "must be 32 bytes in hexadecimal or base64".into());
        }
        let pepper = match (self.algorithm.as_str(), self.pepper.as_deref()) {
            ("sha256", None) => None,
            ("sha256", Some(_)) => {
                wrong("pepper", "goes with hmac-sha256 only".into());
                return None;
            }
            ("hmac-sha256", Some(name)) => {
                let known = rules.peppers.iter().find(|pepper| pepper.id.as_str() == name);
                if known.is_none() {
                    let names: Vec<&str> = rules.peppers.iter().map(|pepper| pepper.id.as_str()).collect();
                    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                    wrong("pepper", format!("must be one of keys.pepper, which names {names}"));
                    return None;
                }
                known.map(|pepper| pepper.id.clone())
            }
            ("hmac-sha256", None) => {
                wrong(
                    "pepper",
                    "hmac-sha256 needs the name of the secret that was mixed in, one of keys.pepper".into(),
                );
                return None;
            }
            _ => {
                wrong("algorithm", "must be sha256 or hmac-sha256".into());
                return None;
            }
        };
        Some(KeyHash { covers: Covers::Whole, pepper, bytes: bytes? })
    }

    fn with(&self, kid: Kid, hash: KeyHash, end: Timestamp, by: &str, rules: &Rules, created_at: Timestamp) -> Record {
        let wish = self.wish.clone();
        Record {
            kid,
            name: Some(wish.name.into()),
            owner: wish.owner.map(Into::into),
            environment: Some(rules.environment),
            scopes: wish.scopes.into_iter().map(Into::into).collect(),
            created_at,
            created_by: Some(by.into()),
            expires_at: Some(end),
            last_used_at: None,
            rare: Rare::of(Extras {
                ip_allow: wish.ip_allow,
                rate_limit: wish.rate_limit.map(Into::into),
                metadata: wish.metadata,
                ..Extras::default()
            }),
            version: 1,
            hash: Some(hash),
        }
    }
}

fn bytes_of(text: &str) -> Option<[u8; 32]> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks_exact(2).map(digits).collect();
        return bytes?.try_into().ok();
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok()?.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_the_others_write_it() {
        let bytes: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 7).unwrap_or(251));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [hex.clone(), hex.to_uppercase(), STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)] {
            assert_eq!(bytes_of(&text), Some(bytes), "{text}");
        }
        for text in ["", "00", hex.get(..62).unwrap(), &format!("{hex}00"), &STANDARD.encode([0; 20]), &"z".repeat(64)]
        {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }
}
