//! Tokens that are refused before their time, by their own id: kept in the home of the keys, known to every replica that
//! follows it. An entry is forgotten when the token would have expired anyway.

mod postgres; // the statements for Postgres
mod sqlite; // the statements for SQLite

use crate::audit::Actor;
use crate::clock::Timestamp;
use crate::store::{Database, StoreError, database::Kind};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use tokio::sync::Notify;

/// The most tokens that are denied at once: each is looked at with each request. Change the signing key beyond that.
pub const MAX_DENIED: i64 = 10_000;

/// What an event of a denial is called.
const DENIED: &str = "token.denied";

/// The denied tokens, as this process knows them.
#[derive(Debug, Default)]
pub struct Denied {
    tokens: RwLock<HashMap<String, Timestamp>>,
    /// The number of the last denial that was taken in.
    seq: AtomicI64,
    /// Rings when more are denied.
    more: Notify,
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

    /// Takes in what was denied since the last look, and forgets what has expired.
    ///
    /// # Errors
    /// Any [`StoreError`]; what is known stays known.
    pub async fn follow(&self, database: &Database, now: Timestamp) -> Result<(), StoreError> {
        let seq = self.seq.load(Ordering::Acquire);
        let rows = match database.kind() {
            Kind::Postgres(postgres) => postgres::since(postgres, seq).await?,
            Kind::Sqlite(sqlite) => sqlite::since(sqlite, seq).await?,
        };
        if rows.is_empty() && self.tokens.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            self.seq.fetch_max(row.seq, Ordering::AcqRel);
            tokens.insert(row.jti, row.expires_at);
        }
        tokens.retain(|_, expires_at| expires_at.after(super::LEEWAY) > now);
        self.more.notify_waiters();
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

/// What the event says beside the id.
fn body(denial: &Denial) -> String {
    serde_json::json!({ "expires_at": denial.expires_at.to_string(), "reason": denial.reason }).to_string()
}
