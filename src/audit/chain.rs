//! The chain at rest, in the home of the keys: read in parts, and appended to by whoever holds its end.
//! It knows nothing of keys; a change of one is appended in the transaction that makes it.

pub mod postgres; // the statements for Postgres
pub mod sqlite; // the statements for SQLite

use super::{Actor, Break, Change, Entry, Head};
use crate::clock::Timestamp;
use crate::store::{Database, StoreError, database::Kind};
use std::time::Duration;

/// On which channel of Postgres or Redis it is told that the chain is longer.
pub const CHANNEL: &str = "monolith_keys";
/// How many entries are read at once while the whole chain is looked at.
const PART: u32 = 1000;

/// What is appended, apart from its place and its hashes.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Such as `key.created`.
    pub kind: &'a str,
    /// Who.
    pub actor: &'a Actor,
    /// When.
    pub at: Timestamp,
}

/// For how long a change is known to be in the chain by its own id; whoever died between writing it and noting so comes
/// again long before.
const TAKEN_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Appends changes in one transaction, each with an id of its own; one that was appended before is not appended again.
///
/// # Errors
/// Any [`StoreError`]; nothing is appended then, or nobody knows.
pub async fn append_all(database: &Database, changes: &[(String, Change)]) -> Result<(), StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::append_all(postgres, changes).await,
        Kind::Sqlite(sqlite) => sqlite::append_all(sqlite, changes).await,
    }
}

/// Entries before a number, newest first.
///
/// # Errors
/// Any [`StoreError`].
pub async fn before(database: &Database, seq: Option<i64>, limit: u32) -> Result<Vec<Entry>, StoreError> {
    let seq = seq.unwrap_or(i64::MAX);
    match database.kind() {
        Kind::Postgres(postgres) => postgres::before(postgres, seq, limit).await,
        Kind::Sqlite(sqlite) => sqlite::before(sqlite, seq, limit).await,
    }
}

/// Whether a chain holds, from its beginning to the end that is written down beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It does, up to here.
    Holds(Head),
    /// It does not.
    Broken(Break),
}

/// Follows the whole chain, in parts. `remembered` is an end that was noted before: it must be part of the chain still.
///
/// # Errors
/// Any [`StoreError`].
pub async fn prove(database: &Database, remembered: Option<Head>) -> Result<Proof, StoreError> {
    let mut head = Head::GENESIS;
    loop {
        let entries = after(database, head.seq, PART).await?;
        let known = remembered.and_then(|known| Some((known, entries.iter().find(|entry| entry.seq == known.seq)?)));
        if let Some((known, entry)) = known.filter(|(known, entry)| known.hash != entry.hash) {
            let before = entries.iter().filter(|earlier| earlier.seq < entry.seq);
            let broken = Break { seq: known.seq, why: "it is not the entry that was remembered" };
            return Ok(Proof::Broken(head.along(before).err().unwrap_or(broken)));
        }
        match head.along(&entries) {
            Err(broken) => return Ok(Proof::Broken(broken)),
            Ok(next) => head = next,
        }
        if entries.is_empty() {
            break;
        }
    }
    let written = end(database).await?;
    let cut = [Some(written), remembered].into_iter().flatten().any(|end| end.seq > head.seq);
    Ok(if cut {
        Proof::Broken(Break { seq: head.seq + 1, why: "it is missing, and so is everything after it" })
    } else if written.seq == head.seq && written != head {
        Proof::Broken(Break { seq: head.seq, why: "the end of the chain that is written down is another one" })
    } else {
        Proof::Holds(head)
    })
}

async fn after(database: &Database, seq: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::after(postgres, seq, limit).await,
        Kind::Sqlite(sqlite) => sqlite::after(sqlite, seq, limit).await,
    }
}

async fn end(database: &Database) -> Result<Head, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres.call("reading the audit", async |c| postgres::head(c).await).await,
        Kind::Sqlite(sqlite) => sqlite.call("reading the audit", async |c| sqlite::head(c).await).await,
    }
}

/// Reads an entry from a row of either database.
macro_rules! entry_of {
    ($row:expr) => {{
        use sqlx::Row;
        let row = $row;
        let hash = |name: &str| row.try_get::<Vec<u8>, _>(name).map(|bytes| bytes.try_into().unwrap_or([0u8; 32]));
        Ok::<crate::audit::Entry, sqlx::Error>(crate::audit::Entry {
            seq: row.try_get("seq")?,
            at: crate::clock::Timestamp::from_millis(row.try_get("at")?),
            subject: row.try_get("kid")?,
            kind: row.try_get("kind")?,
            actor: row.try_get("actor")?,
            role: row.try_get("role")?,
            ip: row.try_get("ip")?,
            request_id: row.try_get("request_id")?,
            body: row.try_get("body")?,
            prev_hash: hash("prev_hash")?,
            hash: hash("hash")?,
        })
    }};
}

use entry_of;
