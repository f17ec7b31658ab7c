//! What became of each expected tick, in SQLite.
//! No rule stands here.

use super::claims::texts;
use crate::clock::Timestamp;
use crate::work::ledger::book::{Accounts, Answer, NewTick, TickRow, json};
use crate::work::ledger::rows::tick_row;
use crate::work::run::RunId;
use sqlx::{Row, SqliteConnection};

impl Accounts for SqliteConnection {
    async fn ticks(&mut self, worker: &str, from: Timestamp, to: Timestamp, limit: i64) -> Answer<Vec<TickRow>> {
        let rows = sqlx::query(
            "select id, tick_at as at, coalesce(range_to, tick_at) as upto, count, state, reason, spec_hash from work_run
             where worker = $1 and tick_at >= $2 and tick_at < $3 order by tick_at limit $4",
        )
        .bind(worker)
        .bind(from.millis())
        .bind(to.millis())
        .bind(limit)
        .fetch_all(self)
        .await?;
        rows.iter().map(|row| tick_row!(row)).collect()
    }

    async fn tick_before(&mut self, worker: &str, at: Timestamp) -> Answer<Option<TickRow>> {
        let row = sqlx::query(
            "select id, tick_at as at, coalesce(range_to, tick_at) as upto, count, state, reason, spec_hash from work_run
             where worker = $1 and tick_at < $2 order by tick_at desc limit 1",
        )
        .bind(worker)
        .bind(at.millis())
        .fetch_optional(self)
        .await?;
        row.iter().map(|row| tick_row!(row)).next().transpose()
    }

    async fn backfilled(&mut self, worker: &str, from: Timestamp, to: Timestamp) -> Answer<i64> {
        sqlx::query_scalar(
            "select count(*) from work_run where worker = $1 and tick_at >= $2 and tick_at < $3 and kind = 'backfill'",
        )
        .bind(worker)
        .bind(from.millis())
        .bind(to.millis())
        .fetch_one(self)
        .await
    }

    async fn periods(&mut self, worker: &str) -> Answer<Vec<(i64, Option<String>)>> {
        sqlx::query_as("select since, schedule from work_period where worker = $1 order by since")
            .bind(worker)
            .fetch_all(self)
            .await
    }

    async fn forgotten(&mut self, worker: &str) -> Answer<Option<i64>> {
        sqlx::query_scalar("select until from work_forgotten where worker = $1").bind(worker).fetch_optional(self).await
    }

    async fn change_span(&mut self, id: RunId, from: i64, to: i64, n: u64) -> Answer<()> {
        sqlx::query(
            "update work_run set tick_at = $2, due_at = $2, range_from = $2, range_to = $3, count = $4 where id = $1",
        )
        .bind(id.to_string())
        .bind(from)
        .bind(to)
        .bind(i64::try_from(n).unwrap_or(i64::MAX))
        .execute(self)
        .await?;
        Ok(())
    }

    async fn delete_span(&mut self, id: RunId) -> Answer<()> {
        sqlx::query("delete from work_run where id = $1").bind(id.to_string()).execute(self).await?;
        Ok(())
    }

    async fn requeue(&mut self, ids: &[RunId], spec_hash: &str, by: &str, now: Timestamp) -> Answer<u64> {
        let queued = sqlx::query(
            "update work_run set kind = 'backfill', state = 'queued', reason = null, error = null, late = 1, spec_hash = $2,
               requested_by = $3, available_at = $4, finished_at = null, started_at = null, range_from = null, range_to = null,
               owner = null, lease_until = null
             where id in (select value from json_each($1)) and finished_at is not null",
        )
        .bind(json(&texts(ids)))
        .bind(spec_hash)
        .bind(by)
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(queued.rows_affected())
    }

    async fn insert_backfill(&mut self, ticks: &[NewTick], by: &str, now: Timestamp) -> Answer<u64> {
        let inserted = sqlx::query(
            "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, available_at, created_at, requested_by)
             select value ->> 'id', value ->> 'worker', value ->> 'spec_hash', 'backfill', value ->> 'tick_at', value ->> 'due_at',
               1, 'queued', $2, $2, $3
             from json_each($1) where true on conflict do nothing",
        )
        .bind(json(ticks))
        .bind(now.millis())
        .bind(by)
        .execute(self)
        .await?;
        Ok(inserted.rows_affected())
    }
}
