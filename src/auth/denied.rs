//! Tokens that are refused before their time, by their own id: kept in the home of the keys, known to every replica that
//! follows it, and beside it in `data_dir`, so that a process that starts while the home is away refuses them, too. An entry is
//! forgotten when the token would have expired anyway.

mod postgres; // the statements for Postgres
mod sqlite; // the statements for SQLite

use super::dev::write_private;
use crate::audit::Actor;
use crate::clock::Timestamp;
use crate::store::{Database, StoreError, database::Kind};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

/// The most tokens that are denied at once: each is looked at with each request. Change the signing key beyond that.
pub const MAX_DENIED: i64 = 10_000;

/// In which file of `data_dir` they are kept.
const FILE: &str = "denied-tokens.json";
/// The largest such file that is read: as many as there may be, with the longest ids.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// What an event of a denial is called.
const DENIED: &str = "token.denied";

/// The denied tokens, as this process knows them.
#[derive(Debug, Default)]
pub struct Denied {
    tokens: RwLock<HashMap<String, Timestamp>>,
    /// The number of the last denial that was taken in.
    seq: AtomicI64,
    /// How often the database had turned out to be another one by then.
    restarts: AtomicU64,
    /// Rings when more are denied.
    more: Notify,
    /// Where they are kept for the next start.
    file: PathBuf,
}

/// A wish to deny a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The id of the token.
    pub jti: String,
    /// Until when; later it has expired anyway.
    pub expires_at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// A denial as it is at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    jti: String,
    seq: i64,
    expires_at: Timestamp,
}

/// Why a token was not denied.
#[derive(Debug, thiserror::Error)]
pub enum DenyError {
    /// Too many are.
    #[error("{MAX_DENIED} tokens are denied already; take their signing key out of admin.signing_keys instead")]
    TooMany,
    /// It could not be recorded, and was not done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Denied {
    /// With what an earlier process kept in `data_dir`. A file that cannot be read is told of and left out: the home tells the
    /// same as soon as it can be reached.
    #[must_use]
    pub fn open(data_dir: &Path) -> Self {
        let file = data_dir.join(FILE);
        let kept = read(&file).unwrap_or_else(|error| {
            tracing::warn!(
                "{} cannot be read, so that denied tokens are known once the store of the keys is: {error}",
                file.display()
            );
            HashMap::new()
        });
        let tokens = kept.into_iter().map(|(jti, expires_at)| (jti, Timestamp::from_millis(expires_at))).collect();
        Self { tokens: RwLock::new(tokens), file, ..Self::default() }
    }

    /// Keeps them for the next start.
    async fn keep(&self) {
        let kept: BTreeMap<String, i64> = {
            let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
            tokens.iter().map(|(jti, expires_at)| (jti.clone(), expires_at.millis())).collect()
        };
        let file = self.file.clone();
        let writing = spawn_blocking(move || {
            file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            write_private(&file, &serde_json::to_string(&kept)?)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
        });
        if let Ok(Err(error)) = writing.await {
            tracing::warn!("denied tokens are not kept for the next start: {error}");
        }
    }

    /// Whether a token is refused.
    #[must_use]
    pub fn has(&self, jti: &str) -> bool {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).contains_key(jti)
    }

    /// Returns once a token is refused: what it began must end.
    pub async fn until_denied(&self, jti: &str) {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            // It listens before the look, so that nothing that happens in between is missed.
            more.as_mut().enable();
            if self.has(jti) {
                return;
            }
            more.await;
        }
    }

    /// Takes in what was denied since the last look, and forgets what has expired. Where the database turned out to be
    /// another one since then, as after the restore of a backup, numbers of before mean nothing; what is denied stays so.
    ///
    /// # Errors
    /// Any [`StoreError`]; what is known stays known.
    pub async fn follow(&self, database: &Database, restarts: u64, now: Timestamp) -> Result<(), StoreError> {
        if self.restarts.swap(restarts, Ordering::AcqRel) != restarts {
            self.seq.store(0, Ordering::Release);
        }
        let seq = self.seq.load(Ordering::Acquire);
        let rows = match database.kind() {
            Kind::Postgres(postgres) => postgres::since(postgres, seq).await?,
            Kind::Sqlite(sqlite) => sqlite::since(sqlite, seq).await?,
        };
        if rows.is_empty() && self.tokens.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        let has_more = !rows.is_empty();
        {
            let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
            for row in rows {
                self.seq.fetch_max(row.seq, Ordering::AcqRel);
                tokens.insert(row.jti, row.expires_at);
            }
            tokens.retain(|_, expires_at| expires_at.after(super::LEEWAY) > now);
        }
        self.more.notify_waiters();
        if has_more {
            self.keep().await;
        }
        Ok(())
    }

    /// Denies a token and records it, in one transaction; until when it is denied. Again: nothing changes.
    ///
    /// # Errors
    /// [`DenyError`]; then nothing was done, or nobody knows.
    pub async fn deny(
        &self,
        database: &Database,
        denial: &Denial,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Timestamp, DenyError> {
        let row = match database.kind() {
            Kind::Postgres(postgres) => postgres::deny(postgres, denial, actor, now).await?,
            Kind::Sqlite(sqlite) => sqlite::deny(sqlite, denial, actor, now).await?,
        };
        let row = row.ok_or(DenyError::TooMany)?;
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(row.jti, row.expires_at);
        self.more.notify_waiters();
        Ok(row.expires_at)
    }
}

fn read(file: &Path) -> io::Result<HashMap<String, i64>> {
    let mut text = String::new();
    match File::open(file) {
        Ok(open) => open.take(MAX_FILE).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    Ok(serde_json::from_str(&text)?)
}

/// What the event says beside the id.
fn body(denial: &Denial) -> String {
    serde_json::json!({ "expires_at": denial.expires_at.to_string(), "reason": denial.reason }).to_string()
}
