//! Reading what was recorded of runs, and deleting what is no longer kept.
//! Nothing here changes a run.

use super::{MILLIS_PER_HOUR, instant, now, run_id, small, unexpected, worker_name};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::workers::History;
use crate::work::ledger::RETAIN_BATCH;
use crate::work::run::{RunId, RunKind, RunState};
use crate::work::view::{AttemptView, OutputView, Page, RunView};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;

/// The most runs of one answer.
const MAX_PAGE: u32 = 500;
/// For how many hours outcomes are kept by the hour.
const COUNTED_HOURS: i64 = 8 * 24;

macro_rules! select_runs {
    ($which:literal) => {
        concat!(
            "select id, worker, kind, tick_at, due_at, state, reason, owner, attempt, started_at, finished_at, exit_code, result, error, ",
            "output_bytes, output_truncated, requested_by, range_from, range_to, count from work_run where ",
            $which
        )
    };
}

pub(crate) async fn runs(
    c: &mut SqliteConnection,
    worker: &WorkerName,
    limit: u32,
    after: Option<RunId>,
) -> Result<Page<RunView>, sqlx::Error> {
    let limit = limit.clamp(1, MAX_PAGE);
    let mut rows = sqlx::query(select_runs!("worker = $1 and ($2 is null or id < $2) order by id desc limit $3"))
        .bind(worker.as_str())
        .bind(after.map(|id| id.to_string()))
        .bind(i64::from(limit) + 1)
        .fetch_all(&mut *c)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let items = views(c, &rows).await?;
    let next = if more { items.last().map(|run| run.id) } else { None };
    Ok(Page { items, next })
}

pub(crate) async fn run(c: &mut SqliteConnection, id: RunId) -> Result<Option<RunView>, sqlx::Error> {
    let rows = sqlx::query(select_runs!("id = $1")).bind(id.to_string()).fetch_all(&mut *c).await?;
    Ok(views(c, &rows).await?.pop())
}

/// The last started run of each worker.
pub(super) async fn last_runs(c: &mut SqliteConnection) -> Result<Vec<RunView>, sqlx::Error> {
    let rows = sqlx::query(select_runs!("id in (select last_run_id from work_schedule where retired_at is null)"))
        .fetch_all(&mut *c)
        .await?;
    views(c, &rows).await
}

async fn views(c: &mut SqliteConnection, rows: &[SqliteRow]) -> Result<Vec<RunView>, sqlx::Error> {
    let mut runs = rows.iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<String> = runs.iter().filter(|run| run.attempt > 0).map(|run| run.id.to_string()).collect();
    let mut attempts = attempts(c, &ids).await?;
    for run in &mut runs {
        run.attempts = attempts.remove(&run.id).unwrap_or_default();
    }
    Ok(runs)
}

async fn attempts(c: &mut SqliteConnection, ids: &[String]) -> Result<HashMap<RunId, Vec<AttemptView>>, sqlx::Error> {
    type Attempt = (String, i64, String, i64, Option<i64>, Option<String>, Option<String>);
    let mut found: HashMap<RunId, Vec<AttemptView>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let rows: Vec<Attempt> = sqlx::query_as(
        "select run_id, n, replica, started_at, finished_at, outcome, error from work_attempt
         where run_id in (select value from json_each($1)) order by run_id, n",
    )
    .bind(serde_json::to_string(ids).unwrap_or_else(|_| "[]".into()))
    .fetch_all(c)
    .await?;
    for (run, n, replica, started_at, finished_at, outcome, error) in rows {
        let started_at = Timestamp::from_millis(started_at);
        let attempt =
            AttemptView { n: small(n), replica, started_at, finished_at: instant(finished_at), outcome, error };
        found.entry(run_id(&run)?).or_default().push(attempt);
    }
    Ok(found)
}

