//! `GET /.well-known/jwks.json`: the public keys that verify what gateways are told (RFC 7517, RFC 8037).
//! No private half stands here.

use serde::{Deserialize, Serialize};

/// The keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwks {
    /// None, where no assertions are made.
    pub keys: Vec<Jwk>,
}

/// One Ed25519 key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The public key, in base64url.
    pub x: String,
    /// Its thumbprint: the `kid` of what it signed.
    pub kid: String,
    /// `EdDSA`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}
