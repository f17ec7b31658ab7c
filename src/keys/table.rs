//! The keys at rest: what is asked of a database, whichever it is. Every change and its event are one transaction that
//! locks the end of the chain first, so that the order of events is the order of commits.

pub(super) mod check; // all rows as one number, and which are gone
pub(super) mod fleet; // the rows of the replicas
pub(super) mod usage; // how keys are used

mod postgres; // the statements for Postgres
mod sqlite; // the statements for SQLite

use super::KeysError;
use super::edit::Edited;
use super::follow::{Changes, Told};
use super::import::{Clash, Mode};
use super::record::Record;
pub(super) use crate::audit::chain::Link as Change;
use crate::audit::{Actor, Head};
use crate::clock::Timestamp;
use crate::name::{Kid, NotAKid};
use crate::store::{Database, StoreError, database::Kind};
use sqlx::{PgConnection, SqliteConnection};
use std::time::Duration;

/// What makes a creation repeatable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeat {
    /// SHA-256 of the client's idempotency key.
    pub(super) id_hash: [u8; 32],
    /// SHA-256 of what was asked for.
    pub(super) body_hash: [u8; 32],
    pub(super) expires_at: Timestamp,
}

/// What came of a creation.
#[derive(Debug)]
pub(super) enum Inserted {
    /// The key is new; its event has this number.
    New(i64),
    /// The same was asked before, and made this key.
    Again(Kid),
    /// The idempotency key was used for something else.
    Conflict,
}

/// What came of a revocation.
#[derive(Debug)]
pub(super) enum Revoked {
    /// It is revoked, or was before; whoever has come to this event knows.
    Done(Box<Record>, i64),
    /// There is no such key.
    Unknown,
}

/// What becomes of a record that was looked at under the lock.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing.
    Same(Box<Record>),
    /// It changes.
    Edited(Box<Edited>),
    /// It changes, and a new one stands beside it.
    Replaced(Box<(Edited, Record)>),
}

/// A record as it was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: Record,
    /// One number for all that the row says, but for the last use, which is no change; never zero.
    pub(super) fingerprint: i64,
}

/// Whoever takes rows one by one, so that a million of them never lie about twice.
pub(super) type Take<'a> = &'a mut (dyn FnMut(Row) + Send);

/// How many rows there are about now.
pub(super) async fn count(database: &Database) -> Result<usize, StoreError> {
    const COUNT: &str = "select count(*) from api_keys";
    let count: i64 = match database.kind() {
        Kind::Postgres(postgres) => {
            let count = async |c: &mut PgConnection| sqlx::query_scalar(COUNT).persistent(false).fetch_one(c).await;
            postgres.call_within("counting the keys", LOAD_LIMIT, count).await?
        }
        Kind::Sqlite(sqlite) => {
            let count = async |c: &mut SqliteConnection| sqlx::query_scalar(COUNT).fetch_one(c).await;
            sqlite.call_within("counting the keys", LOAD_LIMIT, count).await?
        }
    };
    Ok(usize::try_from(count).unwrap_or_default())
}

/// What stands still while rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing: the rows are those of one moment.
    Nothing,
    /// The end of the chain: no key changes until the last row was taken.
    End,
}

/// Every row at one moment; the last event that they reflect.
pub(super) async fn load(database: &Database, hold: Hold, take: Take<'_>) -> Result<Head, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::load(postgres, hold, take).await,
        Kind::Sqlite(sqlite) => sqlite::load(sqlite, hold, take).await,
    }
}

/// The events after a known one, at most `MAX_EVENTS` of them, and the records that they touched; `None` where the known one
/// is not the database's.
pub(super) async fn changed_since(database: &Database, known: Head) -> Result<Option<Changes>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::changed_since(postgres, known).await,
        Kind::Sqlite(sqlite) => sqlite::changed_since(sqlite, known).await,
    }
}

/// Whether the event after a known one follows upon it.
pub(super) async fn has(database: &Database, known: Head) -> Result<bool, StoreError> {
    changed_since(database, known).await.map(|changes| changes.is_some())
}

