//! Workers and their ticks, in Postgres.
//! No rule stands here.

use super::{PostgresBook, at, count, ms};
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Count, Declared, Due, NewSpan, NewTick, Schedules, Step, Stored, json};
use crate::work::ledger::rows::{stored_row, tallied};
use sqlx::Row;

impl Schedules for PostgresBook<'_> {
    /// Not `now()`, which stands still while a transaction waits for a lock.
    async fn now(&mut self) -> Answer<Timestamp> {
        let millis: i64 = sqlx::query_scalar("select floor(extract(epoch from clock_timestamp()) * 1000)::bigint")
            .persistent(self.keeps)
            .fetch_one(&mut *self.connection)
            .await?;
        Ok(Timestamp::from_millis(millis))
    }

    async fn lock_workers(&mut self, workers: &[&str]) -> Answer<Timestamp> {
        let millis: i64 = sqlx::query_scalar(
            "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint from (select count(*) from
               (select 1 from work_schedule where worker = any($1) order by worker for no key update) as locked) as all_locked",
        )
        .persistent(self.keeps)
        .bind(workers)
        .fetch_one(&mut *self.connection)
        .await?;
        Ok(Timestamp::from_millis(millis))
    }

    async fn stored(&mut self) -> Answer<Vec<Stored>> {
        let rows = sqlx::query(concat!(
            "select worker, spec_hash, schedule, ",
            ms!("next_at"),
            " as next_at, retired_at is not null as retired, ",
            ms!("paused_at"),
            " as paused_at, ",
            ms!("paused_until"),
            " as paused_until, updated_by from work_schedule order by worker for no key update"
        ))
        .persistent(self.keeps)
        .fetch_all(&mut *self.connection)
        .await?;
        rows.iter().map(|row| stored_row!(row)).collect()
    }

    async fn insert_schedules(&mut self, rows: &[Declared], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(concat!(
            "insert into work_schedule (worker, spec_hash, schedule, next_at, updated_at, updated_by)
             select worker, spec_hash, schedule, ",
            at!("next_at"),
            ", ",
            at!("$2::bigint"),
            ", $3 from json_to_recordset($1::json) as j(worker text, spec_hash text, schedule text, next_at bigint)
             order by worker on conflict do nothing"
        ))
        .persistent(self.keeps)
        .bind(json(rows))
        .bind(now.millis())
        .bind(by)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn update_schedules(&mut self, rows: &[Declared], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(concat!(
            "update work_schedule s set spec_hash = j.spec_hash, schedule = j.schedule, next_at = ",
            at!("j.next_at"),
            ", retired_at = null, updated_at = ",
            at!("$2::bigint"),
            ", updated_by = $3
             from json_to_recordset($1::json) as j(worker text, spec_hash text, schedule text, next_at bigint)
             where s.worker = j.worker"
        ))
        .persistent(self.keeps)
        .bind(json(rows))
        .bind(now.millis())
        .bind(by)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn retire(&mut self, workers: &[&str], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(concat!(
            "update work_schedule set retired_at = ",
            at!("$2::bigint"),
            ", next_at = null, updated_at = ",
            at!("$2::bigint"),
            ", updated_by = $3 where worker = any($1)"
        ))
        .persistent(self.keeps)
        .bind(workers)
        .bind(now.millis())
        .bind(by)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn withdraw(&mut self, workers: &[&str], reason: &str, now: Timestamp) -> Answer<Vec<(String, u64)>> {
        // All of them are locked first, in order, whatever becomes of each.
        sqlx::query("select 1 from work_run where worker = any($1) and finished_at is null order by id for update")
            .persistent(self.keeps)
            .bind(workers)
            .execute(&mut *self.connection)
            .await?;
        sqlx::query(concat!(
            "delete from work_run where worker = any($1) and finished_at is null and started_at is null and kind = 'tick' and tick_at > ",
            at!("$2::bigint")
        )).persistent(self.keeps)
        .bind(workers)
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        let skipped: Vec<String> = sqlx::query_scalar(concat!(
            "update work_run set state = 'skipped', reason = $2, finished_at = ",
            at!("$3::bigint"),
            ", owner = null, lease_until = null
             where worker = any($1) and finished_at is null and started_at is null and kind <> 'manual' returning worker"
        )).persistent(self.keeps)
        .bind(workers)
        .bind(reason)
        .bind(now.millis())
        .fetch_all(&mut *self.connection)
        .await?;
        Ok(tallied(skipped))
    }

    async fn cancel_waiting(&mut self, workers: &[&str], reason: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(concat!(
            "update work_run set state = 'cancelled', reason = $2, finished_at = ",
            at!("$3::bigint"),
            ", owner = null, lease_until = null where worker = any($1) and finished_at is null and state <> 'running'"
        ))
        .persistent(self.keeps)
        .bind(workers)
        .bind(reason)
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn respec(&mut self, rows: &[Declared]) -> Answer<()> {
        let workers: Vec<&str> = rows.iter().map(|row| row.worker.as_str()).collect();
        sqlx::query("select 1 from work_run where worker = any($1) and finished_at is null order by id for update")
            .persistent(self.keeps)
            .bind(workers)
            .execute(&mut *self.connection)
            .await?;
        sqlx::query(
            "update work_run r set spec_hash = j.spec_hash from json_to_recordset($1::json) as j(worker text, spec_hash text)
             where r.worker = j.worker and r.finished_at is null",
        ).persistent(self.keeps)
        .bind(json(rows))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn due(&mut self, until: Timestamp) -> Answer<Vec<Due>> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(concat!(
            "select worker, spec_hash, ",
            ms!("next_at"),
            " from work_schedule where next_at is not null and next_at <= ",
            at!("$1::bigint"),
            " and retired_at is null and paused_at is null order by next_at"
        ))
        .persistent(self.keeps)
        .bind(until.millis())
        .fetch_all(&mut *self.connection)
        .await?;
        let due = |(worker, spec_hash, next_at)| Due { worker, spec_hash, next_at: Timestamp::from_millis(next_at) };
        Ok(rows.into_iter().map(due).collect())
    }

    async fn advance(&mut self, steps: &[Step]) -> Answer<Vec<String>> {
        sqlx::query_scalar(concat!(
            "with j as (select worker, spec_hash, ",
            at!("old"),
            " as old, ",
            at!("new"),
            " as new from json_to_recordset($1::json) as x(worker text, spec_hash text, old bigint, new bigint)),
             free as (select s.worker, j.new from work_schedule s join j on s.worker = j.worker
               where s.spec_hash = j.spec_hash and s.next_at = j.old and s.retired_at is null and s.paused_at is null
               for no key update of s skip locked)
             update work_schedule s set next_at = free.new from free where s.worker = free.worker returning s.worker"
        ))
        .persistent(self.keeps)
        .bind(json(steps))
        .fetch_all(&mut *self.connection)
        .await
    }

    async fn insert_ticks(&mut self, ticks: &[NewTick], now: Timestamp) -> Answer<u64> {
        let inserted = sqlx::query(concat!(
            "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, available_at, created_at)
             select id, worker, spec_hash, 'tick', ",
            at!("tick_at"),
            ", ",
            at!("due_at"),
            ", late, 'queued', ",
            at!("due_at"),
            ", ",
            at!("$2::bigint"),
            " from json_to_recordset($1::json) as j(id text, worker text, spec_hash text, tick_at bigint, due_at bigint, late boolean)
             order by worker, tick_at on conflict do nothing"
        )).persistent(self.keeps)
        .bind(json(ticks))
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(inserted.rows_affected())
    }

    async fn insert_spans(&mut self, spans: &[NewSpan], now: Timestamp) -> Answer<()> {
        sqlx::query(concat!(
            "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, reason, available_at, created_at,
               finished_at, range_from, range_to, count)
             select id, worker, spec_hash, 'tick', ",
            at!("\"from\""),
            ", ",
            at!("\"from\""),
            ", true, state, reason, ",
            at!("\"from\""),
            ", ",
            at!("$2::bigint"),
            ", ",
            at!("$2::bigint"),
            ", ",
            at!("\"from\""),
            ", ",
            at!("\"to\""),
            ", n from json_to_recordset($1::json)
             as j(id text, worker text, spec_hash text, state text, reason text, \"from\" bigint, \"to\" bigint, n bigint)
             order by worker, \"from\" on conflict do nothing"
        )).persistent(self.keeps)
        .bind(json(spans))
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn count(&mut self, counts: &[Count], now: Timestamp) -> Answer<()> {
        if counts.is_empty() {
            return Ok(());
        }
        sqlx::query(count!("$1", "$2"))
            .persistent(self.keeps)
            .bind(json(counts))
            .bind(now.millis())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn stopped(&mut self) -> Answer<Vec<(String, String)>> {
        sqlx::query_as(
            "select worker, spec_hash from work_schedule where next_at is null and retired_at is null and paused_at is null
             order by worker for no key update",
        ).persistent(self.keeps)
        .fetch_all(&mut *self.connection)
        .await
    }

    async fn rearm(&mut self, worker: &str, spec_hash: &str, next_at: i64) -> Answer<()> {
        sqlx::query(concat!(
            "update work_schedule set next_at = ",
            at!("$3::bigint"),
            " where worker = $1 and spec_hash = $2 and next_at is null and retired_at is null"
        ))
        .persistent(self.keeps)
        .bind(worker)
        .bind(spec_hash)
        .bind(next_at)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}
