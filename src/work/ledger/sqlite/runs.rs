//! The start of a run: queued by hand, claimed, started, put back, its lease renewed.
//! After the claim every write names the epoch; where it matches nothing, the lease was lost.

use super::{begin, count, instant, now, run_id, small, unexpected};
use crate::clock::Timestamp;
use crate::settings::policy::Overlap;
use crate::settings::workers::Worker;
use crate::work::due;
use crate::work::ledger::{Claim, Ledger, Start, Workers};
use crate::work::run::{RunId, RunKind, RunState};
use sqlx::SqliteConnection;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Why an on-time tick did not run.
const OVERLAP: &str = "overlap";

pub(crate) async fn run_now(
    c: &mut SqliteConnection,
    worker: &Worker,
    requested_by: &str,
) -> Result<RunId, sqlx::Error> {
    let id = RunId::new();
    sqlx::query(
        "insert into work_run (id, worker, spec_hash, kind, due_at, state, available_at, created_at, requested_by)
         select $1, $2, $3, 'manual', t.now, 'queued', t.now, t.now, $4 from (select cast(unixepoch('subsec') * 1000 as integer) as now) t",
    )
    .bind(id.to_string())
    .bind(worker.name.as_str())
    .bind(&worker.spec_hash)
    .bind(requested_by)
    .execute(c)
    .await?;
    Ok(id)
}

/// Id, worker, kind, tick, available, late, epoch.
type Candidate = (String, String, String, Option<i64>, i64, bool, i64);

const WAITING: &str =
    "select exists (select 1 from work_run where state in ('queued', 'retrying') and available_at <= $1)";

/// Caught-up ticks go one after another: none is taken while another run of the worker is held or in progress.
const CANDIDATES: &str = "select id, worker, kind, tick_at, available_at, late, epoch from work_run r
    where state in ('queued', 'retrying') and available_at <= $1
      and worker || ':' || spec_hash in (select value from json_each($2))
      and (late = 0 or not exists (select 1 from work_run o where o.worker = r.worker and o.id <> r.id
           and o.finished_at is null and o.state in ('claimed', 'running', 'retrying')))
    order by available_at, id limit $3";