fn view(row: &SqliteRow) -> Result<RunView, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<i64, _>(column);
    let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(instant);
    let (kind, state) = (text("kind")?, text("state")?);
    let due_at = Timestamp::from_millis(number("due_at")?);
    let (started_at, finished_at) = (time("started_at")?, time("finished_at")?);
    let length = |from: Timestamp, to: Timestamp| u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX);
    Ok(RunView {
        id: run_id(&text("id")?)?,
        worker: worker_name(&text("worker")?)?,
        kind: RunKind::parse(&kind).ok_or_else(|| unexpected("kind", &kind))?,
        tick_at: time("tick_at")?,
        due_at,
        state: RunState::parse(&state).ok_or_else(|| unexpected("state", &state))?,
        reason: row.try_get("reason")?,
        replica: row.try_get("owner")?,
        attempt: small(number("attempt")?),
        attempts: Vec::new(),
        started_at,
        finished_at,
        duration_ms: started_at.zip(finished_at).map(|(from, to)| length(from, to)),
        lateness_ms: started_at.map(|at| length(due_at, at)),
        exit_code: row.try_get("exit_code")?,
        result: row.try_get("result")?,
        error: row.try_get("error")?,
        output_bytes: u64::try_from(number("output_bytes")?).unwrap_or(0),
        output_truncated: row.try_get("output_truncated")?,
        requested_by: row.try_get("requested_by")?,
        range: time("range_from")?.zip(time("range_to")?),
        count: u64::try_from(number("count")?).unwrap_or(0),
    })
}

/// Offsets count from the first byte the run wrote; what was cut off at the front is passed over.
pub(crate) async fn output(c: &mut SqliteConnection, id: RunId, after: u64) -> Result<Option<OutputView>, sqlx::Error> {
    let row: Option<(Option<String>, i64, bool)> =
        sqlx::query_as("select output, output_bytes, finished_at is not null from work_run where id = $1")
            .bind(id.to_string())
            .fetch_optional(c)
            .await?;
    Ok(row.map(|(text, bytes, done)| {
        let text = text.unwrap_or_default();
        let bytes = u64::try_from(bytes).unwrap_or(0);
        let cut_off = bytes.saturating_sub(text.len() as u64);
        let skip = usize::try_from(after.saturating_sub(cut_off)).unwrap_or(usize::MAX);
        let start = (skip..=text.len()).find(|at| text.is_char_boundary(*at));
        let data = start.and_then(|at| text.get(at..)).unwrap_or("").to_owned();
        OutputView { data, next: bytes.max(after), done }
    }))
}

/// The last run of a worker stays, however old it is.
pub(crate) async fn retain(c: &mut SqliteConnection, history: &History) -> Result<u64, sqlx::Error> {
    let now = now(c).await?;
    let old = sqlx::query(
        "delete from work_run where id in (select id from work_run where finished_at is not null and finished_at < $1
           and id not in (select last_run_id from work_schedule where last_run_id is not null) limit $2)",
    )
    .bind(now.before(history.keep).millis())
    .bind(RETAIN_BATCH)
    .execute(&mut *c)
    .await?;
    sqlx::query("delete from work_counts where hour < $1")
        .bind(now.millis().div_euclid(MILLIS_PER_HOUR) - COUNTED_HOURS)
        .execute(&mut *c)
        .await?;
    Ok(old.rows_affected() + retain_newest(c, history).await?)
}

async fn retain_newest(c: &mut SqliteConnection, history: &History) -> Result<u64, sqlx::Error> {
    let workers: Vec<String> = sqlx::query_scalar("select worker from work_schedule").fetch_all(&mut *c).await?;
    let mut deleted = 0;
    for worker in workers {
        let surplus = sqlx::query(
            "delete from work_run where id in (select id from work_run where worker = $1 and finished_at is not null
               and id not in (select last_run_id from work_schedule where last_run_id is not null) order by id desc limit $2 offset $3)",
        )
        .bind(&worker)
        .bind(RETAIN_BATCH)
        .bind(i64::from(history.max_runs_per_worker))
        .execute(&mut *c)
        .await?;
        deleted += surplus.rows_affected();
    }
    Ok(deleted)
}
