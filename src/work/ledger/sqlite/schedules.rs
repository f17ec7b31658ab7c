//! Workers and their ticks: taking over what is declared, recording what is due, re-arming what stopped.
//! Every change of `next_at` is a compare-and-set together with the runs it stands for.

use super::{begin, count, now, worker_name};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::workers::Worker;
use crate::work::due::{self, Decision};
use crate::work::ledger::{Materialised, Recorded, Workers};
use crate::work::run::{RunId, RunState};
use serde_json::{Value, json};
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

/// Why runs of an edited or retired worker do not run.
const WITHDRAWN: &str = "withdrawn";
/// Why ticks of a past outage do not run.
const CATCH_UP: &str = "catch_up";

/// How many workers one transaction deals with.
const BATCH: usize = 500;

/// A worker, its next tick as it was read, and what becomes of it.
type Decided<'w> = (&'w Worker, Timestamp, Decision);

/// What the ledger holds of a declaration.
struct Stored {
    spec_hash: String,
    schedule: String,
    next_at: Option<i64>,
    retired: bool,
}

pub(crate) async fn sync(c: &mut SqliteConnection, workers: &Workers, by: &str) -> Result<Vec<Recorded>, sqlx::Error> {
    let mut tx = begin(c).await?;
    let now = now(&mut tx).await?;
    let mut stored = stored(&mut tx).await?;
    let mut recorded = Vec::new();
    for (name, worker) in workers {
        match stored.remove(name.as_str()) {
            None => insert(&mut tx, worker, now, by).await?,
            Some(row) if row.spec_hash == worker.spec_hash && !row.retired => {}
            Some(row) => recorded.extend(take_over(&mut tx, worker, &row, now, by).await?),
        }
    }
    for (name, _) in stored.iter().filter(|(_, row)| !row.retired) {
        recorded.extend(retire(&mut tx, &worker_name(name)?, now, by).await?);
    }
    tx.commit().await?;
    Ok(recorded)
}

async fn stored(c: &mut SqliteConnection) -> Result<HashMap<String, Stored>, sqlx::Error> {
    type Row = (String, String, String, Option<i64>, bool);
    let rows: Vec<Row> =
        sqlx::query_as("select worker, spec_hash, schedule, next_at, retired_at is not null from work_schedule")
            .fetch_all(c)
            .await?;
    let stored =
        |(worker, spec_hash, schedule, next_at, retired)| (worker, Stored { spec_hash, schedule, next_at, retired });
    Ok(rows.into_iter().map(stored).collect())
}

fn first_tick(worker: &Worker, now: Timestamp) -> Option<i64> {
    worker.enabled.then(|| worker.schedule.next_after(now)).flatten().map(Timestamp::millis)
}

async fn insert(c: &mut SqliteConnection, worker: &Worker, now: Timestamp, by: &str) -> Result<(), sqlx::Error> {
    sqlx::query("insert into work_schedule (worker, spec_hash, schedule, next_at, updated_at, updated_by) values ($1, $2, $3, $4, $5, $6)")
        .bind(worker.name.as_str())
        .bind(&worker.spec_hash)
        .bind(worker.schedule.describe())
        .bind(first_tick(worker, now))
        .bind(now.millis())
        .bind(by)
        .execute(c)
        .await?;
    Ok(())
}

/// An edit that leaves the schedule as it is keeps its clock and its queue, so that no tick falls between two declarations.
async fn take_over(
    c: &mut SqliteConnection,
    worker: &Worker,
    row: &Stored,
    now: Timestamp,
    by: &str,
) -> Result<Option<Recorded>, sqlx::Error> {
    let same_clock = row.schedule == worker.schedule.describe() && worker.enabled && !row.retired;
    let next_at = if same_clock { row.next_at.or_else(|| first_tick(worker, now)) } else { first_tick(worker, now) };
    sqlx::query(
        "update work_schedule set spec_hash = $2, schedule = $3, next_at = $4, retired_at = null, updated_at = $5, updated_by = $6
         where worker = $1",
    )
    .bind(worker.name.as_str())
    .bind(&worker.spec_hash)
    .bind(worker.schedule.describe())
    .bind(next_at)
    .bind(now.millis())
    .bind(by)
    .execute(&mut *c)
    .await?;
    let withdrawn = if same_clock { None } else { withdraw(c, &worker.name, now).await? };
    sqlx::query("update work_run set spec_hash = $2 where worker = $1 and finished_at is null")
        .bind(worker.name.as_str())
        .bind(&worker.spec_hash)
        .execute(c)
        .await?;
    Ok(withdrawn)
}

