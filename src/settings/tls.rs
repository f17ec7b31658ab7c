//! The certificate that the server shows, with its key: known to belong together before anything uses them.
//! Files are read by `config`; handshakes are `http`.

use super::compile::Compiler;
use crate::clock::Timestamp;
use crate::config::certificate::Pem;
use crate::config::written;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A certificate chain and its key.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Both, ready to be shown.
    pub certified: Arc<CertifiedKey>,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it expires.
    pub not_after: Timestamp,
    /// SHA-256 over both files: what makes one certificate another.
    fingerprint: [u8; 32],
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Compiler<'_> {
    pub(super) fn tls(&mut self, written: &written::Tls) -> Option<Tls> {
        // Files that could not be read were told by `config`.
        let pem = self.loaded.pem.as_ref()?;
        let (cert, key) = (written.cert.as_deref().unwrap_or_default(), written.key.as_deref().unwrap_or_default());
        let chain = self.chain(cert, pem);
        let private = self.private_key(key, pem);
        let (chain, private) = (chain?, private?);
        let Some((not_before, not_after)) = chain.first().and_then(|leaf| validity(leaf)) else {
            self.error("server.tls.cert", format!("the file {cert} holds something else than an X.509 certificate"));
            return None;
        };
        let signing = match any_supported_type(&private) {
            Ok(signing) => signing,
            Err(_) => {
                let message = format!("the private key in {key} is of a kind that is not supported");
                self.error_with_hint(
                    "server.tls.key",
                    message,
                    "supported are RSA, ECDSA (P-256, P-384, P-521) and Ed25519",
                );
                return None;
            }
        };
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                let message = format!("the private key in {key} does not belong to the certificate in {cert}");
                self.error_with_hint(
                    "server.tls.key",
                    message,
                    "the server's own certificate must be the first in its file",
                );
                return None;
            }
            Err(error) => {
                self.error("server.tls.cert", format!("the certificate in {cert} cannot be used: {error}"));
                return None;
            }
        }
        self.judge_validity(cert, not_before, not_after);
        let mut hasher = Sha256::new();
        hasher.update(Sha256::digest(&pem.cert));
        hasher.update(Sha256::digest(pem.key.expose()));
        let fingerprint = hasher.finalize().into();
        Some(Tls { certified: Arc::new(certified), not_before, not_after, fingerprint })
    }

    fn chain(&mut self, file: &str, pem: &Pem) -> Option<Vec<CertificateDer<'static>>> {
        match CertificateDer::pem_slice_iter(&pem.cert).collect::<Result<Vec<_>, _>>() {
            Ok(chain) if !chain.is_empty() => Some(chain),
            Ok(_) => {
                let message = format!("the file {file} holds no certificate in PEM");
                self.error_with_hint("server.tls.cert", message, "it begins with -----BEGIN CERTIFICATE-----");
                None
            }
            Err(_) => {
                self.error("server.tls.cert", format!("the file {file} is broken: one of its PEM sections has no end"));
                None
            }
        }
    }

    fn private_key(&mut self, file: &str, pem: &Pem) -> Option<PrivateKeyDer<'static>> {
        if let Ok(private) = PrivateKeyDer::from_pem_slice(pem.key.expose()) {
            return Some(private);
        }
        let text = pem.key.expose_text().unwrap_or_default();
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            let message = format!("the private key in {file} is encrypted");
            let hint = "nobody is there to type its password: openssl pkey -in FILE -out server.key";
            self.error_with_hint("server.tls.key", message, hint);
        } else {
            let message = format!("the file {file} holds no private key in PEM");
            self.error_with_hint("server.tls.key", message, "it begins with -----BEGIN PRIVATE KEY-----");
        }
        None
    }

    /// An old certificate is served all the same: to refuse it would take down clients that do not look at it.
    fn judge_validity(&mut self, file: &str, not_before: Timestamp, not_after: Timestamp) {
        if not_after < self.now {
            self.warn("server.tls.cert", format!("the certificate in {file} expired at {not_after}"));
        } else if not_before > self.now {
            self.warn("server.tls.cert", format!("the certificate in {file} is not valid before {not_before}"));
        }
    }
}

/// The tags of DER that are met on the way to a certificate's validity (X.690; RFC 5280, section 4.1).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when to when a certificate is valid; `None` where it is not one.
fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    if element(rest)?.0 == VERSION {
        rest = element(rest)?.2;
    }
    for _serial_algorithm_issuer in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (tag, not_before, rest) = element(validity)?;
    let (other_tag, not_after, _) = element(rest)?;
    Some((instant(tag, not_before)?, instant(other_tag, not_after)?))
}

/// The first element of a DER text: its tag, its content, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80).filter(|(bytes, _)| bytes.len() <= 4)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ`, where 50 and above is the last century, or `YYYYMMDDHHMMSSZ`.
fn instant(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    Some(Timestamp::from_jiff(time.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}
