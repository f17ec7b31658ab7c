//! The statements for Postgres. Times travel as milliseconds since the epoch, so that no date crate stands between;
//! writers lock the end of the chain first. Their meaning is in `table`; nothing is decided here.

use super::{
    Change, Hold, Inserted, LOAD_LIMIT, MAX_EVENTS, Outcome, Repeat, Revoked, Row, Take, after, columns, created_body,
    is_full, readable, record_of, revoked_body, tell_of_unreadable, told_of,
};
use crate::audit::chain::postgres::{append, append_each, head, locked_head};
use crate::audit::{Actor, Head};
use crate::clock::Timestamp;
use crate::keys::KeysError;
use crate::keys::check::Whole;
use crate::keys::follow::{Changes, Told};
use crate::keys::import::{Clash, Mode};
use crate::keys::record::Record;
use crate::name::Kid;
use crate::store::{StoreError, postgres::Postgres};
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row as _};
use std::collections::{HashMap, HashSet};

/// The columns of a record, in the words that both statements share.
macro_rules! columns_of_a_record {
    () => {
        "kid, name::text, owner::text, environment::text, scopes::text, (extract(epoch from created_at) * 1000)::bigint as created_at, created_by::text, (extract(epoch from expires_at) * 1000)::bigint as expires_at, (extract(epoch from last_used_at) * 1000)::bigint as last_used_at, \
    (extract(epoch from disabled_at) * 1000)::bigint as disabled_at, (extract(epoch from revoked_at) * 1000)::bigint as revoked_at, revoke_reason::text, rotated_to::text, (extract(epoch from grace_until) * 1000)::bigint as grace_until, ip_allow::text, rate_limit::text, metadata::text, version::bigint, hash, \
    hash_alg, pepper"
    };
}

/// One number for all that a row says, but for its last use, in whatever zone the session lives.
macro_rules! fingerprint {
    () => {
        "hashtextextended(row(kid, name, owner, environment, scopes, extract(epoch from created_at), created_by, \
         extract(epoch from expires_at), extract(epoch from disabled_at), extract(epoch from revoked_at), revoke_reason, \
         rotated_to, extract(epoch from grace_until), ip_allow, rate_limit, metadata, version, encode(hash, 'hex'), hash_alg, \
         pepper)::text, 0)"
    };
}

pub(super) async fn load(postgres: &Postgres, hold: Hold, take: Take<'_>) -> Result<Head, StoreError> {
    const ALL: &str = concat!("select ", columns_of_a_record!(), ", ", fingerprint!(), " as fingerprint from api_keys");
    postgres
        .call_within("loading the keys", LOAD_LIMIT, async |c| {
            let mut tx = c.begin().await?;
            let head = match hold {
                Hold::Nothing => {
                    // One snapshot for both: a change between two readings would be neither in the rows nor after the event.
                    sqlx::query("set transaction isolation level repeatable read, read only")
                        .persistent(false)
                        .execute(&mut *tx)
                        .await?;
                    head(&mut tx).await?
                }
                Hold::End => locked_head(&mut tx).await?,
            };
            let mut unreadable = 0;
            let mut rows = sqlx::query(ALL).persistent(false).fetch(&mut *tx);
            while let Some(row) = rows.try_next().await? {
                match readable(row_of(&row))? {
                    Some(row) => take(row),
                    None => unreadable += 1,
                }
            }
            tell_of_unreadable(unreadable);
            Ok(head)
        })
        .await
}

fn row_of(row: &PgRow) -> Result<Row, sqlx::Error> {
    Ok(Row { record: record_of!(row)?, fingerprint: sqlx::Row::try_get(row, "fingerprint")? })
}

