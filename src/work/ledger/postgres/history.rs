//! What was recorded, and how long it is kept, in Postgres.
//! No rule stands here.

use super::claims::texts;
use super::{PostgresBook, at, instant, ms, run_id, small};
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, History, RecordRow, Written};
use crate::work::ledger::rows::{record_row, run_view, under_way};
use crate::work::run::RunId;
use crate::work::view::{AttemptView, RunView};
use sqlx::Row;

macro_rules! select_runs {
    ($which:literal) => {
        concat!(
            "select id, worker, kind, ",
            ms!("tick_at"),
            " as tick_at, ",
            ms!("due_at"),
            " as due_at, state, reason, owner, attempt, ",
            ms!("started_at"),
            " as started_at, ",
            ms!("finished_at"),
            " as finished_at, exit_code, result, error, output_bytes, output_truncated, requested_by, ",
            ms!("range_from"),
            " as range_from, ",
            ms!("range_to"),
            " as range_to, count from work_run where ",
            $which
        )
    };
}

/// Deletes the runs that a query names and notes up to which tick they are no longer kept; answers how many those were.
macro_rules! forgetting {
    ($($which:expr),*) => {
        concat!(
            "with gone as (delete from work_run where id in (",
            $($which,)*
            ") returning worker, coalesce(range_to, tick_at) as tick),
             noted as (insert into work_forgotten (worker, until)
               select worker, max(tick) from gone where tick is not null group by worker order by worker
               on conflict (worker) do update set until = greatest(work_forgotten.until, excluded.until))
             select count(*) from gone"
        )
    };
}

