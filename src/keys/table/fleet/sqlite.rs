//! The rows of the replicas in SQLite. Their meaning is in `keys::fleet`; nothing is decided here.
//! The processes that share a file share a host, and so a clock.

use super::{millis, replica_of, signed};
use crate::VERSION;
use crate::clock::Timestamp;
use crate::keys::fleet::{Replica, Sign};
use crate::store::{StoreError, sqlite::Sqlite};
use sqlx::Connection;
use std::time::Duration;

pub(super) async fn beat(sqlite: &Sqlite, sign: Sign<'_>, forget_after: Duration) -> Result<Timestamp, StoreError> {
    const BEAT: &str = "\
        insert into monolith_replica (id, role, version, started_at, seen_at, generation, hash, ready, index_age_ms, \
            acked_seq, clock_skew_ms, running) \
        values ($1, $2, $3, $4, cast(unixepoch('subsec') * 1000 as integer), $5, $6, $7, $8, $9, $10, $11) \
        on conflict (id) do update set seen_at = excluded.seen_at, generation = excluded.generation, hash = excluded.hash, \
            ready = excluded.ready, index_age_ms = excluded.index_age_ms, acked_seq = excluded.acked_seq, \
            clock_skew_ms = excluded.clock_skew_ms, running = excluded.running \
        returning seen_at";
    sqlite
        .call("telling about this replica", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            let now: i64 = sqlx::query_scalar(BEAT)
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
                .bind(signed(sign.about.running))
                .fetch_one(&mut *tx)
                .await?;
            sqlx::query("delete from monolith_replica where seen_at < $1")
                .bind(now.saturating_sub(millis(forget_after)))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(Timestamp::from_millis(now))
        })
        .await
}

pub(super) async fn leave(sqlite: &Sqlite, id: &str) -> Result<(), StoreError> {
    sqlite
        .call("taking leave", async |c| {
            sqlx::query("delete from monolith_replica where id = $1").bind(id).execute(c).await.map(drop)
        })
        .await
}

pub(super) async fn replicas(sqlite: &Sqlite) -> Result<Vec<Replica>, StoreError> {
    const ALL: &str = "\
        select id, role, version, started_at, seen_at, generation, hash, ready, index_age_ms, acked_seq, clock_skew_ms, running \
        from monolith_replica order by started_at desc, id";
    sqlite
        .call("reading the replicas", async |c| {
            let rows = sqlx::query(ALL).fetch_all(c).await?;
            rows.iter().map(|row| replica_of!(row)).collect()
        })
        .await
}

pub(super) async fn acked(sqlite: &Sqlite, but: &str, within: Duration) -> Result<Vec<i64>, StoreError> {
    sqlite
        .call("reading what the replicas have", async |c| {
            sqlx::query_scalar(
                "select acked_seq from monolith_replica \
                 where id <> $1 and acked_seq is not null and seen_at > cast(unixepoch('subsec') * 1000 as integer) - $2",
            )
            .bind(but)
            .bind(millis(within))
            .fetch_all(c)
            .await
        })
        .await
}
