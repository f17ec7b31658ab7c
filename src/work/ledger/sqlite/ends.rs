//! The end of a run: finished by its replica, or judged when its replica died.
//! What follows an end or a crash is decided by `due`; here it is written, once.

use super::{begin, count, now, small, unexpected, worker_name};
use crate::clock::Timestamp;
use crate::settings::policy::Policy;
use crate::work::due;
use crate::work::ledger::{Claim, Finish, REAP_BATCH, Recorded, Workers};
use crate::work::run::{Done, RunState, Verdict};
use sqlx::SqliteConnection;

/// Why a run is tried again or lost.
const CRASHED: &str = "crashed";
/// Why a run went back without costing an attempt.
const SHUTDOWN: &str = "shutdown";

pub(crate) async fn finish(c: &mut SqliteConnection, claim: &Claim, done: &Done) -> Result<Finish, sqlx::Error> {
    let mut tx = begin(c).await?;
    let finish = finish_in(&mut tx, claim, done).await?;
    tx.commit().await?;
    Ok(finish)
}

/// Records the end of an attempt inside a transaction of the caller's, which must be rolled back when the lease was lost.
pub(crate) async fn finish_in(c: &mut SqliteConnection, claim: &Claim, done: &Done) -> Result<Finish, sqlx::Error> {
    let id = claim.run.to_string();
    let row: Option<(String, i64, i64, Option<i64>)> =
        sqlx::query_as("select state, tries, attempt, finished_at from work_run where id = $1 and epoch = $2")
            .bind(&id)
            .bind(claim.epoch)
            .fetch_optional(&mut *c)
            .await?;
    let Some((state, tries, attempt, finished_at)) = row else {
        return Ok(Finish::Lost);
    };
    let state = RunState::parse(&state).ok_or_else(|| unexpected("state", &state))?;
    match (state, finished_at) {
        (RunState::Running, _) => {}
        (RunState::Succeeded | RunState::Failed | RunState::TimedOut, Some(at)) => {
            return Ok(Finish::Recorded { state, at: Timestamp::from_millis(at) });
        }
        _ => return Ok(Finish::Lost),
    }
    let now = now(c).await?;
    let tries = tries + i64::from(done.verdict != Verdict::Released);
    let next = due::after_attempt(done.verdict, small(tries), &claim.worker.policy);
    write_end(c, &id, done, next, tries, now).await?;
    end_attempt(c, &id, attempt, done.verdict.as_str(), done.error.as_deref(), now).await?;
    if next.is_final() {
        tally(c, claim.worker.name.as_str(), next, now).await?;
    }
    Ok(Finish::Recorded { state: next, at: now })
}

async fn write_end(
    c: &mut SqliteConnection,
    id: &str,
    done: &Done,
    next: RunState,
    tries: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update work_run set state = $2, reason = $3, tries = $4, finished_at = $5, available_at = $6, exit_code = $7, result = $8,
           error = $9, output = $10, output_bytes = $11, output_truncated = $12, lease_until = null where id = $1",
    )
    .bind(id)
    .bind(next.as_str())
    .bind((done.verdict == Verdict::Released).then_some(SHUTDOWN))
    .bind(tries)
    .bind(next.is_final().then_some(now.millis()))
    .bind(now.millis())
    .bind(done.exit_code)
    .bind(done.result.as_deref())
    .bind(done.error.as_deref())
    .bind(done.output.text.as_str())
    .bind(i64::try_from(done.output.bytes).unwrap_or(i64::MAX))
    .bind(done.output.truncated)
    .execute(c)
    .await?;
    Ok(())
}

async fn end_attempt(
    c: &mut SqliteConnection,
    id: &str,
    n: i64,
    outcome: &str,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("update work_attempt set finished_at = $3, outcome = $4, error = $5 where run_id = $1 and n = $2 and finished_at is null")
        .bind(id)
        .bind(n)
        .bind(now.millis())
        .bind(outcome)
        .bind(error)
        .execute(c)
        .await?;
    Ok(())
}

/// Counts an end, and what it says about the worker's health.
async fn tally(c: &mut SqliteConnection, worker: &str, state: RunState, now: Timestamp) -> Result<(), sqlx::Error> {
    count(c, worker, state, 1, now).await?;
    let health = if state == RunState::Succeeded {
        "update work_schedule set consecutive_failures = 0, last_success_at = $2 where worker = $1"
    } else if state.is_failure() {
        "update work_schedule set consecutive_failures = consecutive_failures + 1 where worker = $1 and $2 is not null"
    } else {
        return Ok(());
    };
    sqlx::query(health).bind(worker).bind(now.millis()).execute(c).await?;
    Ok(())
}

/// Id, worker, state, not started, crashes, attempt, retired.
type Expired = (String, String, String, bool, i64, i64, bool);

const EXPIRED: &str =
    "select r.id, r.worker, r.state, r.started_at is null, r.crashes, r.attempt, s.retired_at is not null
    from work_run r left join work_schedule s on s.worker = r.worker
    where r.state in ('claimed', 'running') and r.lease_until < $1 order by r.lease_until limit $2";

pub(crate) async fn reap(c: &mut SqliteConnection, workers: &Workers) -> Result<Vec<Recorded>, sqlx::Error> {
    let looked_at = now(c).await?;
    if expired(c, looked_at).await?.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = begin(c).await?;
    let now = now(&mut tx).await?;
    let mut recorded = Vec::new();
    for row in expired(&mut tx, now).await? {
        // The policy of a worker that is not declared here is another replica's to know, unless nobody declares it any more.
        let policy = match workers.get(row.1.as_str()) {
            Some(worker) => Some(worker.policy),
            None if row.6 => None,
            None => continue,
        };
        recorded.extend(judge(&mut tx, &row, policy, now).await?);
    }
    tx.commit().await?;
    Ok(recorded)
}

async fn expired(c: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Expired>, sqlx::Error> {
    sqlx::query_as(EXPIRED).bind(now.millis()).bind(REAP_BATCH).fetch_all(c).await
}

/// What was not started goes back at no cost; a crash in the middle is counted, and the last one loses the run.
async fn judge(
    c: &mut SqliteConnection,
    row: &Expired,
    policy: Option<Policy>,
    now: Timestamp,
) -> Result<Option<Recorded>, sqlx::Error> {
    let (id, worker, state, untouched, crashes, attempt, _) = row;
    let crashed = state == RunState::Running.as_str();
    let crashes = crashes + i64::from(crashed);
    let next = match policy {
        None => RunState::Lost,
        Some(_) if *untouched => RunState::Queued,
        Some(policy) if crashed => due::after_crash(small(crashes), &policy),
        Some(_) => RunState::Retrying,
    };
    sqlx::query(
        "update work_run set state = $2, reason = $3, crashes = $4, finished_at = $5, available_at = max(available_at, $6),
           lease_until = null where id = $1",
    )
    .bind(id)
    .bind(next.as_str())
    .bind(crashed.then_some(CRASHED))
    .bind(crashes)
    .bind(next.is_final().then_some(now.millis()))
    .bind(if crashed { now.millis() } else { 0 })
    .execute(&mut *c)
    .await?;
    if crashed {
        end_attempt(c, id, *attempt, CRASHED, Some("its replica stopped renewing the lease"), now).await?;
    }
    if next != RunState::Lost {
        return Ok(None);
    }
    tally(c, worker, RunState::Lost, now).await?;
    Ok(Some(Recorded { worker: worker_name(worker)?, state: RunState::Lost, reason: CRASHED, count: 1 }))
}