/// Makes a key.
pub(super) async fn insert(
    database: &Database,
    record: &Record,
    change: Change<'_>,
    repeat: Option<&Repeat>,
) -> Result<Inserted, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::insert(postgres, record, change, repeat).await,
        Kind::Sqlite(sqlite) => sqlite::insert(sqlite, record, change, repeat).await,
    }
}

/// Takes records over in one transaction: what stands in the way of each, and whether it was done.
pub(super) async fn import(
    database: &Database,
    records: &[&Record],
    change: Change<'_>,
    mode: Mode,
) -> Result<(Vec<Option<Clash>>, bool), StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::import(postgres, records, change, mode).await,
        Kind::Sqlite(sqlite) => sqlite::import(sqlite, records, change, mode).await,
    }
}

/// Ends a key; a second time changes nothing.
pub(super) async fn revoke(
    database: &Database,
    kid: &Kid,
    reason: Option<&str>,
    change: Change<'_>,
) -> Result<Revoked, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::revoke(postgres, kid, reason, change).await,
        Kind::Sqlite(sqlite) => sqlite::revoke(sqlite, kid, reason, change).await,
    }
}

/// Ends keys in one transaction, those that are not ended yet; their records.
pub(super) async fn revoke_all(
    database: &Database,
    kids: &[Kid],
    reason: &str,
    change: Change<'_>,
) -> Result<Vec<Record>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::revoke_all(postgres, kids, reason, change).await,
        Kind::Sqlite(sqlite) => sqlite::revoke_all(sqlite, kids, reason, change).await,
    }
}

/// Looks at a key under the lock and does what `decide` says: the record, and the event that whoever knows of it has come
/// to; `None` where there is none. What `decide` refuses changes nothing.
pub(super) async fn edit(
    database: &Database,
    kid: &Kid,
    actor: &Actor,
    at: Timestamp,
    decide: impl FnOnce(Record) -> Result<Outcome, KeysError>,
) -> Result<Result<Option<(Record, i64)>, KeysError>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::edit(postgres, kid, actor, at, decide).await,
        Kind::Sqlite(sqlite) => sqlite::edit(sqlite, kid, actor, at, decide).await,
    }
}

/// The longest that reading all keys may take: a million of them on a slow machine.
const LOAD_LIMIT: Duration = Duration::from_secs(120);
/// The column of the id.
const KID: &str = "kid";
/// The most events that one look takes in; the next look follows at once.
const MAX_EVENTS: i64 = 1000;

/// A row, unless its id is none that a request could name: an adopted table may hold such, and one of them must not keep all
/// the other keys out.
fn readable<T>(row: Result<T, sqlx::Error>) -> Result<Option<T>, sqlx::Error> {
    match row {
        Err(sqlx::Error::ColumnDecode { index, .. }) if index == KID => Ok(None),
        row => row.map(Some),
    }
}

/// Tells of rows that were left out.
fn tell_of_unreadable(rows: usize) {
    if rows > 0 {
        tracing::warn!("{rows} rows of api_keys have a kid that none can be ({NotAKid}); they are left out");
    }
}

/// Whether there may be more events than were read at once.
fn is_full(events: &[Told]) -> bool {
    i64::try_from(events.len()).is_ok_and(|count| count >= MAX_EVENTS)
}

/// The last of the events after a known one; the inner `None`: they do not follow upon it. `None`: there are none.
#[expect(clippy::option_option, reason = "no event and a foreign event are two different things")]
fn after(known: Head, events: &[Told]) -> Option<Option<Head>> {
    let (first, last) = (events.first()?, events.last()?);
    Some((first.prev_hash == known.hash).then_some(Head { seq: last.seq, hash: last.hash }))
}

/// What an event says about a creation: what was decided, never the secret or its hash.
fn created_body(record: &Record) -> String {
    serde_json::json!({
        "name": record.name.as_deref(),
        "owner": record.owner.as_deref(),
        "scopes": record.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(),
        "expires_at": record.expires_at.map(|at| at.to_string()),
    })
    .to_string()
}

fn revoked_body(reason: Option<&str>) -> String {
    serde_json::json!({ "reason": reason }).to_string()
}