/// Ticks of the old schedule that lie ahead are forgotten, those that were due are recorded as skipped. What somebody asked for stays.
async fn withdraw(
    c: &mut SqliteConnection,
    worker: &WorkerName,
    now: Timestamp,
) -> Result<Option<Recorded>, sqlx::Error> {
    sqlx::query("delete from work_run where worker = $1 and finished_at is null and started_at is null and kind = 'tick' and tick_at > $2")
        .bind(worker.as_str())
        .bind(now.millis())
        .execute(&mut *c)
        .await?;
    let changed = sqlx::query(
        "update work_run set state = 'skipped', reason = $2, finished_at = $3, owner = null, lease_until = null
         where worker = $1 and finished_at is null and started_at is null and kind <> 'manual'",
    )
    .bind(worker.as_str())
    .bind(WITHDRAWN)
    .bind(now.millis())
    .execute(&mut *c)
    .await?;
    let n = changed.rows_affected();
    if n == 0 {
        return Ok(None);
    }
    count(c, worker.as_str(), RunState::Skipped, n, now).await?;
    Ok(Some(Recorded { worker: worker.clone(), state: RunState::Skipped, reason: WITHDRAWN, count: n }))
}

/// A run in progress may finish; what waits for another attempt is cancelled, for nobody can make it.
async fn retire(
    c: &mut SqliteConnection,
    worker: &WorkerName,
    now: Timestamp,
    by: &str,
) -> Result<Option<Recorded>, sqlx::Error> {
    sqlx::query(
        "update work_schedule set retired_at = $2, next_at = null, updated_at = $2, updated_by = $3 where worker = $1",
    )
    .bind(worker.as_str())
    .bind(now.millis())
    .bind(by)
    .execute(&mut *c)
    .await?;
    let withdrawn = withdraw(c, worker, now).await?;
    sqlx::query(
        "update work_run set state = 'cancelled', reason = $2, finished_at = $3, owner = null, lease_until = null
         where worker = $1 and finished_at is null and state <> 'running'",
    )
    .bind(worker.as_str())
    .bind(WITHDRAWN)
    .bind(now.millis())
    .execute(c)
    .await?;
    Ok(withdrawn)
}

/// One transaction for some hundred workers: others can write in between.
pub(crate) async fn materialise(c: &mut SqliteConnection, workers: &Workers) -> Result<Materialised, sqlx::Error> {
    let looked_at = now(c).await?;
    let decided = decide_all(c, workers, looked_at).await?;
    let mut done = Materialised::default();
    for some in decided.chunks(BATCH) {
        let mut tx = begin(c).await?;
        let now = now(&mut tx).await?;
        let advanced = advance(&mut tx, some).await?;
        let ours = || some.iter().filter(|(worker, ..)| advanced.contains(worker.name.as_str()));
        done.queued += insert_ticks(&mut tx, ours(), now).await?;
        for (worker, _, decision) in ours() {
            done.more |= decision.more;
            done.recorded.extend(insert_missed(&mut tx, worker, decision, now).await?);
        }
        tx.commit().await?;
    }
    Ok(done)
}

/// Decisions are made outside the transaction, which holds everybody else up; the compare-and-set drops those that came too late.
async fn decide_all<'w>(
    c: &mut SqliteConnection,
    workers: &'w Workers,
    now: Timestamp,
) -> Result<Vec<Decided<'w>>, sqlx::Error> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select worker, spec_hash, next_at from work_schedule
         where next_at is not null and next_at <= $1 and retired_at is null and paused_at is null order by next_at",
    )
    .bind(now.after(due::HORIZON).millis())
    .fetch_all(c)
    .await?;
    let ours = rows.into_iter().filter_map(|(name, spec_hash, next_at)| {
        let worker = workers.get(name.as_str()).filter(|worker| worker.spec_hash == spec_hash && worker.enabled)?;
        let next_at = Timestamp::from_millis(next_at);
        Some((worker.as_ref(), next_at, due::decide(&worker.schedule, &worker.policy, next_at, now)))
    });
    Ok(ours.collect())
}

