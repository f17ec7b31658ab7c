//! The ends of runs, in SQLite.
//! No rule stands here.

use super::claims::texts;
use super::run_id;
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Closing, Crash, Ending, Ends, Expired, Health, Holding, Schedules as _, json};
use crate::work::run::{Output, RunId};
use sqlx::{Row, SqliteConnection};

impl Ends for SqliteConnection {
    async fn ending(&mut self, held: &[Holding]) -> Answer<Vec<Ending>> {
        let rows: Vec<(String, String, i64, i64, Option<i64>)> = sqlx::query_as(
            "select id, state, tries, attempt, finished_at from work_run
             where (id, epoch) in (select value ->> 'id', value ->> 'epoch' from json_each($1))",
        )
        .bind(json(held))
        .fetch_all(self)
        .await?;
        let ending = |(id, state, tries, attempt, finished_at): (String, String, i64, i64, Option<i64>)| {
            Ok(Ending { id: run_id(&id)?, state, tries, attempt, finished_at })
        };
        rows.into_iter().map(ending).collect()
    }

    async fn end(&mut self, closing: &Closing, now: Timestamp) -> Answer<()> {
        let ends = json(&closing.ends);
        sqlx::query(
            "update work_run set state = j.value ->> 'state', reason = j.value ->> 'reason', tries = j.value ->> 'tries',
               finished_at = j.value ->> 'finished_at', available_at = j.value ->> 'available_at', exit_code = j.value ->> 'exit_code',
               result = j.value ->> 'result', error = j.value ->> 'error', output = j.value ->> 'output',
               output_bytes = j.value ->> 'output_bytes', output_truncated = j.value ->> 'output_truncated', lease_until = null
             from json_each($1) j where work_run.id = j.value ->> 'id'",
        )
        .bind(&ends)
        .execute(&mut *self)
        .await?;
        sqlx::query(
            "update work_attempt set finished_at = $2, outcome = j.value ->> 'outcome', error = j.value ->> 'error'
             from json_each($1) j where run_id = j.value ->> 'id' and n = j.value ->> 'attempt' and work_attempt.finished_at is null",
        )
        .bind(&ends)
        .bind(now.millis())
        .execute(&mut *self)
        .await?;
        self.count(&closing.counts, now).await?;
        self.health(&closing.health, now).await
    }

    async fn write_output(&mut self, held: &Holding, output: &Output) -> Answer<()> {
        sqlx::query(
            "update work_run set output = $3, output_bytes = $4, output_truncated = $5
             where id = $1 and epoch = $2 and state = 'running'",
        )
        .bind(&held.id)
        .bind(held.epoch)
        .bind(&output.text)
        .bind(i64::try_from(output.bytes).unwrap_or(i64::MAX))
        .bind(output.truncated)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn health(&mut self, ends: &[Health], now: Timestamp) -> Answer<()> {
        sqlx::query(
            "update work_schedule set
               consecutive_failures = case when j.value ->> 'succeeded' then 0 else consecutive_failures end + (j.value ->> 'failures'),
               last_success_at = case when j.value ->> 'succeeded' then $2 else last_success_at end
             from json_each($1) j where worker = j.value ->> 'worker'",
        )
        .bind(json(ends))
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(())
    }

    async fn expired(&mut self, now: Timestamp, limit: i64) -> Answer<Vec<Expired>> {
        let rows = sqlx::query(
            "select r.id, r.worker, r.state = 'running' as running, r.started_at is null as untouched, r.crashes, r.attempt,
               s.retired_at is not null as retired
             from work_run r left join work_schedule s on s.worker = r.worker
             where r.state in ('claimed', 'running') and r.lease_until < $1 order by r.lease_until limit $2",
        )
        .bind(now.millis())
        .bind(limit)
        .fetch_all(self)
        .await?;
        rows.iter().map(expired).collect()
    }

    async fn still_expired(&mut self, ids: &[RunId], now: Timestamp) -> Answer<Vec<Expired>> {
        let rows = sqlx::query(
            "select r.id, r.worker, r.state = 'running' as running, r.started_at is null as untouched, r.crashes, r.attempt,
               s.retired_at is not null as retired
             from work_run r left join work_schedule s on s.worker = r.worker
             where r.id in (select value from json_each($1)) and r.state in ('claimed', 'running') and r.lease_until < $2",
        )
        .bind(json(&texts(ids)))
        .bind(now.millis())
        .fetch_all(self)
        .await?;
        rows.iter().map(expired).collect()
    }

    async fn bury(&mut self, crashes: &[Crash], now: Timestamp) -> Answer<()> {
        let crashes = json(crashes);
        sqlx::query(
            "update work_run set state = j.value ->> 'state', reason = coalesce(j.value ->> 'reason', reason), crashes = j.value ->> 'crashes',
               finished_at = j.value ->> 'finished_at', lease_until = null
             from json_each($1) j where work_run.id = j.value ->> 'id'",
        )
        .bind(&crashes)
        .execute(&mut *self)
        .await?;
        sqlx::query(
            "update work_attempt set finished_at = $2, outcome = j.value ->> 'outcome', error = j.value ->> 'error'
             from json_each($1) j where run_id = j.value ->> 'id' and n = j.value ->> 'attempt' and work_attempt.finished_at is null
               and j.value ->> 'outcome' is not null",
        )
        .bind(&crashes)
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(())
    }
}

fn expired(row: &sqlx::sqlite::SqliteRow) -> Answer<Expired> {
    Ok(Expired {
        id: run_id(row.try_get("id")?)?,
        worker: row.try_get("worker")?,
        running: row.try_get("running")?,
        untouched: row.try_get("untouched")?,
        crashes: row.try_get("crashes")?,
        attempt: row.try_get("attempt")?,
        retired: row.try_get("retired")?,
    })
}
