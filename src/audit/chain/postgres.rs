//! The statements of the chain for Postgres. Whoever appends locks the end first, so that numbers follow commits.
//! Times travel as milliseconds since the epoch.

use super::{CHANNEL, Link, TAKEN_FOR, entry_of};
use crate::audit::{Change, Entry, GENESIS, Head};
use crate::store::{StoreError, postgres::Postgres};
use sqlx::{Connection, PgConnection, Row};

/// The end of the chain.
///
/// # Errors
/// Those of the driver.
pub async fn head(c: &mut PgConnection) -> Result<Head, sqlx::Error> {
    let row = sqlx::query("select seq, hash from key_chain_head where id = 1").persistent(false).fetch_one(c).await?;
    Ok(Head { seq: row.try_get("seq")?, hash: row.try_get::<Vec<u8>, _>("hash")?.try_into().unwrap_or(GENESIS) })
}

/// The end of the chain, held until the transaction ends.
///
/// # Errors
/// Those of the driver.
pub async fn locked_head(c: &mut PgConnection) -> Result<Head, sqlx::Error> {
    let row = sqlx::query("select seq, hash from key_chain_head where id = 1 for update")
        .persistent(false)
        .fetch_one(c)
        .await?;
    Ok(Head { seq: row.try_get("seq")?, hash: row.try_get::<Vec<u8>, _>("hash")?.try_into().unwrap_or(GENESIS) })
}

/// Appends an entry, whose number it says; the end is locked until the caller's transaction ends.
///
/// # Errors
/// Those of the driver.
pub async fn append(c: &mut PgConnection, subject: &str, link: Link<'_>, body: String) -> Result<i64, sqlx::Error> {
    append_each(c, link, vec![(subject, body)]).await
}

/// Appends an entry for each subject, in their order, in as many questions as for one: a database a few milliseconds away would
/// hold everybody up. Says the number of the last.
///
/// # Errors
/// Those of the driver.
pub async fn append_each(
    c: &mut PgConnection,
    link: Link<'_>,
    subjects: Vec<(&str, String)>,
) -> Result<i64, sqlx::Error> {
    let mut head = locked_head(c).await?;
    let (mut seqs, mut kids, mut bodies, mut befores, mut hashes) = (vec![], vec![], vec![], vec![], vec![]);
    for (subject, body) in subjects {
        let entry = Entry::next(head, link.at, link.actor, link.kind, subject, body);
        head = Head { seq: entry.seq, hash: entry.hash };
        seqs.push(entry.seq);
        kids.push(entry.subject);
        bodies.push(entry.body);
        befores.push(entry.prev_hash.to_vec());
        hashes.push(entry.hash.to_vec());
    }
    if seqs.is_empty() {
        return Ok(head.seq);
    }
    sqlx::query(
        "insert into key_events (seq, at, kid, kind, actor, role, ip, request_id, body, prev_hash, hash) \
         select seq, timestamptz 'epoch' + $6 * interval '1 millisecond', kid, $7, $8, $9, $10, $11, body, prev_hash, hash \
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bytea[]) as e (seq, kid, body, prev_hash, hash)",
    )
    .persistent(false)
    .bind(seqs)
    .bind(kids)
    .bind(bodies)
    .bind(befores)
    .bind(hashes)
    .bind(link.at.millis())
    .bind(link.kind)
    .bind(&link.actor.subject)
    .bind(link.actor.role)
    .bind(link.actor.ip.map(|ip| ip.to_string()))
    .bind(&link.actor.request_id)
    .execute(&mut *c)
    .await?;
    sqlx::query("update key_chain_head set seq = $1, hash = $2 where id = 1")
        .persistent(false)
        .bind(head.seq)
        .bind(head.hash.as_slice())
        .execute(&mut *c)
        .await?;
    // Told at the commit, to whoever listens; what is lost of it is found by the look each second.
    sqlx::query("select pg_notify($1, '')").persistent(false).bind(CHANNEL).execute(c).await?;
    Ok(head.seq)
}

pub(super) async fn append_all(postgres: &Postgres, changes: &[(String, Change)]) -> Result<(), StoreError> {
    postgres
        .call("writing the audit", async |c| {
            let mut tx = c.begin().await?;
            locked_head(&mut tx).await?;
            for (id, change) in changes {
                if is_new(&mut tx, id).await? {
                    let link = Link { kind: &change.action, actor: &change.actor, at: change.at };
                    append(&mut tx, &change.subject, link, change.body()).await?;
                }
            }
            sqlx::query("delete from audit_taken where taken_at < now() - $1 * interval '1 second'")
                .persistent(false)
                .bind(i64::try_from(TAKEN_FOR.as_secs()).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
}

async fn is_new(c: &mut PgConnection, id: &str) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query("insert into audit_taken (id) values ($1) on conflict (id) do nothing")
        .persistent(false)
        .bind(id)
        .execute(c)
        .await?;
    Ok(taken.rows_affected() > 0)
}

const COLUMNS: &str =
    "seq, (extract(epoch from at) * 1000)::bigint as at, kid, kind, actor, role, ip, request_id, body, prev_hash, hash";

pub(super) async fn before(postgres: &Postgres, seq: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
    read(postgres, "where seq < $1 order by seq desc limit $2", seq, limit).await
}

pub(super) async fn after(postgres: &Postgres, seq: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
    read(postgres, "where seq > $1 order by seq limit $2", seq, limit).await
}

async fn read(postgres: &Postgres, which: &'static str, seq: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
    postgres
        .call("reading the audit", async |c| {
            let query = sqlx::AssertSqlSafe(format!("select {COLUMNS} from key_events {which}"));
            let rows = sqlx::query(query).persistent(false).bind(seq).bind(i64::from(limit)).fetch_all(c).await?;
            rows.iter().map(|row| entry_of!(row)).collect()
        })
        .await
}