/// Moves the clocks of those whose row is still as it was read; says which.
async fn advance(c: &mut SqliteConnection, some: &[Decided<'_>]) -> Result<HashSet<String>, sqlx::Error> {
    let steps = some.iter().map(|(worker, old, decision)| {
        json!([worker.name.as_str(), worker.spec_hash, old.millis(), decision.next_at.map(Timestamp::millis)])
    });
    let advanced: Vec<String> = sqlx::query_scalar(
        "update work_schedule set next_at = j.value ->> 3 from json_each($1) j
         where worker = j.value ->> 0 and spec_hash = j.value ->> 1 and next_at = j.value ->> 2
           and retired_at is null and paused_at is null returning worker",
    )
    .bind(Value::from_iter(steps).to_string())
    .fetch_all(c)
    .await?;
    Ok(advanced.into_iter().collect())
}

async fn insert_ticks<'d>(
    c: &mut SqliteConnection,
    decided: impl Iterator<Item = &'d Decided<'d>>,
    now: Timestamp,
) -> Result<usize, sqlx::Error> {
    let runs = decided.flat_map(|(worker, _, decision)| {
        let run = |tick: &due::DueTick| {
            json!([
                RunId::new().to_string(),
                worker.name.as_str(),
                worker.spec_hash,
                tick.at.millis(),
                i64::from(tick.late)
            ])
        };
        decision.runs.iter().map(run)
    });
    let inserted = sqlx::query(
        "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, available_at, created_at)
         select value ->> 0, value ->> 1, value ->> 2, 'tick', value ->> 3, value ->> 3, value ->> 4, 'queued', value ->> 3, $2
         from json_each($1) where true on conflict do nothing",
    )
    .bind(Value::from_iter(runs).to_string())
    .bind(now.millis())
    .execute(c)
    .await?;
    Ok(usize::try_from(inserted.rows_affected()).unwrap_or(usize::MAX))
}

async fn insert_missed(
    c: &mut SqliteConnection,
    worker: &Worker,
    decision: &Decision,
    now: Timestamp,
) -> Result<Option<Recorded>, sqlx::Error> {
    let Some(missed) = decision.missed else {
        return Ok(None);
    };
    sqlx::query(
        "insert into work_run (id, worker, spec_hash, kind, tick_at, due_at, late, state, reason, available_at, created_at, finished_at,
           range_from, range_to, count)
         values ($1, $2, $3, 'tick', $4, $4, 1, 'missed', $5, $4, $6, $6, $4, $7, $8) on conflict do nothing",
    )
    .bind(RunId::new().to_string())
    .bind(worker.name.as_str())
    .bind(&worker.spec_hash)
    .bind(missed.from.millis())
    .bind(CATCH_UP)
    .bind(now.millis())
    .bind(missed.to.millis())
    .bind(i64::try_from(missed.count).unwrap_or(i64::MAX))
    .execute(&mut *c)
    .await?;
    count(c, worker.name.as_str(), RunState::Missed, missed.count, now).await?;
    Ok(Some(Recorded { worker: worker.name.clone(), state: RunState::Missed, reason: CATCH_UP, count: missed.count }))
}

pub(crate) async fn rearm(c: &mut SqliteConnection, workers: &Workers) -> Result<Vec<WorkerName>, sqlx::Error> {
    let stopped: Vec<(String, String)> = sqlx::query_as(
        "select worker, spec_hash from work_schedule where next_at is null and retired_at is null and paused_at is null",
    )
    .fetch_all(&mut *c)
    .await?;
    let mut rearmed = Vec::new();
    for (name, spec_hash) in stopped {
        let Some(worker) = workers.get(name.as_str()).filter(|worker| worker.spec_hash == spec_hash) else {
            continue;
        };
        let now = now(c).await?;
        let Some(next_at) = first_tick(worker, now) else {
            continue;
        };
        sqlx::query("update work_schedule set next_at = $3 where worker = $1 and spec_hash = $2 and next_at is null and retired_at is null")
            .bind(&name)
            .bind(&spec_hash)
            .bind(next_at)
            .execute(&mut *c)
            .await?;
        rearmed.push(worker.name.clone());
    }
    Ok(rearmed)
}
