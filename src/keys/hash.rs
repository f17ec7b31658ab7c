//! What is kept of a key's secret: SHA-256, or HMAC-SHA-256 where a pepper is set. A fast hash is right here, for the
//! secret has 190 bits of its own (OWASP ASVS 5.0, 6.5.2 asks for 112); comparing takes the same time whatever differs.

use crate::name::SecretName;
use crate::settings::keys::Pepper;
use constant_time_eq::constant_time_eq_32;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

/// What of a key's text a hash is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// The secret part: a key that was issued here.
    Secret,
    /// All of it: a key that was issued elsewhere.
    Whole,
}

/// The hash of a key's secret, with how it was made.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash {
    /// What it is of.
    pub covers: Covers,
    /// The pepper that was mixed in, if one was.
    pub pepper: Option<SecretName>,
    /// The hash.
    pub bytes: [u8; 32],
}

impl KeyHash {
    /// Hashes the secret of a new key: with the first pepper, where there is one.
    #[must_use]
    pub fn of(secret: &str, peppers: &[Pepper]) -> Self {
        match peppers.first() {
            Some(pepper) => {
                Self { covers: Covers::Secret, pepper: Some(pepper.id.clone()), bytes: peppered(secret, pepper) }
            }
            None => Self { covers: Covers::Secret, pepper: None, bytes: Sha256::digest(secret.as_bytes()).into() },
        }
    }

    /// What the hash of a key of elsewhere can be: without a pepper, and with each of them.
    pub fn of_whole(text: &str, peppers: &[Pepper]) -> impl Iterator<Item = [u8; 32]> {
        std::iter::once(Sha256::digest(text.as_bytes()).into())
            .chain(peppers.iter().map(move |pepper| peppered(text, pepper)))
    }

    /// Whether this is the hash of a text, and of nothing but that part of a key. A pepper that is not declared any more verifies nothing.
    #[must_use]
    pub fn matches(&self, covers: Covers, secret: &str, peppers: &[Pepper]) -> bool {
        if self.covers != covers {
            return false;
        }
        let computed: [u8; 32] = match &self.pepper {
            None => Sha256::digest(secret.as_bytes()).into(),
            Some(id) => match peppers.iter().find(|pepper| pepper.id == *id) {
                Some(pepper) => peppered(secret, pepper),
                None => return false,
            },
        };
        constant_time_eq_32(&computed, &self.bytes)
    }

    /// Whether it is this hash of a whole text.
    #[must_use]
    pub fn is_whole(&self, bytes: &[u8; 32]) -> bool {
        self.covers == Covers::Whole && constant_time_eq_32(&self.bytes, bytes)
    }

    /// As it stands in the column `hash_alg`.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match (self.covers, &self.pepper) {
            (Covers::Secret, Some(_)) => HMAC,
            (Covers::Secret, None) => SHA256,
            (Covers::Whole, Some(_)) => WHOLE_HMAC,
            (Covers::Whole, None) => WHOLE_SHA256,
        }
    }

    /// From its columns; `None` where it is not one of ours.
    #[must_use]
    pub fn from_columns(bytes: Option<Vec<u8>>, algorithm: Option<&str>, pepper: Option<&str>) -> Option<Self> {
        let bytes = bytes?.try_into().ok()?;
        let pepper = pepper.map(SecretName::parse).transpose().ok()?;
        let covers = match (algorithm?, &pepper) {
            (SHA256, None) | (HMAC, Some(_)) => Covers::Secret,
            (WHOLE_SHA256, None) | (WHOLE_HMAC, Some(_)) => Covers::Whole,
            _ => return None,
        };
        Some(Self { covers, pepper, bytes })
    }

    /// Takes as long as judging a key that exists, so that time does not tell which key ids do.
    pub fn pretend(secret: &str, peppers: &[Pepper]) {
        std::hint::black_box(Self { covers: Covers::Secret, pepper: None, bytes: [0; 32] }.matches(
            Covers::Secret,
            secret,
            peppers,
        ));
    }
}

const SHA256: &str = "sha256";
const HMAC: &str = "hmac-sha256";
const WHOLE_SHA256: &str = "whole-sha256";
const WHOLE_HMAC: &str = "whole-hmac-sha256";

fn peppered(secret: &str, pepper: &Pepper) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(pepper.value.expose()) {
        Ok(mut mac) => {
            mac.update(secret.as_bytes());
            mac.finalize().into_bytes().into()
        }
        // HMAC takes keys of any length, so this cannot be; a random answer would match nothing either.
        Err(_) => [0; 32],
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn pepper(id: &str, value: &str) -> Pepper {
        Pepper { id: SecretName::parse(id).unwrap(), value: Secret::new(value) }
    }

    #[test]
    fn a_secret_matches_its_hash_and_no_other() {
        let hash = KeyHash::of("s3cret", &[]);
        assert!(hash.matches(Covers::Secret, "s3cret", &[]));
        assert!(!hash.matches(Covers::Secret, "s3creT", &[]));
    }

    #[test]
    fn a_stored_hash_does_not_open_anything() {
        let hash = KeyHash::of("s3cret", &[]);
        let leaked: String = hash.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!hash.matches(Covers::Secret, &leaked, &[]));
    }

    #[test]
    fn a_pepper_verifies_as_long_as_it_is_declared() {
        let (old, new) = (pepper("old", "one"), pepper("new", "two"));
        let hash = KeyHash::of("s3cret", std::slice::from_ref(&old));
        assert!(hash.matches(Covers::Secret, "s3cret", &[new.clone(), old]));
        assert!(!hash.matches(Covers::Secret, "s3cret", &[new]));
        assert!(!hash.matches(Covers::Secret, "s3cret", &[]));
    }

    #[test]
    fn the_hash_of_a_whole_key_is_not_one_of_a_secret() {
        let whole = KeyHash { covers: Covers::Whole, ..KeyHash::of("s3cret", &[]) };
        assert!(whole.matches(Covers::Whole, "s3cret", &[]) && !whole.matches(Covers::Secret, "s3cret", &[]));
        let read = KeyHash::from_columns(Some(whole.bytes.to_vec()), Some(whole.algorithm()), None);
        assert_eq!(read, Some(whole));
    }

    #[test]
    fn rows_without_our_hash_have_none() {
        assert_eq!(KeyHash::from_columns(None, None, None), None);
        assert_eq!(KeyHash::from_columns(Some(vec![0; 31]), Some("sha256"), None), None);
        assert_eq!(KeyHash::from_columns(Some(vec![0; 32]), Some("murmur64"), None), None);
        assert_eq!(KeyHash::from_columns(Some(vec![0; 32]), Some("hmac-sha256"), None), None);
    }
}
