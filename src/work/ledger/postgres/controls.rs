//! What operators do, and which replica declares what, in Postgres.
//! No rule stands here.

use super::claims::texts;
use super::{PostgresBook, at, ms, run_id};
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Controls, Period, Stored, json};
use crate::work::ledger::rows::stored_row;
use crate::work::run::RunId;
use crate::work::view::Pause;
use sqlx::Row;

/// Who holds this number until its transaction ends is taking workers over ("takeover" in ASCII).
const TAKE_OVER: i64 = 0x7461_6b65_6f76_6572;

impl Controls for PostgresBook<'_> {
    async fn lock_take_over(&mut self) -> Answer<()> {
        sqlx::query("select pg_advisory_xact_lock($1)")
            .persistent(self.keeps)
            .bind(TAKE_OVER)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn announce(&mut self, replica: &str, workers: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(concat!(
            "insert into work_declared (replica, seen_at, workers) values ($1, ",
            at!("$2::bigint"),
            ", $3) on conflict (replica) do update set seen_at = excluded.seen_at, workers = excluded.workers"
        ))
        .persistent(self.keeps)
        .bind(replica)
        .bind(now.millis())
        .bind(workers)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn seen(&mut self, replica: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(concat!("update work_declared set seen_at = ", at!("$2::bigint"), " where replica = $1"))
            .persistent(self.keeps)
            .bind(replica)
            .bind(now.millis())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn live(&mut self, since: Timestamp) -> Answer<Vec<(String, String)>> {
        sqlx::query_as(concat!("select replica, workers from work_declared where seen_at >= ", at!("$1::bigint")))
            .persistent(self.keeps)
            .bind(since.millis())
            .fetch_all(&mut *self.connection)
            .await
    }

    async fn forget(&mut self, replica: &str, since: Timestamp) -> Answer<()> {
        sqlx::query(concat!("delete from work_declared where replica = $1 or seen_at < ", at!("$2::bigint")))
            .persistent(self.keeps)
            .bind(replica)
            .bind(since.millis())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn open_periods(&mut self, periods: &[Period], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(concat!(
            "insert into work_period (worker, since, schedule, spec_hash, set_by) select worker, ",
            at!("$2::bigint"),
            ", schedule, spec_hash, $3 from json_to_recordset($1::json) as j(worker text, schedule text, spec_hash text)
             on conflict (worker, since) do update set schedule = excluded.schedule, spec_hash = excluded.spec_hash"
        ))
        .persistent(self.keeps)
        .bind(json(periods))
        .bind(now.millis())
        .bind(by)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn schedule(&mut self, worker: &str) -> Answer<Option<Stored>> {
        let row = sqlx::query(concat!(
            "select worker, spec_hash, schedule, ",
            ms!("next_at"),
            " as next_at, retired_at is not null as retired, ",
            ms!("paused_at"),
            " as paused_at, ",
            ms!("paused_until"),
            " as paused_until, updated_by from work_schedule where worker = $1"
        ))
        .persistent(self.keeps)
        .bind(worker)
        .fetch_optional(&mut *self.connection)
        .await?;
        row.iter().map(|row| stored_row!(row)).next().transpose()
    }

    async fn set_pause(&mut self, worker: &str, pause: Option<&Pause>) -> Answer<()> {
        sqlx::query(concat!(
            "update work_schedule set paused_at = ",
            at!("$2::bigint"),
            ", paused_by = $3, pause_reason = $4, paused_until = ",
            at!("$5::bigint"),
            " where worker = $1"
        ))
        .persistent(self.keeps)
        .bind(worker)
        .bind(pause.map(|pause| pause.at.millis()))
        .bind(pause.map(|pause| pause.by.as_str()))
        .bind(pause.and_then(|pause| pause.reason.as_deref()))
        .bind(pause.and_then(|pause| pause.until).map(Timestamp::millis))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn pauses_over(&mut self, now: Timestamp) -> Answer<Vec<String>> {
        sqlx::query_scalar(concat!(
            "select worker from work_schedule where paused_until is not null and paused_until <= ",
            at!("$1::bigint")
        ))
        .persistent(self.keeps)
        .bind(now.millis())
        .fetch_all(&mut *self.connection)
        .await
    }

    async fn set_next(&mut self, worker: &str, next_at: Option<i64>) -> Answer<()> {
        sqlx::query(concat!("update work_schedule set next_at = ", at!("$2::bigint"), " where worker = $1"))
            .persistent(self.keeps)
            .bind(worker)
            .bind(next_at)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn skip_waiting(&mut self, worker: &str, reason: &str, now: Timestamp) -> Answer<u64> {
        sqlx::query("select 1 from work_run where worker = $1 and finished_at is null order by id for no key update")
            .persistent(self.keeps)
            .bind(worker)
            .execute(&mut *self.connection)
            .await?;
        let skipped = sqlx::query(concat!(
            "update work_run set state = 'skipped', reason = $2, finished_at = ",
            at!("$3::bigint"),
            ", owner = null, lease_until = null
             where worker = $1 and finished_at is null and started_at is null and kind = 'tick'"
        ))
        .persistent(self.keeps)
        .bind(worker)
        .bind(reason)
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(skipped.rows_affected())
    }

    async fn cancel_idle(&mut self, id: RunId, error: &str, now: Timestamp) -> Answer<bool> {
        let cancelled = sqlx::query(concat!(
            "update work_run set state = 'cancelled', error = $2, finished_at = ",
            at!("$3::bigint"),
            ", owner = null, lease_until = null where id = $1 and state in ('queued', 'claimed', 'retrying')"
        ))
        .persistent(self.keeps)
        .bind(id.to_string())
        .bind(error)
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(cancelled.rows_affected() > 0)
    }

    async fn ask_to_cancel(&mut self, id: RunId, by: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(concat!(
            "insert into work_cancel (run_id, requested_at, requested_by) select id, ",
            at!("$2::bigint"),
            ", $3 from work_run where id = $1 and state = 'running' on conflict do nothing"
        ))
        .persistent(self.keeps)
        .bind(id.to_string())
        .bind(now.millis())
        .bind(by)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn cancels(&mut self, ids: &[RunId]) -> Answer<Vec<(RunId, String)>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("select run_id, requested_by from work_cancel where run_id = any($1)")
                .persistent(self.keeps)
                .bind(texts(ids))
                .fetch_all(&mut *self.connection)
                .await?;
        rows.into_iter().map(|(id, by)| Ok((run_id(&id)?, by))).collect()
    }
}
