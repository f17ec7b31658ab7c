//! What became of each expected tick, in Postgres.
//! No rule stands here.

use super::claims::texts;
use super::{PostgresBook, at, ms};
use crate::clock::Timestamp;
use crate::work::ledger::book::{Accounts, Answer, NewTick, TickRow, json};
use crate::work::ledger::rows::tick_row;
use crate::work::run::RunId;
use sqlx::Row;

macro_rules! select_ticks {
    ($($which:expr),*) => {
        concat!(
            "select id, ",
            ms!("tick_at"),
            " as at, ",
            ms!("coalesce(range_to, tick_at)"),
            " as upto, count, state, reason, spec_hash from work_run where ",
            $($which),*
        )
    };
}

impl Accounts for PostgresBook<'_> {
    async fn ticks(&mut self, worker: &str, from: Timestamp, to: Timestamp, limit: i64) -> Answer<Vec<TickRow>> {
        let rows = sqlx::query(select_ticks!(
            "worker = $1 and tick_at >= ",
            at!("$2::bigint"),
            " and tick_at < ",
            at!("$3::bigint"),
            " order by tick_at limit $4"
        ))
        .persistent(self.keeps)
        .bind(worker)
        .bind(from.millis())
        .bind(to.millis())
        .bind(limit)
        .fetch_all(&mut *self.connection)
        .await?;
        rows.iter().map(|row| tick_row!(row)).collect()
    }

    async fn tick_before(&mut self, worker: &str, at: Timestamp) -> Answer<Option<TickRow>> {
        let row = sqlx::query(select_ticks!(
            "worker = $1 and tick_at < ",
            at!("$2::bigint"),
            " order by tick_at desc limit 1"
        ))
        .persistent(self.keeps)
        .bind(worker)
        .bind(at.millis())
        .fetch_optional(&mut *self.connection)
        .await?;
        row.iter().map(|row| tick_row!(row)).next().transpose()
    }

    async fn backfilled(&mut self, worker: &str, from: Timestamp, to: Timestamp) -> Answer<i64> {
        sqlx::query_scalar(concat!(
            "select count(*) from work_run where worker = $1 and tick_at >= ",
            at!("$2::bigint"),
            " and tick_at < ",
            at!("$3::bigint"),
            " and kind = 'backfill'"
        ))
        .persistent(self.keeps)
        .bind(worker)
        .bind(from.millis())
        .bind(to.millis())
        .fetch_one(&mut *self.connection)
        .await
    }

    async fn periods(&mut self, worker: &str) -> Answer<Vec<(i64, Option<String>)>> {
        sqlx::query_as(concat!("select ", ms!("since"), ", schedule from work_period where worker = $1 order by since"))
            .persistent(self.keeps)
            .bind(worker)
            .fetch_all(&mut *self.connection)
            .await
    }

    async fn forgotten(&mut self, worker: &str) -> Answer<Option<i64>> {
        sqlx::query_scalar(concat!("select ", ms!("until"), " from work_forgotten where worker = $1"))
            .persistent(self.keeps)
            .bind(worker)
            .fetch_optional(&mut *self.connection)
            .await
    }

    async fn change_span(&mut self, id: RunId, from: i64, to: i64, n: u64) -> Answer<()> {
        sqlx::query(concat!(
            "update work_run set tick_at = ",
            at!("$2::bigint"),
            ", due_at = ",
            at!("$2::bigint"),
            ", range_from = ",
            at!("$2::bigint"),
            ", range_to = ",
            at!("$3::bigint"),
            ", count = $4 where id = $1"
        ))
        .persistent(self.keeps)
        .bind(id.to_string())
        .bind(from)
        .bind(to)
        .bind(i64::try_from(n).unwrap_or(i64::MAX))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn delete_span(&mut self, id: RunId) -> Answer<()> {
        sqlx::query("delete from work_run where id = $1")
            .persistent(self.keeps)
            .bind(id.to_string())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn requeue(&mut self, ids: &[RunId], spec_hash: &str, by: &str, now: Timestamp) -> Answer<u64> {
        let queued = sqlx::query(concat!(
            "update work_run set kind = 'backfill', state = 'queued', reason = null, error = null, late = true, spec_hash = $2,
               requested_by = $3, available_at = ",
            at!("$4::bigint"),
            ", finished_at = null, started_at = null, range_from = null, range_to = null, owner = null, lease_until = null
             where id = any($1) and finished_at is not null"
        ))
        .persistent(self.keeps)
        .bind(texts(ids))
        .bind(spec_hash)
        .bind(by)
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(queued.rows_affected())
    }

    async fn insert_backfill(&mut self, ticks: &[NewTick], by: &str, now: Timestamp) -> Answer<u64> {
        let inserted = sqlx::query(concat!(
            "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, available_at, created_at, requested_by)
             select id, worker, spec_hash, 'backfill', ",
            at!("tick_at"),
            ", ",
            at!("due_at"),
            ", true, 'queued', ",
            at!("$2::bigint"),
            ", ",
            at!("$2::bigint"),
            ", $3 from json_to_recordset($1::json) as j(id text, worker text, spec_hash text, tick_at bigint, due_at bigint)
             order by tick_at on conflict do nothing"
        ))
        .persistent(self.keeps)
        .bind(json(ticks))
        .bind(now.millis())
        .bind(by)
        .execute(&mut *self.connection)
        .await?;
        Ok(inserted.rows_affected())
    }
}