/// Rows that are left out of the index (`readable`) are left out here, too: the condition is that of `Kid::parse`, `MAX_KID` among it.
pub(super) async fn whole(postgres: &Postgres) -> Result<Whole, StoreError> {
    const WHOLE: &str = concat!(
        "select (select seq from key_chain_head where id = 1) as seq, count(*) as count, \
         (coalesce(sum(",
        fingerprint!(),
        "), 0) % 18446744073709551616)::text as sum from api_keys \
         where length(kid) between 1 and 128 and kid !~ '[[:space:][:cntrl:]/]'"
    );
    postgres
        .call_within("comparing the keys", LOAD_LIMIT, async |c| {
            let mut tx = c.begin().await?;
            let row = sqlx::query(WHOLE).persistent(false).fetch_one(&mut *tx).await?;
            // The sum is exact, whatever its size; what is compared is what is left of it in 64 bits.
            let sum: i128 = row.try_get::<String, _>("sum")?.parse().unwrap_or_default();
            let bits = u64::try_from(sum.rem_euclid(1 << 64)).unwrap_or_default();
            let count = u64::try_from(row.try_get::<i64, _>("count")?).unwrap_or_default();
            Ok(Whole { seq: row.try_get("seq")?, count, sum: bits.cast_signed() })
        })
        .await
}

pub(super) async fn present(postgres: &Postgres, kids: &[Kid]) -> Result<HashSet<String>, StoreError> {
    let kids: Vec<&str> = kids.iter().map(Kid::as_str).collect();
    postgres
        .call("comparing the keys", async |c| {
            let mut tx = c.begin().await?;
            let query = sqlx::query_scalar("select kid from api_keys where kid = any($1)").persistent(false);
            Ok(query.bind(kids).fetch_all(&mut *tx).await?.into_iter().collect())
        })
        .await
}

pub(super) async fn versions(postgres: &Postgres, kids: &[Kid]) -> Result<HashMap<String, i64>, StoreError> {
    let kids: Vec<&str> = kids.iter().map(Kid::as_str).collect();
    postgres
        .call("comparing the keys", async |c| {
            let query = sqlx::query_as("select kid, version::bigint from api_keys where kid = any($1)");
            let versions: Vec<(String, i64)> = query.persistent(false).bind(kids).fetch_all(c).await?;
            Ok(versions.into_iter().collect())
        })
        .await
}

pub(super) async fn changed_since(postgres: &Postgres, known: Head) -> Result<Option<Changes>, StoreError> {
    const EVENTS: &str = "select seq, kind, kid, actor, prev_hash, hash, \
        (extract(epoch from clock_timestamp() - recorded_at) * 1000)::bigint as age_ms \
        from key_events \
        where seq > $1 and seq <= (select seq from key_chain_head where id = 1) order by seq limit $2";
    const CHANGED: &str = concat!(
        "select ",
        columns_of_a_record!(),
        ", ",
        fingerprint!(),
        " as fingerprint from api_keys where kid in (select kid from key_events where seq > $1 and seq <= $2)"
    );
    postgres
        .call("following the keys", async |c| {
            let mut tx = c.begin().await?;
            sqlx::query("set transaction isolation level repeatable read, read only")
                .persistent(false)
                .execute(&mut *tx)
                .await?;
            let rows =
                sqlx::query(EVENTS).persistent(false).bind(known.seq).bind(MAX_EVENTS).fetch_all(&mut *tx).await?;
            let events = rows.iter().map(|row| told_of!(row)).collect::<Result<Vec<Told>, _>>()?;
            let Some(after) = after(known, &events) else {
                return Ok((head(&mut tx).await? == known).then(|| Changes::none(known)));
            };
            let Some(head) = after else { return Ok(None) };
            let rows =
                sqlx::query(CHANGED).persistent(false).bind(known.seq).bind(head.seq).fetch_all(&mut *tx).await?;
            let records = rows.iter().filter_map(|row| readable(row_of(row)).transpose()).collect::<Result<_, _>>()?;
            Ok(Some(Changes { are_all: !is_full(&events), events, records, head }))
        })
        .await
}

