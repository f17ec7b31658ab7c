//! The ends of runs, in Postgres.
//! No rule stands here.

use super::claims::texts;
use super::{PostgresBook, at, count, health, ms, run_id};
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Closing, Crash, Ending, Ends, Expired, Health, Holding, json};
use crate::work::run::{Output, RunId};
use sqlx::Row;
use sqlx::postgres::PgRow;

impl Ends for PostgresBook<'_> {
    async fn ending(&mut self, held: &[Holding]) -> Answer<Vec<Ending>> {
        let rows: Vec<(String, String, i64, i64, Option<i64>)> = sqlx::query_as(concat!(
            "select r.id, r.state, r.tries, r.attempt, ",
            ms!("r.finished_at"),
            " from work_run r join json_to_recordset($1::json) as j(id text, epoch bigint) on r.id = j.id and r.epoch = j.epoch
             order by r.id for no key update of r"
        )).persistent(self.keeps)
        .bind(json(held))
        .fetch_all(&mut *self.connection)
        .await?;
        let ending = |(id, state, tries, attempt, finished_at): (String, String, i64, i64, Option<i64>)| {
            Ok(Ending { id: run_id(&id)?, state, tries, attempt, finished_at })
        };
        rows.into_iter().map(ending).collect()
    }

    async fn end(&mut self, closing: &Closing, now: Timestamp) -> Answer<()> {
        if closing.ends.is_empty() {
            return Ok(());
        }
        // One statement: nothing that one part writes is read by another.
        sqlx::query(concat!(
            "with j as (select * from json_to_recordset($1::json) as x(id text, attempt bigint, outcome text, state text, reason text,
               tries bigint, finished_at bigint, available_at bigint, exit_code integer, result text, error text, output text,
               output_bytes bigint, output_truncated boolean)),
             attempts as (update work_attempt a set finished_at = ",
            at!("$2::bigint"),
            ", outcome = j.outcome, error = j.error from j where a.run_id = j.id and a.n = j.attempt and a.finished_at is null),
             counts as (",
            count!("$3", "$2"),
            "), health as (",
            health!("$4", "$2"),
            ") update work_run r set state = j.state, reason = j.reason, tries = j.tries, finished_at = ",
            at!("j.finished_at"),
            ", available_at = ",
            at!("j.available_at"),
            ", exit_code = j.exit_code, result = j.result, error = j.error, output = j.output, output_bytes = j.output_bytes,
               output_truncated = j.output_truncated, lease_until = null
             from j where r.id = j.id"
        ))
        .persistent(self.keeps)
        .bind(json(&closing.ends))
        .bind(now.millis())
        .bind(json(&closing.counts))
        .bind(json(&closing.health))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn write_output(&mut self, held: &Holding, output: &Output) -> Answer<()> {
        sqlx::query(
            "update work_run set output = $3, output_bytes = $4, output_truncated = $5
             where id = $1 and epoch = $2 and state = 'running'",
        )
        .persistent(self.keeps)
        .bind(&held.id)
        .bind(held.epoch)
        .bind(&output.text)
        .bind(i64::try_from(output.bytes).unwrap_or(i64::MAX))
        .bind(output.truncated)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn health(&mut self, ends: &[Health], now: Timestamp) -> Answer<()> {
        if ends.is_empty() {
            return Ok(());
        }
        sqlx::query(health!("$1", "$2"))
            .persistent(self.keeps)
            .bind(json(ends))
            .bind(now.millis())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn expired(&mut self, now: Timestamp, limit: i64) -> Answer<Vec<Expired>> {
        let rows = sqlx::query(concat!(
            "select r.id, r.worker, r.state = 'running' as running, r.started_at is null as untouched, r.crashes, r.attempt,
               s.retired_at is not null as retired
             from work_run r left join work_schedule s on s.worker = r.worker
             where r.state in ('claimed', 'running') and r.lease_until < ",
            at!("$1::bigint"),
            " order by r.lease_until limit $2"
        )).persistent(self.keeps)
        .bind(now.millis())
        .bind(limit)
        .fetch_all(&mut *self.connection)
        .await?;
        rows.iter().map(expired).collect()
    }

    async fn still_expired(&mut self, ids: &[RunId], now: Timestamp) -> Answer<Vec<Expired>> {
        let rows = sqlx::query(concat!(
            "select r.id, r.worker, r.state = 'running' as running, r.started_at is null as untouched, r.crashes, r.attempt,
               s.retired_at is not null as retired
             from work_run r left join work_schedule s on s.worker = r.worker
             where r.id = any($1) and r.state in ('claimed', 'running') and r.lease_until < ",
            at!("$2::bigint"),
            " order by r.id for no key update of r skip locked"
        ))
        .persistent(self.keeps)
        .bind(texts(ids))
        .bind(now.millis())
        .fetch_all(&mut *self.connection)
        .await?;
        rows.iter().map(expired).collect()
    }

    async fn bury(&mut self, crashes: &[Crash], now: Timestamp) -> Answer<()> {
        if crashes.is_empty() {
            return Ok(());
        }
        sqlx::query(concat!(
            "with j as (select * from json_to_recordset($1::json) as x(id text, state text, reason text, crashes bigint, attempt bigint,
               finished_at bigint, outcome text, error text)),
             attempts as (update work_attempt a set finished_at = ",
            at!("$2::bigint"),
            ", outcome = j.outcome, error = j.error from j
               where a.run_id = j.id and a.n = j.attempt and a.finished_at is null and j.outcome is not null)
             update work_run r set state = j.state, reason = coalesce(j.reason, r.reason), crashes = j.crashes, finished_at = ",
            at!("j.finished_at"),
            ", lease_until = null from j where r.id = j.id"
        )).persistent(self.keeps)
        .bind(json(crashes))
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}

fn expired(row: &PgRow) -> Answer<Expired> {
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
