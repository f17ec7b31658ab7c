//! The rows of the replicas: what is asked of a database, whichever it is. Instants are by the database's clock.
//! It only tells the kinds apart; who counts, and for how long, is for `keys::fleet` to say.

mod postgres; // the statements for Postgres
mod sqlite; // the statements for SQLite

use crate::clock::Timestamp;
use crate::keys::fleet::{Replica, Sign};
use crate::store::{Database, StoreError, database::Kind};
use std::time::Duration;

/// Writes a replica's row and deletes those that were not written for a time; what the database's clock says.
pub(in crate::keys) async fn beat(
    database: &Database,
    sign: Sign<'_>,
    forget_after: Duration,
) -> Result<Timestamp, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::beat(postgres, sign, forget_after).await,
        Kind::Sqlite(sqlite) => sqlite::beat(sqlite, sign, forget_after).await,
    }
}

/// Deletes a replica's row.
pub(in crate::keys) async fn leave(database: &Database, id: &str) -> Result<(), StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::leave(postgres, id).await,
        Kind::Sqlite(sqlite) => sqlite::leave(sqlite, id).await,
    }
}

/// Every row, the replica that started last first.
pub(in crate::keys) async fn replicas(database: &Database) -> Result<Vec<Replica>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::replicas(postgres).await,
        Kind::Sqlite(sqlite) => sqlite::replicas(sqlite).await,
    }
}

/// What each replica but one has taken in, of those that answer about keys and were seen within a time.
pub(in crate::keys) async fn acked(database: &Database, but: &str, within: Duration) -> Result<Vec<i64>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::acked(postgres, but, within).await,
        Kind::Sqlite(sqlite) => sqlite::acked(sqlite, but, within).await,
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a replica from a row of either database.
macro_rules! replica_of {
    ($row:expr) => {{
        use crate::clock::Timestamp;
        use sqlx::Row;
        let row = $row;
        Ok::<crate::keys::fleet::Replica, sqlx::Error>(crate::keys::fleet::Replica {
            id: row.try_get("id")?,
            role: row.try_get("role")?,
            version: row.try_get("version")?,
            started_at: Timestamp::from_millis(row.try_get("started_at")?),
            seen_at: Timestamp::from_millis(row.try_get("seen_at")?),
            generation: row.try_get("generation")?,
            hash: row.try_get("hash")?,
            ready: row.try_get("ready")?,
            index_age_ms: row.try_get("index_age_ms")?,
            acked_seq: row.try_get("acked_seq")?,
            clock_skew_ms: row.try_get("clock_skew_ms")?,
            running: row.try_get("running")?,
        })
    }};
}

use replica_of;
