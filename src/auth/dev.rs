//! What a laptop makes for itself so that `cargo run` needs nothing: a signing secret, and a token for console and CLI.
//! Only the profile `dev` on a loopback address comes here; both files are readable by their owner alone.

use super::{Auth, Role};
use crate::clock::Timestamp;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the printed token lives; it is renewed at half its life.
pub const TOKEN_TTL: Duration = Duration::from_secs(12 * 3600);
/// Bytes drawn for the secret, before they are written as text.
const SECRET_BYTES: usize = 48;

/// Where the secret is kept.
#[must_use]
pub fn secret_file(data_dir: &Path) -> PathBuf {
    data_dir.join("dev.jwt")
}

/// Where console and CLI find a token.
#[must_use]
pub fn token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("dev.token")
}

/// The secret of this laptop, made at the first start.
///
/// # Errors
/// When the folder or the file cannot be read or written.
pub fn secret(data_dir: &Path) -> io::Result<Secret> {
    if let Some(secret) = existing_secret(data_dir)? {
        return Ok(secret);
    }
    let mut bytes = [0u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    fs::create_dir_all(data_dir)?;
    write_private(&secret_file(data_dir), &text)?;
    Ok(Secret::new(text))
}

/// The secret of this laptop, where an earlier start made one: for commands that make nothing.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn existing_secret(data_dir: &Path) -> io::Result<Option<Secret>> {
    match fs::read(secret_file(data_dir)) {
        Ok(bytes) if bytes.len() >= crate::settings::admin::MIN_SECRET => Ok(Some(Secret::new(bytes))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Signs a fresh admin token and puts it where console and CLI find it.
///
/// # Errors
/// When it cannot be signed or written.
pub fn renew_token(auth: &Auth, data_dir: &Path, ttl: Duration, now: Timestamp) -> io::Result<String> {
    let token = auth.mint("dev", Role::Admin, ttl, now).map_err(io::Error::other)?;
    write_private(&token_file(data_dir), &token)?;
    Ok(token)
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension(format!("new.{}", std::process::id()));
    // A draft of a process that died has the same number at worst, and then it is ours to replace.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
