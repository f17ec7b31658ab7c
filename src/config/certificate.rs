//! Reads the PEM files of `server.tls`, so that they are watched like every other file of the configuration.
//! What is in them is judged by `settings`.

use super::Places;
use super::files::{Reader, plain};
use super::written::Tls;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// The two files as they were read.
#[derive(Debug, Clone)]
pub struct Pem {
    /// The certificate chain.
    pub cert: Vec<u8>,
    /// The private key.
    pub key: Secret,
}

/// Reads both, or says of each what is wrong with it.
pub(super) fn read(written: &Tls, places: &Places, files: &mut Reader, problems: &mut Problems) -> Option<Pem> {
    let mut one = |key: &str, path: Option<&str>| {
        // A key that is missing was told already.
        let path = path?;
        let file = files.base_dir().join(path);
        match files.read(&file) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let message = format!("the file {path} cannot be read: {}", plain(&error));
                problems.error(Problem::new(places.of(key), key, message));
                None
            }
        }
    };
    let cert = one("server.tls.cert", written.cert.as_deref());
    let key = one("server.tls.key", written.key.as_deref());
    Some(Pem { cert: cert?, key: Secret::new(key?) })
}
