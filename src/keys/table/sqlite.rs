//! The statements for SQLite. Times are milliseconds since the epoch; writers begin with `begin immediate`.
//! Their meaning is in `table`; nothing is decided here.

mod all; // every row, in pieces

use super::{
    Change, Hold, Inserted, LOAD_LIMIT, MAX_EVENTS, Outcome, Repeat, Revoked, Row, Take, after, columns, created_body,
    is_full, readable, record_of, revoked_body, told_of,
};
use crate::audit::chain::sqlite::{append, head};
use crate::audit::{Actor, Head};
use crate::clock::Timestamp;
use crate::keys::KeysError;
use crate::keys::follow::{Changes, Told};
use crate::keys::import::{Clash, Mode};
use crate::keys::record::Record;
use crate::name::Kid;
use crate::store::{StoreError, sqlite::Sqlite};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row as _, SqliteConnection};
use std::collections::{HashMap, HashSet};

/// The columns of a record, in the words that both statements share.
macro_rules! columns_of_a_record {
    () => {
        "kid, name, owner, environment, scopes, created_at, created_by, expires_at, last_used_at, \
    disabled_at, revoked_at, revoke_reason, rotated_to, grace_until, ip_allow, rate_limit, metadata, version, hash, \
    hash_alg, pepper"
    };
}

pub(super) async fn load(sqlite: &Sqlite, hold: Hold, take: Take<'_>) -> Result<Head, StoreError> {
    sqlite
        .call_within("loading the keys", LOAD_LIMIT, async |c| {
            let mut tx = match hold {
                Hold::Nothing => c.begin().await?,
                Hold::End => c.begin_with("begin immediate").await?,
            };
            let head = head(&mut tx).await?;
            all::each(&mut tx, take).await?;
            Ok(head)
        })
        .await
}

fn row_of(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let record = record_of!(row)?;
    let fingerprint = record.fingerprint();
    Ok(Row { record, fingerprint })
}

pub(super) async fn present(sqlite: &Sqlite, kids: &[Kid]) -> Result<HashSet<String>, StoreError> {
    sqlite
        .call("comparing the keys", async |c| {
            let mut present = HashSet::new();
            for kid in kids {
                let row = sqlx::query_scalar("select kid from api_keys where kid = $1");
                present.extend(row.bind(kid.as_str()).fetch_optional(&mut *c).await?);
            }
            Ok(present)
        })
        .await
}

pub(super) async fn versions(sqlite: &Sqlite, kids: &[Kid]) -> Result<HashMap<String, i64>, StoreError> {
    sqlite
        .call("comparing the keys", async |c| {
            let mut versions = HashMap::new();
            for kid in kids {
                let query = sqlx::query_scalar("select version from api_keys where kid = $1").bind(kid.as_str());
                versions.extend(query.fetch_optional(&mut *c).await?.map(|version: i64| (kid.to_string(), version)));
            }
            Ok(versions)
        })
        .await
}

pub(super) async fn changed_since(sqlite: &Sqlite, known: Head) -> Result<Option<Changes>, StoreError> {
    const EVENTS: &str = "select seq, kind, kid, actor, prev_hash, hash, \
        cast(unixepoch('subsec') * 1000 as integer) - at as age_ms \
        from key_events \
        where seq > $1 and seq <= (select seq from key_chain_head where id = 1) order by seq limit $2";
    const CHANGED: &str = concat!(
        "select ",
        columns_of_a_record!(),
        " from api_keys where kid in (select kid from key_events where seq > $1 and seq <= $2)"
    );
    sqlite
        .call("following the keys", async |c| {
            let mut tx = c.begin().await?;
            let rows = sqlx::query(EVENTS).bind(known.seq).bind(MAX_EVENTS).fetch_all(&mut *tx).await?;
            let events = rows.iter().map(|row| told_of!(row)).collect::<Result<Vec<Told>, _>>()?;
            let Some(after) = after(known, &events) else {
                return Ok((head(&mut tx).await? == known).then(|| Changes::none(known)));
            };
            let Some(head) = after else { return Ok(None) };
            let rows = sqlx::query(CHANGED).bind(known.seq).bind(head.seq).fetch_all(&mut *tx).await?;
            let records = rows.iter().filter_map(|row| readable(row_of(row)).transpose()).collect::<Result<_, _>>()?;
            Ok(Some(Changes { are_all: !is_full(&events), events, records, head }))
        })
        .await
}

