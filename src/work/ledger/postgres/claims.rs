//! Runs up to their start, in Postgres.
//! No rule stands here.

use super::{PostgresBook, at, ms, run_id};
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Candidate, Claimed, Claims, Holding, Open, Starting, json, millis};
use crate::work::ledger::rows::{oldest_late, under_way};
use crate::work::run::RunId;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::time::Duration;

impl Claims for PostgresBook<'_> {
    async fn waits(&mut self, until: Timestamp) -> Answer<bool> {
        sqlx::query_scalar(concat!(
            "select exists (select 1 from work_run where lease_until is null and finished_at is null and available_at <= ",
            at!("$1::bigint"),
            ")"
        ))
        .persistent(self.keeps)
        .bind(until.millis())
        .fetch_one(&mut *self.connection)
        .await
    }

    /// By the clock as the transaction began: no index helps against one that goes on.
    async fn candidates(&mut self, horizon: Duration, not: &[String], limit: i64) -> Answer<Vec<Candidate>> {
        let rows = sqlx::query(concat!(
            "select id, worker, spec_hash, kind, ",
            ms!("tick_at"),
            " as tick_at, ",
            ms!("available_at"),
            " as available_at, late, epoch from work_run r
             where lease_until is null and finished_at is null and available_at <= now() + $1 * interval '1 millisecond'
               and worker || ':' || spec_hash <> all($2)
               and (not late or not exists (select 1 from work_run o where o.worker = r.worker and o.id <> r.id and ",
            under_way!(),
            " and (o.started_at is not null or o.late and o.state = 'claimed')))
             order by r.available_at, r.id collate \"C\" limit $3 for no key update of r skip locked"
        ))
        .persistent(self.keeps)
        .bind(millis(horizon))
        .bind(not)
        .bind(limit)
        .fetch_all(&mut *self.connection)
        .await?;
        let candidate = |row: &PgRow| {
            Ok(Candidate {
                id: run_id(row.try_get("id")?)?,
                worker: row.try_get("worker")?,
                spec_hash: row.try_get("spec_hash")?,
                kind: row.try_get("kind")?,
                tick_at: row.try_get("tick_at")?,
                available_at: row.try_get("available_at")?,
                late: row.try_get("late")?,
                epoch: row.try_get("epoch")?,
            })
        };
        rows.iter().map(candidate).collect()
    }

    async fn take(&mut self, ids: &[RunId], replica: &str, lease: Duration) -> Answer<()> {
        if ids.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "update work_run set state = 'claimed', owner = $2, epoch = epoch + 1,
               lease_until = clock_timestamp() + $3 * interval '1 millisecond' where id = any($1)",
        )
        .persistent(self.keeps)
        .bind(texts(ids))
        .bind(replica)
        .bind(millis(lease))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn claimed(&mut self, held: &[Holding]) -> Answer<Vec<Claimed>> {
        let rows: Vec<(String, i64, bool, bool, i64)> = sqlx::query_as(concat!(
            "select r.id, ",
            ms!("r.due_at"),
            ", r.late, r.started_at is null, r.attempt from work_run r
             join json_to_recordset($1::json) as j(id text, epoch bigint) on r.id = j.id and r.epoch = j.epoch
             where r.state = 'claimed' order by r.id for no key update of r"
        ))
        .persistent(self.keeps)
        .bind(json(held))
        .fetch_all(&mut *self.connection)
        .await?;
        let claimed = |(id, due_at, late, first, attempt): (String, i64, bool, bool, i64)| {
            Ok(Claimed { id: run_id(&id)?, due_at, late, first, attempt })
        };
        rows.into_iter().map(claimed).collect()
    }

    async fn open_runs(&mut self, workers: &[&str], catching_up: &[&str]) -> Answer<Vec<Open>> {
        type Row = (String, String, i64, bool, bool, bool);
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "select id, worker, ",
            ms!("due_at"),
            ", started_at is not null, late, reason is not null from work_run
             where worker = any($1) and (started_at is not null or late) and ",
            under_way!(),
            " union select id, worker, ",
            ms!("due_at"),
            ", started_at is not null, late, reason is not null from work_run
             where id = any(array(select ",
            oldest_late!("id collate \"C\""),
            " from unnest($2::text[]) as w (name)))"
        ))
        .persistent(self.keeps)
        .bind(workers)
        .bind(catching_up)
        .fetch_all(&mut *self.connection)
        .await?;
        let open = |(id, worker, due_at, started, late, queued): Row| {
            Ok(Open { id: run_id(&id)?, worker, due_at, started, late, queued: queued && !started })
        };
        rows.into_iter().map(open).collect()
    }

    /// A lease that holds for another half of its length stays as it is: a row of which no indexed column changes takes no new
    /// entries in seven indexes.
    async fn start(&mut self, starts: &[Starting], replica: &str, now: Timestamp, lease: Duration) -> Answer<()> {
        if starts.is_empty() {
            return Ok(());
        }
        // One statement: nothing that one part writes is read by another.
        sqlx::query(concat!(
            "with j as (select id, worker, attempt, ",
            at!("started_at"),
            " as started_at from json_to_recordset($1::json) as x(id text, worker text, attempt bigint, started_at bigint)),
             runs as (update work_run r set state = 'running', reason = null, attempt = j.attempt,
               started_at = coalesce(r.started_at, j.started_at),
               lease_until = case when r.lease_until >= ",
            at!("$2::bigint"),
            " then r.lease_until else ",
            at!("$3::bigint"),
            " end from j where r.id = j.id),
             attempts as (insert into work_attempt (run_id, n, replica, started_at) select id, attempt, $4, started_at from j)
             update work_schedule s set last_run_id = newest.id
             from (select worker, max(id) as id from j group by worker) newest where s.worker = newest.worker"
        )).persistent(self.keeps)
        .bind(json(starts))
        .bind(now.after(lease / 2).millis())
        .bind(now.after(lease).millis())
        .bind(replica)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn skip(&mut self, ids: &[RunId], reason: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(concat!(
            "update work_run set state = 'skipped', reason = $2, finished_at = ",
            at!("$3::bigint"),
            ", owner = null, lease_until = null where id = any($1)"
        ))
        .persistent(self.keeps)
        .bind(texts(ids))
        .bind(reason)
        .bind(now.millis())
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn put_back(&mut self, held: &[Holding], queued: Option<&str>) -> Answer<()> {
        sqlx::query(
            "with held as (select r.id from work_run r join json_to_recordset($1::json) as j(id text, epoch bigint)
               on r.id = j.id and r.epoch = j.epoch where r.state = 'claimed' order by r.id for no key update of r)
             update work_run r set state = case when started_at is null then 'queued' else 'retrying' end, owner = null,
               lease_until = null, late = late or $2::text is not null, reason = coalesce($2, reason)
             from held where r.id = held.id",
        )
        .persistent(self.keeps)
        .bind(json(held))
        .bind(queued)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn renew(&mut self, held: &[Holding], lease: Duration) -> Answer<Vec<RunId>> {
        let kept: Vec<String> = sqlx::query_scalar(
            "with held as (select r.id from work_run r join json_to_recordset($1::json) as j(id text, epoch bigint)
               on r.id = j.id and r.epoch = j.epoch where r.state in ('claimed', 'running') order by r.id for no key update of r)
             update work_run r set lease_until = clock_timestamp() + $2 * interval '1 millisecond'
             from held where r.id = held.id returning r.id",
        ).persistent(self.keeps)
        .bind(json(held))
        .bind(millis(lease))
        .fetch_all(&mut *self.connection)
        .await?;
        kept.iter().map(|id| run_id(id)).collect()
    }

    async fn insert_manual(&mut self, id: RunId, worker: &str, spec_hash: &str, requested_by: &str) -> Answer<()> {
        sqlx::query(
            "insert into work_run (id, worker, spec_hash, kind, due_at, state, available_at, created_at, requested_by)
             select $1, $2, $3, 'manual', now, 'queued', now, now, $4
             from (select date_trunc('milliseconds', clock_timestamp()) as now) as clock",
        )
        .persistent(self.keeps)
        .bind(id.to_string())
        .bind(worker)
        .bind(spec_hash)
        .bind(requested_by)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}

pub(super) fn texts(ids: &[RunId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