pub(super) async fn insert(
    postgres: &Postgres,
    record: &Record,
    change: Change<'_>,
    repeat: Option<&Repeat>,
) -> Result<Inserted, StoreError> {
    postgres
        .call("making a key", async |c| {
            let mut tx = c.begin().await?;
            locked_head(&mut tx).await?;
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
    postgres: &Postgres,
    records: &[&Record],
    change: Change<'_>,
    mode: Mode,
) -> Result<(Vec<Option<Clash>>, bool), StoreError> {
    postgres
        .call("importing keys", async |c| {
            let mut tx = c.begin().await?;
            locked_head(&mut tx).await?;
            let mut known = Known::among(&mut tx, records).await?;
            let clashes: Vec<Option<Clash>> = records.iter().map(|record| known.clash(record)).collect();
            let fit = || records.iter().zip(&clashes).filter(|(_, clash)| clash.is_none()).map(|(record, _)| *record);
            for record in fit() {
                insert_row(&mut tx, record).await?;
            }
            let made = fit().map(|record| (record.kid.as_str(), created_body(record))).collect();
            append_each(&mut tx, change, made).await?;
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

/// What stands in the way of keys that are taken over: those that are here, and those before them in the list.
struct Known {
    kids: HashSet<String>,
    hashes: HashSet<Vec<u8>>,
}

impl Known {
    /// Those that some keys may clash with.
    async fn among(c: &mut PgConnection, records: &[&Record]) -> Result<Self, sqlx::Error> {
        let kids: Vec<&str> = records.iter().map(|record| record.kid.as_str()).collect();
        let hashes: Vec<Vec<u8>> =
            records.iter().filter_map(|record| Some(record.hash.as_ref()?.bytes.to_vec())).collect();
        let query = sqlx::query_scalar("select kid from api_keys where kid = any($1)").persistent(false);
        let kids = query.bind(kids).fetch_all(&mut *c).await?;
        let query = sqlx::query_scalar(
            "select hash from api_keys where hash = any($1) and hash_alg in ('whole-sha256', 'whole-hmac-sha256')",
        );
        let hashes = query.persistent(false).bind(hashes).fetch_all(c).await?;
        Ok(Self { kids: kids.into_iter().collect(), hashes: hashes.into_iter().collect() })
    }

    /// What stands in the way of a key; where nothing does, it stands in the way of the next ones.
    fn clash(&mut self, record: &Record) -> Option<Clash> {
        let hash = record.hash.as_ref().map(|hash| hash.bytes.to_vec());
        if self.kids.contains(record.kid.as_str()) {
            return Some(Clash::Kid);
        }
        if hash.as_ref().is_some_and(|hash| self.hashes.contains(hash)) {
            return Some(Clash::Hash);
        }
        self.kids.insert(record.kid.as_str().to_owned());
        self.hashes.extend(hash);
        None
    }
}

pub(super) async fn revoke(
    postgres: &Postgres,
    kid: &Kid,
    reason: Option<&str>,
    change: Change<'_>,
) -> Result<Revoked, StoreError> {
    postgres
        .call("revoking a key", async |c| {
            let mut tx = c.begin().await?;
            locked_head(&mut tx).await?;
            let (mut ended, seq) = end(&mut tx, std::slice::from_ref(kid), reason, change).await?;
            let record = match ended.pop() {
                Some(ended) => Some(ended),
                None => one(&mut tx, kid.as_str()).await?,
            };
            tx.commit().await?;
            Ok(record.map_or(Revoked::Unknown, |record| Revoked::Done(Box::new(record), seq)))
        })
        .await
}

pub(super) async fn revoke_all(
    postgres: &Postgres,
    kids: &[Kid],
    reason: &str,
    change: Change<'_>,
) -> Result<Vec<Record>, StoreError> {
    postgres
        .call("revoking keys", async |c| {
            let mut tx = c.begin().await?;
            locked_head(&mut tx).await?;
            let (ended, _) = end(&mut tx, kids, Some(reason), change).await?;
            tx.commit().await?;
            Ok(ended)
        })
        .await
}

pub(super) async fn edit(
    postgres: &Postgres,
    kid: &Kid,
    actor: &Actor,
    at: Timestamp,
    decide: impl FnOnce(Record) -> Result<Outcome, KeysError>,
) -> Result<Result<Option<(Record, i64)>, KeysError>, StoreError> {
    postgres
        .call("changing a key", async |c| {
            let mut tx = c.begin().await?;
            let before = locked_head(&mut tx).await?.seq;
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

/// Ends those of some keys that are not ended yet: their records, and the end of the chain after that.
async fn end(
    c: &mut PgConnection,
    kids: &[Kid],
    reason: Option<&str>,
    change: Change<'_>,
) -> Result<(Vec<Record>, i64), sqlx::Error> {
    const END: &str = concat!(
        "update api_keys set revoked_at = timestamptz 'epoch' + $2 * interval '1 millisecond', revoke_reason = $3, \
         version = version + 1 where kid = any($1) and revoked_at is null returning ",
        columns_of_a_record!()
    );
    let wanted: Vec<&str> = kids.iter().map(Kid::as_str).collect();
    let query = sqlx::query(END).persistent(false).bind(wanted).bind(change.at.millis()).bind(reason);
    let rows = query.fetch_all(&mut *c).await?;
    let mut ended = rows.iter().map(|row| record_of!(row)).collect::<Result<Vec<Record>, _>>()?;
    // In the order in which they were asked for.
    ended.sort_by_cached_key(|record| kids.iter().position(|kid| *kid == record.kid));
    let told = ended.iter().map(|record| (record.kid.as_str(), revoked_body(reason))).collect();
    let seq = append_each(c, change, told).await?;
    Ok((ended, seq))
}

async fn one(c: &mut PgConnection, kid: &str) -> Result<Option<Record>, sqlx::Error> {
    const ONE: &str = concat!("select ", columns_of_a_record!(), " from api_keys where kid = $1");
    let row = sqlx::query(ONE).persistent(false).bind(kid).fetch_optional(c).await?;
    row.as_ref().map(|row| record_of!(row)).transpose()
}

async fn repeated(
    c: &mut PgConnection,
    repeat: &Repeat,
    record: &Record,
    change: Change<'_>,
) -> Result<Option<Inserted>, sqlx::Error> {
    sqlx::query("delete from key_idempotency where expires_at <= timestamptz 'epoch' + $1 * interval '1 millisecond'")
        .persistent(false)
        .bind(change.at.millis())
        .execute(&mut *c)
        .await?;
    let row = sqlx::query("select body_hash, kid from key_idempotency where id_hash = $1")
        .persistent(false)
        .bind(repeat.id_hash.as_slice())
        .fetch_optional(&mut *c)
        .await?;
    if let Some(row) = row {
        let same = row.try_get::<Vec<u8>, _>("body_hash")? == repeat.body_hash;
        let kid = columns::kid(&row.try_get::<String, _>("kid")?)?;
        return Ok(Some(if same { Inserted::Again(kid) } else { Inserted::Conflict }));
    }
    sqlx::query("insert into key_idempotency (id_hash, body_hash, kid, expires_at) values ($1, $2, $3, timestamptz 'epoch' + $4 * interval '1 millisecond')").persistent(false)
        .bind(repeat.id_hash.as_slice())
        .bind(repeat.body_hash.as_slice())
        .bind(record.kid.as_str())
        .bind(repeat.expires_at.millis())
        .execute(c)
        .await?;
    Ok(None)
}

async fn insert_row(c: &mut PgConnection, record: &Record) -> Result<(), sqlx::Error> {
    let hash = record.hash.as_ref();
    sqlx::query(
        "insert into api_keys (kid, created_at, name, owner, environment, scopes, created_by, expires_at, ip_allow, \
         rate_limit, metadata, version, hash, hash_alg, pepper) \
         values ($1, timestamptz 'epoch' + $2 * interval '1 millisecond', $3, $4, $5, $6, $7, timestamptz 'epoch' + $8 * interval '1 millisecond', $9, $10, $11, $12, $13, $14, $15)",
    ).persistent(false)
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
async fn update_row(c: &mut PgConnection, record: &Record) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update api_keys set name = $2, owner = $3, scopes = $4, ip_allow = $5, rate_limit = $6, metadata = $7, version = $8, \
         expires_at = timestamptz 'epoch' + $9 * interval '1 millisecond', disabled_at = timestamptz 'epoch' + $10 * interval '1 millisecond', grace_until = timestamptz 'epoch' + $11 * interval '1 millisecond', rotated_to = $12 where kid = $1",
    ).persistent(false)
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