pub(super) async fn insert(
    sqlite: &Sqlite,
    record: &Record,
    change: Change<'_>,
    repeat: Option<&Repeat>,
) -> Result<Inserted, StoreError> {
    sqlite
        .call("making a key", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            if let Some(repeat) = repeat
                && let Some(before) = repeated(&mut tx, repeat, record, change).await?
            {
                return Ok(before);
            }
            insert_row(&mut tx, record).await?;
            let seq = append(&mut tx, record.kid.as_str(), change, created_body(record)).await?;
            tx.commit().await?;
            Ok(Inserted::New(seq))
        })
        .await
}

pub(super) async fn import(
    sqlite: &Sqlite,
    records: &[&Record],
    change: Change<'_>,
    mode: Mode,
) -> Result<(Vec<Option<Clash>>, bool), StoreError> {
    sqlite
        .call("importing keys", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            let mut clashes = Vec::new();
            for record in records {
                let clash = clash(&mut tx, record).await?;
                clashes.push(clash);
                if clash.is_none() {
                    // What comes later in the list must not have the same id or hash.
                    insert_row(&mut tx, record).await?;
                    append(&mut tx, record.kid.as_str(), change, created_body(record)).await?;
                }
            }
            let done = match mode {
                Mode::DryRun => false,
                Mode::AllOrNothing => clashes.iter().all(Option::is_none),
                Mode::Partial => true,
            };
            if done {
                tx.commit().await?
            } else {
                tx.rollback().await?
            }
            Ok((clashes, done))
        })
        .await
}

async fn clash(c: &mut SqliteConnection, record: &Record) -> Result<Option<Clash>, sqlx::Error> {
    if one(c, record.kid.as_str()).await?.is_some() {
        return Ok(Some(Clash::Kid));
    }
    let query =
        "select kid from api_keys where hash = $1 and hash_alg in ('whole-sha256', 'whole-hmac-sha256') limit 1";
    let hash = record.hash.as_ref().map(|hash| hash.bytes.to_vec());
    let known = sqlx::query(query).bind(hash).fetch_optional(c).await?;
    Ok(known.map(|_| Clash::Hash))
}

pub(super) async fn revoke(
    sqlite: &Sqlite,
    kid: &Kid,
    reason: Option<&str>,
    change: Change<'_>,
) -> Result<Revoked, StoreError> {
    sqlite
        .call("revoking a key", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            let before = head(&mut tx).await?.seq;
            let seq = end(&mut tx, kid, reason, change).await?.unwrap_or(before);
            let record = one(&mut tx, kid.as_str()).await?;
            tx.commit().await?;
            Ok(record.map_or(Revoked::Unknown, |record| Revoked::Done(Box::new(record), seq)))
        })
        .await
}

pub(super) async fn revoke_all(
    sqlite: &Sqlite,
    kids: &[Kid],
    reason: &str,
    change: Change<'_>,
) -> Result<Vec<Record>, StoreError> {
    sqlite
        .call("revoking keys", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            let mut ended = Vec::new();
            for kid in kids {
                if end(&mut tx, kid, Some(reason), change).await?.is_some() {
                    ended.extend(one(&mut tx, kid.as_str()).await?);
                }
            }
            tx.commit().await?;
            Ok(ended)
        })
        .await
}

pub(super) async fn edit(
    sqlite: &Sqlite,
    kid: &Kid,
    actor: &Actor,
    at: Timestamp,
    decide: impl FnOnce(Record) -> Result<Outcome, KeysError>,
) -> Result<Result<Option<(Record, i64)>, KeysError>, StoreError> {
    sqlite
        .call("changing a key", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            let before = head(&mut tx).await?.seq;
            let Some(record) = one(&mut tx, kid.as_str()).await? else { return Ok(Ok(None)) };
            let (edited, successor) = match decide(record) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(Outcome::Same(record)) => return Ok(Ok(Some((*record, before)))),
                Ok(Outcome::Edited(edited)) => (*edited, None),
                Ok(Outcome::Replaced(both)) => (both.0, Some(both.1)),
            };
            if let Some(successor) = successor {
                insert_row(&mut tx, &successor).await?;
                let created = Change { kind: "key.created", actor, at };
                append(&mut tx, successor.kid.as_str(), created, created_body(&successor)).await?;
            }
            update_row(&mut tx, &edited.record).await?;
            let seq = append(&mut tx, kid.as_str(), Change { kind: edited.kind, actor, at }, edited.body).await?;
            tx.commit().await?;
            Ok(Ok(Some((edited.record, seq))))
        })
        .await
}