pub(crate) async fn claim(
    c: &mut SqliteConnection,
    ledger: &Ledger,
    workers: &Workers,
    free: usize,
) -> Result<Vec<Claim>, sqlx::Error> {
    let until = now(c).await?.after(due::HORIZON);
    let waiting: bool = sqlx::query_scalar(WAITING).bind(until.millis()).fetch_one(&mut *c).await?;
    if !waiting {
        return Ok(Vec::new());
    }
    let ours: Vec<String> = workers.values().map(|worker| format!("{}:{}", worker.name, worker.spec_hash)).collect();
    let ours = serde_json::to_string(&ours).unwrap_or_else(|_| "[]".into());
    let mut tx = begin(c).await?;
    let now = now(&mut tx).await?;
    let rows: Vec<Candidate> = sqlx::query_as(CANDIDATES)
        .bind(now.after(due::HORIZON).millis())
        .bind(ours)
        .bind(i64::try_from(free).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
    let mut caught_up: HashSet<&str> = HashSet::new();
    let mut claims = Vec::new();
    for row in rows {
        let Some(worker) = workers.get(row.1.as_str()) else {
            continue;
        };
        if row.5 && !caught_up.insert(worker.name.as_str()) {
            continue;
        }
        take(&mut tx, ledger, &row.0, now).await?;
        claims.push(claimed(&row, worker)?);
    }
    tx.commit().await?;
    Ok(claims)
}

async fn take(c: &mut SqliteConnection, ledger: &Ledger, id: &str, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("update work_run set state = 'claimed', owner = $2, lease_until = $3, epoch = epoch + 1 where id = $1")
        .bind(id)
        .bind(ledger.replica())
        .bind(now.millis().saturating_add(ledger.lease_millis()))
        .execute(c)
        .await?;
    Ok(())
}

fn claimed(row: &Candidate, worker: &Arc<Worker>) -> Result<Claim, sqlx::Error> {
    let (id, _, kind, tick_at, available_at, _, epoch) = row;
    Ok(Claim {
        run: run_id(id)?,
        epoch: epoch + 1,
        worker: Arc::clone(worker),
        kind: RunKind::parse(kind).ok_or_else(|| unexpected("kind", kind))?,
        tick_at: instant(*tick_at),
        at: Timestamp::from_millis(*available_at),
    })
}

pub(crate) async fn start(
    c: &mut SqliteConnection,
    ledger: &Ledger,
    claims: &[Claim],
) -> Result<Vec<Start>, sqlx::Error> {
    let mut tx = begin(c).await?;
    let now = now(&mut tx).await?;
    let mut starts = Vec::with_capacity(claims.len());
    for claim in claims {
        starts.push(start_one(&mut tx, ledger, claim, now).await?);
    }
    tx.commit().await?;
    Ok(starts)
}

async fn start_one(
    c: &mut SqliteConnection,
    ledger: &Ledger,
    claim: &Claim,
    now: Timestamp,
) -> Result<Start, sqlx::Error> {
    let id = claim.run.to_string();
    let held: Option<(i64, bool, bool)> = sqlx::query_as(
        "select due_at, late, started_at is null from work_run where id = $1 and epoch = $2 and state = 'claimed'",
    )
    .bind(&id)
    .bind(claim.epoch)
    .fetch_optional(&mut *c)
    .await?;
    let Some((due_at, late, first)) = held else {
        return Ok(Start::Lost);
    };
    let on_time_tick = claim.kind == RunKind::Tick && !late && first;
    if on_time_tick && overlaps(c, claim, &id).await? {
        skip(c, claim, &id, now).await?;
        return Ok(Start::Overlapped);
    }
    // The timer may be a fraction of a millisecond ahead of the database's clock.
    let started_at = now.millis().max(claim.at.millis());
    let attempt = write_start(c, ledger, claim, started_at, now).await?;
    let lateness = if first { started_at.saturating_sub(due_at) } else { 0 };
    Ok(Start::Started {
        attempt: small(attempt),
        lateness: Duration::from_millis(u64::try_from(lateness).unwrap_or(0)),
    })
}

async fn write_start(
    c: &mut SqliteConnection,
    ledger: &Ledger,
    claim: &Claim,
    started_at: i64,
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    let id = claim.run.to_string();
    let attempt: i64 = sqlx::query_scalar(
        "update work_run set state = 'running', reason = null, attempt = attempt + 1, started_at = coalesce(started_at, $3),
           lease_until = $4 where id = $1 and epoch = $2 returning attempt",
    )
    .bind(&id)
    .bind(claim.epoch)
    .bind(started_at)
    .bind(now.millis().saturating_add(ledger.lease_millis()))
    .fetch_one(&mut *c)
    .await?;
    sqlx::query("insert into work_attempt (run_id, n, replica, started_at) values ($1, $2, $3, $4)")
        .bind(&id)
        .bind(attempt)
        .bind(ledger.replica())
        .bind(started_at)
        .execute(&mut *c)
        .await?;
    sqlx::query("update work_schedule set last_run_id = $2 where worker = $1")
        .bind(claim.worker.name.as_str())
        .bind(&id)
        .execute(c)
        .await?;
    Ok(attempt)
}

/// A run between two attempts counts as in progress.
async fn overlaps(c: &mut SqliteConnection, claim: &Claim, id: &str) -> Result<bool, sqlx::Error> {
    match claim.worker.policy.overlap {
        Overlap::Skip => {
            sqlx::query_scalar(
                "select exists (select 1 from work_run where worker = $1 and id <> $2 and finished_at is null and started_at is not null)",
            )
            .bind(claim.worker.name.as_str())
            .bind(id)
            .fetch_one(c)
            .await
        }
    }
}

async fn skip(c: &mut SqliteConnection, claim: &Claim, id: &str, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("update work_run set state = 'skipped', reason = $2, finished_at = $3, owner = null, lease_until = null where id = $1")
        .bind(id)
        .bind(OVERLAP)
        .bind(now.millis())
        .execute(&mut *c)
        .await?;
    count(c, claim.worker.name.as_str(), RunState::Skipped, 1, now).await
}

pub(crate) async fn unclaim(c: &mut SqliteConnection, claims: &[Claim]) -> Result<(), sqlx::Error> {
    let mut tx = begin(c).await?;
    for claim in claims {
        sqlx::query(
            "update work_run set state = case when started_at is null then 'queued' else 'retrying' end, owner = null, lease_until = null
             where id = $1 and epoch = $2 and state = 'claimed'",
        )
        .bind(claim.run.to_string())
        .bind(claim.epoch)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}

pub(crate) async fn heartbeat(
    c: &mut SqliteConnection,
    ledger: &Ledger,
    held: &[(RunId, i64)],
) -> Result<HashSet<RunId>, sqlx::Error> {
    let pairs: Vec<(String, i64)> = held.iter().map(|(run, epoch)| (run.to_string(), *epoch)).collect();
    let pairs = serde_json::to_string(&pairs).unwrap_or_else(|_| "[]".into());
    let kept: Vec<String> = sqlx::query_scalar(
        "update work_run set lease_until = cast(unixepoch('subsec') * 1000 as integer) + $1
         where (id, epoch) in (select value ->> 0, value ->> 1 from json_each($2)) and state in ('claimed', 'running') returning id",
    )
    .bind(ledger.lease_millis())
    .bind(pairs)
    .fetch_all(c)
    .await?;
    kept.iter().map(|id| run_id(id)).collect()
}
