//! What was recorded, and how long it is kept, in SQLite.
//! No rule stands here.

use super::claims::texts;
use super::{instant, run_id, small};
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, History, RecordRow, Written, json};
use crate::work::ledger::reads::hour_of;
use crate::work::ledger::rows::{run_view, under_way};
use crate::work::run::RunId;
use crate::work::view::{AttemptView, RunView};
use sqlx::{Row, SqliteConnection};

macro_rules! select_runs {
    ($which:literal) => {
        concat!(
            "select id, worker, kind, tick_at, due_at, state, reason, owner, attempt, started_at, finished_at, exit_code, result, error, ",
            "output_bytes, output_truncated, requested_by, range_from, range_to, count from work_run where ",
            $which
        )
    };
}

impl History for SqliteConnection {
    async fn runs(&mut self, worker: &str, after: Option<RunId>, limit: i64) -> Answer<Vec<RunView>> {
        let rows = sqlx::query(select_runs!("worker = $1 and ($2 is null or id < $2) order by id desc limit $3"))
            .bind(worker)
            .bind(after.map(|id| id.to_string()))
            .bind(limit)
            .fetch_all(self)
            .await?;
        rows.iter().map(|row| run_view!(row)).collect()
    }

    async fn run(&mut self, id: RunId) -> Answer<Option<RunView>> {
        let row = sqlx::query(select_runs!("id = $1")).bind(id.to_string()).fetch_optional(self).await?;
        row.iter().map(|row| run_view!(row)).next().transpose()
    }

    async fn recent_runs(&mut self, worker: &str, limit: i64) -> Answer<Vec<RunView>> {
        let rows = sqlx::query(select_runs!(
            "worker = $1 and tick_at is not null and started_at is not null and finished_at is not null order by id desc limit $2"
        ))
            .bind(worker)
            .bind(limit)
            .fetch_all(self)
            .await?;
        rows.iter().map(|row| run_view!(row)).collect()
    }

    async fn last_runs(&mut self) -> Answer<Vec<RunView>> {
        let rows = sqlx::query(select_runs!("id in (select last_run_id from work_schedule where retired_at is null)"))
            .fetch_all(self)
            .await?;
        rows.iter().map(|row| run_view!(row)).collect()
    }

    async fn attempts(&mut self, ids: &[RunId]) -> Answer<Vec<(RunId, AttemptView)>> {
        type Attempt = (String, i64, String, i64, Option<i64>, Option<String>, Option<String>);
        let rows: Vec<Attempt> = sqlx::query_as(
            "select run_id, n, replica, started_at, finished_at, outcome, error from work_attempt
             where run_id in (select value from json_each($1)) order by run_id, n",
        )
        .bind(json(&texts(ids)))
        .fetch_all(self)
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
                .bind(id.to_string())
                .fetch_optional(self)
                .await?;
        Ok(row.map(|(text, bytes, done)| Written {
            text: text.unwrap_or_default(),
            bytes: u64::try_from(bytes).unwrap_or(0),
            done,
        }))
    }

    async fn records(&mut self) -> Answer<Vec<RecordRow>> {
        let rows = sqlx::query(
            "select worker, spec_hash, next_at, paused_at, paused_by, pause_reason, paused_until, last_success_at,
               consecutive_failures, (select max(since) from work_period p where p.worker = work_schedule.worker) as scheduled_since
             from work_schedule where retired_at is null",
        )
        .fetch_all(self)
        .await?;
        rows.iter().map(|row| crate::work::ledger::rows::record_row!(row)).collect()
    }

    async fn open(&mut self) -> Answer<Vec<(String, bool, Option<i64>)>> {
        // Two looks into an index for each worker, however much waits.
        sqlx::query_as(concat!(
            "select worker, exists (select 1 from work_run r where r.worker = s.worker and r.state = 'running' and ",
            under_way!(),
            "), (select available_at from work_run r where r.worker = s.worker and r.finished_at is null and r.state <> 'running'
               order by r.available_at limit 1) from work_schedule s where retired_at is null"
        ))
        .fetch_all(self)
        .await
    }

    async fn counts(&mut self, since: Timestamp) -> Answer<Vec<(String, String, i64)>> {
        sqlx::query_as("select worker, outcome, sum(n) from work_counts where hour > $1 group by worker, outcome")
            .bind(hour_of(since))
            .fetch_all(self)
            .await
    }

    async fn delete_old(&mut self, before: Timestamp, limit: i64) -> Answer<u64> {
        let gone: Vec<Gone> = sqlx::query_as(
            "delete from work_run where id in (select id from work_run where finished_at is not null and finished_at < $1
               and id not in (select last_run_id from work_schedule where last_run_id is not null) limit $2)
             returning worker, coalesce(range_to, tick_at)",
        )
        .bind(before.millis())
        .bind(limit)
        .fetch_all(&mut *self)
        .await?;
        note_forgotten(self, gone).await
    }

    async fn delete_surplus(&mut self, keep: i64, limit: i64) -> Answer<u64> {
        let workers: Vec<String> = sqlx::query_scalar("select worker from work_schedule").fetch_all(&mut *self).await?;
        let mut deleted = 0;
        for worker in workers {
            let gone: Vec<Gone> = sqlx::query_as(
                "delete from work_run where id in (select id from work_run where worker = $1 and finished_at is not null
                   and id not in (select last_run_id from work_schedule where last_run_id is not null)
                   order by id desc limit $2 offset $3) returning worker, coalesce(range_to, tick_at)",
            )
            .bind(&worker)
            .bind(limit)
            .bind(keep)
            .fetch_all(&mut *self)
            .await?;
            deleted += note_forgotten(self, gone).await?;
        }
        Ok(deleted)
    }

    async fn delete_counts(&mut self, before: Timestamp) -> Answer<()> {
        sqlx::query("delete from work_counts where hour < $1").bind(hour_of(before)).execute(self).await?;
        Ok(())
    }
}

/// The worker and the tick of a deleted run.
type Gone = (String, Option<i64>);

async fn note_forgotten(c: &mut SqliteConnection, gone: Vec<Gone>) -> Answer<u64> {
    sqlx::query(
        "insert into work_forgotten (worker, until)
         select value ->> 0, max(value ->> 1) from json_each($1) where value ->> 1 is not null group by value ->> 0
         on conflict (worker) do update set until = max(until, excluded.until)",
    )
    .bind(json(&gone))
    .execute(c)
    .await?;
    Ok(gone.len() as u64)
}
