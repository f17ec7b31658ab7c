//! A database of keys that the bench knows, and the requests that ask for them.
//! Keys are written straight into SQLite: creating 100,000 over the API would measure the disk.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{Connection, SqliteConnection};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// How many different keys are asked for; each request is made once and sent again and again.
const ASKED: usize = 4096;
/// The signing secret; nobody signs anything here.
const JWT_SECRET: &str = "7Qm0vKxY2bN5tR8wZ1cF4hJ6kL9pS3dG";
const BASE: &str = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n";

/// A folder with a configuration, a database, and what to ask.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) requests: Vec<Vec<u8>>,
}

impl Bench {
    pub(crate) async fn new(count: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("monolith.toml"), BASE)?;
        fs::create_dir(folder.path().join("profiles"))?;
        fs::write(folder.path().join("profiles/test.toml"), "[server]\ndrain_delay = \"0s\"\n")?;
        let migrated = monolith(folder.path()).arg("migrate").output()?;
        ensure!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let keys: Vec<Key> = (0..count).map(Key::numbered).collect();
        fill(&folder.path().join("keys.db"), &keys).await?;
        let list: String = keys.iter().map(|key| format!("{} {}\n", key.kid, key.secret)).collect();
        fs::write(folder.path().join("keys.txt"), list)?;
        let step = (count / ASKED).max(1);
        let requests = keys.iter().step_by(step).map(|key| request(&key.text())).collect();
        Ok(Self { folder, requests })
    }
}

/// The binary under measurement, in a folder, with nothing of this process' environment.
pub(crate) fn monolith(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monolith"));
    command.current_dir(folder).env_clear().env("MONOLITH_PROFILE", "test").env("JWT_SECRET", JWT_SECRET);
    command.env("MONOLITH_TELEMETRY__LOG", "warn");
    command
}

struct Key {
    kid: String,
    secret: String,
}

impl Key {
    /// The same keys in every run: what a hash makes of a number.
    fn numbered(number: usize) -> Self {
        let digits = |salt: &str, length: usize| -> String {
            let hash = Sha256::digest(format!("{salt}{number}"));
            hash.iter()
                .map(|byte| char::from(BASE62.get(usize::from(byte % 62)).copied().unwrap_or(b'0')))
                .take(length)
                .collect()
        };
        Self { kid: digits("kid", 12), secret: digits("secret", 32) }
    }

    fn text(&self) -> String {
        text(&self.kid, &self.secret)
    }
}

/// Asks about an id that nobody has: any number beyond the number of keys.
pub(crate) fn unknown(number: usize) -> Vec<u8> {
    request(&Key::numbered(number).text())
}

/// Asks about one key's id with the secret of another one.
pub(crate) fn wrong_secret(number: usize, other: usize) -> Vec<u8> {
    request(&text(&Key::numbered(number).kid, &Key::numbered(other).secret))
}

/// A whole key.
pub(crate) fn text(kid: &str, secret: &str) -> String {
    let covered = format!("mono_test_{kid}_{secret}");
    format!("{covered}{}", check_digits(covered.as_bytes()))
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The last six characters of a key, as DESIGN §6 says them.
pub(crate) fn check_digits(covered: &[u8]) -> String {
    let mut rest = crc32fast::hash(covered) as usize;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get(rest % 62).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

async fn fill(database: &Path, keys: &[Key]) -> Result<()> {
    let options = SqliteConnectOptions::new().filename(database).journal_mode(SqliteJournalMode::Wal);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut tx = connection.begin().await?;
    for key in keys {
        sqlx::query(
            "insert into api_keys (kid, created_at, name, owner, environment, scopes, created_by, expires_at, version, hash, hash_alg)
             values ($1, 1700000000000, 'bench', 'team', 'test', '[\"orders:read\"]', 'bench', 4000000000000, 1, $2, 'sha256')",
        )
        .bind(&key.kid)
        .bind(Sha256::digest(key.secret.as_bytes()).to_vec())
        .execute(&mut *tx)
        .await
        .context("a key cannot be written")?;
    }
    tx.commit().await?;
    Ok(connection.close().await?)
}

/// The key stands in a header, too, for whoever cannot read a body.
fn request(key: &str) -> Vec<u8> {
    let body = format!(r#"{{"key":"{key}","scopes":["orders:read"]}}"#);
    format!(
        "POST /api/keys/verify HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
