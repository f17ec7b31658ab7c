//! The key that signs what a gateway is told of a caller, so that the service behind it need not believe any header.
//! Which assertions are made with it is `crate::http`.

use super::compile::Compiler;
use crate::config::written;
use crate::secret::Secret;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// Answers to gateways.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForwardAuth {
    /// Signs assertions; `None`: none are made.
    pub assertion: Option<AssertionKey>,
}

/// An Ed25519 key.
#[derive(Clone)]
pub struct AssertionKey {
    pair: Arc<Ed25519KeyPair>,
    /// The public half, in base64url, as it stands in a key set.
    pub x: String,
    /// Its thumbprint (RFC 7638): the `kid` of what it signs.
    pub id: String,
}

/// Why a text is no such key.
const WRONG: &str = "does not hold an Ed25519 key in PKCS#8 PEM";

impl AssertionKey {
    /// Reads a key from PEM.
    #[must_use]
    pub fn parse(pem: &Secret) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).ok()?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let thumb = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(thumb));
        Some(Self { pair: Arc::new(pair), x, id })
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl PartialEq for AssertionKey {
    fn eq(&self, other: &Self) -> bool {
        self.x == other.x
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.id)
    }
}

impl Compiler<'_> {
    pub(super) fn forward_auth(&mut self, written: &written::ForwardAuth) -> ForwardAuth {
        const KEY: &str = "forward_auth.assertion_key";
        let Some(name) = written.assertion_key.as_deref() else { return ForwardAuth::default() };
        let Some(secret) = self.secret(KEY, name) else { return ForwardAuth::default() };
        let assertion = AssertionKey::parse(&secret);
        if assertion.is_none() {
            let message = format!("the secret `{name}` {WRONG}");
            self.error_with_hint(KEY, message, "make one with: openssl genpkey -algorithm ed25519");
        }
        ForwardAuth { assertion }
    }
}
