//! Who may sign and hold admin tokens.
//! Minting and judging a token is `auth`; here stands only by which rules.

use crate::secret::Secret;
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
