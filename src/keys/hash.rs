//! What is kept of a key's secret: SHA-256, or HMAC-SHA-256 where a pepper is set. A fast hash is right here, for the
//! secret has 190 bits of its own (OWASP ASVS 5.0, 6.5.2 asks for 112); comparing takes the same time whatever differs.

use crate::name::SecretName;
use crate::settings::keys::Pepper;
use constant_time_eq::constant_time_eq_32;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

/// The hash of a key's secret, with how it was made.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash {
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
            Some(pepper) => Self { pepper: Some(pepper.id.clone()), bytes: peppered(secret, pepper) },
            None => Self { pepper: None, bytes: Sha256::digest(secret.as_bytes()).into() },
        }
    }

    /// Whether this is the hash of a secret. A pepper that is not declared any more verifies nothing.
    #[must_use]
    pub fn matches(&self, secret: &str, peppers: &[Pepper]) -> bool {
        let computed: [u8; 32] = match &self.pepper {
            None => Sha256::digest(secret.as_bytes()).into(),
            Some(id) => match peppers.iter().find(|pepper| pepper.id == *id) {
                Some(pepper) => peppered(secret, pepper),
                None => return false,
            },
        };
        constant_time_eq_32(&computed, &self.bytes)
    }

    /// As it stands in the column `hash_alg`.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self.pepper {
            Some(_) => HMAC,
            None => SHA256,
        }
    }

    /// From its columns; `None` where it is not one of ours.
    #[must_use]
    pub fn from_columns(bytes: Option<Vec<u8>>, algorithm: Option<&str>, pepper: Option<&str>) -> Option<Self> {
        let bytes = bytes?.try_into().ok()?;
        match (algorithm?, pepper) {
            (SHA256, None) => Some(Self { pepper: None, bytes }),
            (HMAC, Some(pepper)) => Some(Self { pepper: Some(SecretName::parse(pepper).ok()?), bytes }),
            _ => None,
        }
    }

    /// Takes as long as judging a key that exists, so that time does not tell which key ids do.
    pub fn pretend(secret: &str, peppers: &[Pepper]) {
        std::hint::black_box(Self { pepper: None, bytes: [0; 32] }.matches(secret, peppers));
    }
}

const SHA256: &str = "sha256";
const HMAC: &str = "hmac-sha256";

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
        assert!(hash.matches("s3cret", &[]));
        assert!(!hash.matches("s3creT", &[]));
    }

    #[test]
    fn a_stored_hash_does_not_open_anything() {
        let hash = KeyHash::of("s3cret", &[]);
        let leaked: String = hash.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!hash.matches(&leaked, &[]));
    }

    #[test]
    fn a_pepper_verifies_as_long_as_it_is_declared() {
        let (old, new) = (pepper("old", "one"), pepper("new", "two"));
        let hash = KeyHash::of("s3cret", std::slice::from_ref(&old));
        assert!(hash.matches("s3cret", &[new.clone(), old]));
        assert!(!hash.matches("s3cret", &[new]));
        assert!(!hash.matches("s3cret", &[]));
    }

    #[test]
    fn rows_without_our_hash_have_none() {
        assert_eq!(KeyHash::from_columns(None, None, None), None);
        assert_eq!(KeyHash::from_columns(Some(vec![0; 31]), Some("sha256"), None), None);
        assert_eq!(KeyHash::from_columns(Some(vec![0; 32]), Some("murmur64"), None), None);
        assert_eq!(KeyHash::from_columns(Some(vec![0; 32]), Some("hmac-sha256"), None), None);
    }
}
