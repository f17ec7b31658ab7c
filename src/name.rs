//! The names that people give to things, parsed once into types that cannot be wrong.
//! Nothing here knows what a name refers to; that is the business of `settings`.

use compact_str::CompactString;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest name of a store, secret, worker, policy or alert, in characters: the limit of a DNS label,
/// so that a name can become one.
pub const MAX_NAME: usize = 63;

/// The longest key id that is accepted: databases of the original service hold ids of other makers.
pub const MAX_KID: usize = 128;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name: use lower-case letters, digits and single underscores, starting with a letter, at most 63 characters"
)]
pub struct NotAName {
    text: String,
}

/// Whether a text matches `[a-z][a-z0-9]*(_[a-z0-9]+)*` and is at most [`MAX_NAME`] long, so that an environment
/// variable can name it without ambiguity (`__` separates the parts of a key).
#[must_use]
pub fn is_name(text: &str) -> bool {
    let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let alphabet = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    starts_well && alphabet && text.len() <= MAX_NAME && !text.contains("__") && !text.ends_with('_')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text that is a name.
            ///
            /// # Errors
            /// [`NotAName`], with the text, when it does not match `[a-z][a-z0-9]*(_[a-z0-9]+)*`.
            pub fn parse(text: &str) -> Result<Self, NotAName> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(NotAName { text: text.chars().take(80).collect() }) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The name of a declared database: `main` in `[stores.main]`.
    StoreName;
    /// The name of a secret: `pg_password` in `[secrets]`.
    SecretName;
    /// The name of a scheduled piece of work: `expire_sessions` in `[workers.expire_sessions]`.
    WorkerName;
    /// The name of a forward-auth policy.
    PolicyName;
    /// The name of an alert's receiver.
    AlertName;
}

/// The public id of an API key. Ours are twelve base62 characters; an adopted database may hold others.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(CompactString);

/// Why a text is not a key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 1 to {MAX_KID} printable characters without spaces or slashes")]
pub struct NotAKid;

impl Kid {
    /// Takes the text of a key id, ours or a foreign one.
    ///
    /// # Errors
    /// [`NotAKid`] when it is empty, longer than [`MAX_KID`], or holds a space, a slash or a control character.
    pub fn parse(text: &str) -> Result<Self, NotAKid> {
        let length = text.chars().count();
        let clean = text.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '/');
        if (1..=MAX_KID).contains(&length) && clean { Ok(Self(text.into())) } else { Err(NotAKid) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Borrow<str> for Kid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_an_environment_variable_can_spell() {
        for good in ["main", "a", "pg_password", "a1_b2", &"a".repeat(63)] {
            assert!(StoreName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Main", "main-db", "1a", "_a", "a_", "a__b", "ä", "a b", &"a".repeat(64)] {
            assert!(StoreName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn foreign_key_ids_are_taken_up_to_128_characters() {
        assert!(Kid::parse("key:2021/old").is_err());
        assert!(Kid::parse("legacy-key.2021@acme").is_ok());
        assert!(Kid::parse(&"é".repeat(128)).is_ok());
        assert!(Kid::parse(&"e".repeat(129)).is_err());
        assert!(Kid::parse("").is_err());
    }
}
