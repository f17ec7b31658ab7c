//! What operators do, and which replica declares what, in SQLite.
//! No rule stands here.

use super::claims::texts;
use super::run_id;
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Controls, Period, Stored, json};
use crate::work::ledger::rows::stored_row;
use crate::work::run::RunId;
use crate::work::view::Pause;
use sqlx::{Row, SqliteConnection};

impl Controls for SqliteConnection {
    /// Whoever writes has the whole file.
    async fn lock_take_over(&mut self) -> Answer<()> {
        Ok(())
    }

    async fn announce(&mut self, replica: &str, workers: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(
            "insert into work_declared (replica, seen_at, workers) values ($1, $2, $3)
             on conflict (replica) do update set seen_at = excluded.seen_at, workers = excluded.workers",
        )
        .bind(replica)
        .bind(now.millis())
        .bind(workers)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn seen(&mut self, replica: &str, now: Timestamp) -> Answer<()> {
        sqlx::query("update work_declared set seen_at = $2 where replica = $1")
            .bind(replica)
            .bind(now.millis())
            .execute(self)
            .await?;
        Ok(())
    }

    async fn live(&mut self, since: Timestamp) -> Answer<Vec<(String, String)>> {
        sqlx::query_as("select replica, workers from work_declared where seen_at >= $1")
            .bind(since.millis())
            .fetch_all(self)
            .await
    }

    async fn forget(&mut self, replica: &str, since: Timestamp) -> Answer<()> {
        sqlx::query("delete from work_declared where replica = $1 or seen_at < $2")
            .bind(replica)
            .bind(since.millis())
            .execute(self)
            .await?;
        Ok(())
    }

    async fn open_periods(&mut self, periods: &[Period], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(
            "insert into work_period (worker, since, schedule, spec_hash, set_by)
             select value ->> 'worker', $2, value ->> 'schedule', value ->> 'spec_hash', $3 from json_each($1) where true
             on conflict (worker, since) do update set schedule = excluded.schedule, spec_hash = excluded.spec_hash",
        )
        .bind(json(periods))
        .bind(now.millis())
        .bind(by)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn schedule(&mut self, worker: &str) -> Answer<Option<Stored>> {
        let row = sqlx::query(
            "select worker, spec_hash, schedule, next_at, retired_at is not null as retired, paused_at, paused_until, updated_by
             from work_schedule where worker = $1",
        )
        .bind(worker)
        .fetch_optional(self)
        .await?;
        row.iter().map(|row| stored_row!(row)).next().transpose()
    }

    async fn set_pause(&mut self, worker: &str, pause: Option<&Pause>) -> Answer<()> {
        sqlx::query(
            "update work_schedule set paused_at = $2, paused_by = $3, pause_reason = $4, paused_until = $5 where worker = $1",
        )
        .bind(worker)
        .bind(pause.map(|pause| pause.at.millis()))
        .bind(pause.map(|pause| pause.by.as_str()))
        .bind(pause.and_then(|pause| pause.reason.as_deref()))
        .bind(pause.and_then(|pause| pause.until).map(Timestamp::millis))
        .execute(self)
        .await?;
        Ok(())
    }

    async fn pauses_over(&mut self, now: Timestamp) -> Answer<Vec<String>> {
        sqlx::query_scalar("select worker from work_schedule where paused_until is not null and paused_until <= $1")
            .bind(now.millis())
            .fetch_all(self)
            .await
    }

    async fn set_next(&mut self, worker: &str, next_at: Option<i64>) -> Answer<()> {
        sqlx::query("update work_schedule set next_at = $2 where worker = $1")
            .bind(worker)
            .bind(next_at)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn skip_waiting(&mut self, worker: &str, reason: &str, now: Timestamp) -> Answer<u64> {
        let skipped = sqlx::query(
            "update work_run set state = 'skipped', reason = $2, finished_at = $3, owner = null, lease_until = null
             where worker = $1 and finished_at is null and started_at is null and kind = 'tick'",
        )
        .bind(worker)
        .bind(reason)
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(skipped.rows_affected())
    }

    async fn cancel_idle(&mut self, id: RunId, error: &str, now: Timestamp) -> Answer<bool> {
        let cancelled = sqlx::query(
            "update work_run set state = 'cancelled', error = $2, finished_at = $3, owner = null, lease_until = null
             where id = $1 and state in ('queued', 'claimed', 'retrying')",
        )
        .bind(id.to_string())
        .bind(error)
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(cancelled.rows_affected() > 0)
    }

    async fn ask_to_cancel(&mut self, id: RunId, by: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(
            "insert into work_cancel (run_id, requested_at, requested_by) select id, $2, $3 from work_run
             where id = $1 and state = 'running' on conflict do nothing",
        )
        .bind(id.to_string())
        .bind(now.millis())
        .bind(by)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn cancels(&mut self, ids: &[RunId]) -> Answer<Vec<(RunId, String)>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "select run_id, requested_by from work_cancel where run_id in (select value from json_each($1))",
        )
        .bind(json(&texts(ids)))
        .fetch_all(self)
        .await?;
        rows.into_iter().map(|(id, by)| Ok((run_id(&id)?, by))).collect()
    }
}
