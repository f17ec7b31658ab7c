//! The rows of the replicas in Postgres. Their meaning is in `keys::fleet`; nothing is decided here.
//! Each is one statement, so that a pooler in transaction mode may stand in between.

use super::{millis, replica_of, signed};
use crate::VERSION;
use crate::clock::Timestamp;
use crate::keys::fleet::{Replica, Sign};
use crate::store::{StoreError, postgres::Postgres};
use sqlx::Connection;
use std::time::Duration;

pub(super) async fn beat(postgres: &Postgres, sign: Sign<'_>, forget_after: Duration) -> Result<Timestamp, StoreError> {
    const BEAT: &str = "\
        with forgotten as ( \
            delete from monolith_replica \
            where id <> $1 and acked_seq is not null and seen_at < clock_timestamp() - $11 * interval '1 millisecond' \
        ) \
        insert into monolith_replica (id, role, version, started_at, seen_at, generation, hash, ready, index_age_ms, \
            acked_seq, clock_skew_ms, running) \
        values ($1, $2, $3, timestamptz 'epoch' + $4 * interval '1 millisecond', clock_timestamp(), $5, $6, $7, $8, $9, $10, $12) \
        on conflict (id) do update set seen_at = excluded.seen_at, generation = excluded.generation, hash = excluded.hash, \
            ready = excluded.ready, index_age_ms = excluded.index_age_ms, acked_seq = excluded.acked_seq, \
            clock_skew_ms = excluded.clock_skew_ms, running = excluded.running \
        returning (extract(epoch from clock_timestamp()) * 1000)::bigint";
    postgres
        .call("telling about this replica", async |c| {
            let mut tx = c.begin().await?;
            let now: i64 = sqlx::query_scalar(BEAT)
                .persistent(false)
                .bind(sign.id)
                .bind(sign.about.role)
                .bind(VERSION)
                .bind(sign.about.started_at.millis())
                .bind(signed(sign.about.generation))
                .bind(&sign.about.hash)
                .bind(sign.about.ready)
                .bind(sign.index_age_ms)
                .bind(sign.acked_seq)
                .bind(sign.clock_skew_ms)
                .bind(millis(forget_after))
                .bind(signed(sign.about.running))
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(Timestamp::from_millis(now))
        })
        .await
}

pub(super) async fn leave(postgres: &Postgres, id: &str) -> Result<(), StoreError> {
    postgres
        .call("taking leave", async |c| {
            let mut tx = c.begin().await?;
            sqlx::query("delete from monolith_replica where id = $1")
                .persistent(false)
                .bind(id)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
}

pub(super) async fn replicas(postgres: &Postgres) -> Result<Vec<Replica>, StoreError> {
    const ALL: &str = "\
        select id, role, version, (extract(epoch from started_at) * 1000)::bigint as started_at, \
            (extract(epoch from seen_at) * 1000)::bigint as seen_at, generation, hash, ready, index_age_ms, acked_seq, \
            clock_skew_ms, running \
        from monolith_replica order by started_at desc, id";
    postgres
        .call("reading the replicas", async |c| {
            let mut tx = c.begin().await?;
            let rows = sqlx::query(ALL).persistent(false).fetch_all(&mut *tx).await?;
            rows.iter().map(|row| replica_of!(row)).collect()
        })
        .await
}

pub(super) async fn acked(postgres: &Postgres, but: &str, within: Duration) -> Result<Vec<i64>, StoreError> {
    postgres
        .call("reading what the replicas have", async |c| {
            let mut tx = c.begin().await?;
            sqlx::query_scalar(
                "select acked_seq from monolith_replica \
                 where id <> $1 and acked_seq is not null and seen_at > clock_timestamp() - $2 * interval '1 millisecond'",
            )
            .persistent(false)
            .bind(but)
            .bind(millis(within))
            .fetch_all(&mut *tx)
            .await
        })
        .await
}
