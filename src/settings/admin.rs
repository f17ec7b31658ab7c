//! Who may sign and hold admin tokens.
//! Minting and judging a token is `auth`; here stands only by which rules.

use super::compile::Compiler;
use crate::config::{secrets::JWT, written};
use crate::problem::Problem;
use crate::secret::Secret;
use std::net::SocketAddr;
use std::time::Duration;

/// The rules for admin tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// The keys that verify, in the order of the file; the first one signs. Never empty.
    pub signing_keys: Vec<SigningKey>,
    /// The `iss` of a token.
    pub issuer: String,
    /// The `aud` of a token.
    pub audience: String,
    /// The longest life of a token, `exp − iat`.
    pub max_token_ttl: Duration,
    /// Whether the web UI is served.
    pub ui: bool,
}

/// One HS256 key.
#[derive(Debug, Clone, PartialEq)]
pub struct SigningKey {
    /// The `kid` in a token's header.
    pub id: String,
    /// The key itself.
    pub secret: SigningSecret,
}

/// Where the bytes of a signing key come from.
#[derive(Debug, Clone, PartialEq)]
pub enum SigningSecret {
    /// They were declared.
    Declared(Secret),
    /// Nobody declared them: in `dev` on a loopback address they are made once and kept in `data_dir/dev.jwt`.
    Generated,
}

/// The shortest signing key, in bytes: RFC 7518, section 3.2 asks for the length of the hash.
pub const MIN_SECRET: usize = 32;

/// Beginnings that tell a sample from a secret, compared in lower case.
const SAMPLES: [&str; 8] = ["secret", "changeme", "change-me", "change_me", "monolith", "example", "your-", "test"];

/// A secret of fewer different bytes than this was typed, not drawn.
const MIN_VARIETY: usize = 8;

impl Compiler<'_> {
    pub(super) fn admin(&mut self, written: &written::Admin, abroad: Option<SocketAddr>) -> Admin {
        if written.signing_keys.is_empty() {
            self.error("admin.signing_keys", "must name at least one key, or no token could be verified");
        }
        let signing_keys = written
            .signing_keys
            .iter()
            .enumerate()
            .filter_map(|(n, key)| self.signing_key(&format!("admin.signing_keys[{n}]"), key, abroad))
            .collect::<Vec<_>>();
        for (n, key) in signing_keys.iter().enumerate() {
            if signing_keys.iter().take(n).any(|other| other.id == key.id) {
                self.error(&format!("admin.signing_keys[{n}].id"), format!("the id `{}` stands twice", key.id));
            }
        }
        Admin {
            signing_keys,
            issuer: written.issuer.clone(),
            audience: written.audience.clone(),
            max_token_ttl: self.duration("admin.max_token_ttl", &written.max_token_ttl, Duration::from_secs(1)),
            ui: written.ui,
        }
    }

    fn signing_key(
        &mut self,
        key: &str,
        written: &written::SigningKey,
        abroad: Option<SocketAddr>,
    ) -> Option<SigningKey> {
        let (id, name) = (written.id.clone()?, written.secret.as_deref()?);
        let at = format!("{key}.secret");
        if name == JWT
            && let Some(unset) = self.unset(JWT)
        {
            if self.profile.is_dev() && abroad.is_none() {
                return Some(SigningKey { id, secret: SigningSecret::Generated });
            }
            self.nobody_made_a_secret(&unset, abroad);
            return None;
        }
        let secret = self.secret(&at, name)?;
        self.judge_secret(&at, name, &secret);
        Some(SigningKey { id, secret: SigningSecret::Declared(secret) })
    }

    /// What is wrong with a secret that has no value, where nobody was told of it so far.
    fn unset(&self, name: &str) -> Option<Problem> {
        let (_, value) = self.loaded.secrets.iter().find(|(known, _)| known.as_str() == name)?;
        value.as_ref().err().filter(|problem| !self.problems.told(problem)).cloned()
    }

    /// On a laptop nobody has to think of a secret; anywhere else a made-up one would log everybody out at restart.
    fn nobody_made_a_secret(&mut self, unset: &Problem, abroad: Option<SocketAddr>) {
        let why = match abroad {
            Some(address) if self.profile.is_dev() => {
                format!("on {address}, which is no loopback address, none is made for you")
            }
            _ => format!("in the profile {} none is made for you", self.profile),
        };
        let message = format!("{}: it signs admin tokens, and {why}", unset.message);
        let problem = Problem::new(unset.place.clone(), unset.key.clone(), message);
        self.problems.error(problem.hint("make one with: export JWT_SECRET=\"$(openssl rand -base64 48)\""));
    }

    fn judge_secret(&mut self, key: &str, name: &str, secret: &Secret) {
        let text = secret.expose_text().unwrap_or_default().to_ascii_lowercase();
        let mut bytes = secret.expose().to_vec();
        bytes.sort_unstable();
        bytes.dedup();
        let fault = if secret.len() < MIN_SECRET {
            format!("the secret `{name}` is shorter than {MIN_SECRET} bytes")
        } else if SAMPLES.iter().any(|sample| text.starts_with(sample)) || bytes.len() < MIN_VARIETY {
            format!("the secret `{name}` looks like a sample")
        } else {
            return;
        };
        // The name may stand nowhere but in the defaults; then the secret itself is where to look.
        let sources = ["env", "file", "command", "literal"].map(|part| format!("secrets.{name}.{part}"));
        let source = sources.iter().find(|source| self.loaded.places.wrote(source));
        let key = if self.loaded.places.wrote(key) { key } else { source.map_or(key, String::as_str) };
        if self.profile.is_strict() {
            self.error_with_hint(key, fault, "make one with: openssl rand -base64 48");
        } else {
            self.warn(key, fault);
        }
    }
}