/// Reads a record from a row of either database: the columns have the same names and types in both statements.
macro_rules! record_of {
    ($row:expr) => {{
        use crate::clock::Timestamp;
        use crate::keys::table::columns;
        use sqlx::Row;
        let row = $row;
        let time = |name: &str| row.try_get::<Option<i64>, _>(name).map(|ms| ms.map(Timestamp::from_millis));
        let text = |name: &str| row.try_get::<Option<String>, _>(name);
        Ok::<crate::keys::Record, sqlx::Error>(crate::keys::Record {
            kid: columns::kid(&row.try_get::<String, _>("kid")?)?,
            name: text("name")?.map(Into::into),
            owner: text("owner")?.map(Into::into),
            environment: columns::environment(text("environment")?.as_deref()),
            scopes: columns::list(text("scopes")?.as_deref()).into_iter().map(Into::into).collect(),
            created_at: time("created_at")?.unwrap_or(Timestamp::EPOCH),
            created_by: text("created_by")?.map(Into::into),
            expires_at: time("expires_at")?,
            last_used_at: time("last_used_at")?,
            rare: crate::keys::Rare::of(crate::keys::Extras {
                disabled_at: time("disabled_at")?,
                revoked_at: time("revoked_at")?,
                revoke_reason: text("revoke_reason")?.map(Into::into),
                rotated_to: text("rotated_to")?.as_deref().and_then(|kid| crate::name::Kid::parse(kid).ok()),
                grace_until: time("grace_until")?,
                ip_allow: columns::networks(text("ip_allow")?.as_deref()),
                rate_limit: text("rate_limit")?.map(Into::into),
                metadata: columns::map(text("metadata")?.as_deref()),
            }),
            version: row.try_get::<Option<i64>, _>("version")?.unwrap_or(1),
            hash: crate::keys::hash::KeyHash::from_columns(
                row.try_get::<Option<Vec<u8>>, _>("hash")?,
                text("hash_alg")?.as_deref(),
                text("pepper")?.as_deref(),
            ),
        })
    }};
}

/// Reads an event from a row of either database, as the follower needs it.
macro_rules! told_of {
    ($row:expr) => {{
        use sqlx::Row;
        let row = $row;
        let kind: String = row.try_get("kind")?;
        let subject: String = row.try_get("kid")?;
        let hash = |name: &str| row.try_get::<Vec<u8>, _>(name).map(|bytes| bytes.try_into().unwrap_or([0u8; 32]));
        let kid = crate::name::Kid::parse(&subject).ok().filter(|_| kind.starts_with("key."));
        Ok::<crate::keys::follow::Told, sqlx::Error>(crate::keys::follow::Told {
            seq: row.try_get("seq")?,
            kind,
            kid,
            actor: row.try_get("actor")?,
            age_ms: row.try_get("age_ms")?,
            prev_hash: hash("prev_hash")?,
            hash: hash("hash")?,
        })
    }};
}

use {record_of, told_of};

/// From columns to parts of a record. What an adopted table holds in another form counts as nothing.
mod columns {
    use crate::name::Kid;
    use crate::settings::keys::Environment;
    use ipnet::IpNet;
    use std::collections::BTreeMap;

    /// A key id longer than any we take was not made by this program or the original.
    pub(super) fn kid(text: &str) -> Result<Kid, sqlx::Error> {
        Kid::parse(text)
            .map_err(|error| sqlx::Error::ColumnDecode { index: super::KID.into(), source: Box::new(error) })
    }

    pub(super) fn environment(text: Option<&str>) -> Option<Environment> {
        match text? {
            "test" => Some(Environment::Test),
            "live" => Some(Environment::Live),
            _ => None,
        }
    }

    pub(super) fn list(json: Option<&str>) -> Vec<String> {
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    pub(super) fn networks(json: Option<&str>) -> Vec<IpNet> {
        list(json).iter().filter_map(|text| text.parse().ok()).collect()
    }

    pub(super) fn map(json: Option<&str>) -> BTreeMap<String, String> {
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    pub(super) fn write_list<T: ToString>(items: &[T]) -> Option<String> {
        let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
        if texts.is_empty() { None } else { serde_json::to_string(&texts).ok() }
    }

    pub(super) fn write_map(map: &BTreeMap<String, String>) -> Option<String> {
        if map.is_empty() { None } else { serde_json::to_string(map).ok() }
    }
}
