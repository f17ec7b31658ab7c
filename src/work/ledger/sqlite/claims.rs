//! Runs up to their start, in SQLite.
//! No rule stands here.

use super::run_id;
use crate::clock::Timestamp;
use crate::work::ledger::book::{Answer, Candidate, Claimed, Claims, Holding, Open, Starting, json, millis};
use crate::work::ledger::rows::{oldest_late, under_way};
use crate::work::run::RunId;
use sqlx::{Row, SqliteConnection};
use std::time::Duration;

impl Claims for SqliteConnection {
    async fn waits(&mut self, until: Timestamp) -> Answer<bool> {
        sqlx::query_scalar(
            "select exists (select 1 from work_run where lease_until is null and finished_at is null and available_at <= $1)",
        )
        .bind(until.millis())
        .fetch_one(self)
        .await
    }

    async fn candidates(&mut self, horizon: Duration, not: &[String], limit: i64) -> Answer<Vec<Candidate>> {
        let rows = sqlx::query(
            concat!("select id, worker, spec_hash, kind, tick_at, available_at, late, epoch from work_run r
             where lease_until is null and finished_at is null and available_at <= cast(unixepoch('subsec') * 1000 as integer) + $1
               and worker || ':' || spec_hash not in (select value from json_each($2))
               and (late = 0 or not exists (select 1 from work_run o where o.worker = r.worker and o.id <> r.id and ",
            under_way!(),
            " and (o.started_at is not null or o.late and o.state = 'claimed')))
             order by available_at, id limit $3"
        ))
        .bind(millis(horizon))
        .bind(json(not))
        .bind(limit)
        .fetch_all(self)
        .await?;
        let candidate = |row: &sqlx::sqlite::SqliteRow| {
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
        sqlx::query(
            "update work_run set state = 'claimed', owner = $2, epoch = epoch + 1,
               lease_until = cast(unixepoch('subsec') * 1000 as integer) + $3 where id in (select value from json_each($1))",
        )
        .bind(json(&texts(ids)))
        .bind(replica)
        .bind(millis(lease))
        .execute(self)
        .await?;
        Ok(())
    }

    async fn claimed(&mut self, held: &[Holding]) -> Answer<Vec<Claimed>> {
        let rows: Vec<(String, i64, bool, bool, i64)> = sqlx::query_as(
            "select id, due_at, late, started_at is null, attempt from work_run
             where (id, epoch) in (select value ->> 'id', value ->> 'epoch' from json_each($1)) and state = 'claimed'",
        )
        .bind(json(held))
        .fetch_all(self)
        .await?;
        let claimed = |(id, due_at, late, first, attempt): (String, i64, bool, bool, i64)| {
            Ok(Claimed { id: run_id(&id)?, due_at, late, first, attempt })
        };
        rows.into_iter().map(claimed).collect()
    }

    async fn open_runs(&mut self, workers: &[&str], catching_up: &[&str]) -> Answer<Vec<Open>> {
        type Row = (String, String, i64, bool, bool, bool);
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "select id, worker, due_at, started_at is not null, late, reason is not null from work_run
             where worker in (select value from json_each($1)) and (started_at is not null or late) and ",
            under_way!(),
            " union select id, worker, due_at, started_at is not null, late, reason is not null from work_run
             where id in (select ",
            oldest_late!("id"),
            " from (select value as name from json_each($2)) as w)"
        ))
        .bind(json(workers))
        .bind(json(catching_up))
        .fetch_all(self)
        .await?;
        let open = |(id, worker, due_at, started, late, queued): Row| {
            Ok(Open { id: run_id(&id)?, worker, due_at, started, late, queued: queued && !started })
        };
        rows.into_iter().map(open).collect()
    }

    async fn start(&mut self, starts: &[Starting], replica: &str, now: Timestamp, lease: Duration) -> Answer<()> {
        let starts = json(starts);
        sqlx::query(
            "update work_run set state = 'running', reason = null, attempt = j.value ->> 'attempt',
               started_at = coalesce(started_at, j.value ->> 'started_at'), lease_until = $2
             from json_each($1) j where work_run.id = j.value ->> 'id'",
        )
        .bind(&starts)
        .bind(now.after(lease).millis())
        .execute(&mut *self)
        .await?;
        sqlx::query(
            "insert into work_attempt (run_id, n, replica, started_at)
             select value ->> 'id', value ->> 'attempt', $2, value ->> 'started_at' from json_each($1)",
        )
        .bind(&starts)
        .bind(replica)
        .execute(&mut *self)
        .await?;
        sqlx::query(
            "update work_schedule set last_run_id = j.value ->> 'id' from json_each($1) j where worker = j.value ->> 'worker'",
        )
        .bind(&starts)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn skip(&mut self, ids: &[RunId], reason: &str, now: Timestamp) -> Answer<()> {
        sqlx::query(
            "update work_run set state = 'skipped', reason = $2, finished_at = $3, owner = null, lease_until = null
             where id in (select value from json_each($1))",
        )
        .bind(json(&texts(ids)))
        .bind(reason)
        .bind(now.millis())
        .execute(self)
        .await?;
        Ok(())
    }

    async fn put_back(&mut self, held: &[Holding], queued: Option<&str>) -> Answer<()> {
        sqlx::query(
            "update work_run set state = case when started_at is null then 'queued' else 'retrying' end, owner = null,
               lease_until = null, late = late or $2 is not null, reason = coalesce($2, reason)
             where (id, epoch) in (select value ->> 'id', value ->> 'epoch' from json_each($1)) and state = 'claimed'",
        )
        .bind(json(held))
        .bind(queued)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn renew(&mut self, held: &[Holding], lease: Duration) -> Answer<Vec<RunId>> {
        let kept: Vec<String> = sqlx::query_scalar(
            "update work_run set lease_until = cast(unixepoch('subsec') * 1000 as integer) + $2
             where (id, epoch) in (select value ->> 'id', value ->> 'epoch' from json_each($1)) and state in ('claimed', 'running')
             returning id",
        )
        .bind(json(held))
        .bind(millis(lease))
        .fetch_all(self)
        .await?;
        kept.iter().map(|id| run_id(id)).collect()
    }

    async fn insert_manual(&mut self, id: RunId, worker: &str, spec_hash: &str, requested_by: &str) -> Answer<()> {
        sqlx::query(
            "insert into work_run (id, worker, spec_hash, kind, due_at, state, available_at, created_at, requested_by)
             select $1, $2, $3, 'manual', t.now, 'queued', t.now, t.now, $4
             from (select cast(unixepoch('subsec') * 1000 as integer) as now) t",
        )
        .bind(id.to_string())
        .bind(worker)
        .bind(spec_hash)
        .bind(requested_by)
        .execute(self)
        .await?;
        Ok(())
    }
}

pub(super) fn texts(ids: &[RunId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
