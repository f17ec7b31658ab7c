//! The statements of the chain for SQLite. Whoever appends began with `begin immediate`, so that numbers follow commits.
//! Times are milliseconds since the epoch.

use super::{Link, TAKEN_FOR, entry_of};
use crate::audit::{Change, Entry, GENESIS, Head};
use crate::clock::Timestamp;
use crate::store::{StoreError, sqlite::Sqlite};
use sqlx::{Connection, Row, SqliteConnection};

/// The end of the chain; `begin immediate` holds it.
///
/// # Errors
/// Those of the driver.
pub async fn head(c: &mut SqliteConnection) -> Result<Head, sqlx::Error> {
    let row = sqlx::query("select seq, hash from key_chain_head where id = 1").fetch_one(c).await?;
    Ok(Head { seq: row.try_get("seq")?, hash: row.try_get::<Vec<u8>, _>("hash")?.try_into().unwrap_or(GENESIS) })
}

/// Appends an entry, whose number it says.
///
/// # Errors
/// Those of the driver.
pub async fn append(c: &mut SqliteConnection, subject: &str, link: Link<'_>, body: String) -> Result<i64, sqlx::Error> {
    let head = head(c).await?;
    let entry = Entry::next(head, link.at, link.actor, link.kind, subject, body);
    sqlx::query(
        "insert into key_events (seq, at, kid, kind, actor, role, ip, request_id, body, prev_hash, hash) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(entry.seq)
    .bind(entry.at.millis())
    .bind(&entry.subject)
    .bind(&entry.kind)
    .bind(&entry.actor)
    .bind(&entry.role)
    .bind(&entry.ip)
    .bind(&entry.request_id)
    .bind(&entry.body)
    .bind(entry.prev_hash.as_slice())
    .bind(entry.hash.as_slice())
    .execute(&mut *c)
    .await?;
    sqlx::query("update key_chain_head set seq = $1, hash = $2 where id = 1")
        .bind(entry.seq)
        .bind(entry.hash.as_slice())
        .execute(c)
        .await?;
    Ok(entry.seq)
}

pub(super) async fn append_all(sqlite: &Sqlite, changes: &[(String, Change)]) -> Result<(), StoreError> {
    sqlite
        .call("writing the audit", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            for (id, change) in changes {
                if is_new(&mut tx, id).await? {
                    let link = Link { kind: &change.action, actor: &change.actor, at: change.at };
                    append(&mut tx, &change.subject, link, change.body()).await?;
                }
            }
            sqlx::query("delete from audit_taken where taken_at < $1")
                .bind(Timestamp::now().before(TAKEN_FOR).millis())
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
}

async fn is_new(c: &mut SqliteConnection, id: &str) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query("insert into audit_taken (id, taken_at) values ($1, $2) on conflict (id) do nothing")
        .bind(id)
        .bind(Timestamp::now().millis())
        .execute(c)
        .await?;
    Ok(taken.rows_affected() > 0)
}

const COLUMNS: &str = "seq, at, kid, kind, actor, role, ip, request_id, body, prev_hash, hash";

pub(super) async fn before(sqlite: &Sqlite, seq: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
    read(sqlite, "where seq < $1 order by seq desc limit $2", seq, limit).await
}

pub(super) async fn after(sqlite: &Sqlite, seq: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
    read(sqlite, "where seq > $1 order by seq limit $2", seq, limit).await
}

async fn read(sqlite: &Sqlite, which: &'static str, seq: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
    sqlite
        .call("reading the audit", async |c| {
            let query = sqlx::AssertSqlSafe(format!("select {COLUMNS} from key_events {which}"));
            let rows = sqlx::query(query).bind(seq).bind(limit).fetch_all(c).await?;
            rows.iter().map(|row| entry_of!(row)).collect()
        })
        .await
}
