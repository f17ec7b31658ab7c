//! Workers and their ticks, in SQLite.
//! No rule stands here.

use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Count, Declared, Due, NewSpan, NewTick, Schedules, Step, Stored, json};
use crate::work::ledger::reads::hour_of;
use crate::work::ledger::rows::stored_row;
use sqlx::{Row, SqliteConnection};

impl Schedules for SqliteConnection {
    async fn now(&mut self) -> Answer<Timestamp> {
        let millis: i64 =
            sqlx::query_scalar("select cast(unixepoch('subsec') * 1000 as integer)").fetch_one(self).await?;
        Ok(Timestamp::from_millis(millis))
    }

    /// Whoever writes has the whole file.
    async fn lock_workers(&mut self, _: &[&str]) -> Answer<Timestamp> {
        self.now().await
    }

    async fn stored(&mut self) -> Answer<Vec<Stored>> {
        let rows = sqlx::query(
            "select worker, spec_hash, schedule, next_at, retired_at is not null as retired, paused_at, paused_until, updated_by
             from work_schedule",
        )
        .fetch_all(self)
        .await?;
        rows.iter().map(|row| stored_row!(row)).collect()
    }

    async fn insert_schedules(&mut self, rows: &[Declared], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(
            "insert into work_schedule (worker, spec_hash, schedule, next_at, updated_at, updated_by)
             select value ->> 'worker', value ->> 'spec_hash', value ->> 'schedule', value ->> 'next_at', $2, $3 from json_each($1)
             where true on conflict do nothing",
        )
        .bind(json(rows))
        .bind(now.millis())
        .bind(by)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn update_schedules(&mut self, rows: &[Declared], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(
            "update work_schedule set spec_hash = j.value ->> 'spec_hash', schedule = j.value ->> 'schedule',
               next_at = j.value ->> 'next_at', retired_at = null, updated_at = $2, updated_by = $3
             from json_each($1) j where worker = j.value ->> 'worker'",
        )
        .bind(json(rows))
        .bind(now.millis())
        .bind(by)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn retire(&mut self, workers: &[&str], now: Timestamp, by: &str) -> Answer<()> {
        sqlx::query(
            "update work_schedule set retired_at = $2, next_at = null, updated_at = $2, updated_by = $3
             where worker in (select value from json_each($1))",
        )
        .bind(json(workers))
        .bind(now.millis())
        .bind(by)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn withdraw(&mut self, workers: &[&str], reason: &str, now: Timestamp) -> Answer<Vec<(String, u64)>> {
        sqlx::query(
            "delete from work_run where worker in (select value from json_each($1)) and finished_at is null and started_at is null
               and kind = 'tick' and tick_at > $2",
        )
        .bind(json(workers))
        .bind(now.millis())
        .execute(&mut *self)
        .await?;
        let skipped: Vec<String> = sqlx::query_scalar(
            "update work_run set state = 'skipped', reason = $2, finished_at = $3, owner = null, lease_until = null
             where worker in (select value from json_each($1)) and finished_at is null and started_at is null and kind <> 'manual'
             returning worker",
        )
        .bind(json(workers))
        .bind(reason)
        .bind(now.millis())
        .fetch_all(self)
        .await?;
        Ok(crate::work::ledger::rows::tallied(skipped))
    }

    async fn cancel_waiting(&mut self, workers: &[&str], reason: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(
            "update work_run set state = 'cancelled', reason = $2, finished_at = $3, owner = null, lease_until = null
             where worker in (select value from json_each($1)) and finished_at is null and state <> 'running'",
        )
        .bind(json(workers))
        .bind(reason)
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(())
    }

    async fn respec(&mut self, rows: &[Declared]) -> Answer<()> {
        sqlx::query(
            "update work_run set spec_hash = j.value ->> 'spec_hash' from json_each($1) j
             where worker = j.value ->> 'worker' and finished_at is null",
        )
        .bind(json(rows))
        .execute(self)
        .await?;
        Ok(())
    }

    async fn due(&mut self, until: Timestamp) -> Answer<Vec<Due>> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "select worker, spec_hash, next_at from work_schedule
             where next_at is not null and next_at <= $1 and retired_at is null and paused_at is null order by next_at",
        )
        .bind(until.millis())
        .fetch_all(self)
        .await?;
        let due = |(worker, spec_hash, next_at)| Due { worker, spec_hash, next_at: Timestamp::from_millis(next_at) };
        Ok(rows.into_iter().map(due).collect())
    }

    async fn advance(&mut self, steps: &[Step]) -> Answer<Vec<String>> {
        sqlx::query_scalar(
            "update work_schedule set next_at = j.value ->> 'new' from json_each($1) j
             where worker = j.value ->> 'worker' and spec_hash = j.value ->> 'spec_hash' and next_at = j.value ->> 'old'
               and retired_at is null and paused_at is null returning worker",
        )
        .bind(json(steps))
        .fetch_all(self)
        .await
    }

    async fn insert_ticks(&mut self, ticks: &[NewTick], now: Timestamp) -> Answer<u64> {
        let inserted = sqlx::query(
            "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, available_at, created_at)
             select value ->> 'id', value ->> 'worker', value ->> 'spec_hash', 'tick', value ->> 'tick_at', value ->> 'due_at',
               value ->> 'late', 'queued', value ->> 'due_at', $2
             from json_each($1) where true on conflict do nothing",
        )
        .bind(json(ticks))
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(inserted.rows_affected())
    }

    async fn insert_spans(&mut self, spans: &[NewSpan], now: Timestamp) -> Answer<()> {
        sqlx::query(
            "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, reason, available_at, created_at,
               finished_at, range_from, range_to, count)
             select value ->> 'id', value ->> 'worker', value ->> 'spec_hash', 'tick', value ->> 'from', value ->> 'from', 1,
               value ->> 'state', value ->> 'reason', value ->> 'from', $2, $2, value ->> 'from', value ->> 'to', value ->> 'n'
             from json_each($1) where true on conflict do nothing",
        )
        .bind(json(spans))
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(())
    }

    async fn count(&mut self, counts: &[Count], now: Timestamp) -> Answer<()> {
        sqlx::query(
            "insert into work_counts (worker, hour, outcome, n)
             select value ->> 'worker', $2, value ->> 'outcome', sum(value ->> 'n') from json_each($1) where true
             group by value ->> 'worker', value ->> 'outcome'
             on conflict (worker, hour, outcome) do update set n = n + excluded.n",
        )
        .bind(json(counts))
        .bind(hour_of(now))
        .execute(self)
        .await?;
        Ok(())
    }

    async fn stopped(&mut self) -> Answer<Vec<(String, String)>> {
        sqlx::query_as(
            "select worker, spec_hash from work_schedule where next_at is null and retired_at is null and paused_at is null",
        )
        .fetch_all(self)
        .await
    }

    async fn rearm(&mut self, worker: &str, spec_hash: &str, next_at: i64) -> Answer<()> {
        sqlx::query(
            "update work_schedule set next_at = $3 where worker = $1 and spec_hash = $2 and next_at is null and retired_at is null",
        )
        .bind(worker)
        .bind(spec_hash)
        .bind(next_at)
        .execute(self)
        .await?;
        Ok(())
    }
}