impl History for PostgresBook<'_> {
    async fn runs(&mut self, worker: &str, after: Option<RunId>, limit: i64) -> Answer<Vec<RunView>> {
        let rows = sqlx::query(select_runs!("worker = $1 and ($2::text is null or id < $2) order by id desc limit $3"))
            .persistent(self.keeps)
            .bind(worker)
            .bind(after.map(|id| id.to_string()))
            .bind(limit)
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(|row| run_view!(row)).collect()
    }

    async fn run(&mut self, id: RunId) -> Answer<Option<RunView>> {
        let row = sqlx::query(select_runs!("id = $1"))
            .persistent(self.keeps)
            .bind(id.to_string())
            .fetch_optional(&mut *self.connection)
            .await?;
        row.iter().map(|row| run_view!(row)).next().transpose()
    }

    async fn recent_runs(&mut self, worker: &str, limit: i64) -> Answer<Vec<RunView>> {
        let rows = sqlx::query(select_runs!(
            "worker = $1 and tick_at is not null and started_at is not null and finished_at is not null order by id desc limit $2"
        ))
            .persistent(self.keeps)
            .bind(worker)
            .bind(limit)
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(|row| run_view!(row)).collect()
    }

    async fn last_runs(&mut self) -> Answer<Vec<RunView>> {
        let rows = sqlx::query(select_runs!("id in (select last_run_id from work_schedule where retired_at is null)"))
            .persistent(self.keeps)
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(|row| run_view!(row)).collect()
    }

    async fn attempts(&mut self, ids: &[RunId]) -> Answer<Vec<(RunId, AttemptView)>> {
        type Attempt = (String, i64, String, i64, Option<i64>, Option<String>, Option<String>);
        let rows: Vec<Attempt> = sqlx::query_as(concat!(
            "select run_id, n, replica, ",
            ms!("started_at"),
            ", ",
            ms!("finished_at"),
            ", outcome, error from work_attempt where run_id = any($1) order by run_id, n"
        ))
        .persistent(self.keeps)
        .bind(texts(ids))
        .fetch_all(&mut *self.connection)
        .await?;
        let attempt = |(run, n, replica, started_at, finished_at, outcome, error): Attempt| {
            let started_at = Timestamp::from_millis(started_at);
            let finished_at = instant(finished_at);
            Ok((run_id(&run)?, AttemptView { n: small(n), replica, started_at, finished_at, outcome, error }))
        };
        rows.into_iter().map(attempt).collect()
    }

    async fn output(&mut self, id: RunId) -> Answer<Option<Written>> {
        let row: Option<(Option<String>, i64, bool)> =
            sqlx::query_as("select output, output_bytes, finished_at is not null from work_run where id = $1")
                .persistent(self.keeps)
                .bind(id.to_string())
                .fetch_optional(&mut *self.connection)
                .await?;
        Ok(row.map(|(text, bytes, done)| Written {
            text: text.unwrap_or_default(),
            bytes: u64::try_from(bytes).unwrap_or(0),
            done,
        }))
    }

    async fn records(&mut self) -> Answer<Vec<RecordRow>> {
        let rows = sqlx::query(concat!(
            "select worker, spec_hash, ",
            ms!("next_at"),
            " as next_at, ",
            ms!("paused_at"),
            " as paused_at, paused_by, pause_reason, ",
            ms!("paused_until"),
            " as paused_until, ",
            ms!("last_success_at"),
            " as last_success_at, consecutive_failures, ",
            ms!("(select max(since) from work_period p where p.worker = work_schedule.worker)"),
            " as scheduled_since from work_schedule where retired_at is null"
        ))
        .persistent(self.keeps)
        .fetch_all(&mut *self.connection)
        .await?;
        rows.iter().map(|row| record_row!(row)).collect()
    }

    async fn open(&mut self) -> Answer<Vec<(String, bool, Option<i64>)>> {
        // Two looks into an index for each worker, however much waits.
        sqlx::query_as(concat!(
            "select worker, exists (select 1 from work_run r where r.worker = s.worker and r.state = 'running' and ",
            under_way!(),
            "), (select ",
            ms!("available_at"),
            " from work_run r where r.worker = s.worker and r.finished_at is null and r.state <> 'running'
               order by r.available_at limit 1) from work_schedule s where retired_at is null"
        ))
        .persistent(self.keeps)
        .fetch_all(&mut *self.connection)
        .await
    }

    async fn counts(&mut self, since: Timestamp) -> Answer<Vec<(String, String, i64)>> {
        sqlx::query_as(concat!(
            "select worker, outcome, sum(n)::bigint from work_counts where hour > ",
            at!("$1::bigint"),
            " group by worker, outcome"
        ))
        .persistent(self.keeps)
        .bind(since.millis())
        .fetch_all(&mut *self.connection)
        .await
    }

    async fn delete_old(&mut self, before: Timestamp, limit: i64) -> Answer<u64> {
        let deleted: i64 = sqlx::query_scalar(forgetting!(
            "select id from work_run where finished_at is not null and finished_at < ",
            at!("$1::bigint"),
            " and id not in (select last_run_id from work_schedule where last_run_id is not null)
             limit $2 for update skip locked"
        ))
        .persistent(self.keeps)
        .bind(before.millis())
        .bind(limit)
        .fetch_one(&mut *self.connection)
        .await?;
        Ok(u64::try_from(deleted).unwrap_or(0))
    }

    async fn delete_surplus(&mut self, keep: i64, limit: i64) -> Answer<u64> {
        let deleted: i64 = sqlx::query_scalar(forgetting!(
            "select r.id from work_schedule s cross join lateral (
               select id from work_run where worker = s.worker and finished_at is not null and id is distinct from s.last_run_id
               order by id desc offset $1 limit $2) r limit $2"
        ))
        .persistent(self.keeps)
        .bind(keep)
        .bind(limit)
        .fetch_one(&mut *self.connection)
        .await?;
        Ok(u64::try_from(deleted).unwrap_or(0))
    }

    async fn delete_counts(&mut self, before: Timestamp) -> Answer<()> {
        sqlx::query(concat!("delete from work_counts where hour < ", at!("$1::bigint")))
            .persistent(self.keeps)
            .bind(before.millis())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}
