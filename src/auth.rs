//! Admin tokens: who signs them, what they must say, and who the bearer is then. Judging is pure and `now` an argument.
//! API keys never pass here: they are `keys`.

pub mod denied; // tokens that are refused before their time
pub mod dev; // the secret and the token that a laptop makes for itself
mod throttle; // how often an address may fail

pub use throttle::Throttle;

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::settings::admin::{Admin, SigningSecret};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// How far clocks may differ.
pub const LEEWAY: Duration = Duration::from_secs(5);
/// The longest token that is looked at; ours have about 350 bytes.
const MAX_TOKEN: usize = 4096;
/// The longest subject.
pub const MAX_SUBJECT: usize = 200;

/// What a bearer may do; each role may also do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also acts on keys and workers, plans and reloads.
    Operator,
    /// Also revokes in bulk, imports and denies tokens.
    Admin,
}

impl Role {
    /// As it stands in a token and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a token says, all of it required and typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who.
    pub sub: String,
    /// What the bearer may do.
    pub role: Role,
    /// Who signed it.
    pub iss: String,
    /// For whom.
    pub aud: Audience,
    /// Signed at, in seconds since the epoch.
    pub iat: i64,
    /// Not valid before.
    pub nbf: i64,
    /// Not valid after.
    pub exp: i64,
    /// The token's own id.
    pub jti: String,
}

/// For whom a token is: one name or several (RFC 7519, section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody has proved that it was signed here, so its bearer is told nothing; why stands here for whoever holds the
    /// signing keys, as `token inspect` does.
    #[error("the token is not valid")]
    Unproved(String),
    /// Its signature verifies, so its bearer is told what it lacks.
    #[error("{0}")]
    Lacking(String),
}

/// The keys and rules of one settings, ready for use.
pub struct Auth {
    keys: Vec<Key>,
    issuer: String,
    audience: String,
    max_ttl: Duration,
}

struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// The header of a token. Whatever else stands in one (`crit`, `jku`, `jwk`, `x5u`, `b64`) refuses it: none of it is
/// understood here, and RFC 8725 tells of what happens to those who try.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    kid: String,
    typ: Option<String>,
}

impl Auth {
    /// Makes the keys ready. `generated` is the secret of a laptop, for keys that nobody declared.
    #[must_use]
    pub fn new(admin: &Admin, generated: Option<&Secret>) -> Self {
        let keys = admin.signing_keys.iter().filter_map(|key| {
            let secret = match &key.secret {
                SigningSecret::Declared(secret) => Some(secret),
                SigningSecret::Generated => generated,
            }?;
            Some(Key {
                id: key.id.clone(),
                encoding: EncodingKey::from_secret(secret.expose()),
                decoding: DecodingKey::from_secret(secret.expose()),
            })
        });
        Self {
            keys: keys.collect(),
            issuer: admin.issuer.clone(),
            audience: admin.audience.clone(),
            max_ttl: admin.max_token_ttl,
        }
    }

    /// Signs a token with the first key.
    ///
    /// # Errors
    /// In words, when the subject or the length of life is not possible.
    pub fn mint(&self, subject: &str, role: Role, ttl: Duration, now: Timestamp) -> Result<String, String> {
        if ttl > self.max_ttl {
            let longest = crate::clock::write_duration(self.max_ttl);
            return Err(format!("a token lives at most {longest} (admin.max_token_ttl)"));
        }
        if ttl < Duration::from_secs(1) {
            return Err("a token lives at least one second".into());
        }
        if !is_subject(subject) {
            return Err(format!("a subject has 1 to {MAX_SUBJECT} printable characters"));
        }
        let key = self.keys.first().ok_or("no signing key has a secret")?;
        let seconds = now.millis().div_euclid(1000);
        let claims = Claims {
            sub: subject.to_owned(),
            role,
            iss: self.issuer.clone(),
            aud: Audience::One(self.audience.clone()),
            iat: seconds,
            nbf: seconds,
            exp: seconds.saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)),
            jti: Uuid::now_v7().to_string(),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.id.clone());
        jsonwebtoken::encode(&header, &claims, &key.encoding).map_err(|error| error.to_string())
    }

    /// Judges a token as it came over the wire.
    ///
    /// # Errors
    /// [`Refusal::Unproved`] unless the signature verifies; then [`Refusal::Lacking`] with what is wrong.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Refusal> {
        let key = self.key_of(token).map_err(Refusal::Unproved)?;
        let mut signature_only = Validation::new(Algorithm::HS256);
        signature_only.validate_exp = false;
        signature_only.validate_nbf = false;
        signature_only.validate_aud = false;
        signature_only.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &signature_only).map(|data| data.claims);
        match claims {
            Ok(claims) => self.judge(claims, now),
            Err(error) => match error.kind() {
                jsonwebtoken::errors::ErrorKind::Json(error) => {
                    Err(Refusal::Lacking(format!("a claim is wrong: {error}")))
                }
                _ => Err(Refusal::Unproved(format!("its signature is not one of the key `{}`", key.id))),
            },
        }
    }

    /// The key that the header names; why not, where the header is not one of ours.
    fn key_of(&self, token: &str) -> Result<&Key, String> {
        if token.len() > MAX_TOKEN {
            return Err(format!("it is longer than {MAX_TOKEN} bytes"));
        }
        let parts = token.split('.').count();
        if parts != 3 {
            return Err(format!("it has {parts} parts, and a signed token has three"));
        }
        let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
        let header = header.ok_or("its header is not base64url without padding")?;
        let header: StrictHeader =
            serde_json::from_slice(&header).map_err(|error| format!("its header is not one of ours: {error}"))?;
        if header.alg != "HS256" {
            return Err("its algorithm (alg) is not HS256".into());
        }
        if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err("its type (typ) is not JWT: it was made for something else".into());
        }
        self.keys.iter().find(|key| key.id == header.kid).ok_or_else(|| {
            let known: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
            format!("its key (kid) is none of admin.signing_keys, which are: {}", known.join(", "))
        })
    }

    fn judge(&self, claims: Claims, now: Timestamp) -> Result<Claims, Refusal> {
        let now = now.millis().div_euclid(1000);
        let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(i64::MAX);
        let longest = i64::try_from(self.max_ttl.as_secs()).unwrap_or(i64::MAX);
        let for_us = match &claims.aud {
            Audience::One(one) => *one == self.audience,
            Audience::Several(several) => several.contains(&self.audience),
        };
        let fault = if claims.exp.saturating_add(leeway) < now {
            "the token has expired"
        } else if claims.nbf.saturating_sub(leeway) > now {
            "the token is not valid yet"
        } else if claims.iat.saturating_sub(leeway) > now {
            "the token was signed in the future: compare the clocks"
        } else if claims.exp.saturating_sub(claims.iat) > longest {
            "the token lives longer than admin.max_token_ttl"
        } else if claims.exp <= claims.iat {
            "the token expires before it was signed"
        } else if claims.iss != self.issuer {
            "the issuer (iss) is another one"
        } else if !for_us {
            "the audience (aud) is another one"
        } else if !is_subject(&claims.sub) {
            "the subject (sub) is empty or too long"
        } else if claims.jti.is_empty() || claims.jti.len() > MAX_SUBJECT {
            "the token's id (jti) is empty or too long"
        } else {
            return Ok(claims);
        };
        Err(Refusal::Lacking(fault.to_owned()))
    }
}

fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_SUBJECT && !text.chars().any(char::is_control)
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The claims of a token without any proof, for `token inspect`: a text that may hold anything.
#[must_use]
pub fn unproved_payload(token: &str) -> Option<serde_json::Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests;