/// Ends a key and records it: the number of its event; `None` where there is no such key or it was ended before.
async fn end(
    c: &mut SqliteConnection,
    kid: &Kid,
    reason: Option<&str>,
    change: Change<'_>,
) -> Result<Option<i64>, sqlx::Error> {
    let updated = sqlx::query(
        "update api_keys set revoked_at = $2, revoke_reason = $3, version = version + 1 \
         where kid = $1 and revoked_at is null",
    )
    .bind(kid.as_str())
    .bind(change.at.millis())
    .bind(reason)
    .execute(&mut *c)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(None);
    }
    append(c, kid.as_str(), change, revoked_body(reason)).await.map(Some)
}

async fn one(c: &mut SqliteConnection, kid: &str) -> Result<Option<Record>, sqlx::Error> {
    const ONE: &str = concat!("select ", columns_of_a_record!(), " from api_keys where kid = $1");
    let row = sqlx::query(ONE).bind(kid).fetch_optional(c).await?;
    row.as_ref().map(|row| record_of!(row)).transpose()
}

async fn repeated(
    c: &mut SqliteConnection,
    repeat: &Repeat,
    record: &Record,
    change: Change<'_>,
) -> Result<Option<Inserted>, sqlx::Error> {
    sqlx::query("delete from key_idempotency where expires_at <= $1").bind(change.at.millis()).execute(&mut *c).await?;
    let row = sqlx::query("select body_hash, kid from key_idempotency where id_hash = $1")
        .bind(repeat.id_hash.as_slice())
        .fetch_optional(&mut *c)
        .await?;
    if let Some(row) = row {
        let same = row.try_get::<Vec<u8>, _>("body_hash")? == repeat.body_hash;
        let kid = columns::kid(&row.try_get::<String, _>("kid")?)?;
        return Ok(Some(if same { Inserted::Again(kid) } else { Inserted::Conflict }));
    }
    sqlx::query("insert into key_idempotency (id_hash, body_hash, kid, expires_at) values ($1, $2, $3, $4)")
        .bind(repeat.id_hash.as_slice())
        .bind(repeat.body_hash.as_slice())
        .bind(record.kid.as_str())
        .bind(repeat.expires_at.millis())
        .execute(c)
        .await?;
    Ok(None)
}

async fn insert_row(c: &mut SqliteConnection, record: &Record) -> Result<(), sqlx::Error> {
    let hash = record.hash.as_ref();
    sqlx::query(
        "insert into api_keys (kid, created_at, name, owner, environment, scopes, created_by, expires_at, ip_allow, \
         rate_limit, metadata, version, hash, hash_alg, pepper) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(record.kid.as_str())
    .bind(record.created_at.millis())
    .bind(record.name.as_deref())
    .bind(record.owner.as_deref())
    .bind(record.environment.map(crate::settings::keys::Environment::as_str))
    .bind(columns::write_list(&record.scopes))
    .bind(record.created_by.as_deref())
    .bind(record.expires_at.map(Timestamp::millis))
    .bind(columns::write_list(&record.rare.ip_allow))
    .bind(record.rare.rate_limit.as_deref())
    .bind(columns::write_map(&record.rare.metadata))
    .bind(record.version)
    .bind(hash.map(|hash| hash.bytes.to_vec()))
    .bind(hash.map(super::super::hash::KeyHash::algorithm))
    .bind(hash.and_then(|hash| hash.pepper.as_ref()).map(crate::name::SecretName::as_str))
    .execute(c)
    .await?;
    Ok(())
}

/// Writes what can change of a key that was issued here.
async fn update_row(c: &mut SqliteConnection, record: &Record) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update api_keys set name = $2, owner = $3, scopes = $4, ip_allow = $5, rate_limit = $6, metadata = $7, version = $8, \
         expires_at = $9, disabled_at = $10, grace_until = $11, rotated_to = $12 where kid = $1",
    )
    .bind(record.kid.as_str())
    .bind(record.name.as_deref())
    .bind(record.owner.as_deref())
    .bind(columns::write_list(&record.scopes))
    .bind(columns::write_list(&record.rare.ip_allow))
    .bind(record.rare.rate_limit.as_deref())
    .bind(columns::write_map(&record.rare.metadata))
    .bind(record.version)
    .bind(record.expires_at.map(Timestamp::millis))
    .bind(record.rare.disabled_at.map(Timestamp::millis))
    .bind(record.rare.grace_until.map(Timestamp::millis))
    .bind(record.rare.rotated_to.as_ref().map(Kid::as_str))
    .execute(c)
    .await?;
    Ok(())
}
