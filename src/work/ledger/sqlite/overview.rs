//! All workers at a glance, in a handful of statements whatever their number.
//! Nothing here is counted over the runs.

use super::history::last_runs;
use super::{MILLIS_PER_HOUR, instant, now, small, worker_name};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::work::ledger::{Overview, WorkerRecord};
use crate::work::run::RunState;
use crate::work::view::Pause;
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::BTreeMap;

type Records = BTreeMap<WorkerName, WorkerRecord>;

pub(crate) async fn overview(c: &mut SqliteConnection) -> Result<Overview, sqlx::Error> {
    let mut tx = c.begin().await?;
    let now = now(&mut tx).await?;
    let mut workers = records(&mut tx).await?;
    add_open_runs(&mut tx, &mut workers).await?;
    add_counts(&mut tx, &mut workers, now).await?;
    for run in last_runs(&mut tx).await? {
        if let Some(record) = workers.get_mut(&run.worker) {
            record.last_run = Some(run);
        }
    }
    Ok(Overview { now, workers })
}

async fn records(c: &mut SqliteConnection) -> Result<Records, sqlx::Error> {
    let rows = sqlx::query(
        "select worker, spec_hash, next_at, paused_at, paused_by, pause_reason, paused_until, last_success_at, consecutive_failures
         from work_schedule where retired_at is null",
    )
    .fetch_all(c)
    .await?;
    let mut records = Records::new();
    for row in rows {
        let by: Option<String> = row.try_get("paused_by")?;
        let (reason, until) = (row.try_get("pause_reason")?, instant(row.try_get("paused_until")?));
        let paused =
            instant(row.try_get("paused_at")?).map(|at| Pause { by: by.unwrap_or_default(), at, reason, until });
        let record = WorkerRecord {
            spec_hash: row.try_get("spec_hash")?,
            next_at: instant(row.try_get("next_at")?),
            paused,
            last_success_at: instant(row.try_get("last_success_at")?),
            consecutive_failures: small(row.try_get("consecutive_failures")?),
            ..WorkerRecord::default()
        };
        records.insert(worker_name(&row.try_get::<String, _>("worker")?)?, record);
    }
    Ok(records)
}

async fn add_open_runs(c: &mut SqliteConnection, records: &mut Records) -> Result<(), sqlx::Error> {
    let rows: Vec<(String, bool, Option<i64>)> = sqlx::query_as(
        "select worker, max(state = 'running'), min(case when state <> 'running' then available_at end)
         from work_run where finished_at is null group by worker",
    )
    .fetch_all(c)
    .await?;
    for (worker, running, waiting_since) in rows {
        if let Some(record) = records.get_mut(worker.as_str()) {
            record.running = running;
            record.waiting_since = instant(waiting_since);
        }
    }
    Ok(())
}

async fn add_counts(c: &mut SqliteConnection, records: &mut Records, now: Timestamp) -> Result<(), sqlx::Error> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("select worker, outcome, sum(n) from work_counts where hour > $1 group by worker, outcome")
            .bind(now.millis().div_euclid(MILLIS_PER_HOUR) - 24)
            .fetch_all(c)
            .await?;
    for (worker, outcome, n) in rows {
        let Some(record) = records.get_mut(worker.as_str()) else {
            continue;
        };
        let n = u64::try_from(n).unwrap_or(0);
        let counts = &mut record.counts_24h;
        match RunState::parse(&outcome) {
            Some(RunState::Succeeded) => counts.succeeded += n,
            Some(RunState::Failed | RunState::TimedOut) => counts.failed += n,
            Some(RunState::Skipped) => counts.skipped += n,
            Some(RunState::Missed) => counts.missed += n,
            Some(RunState::Lost) => counts.lost += n,
            _ => {}
        }
    }
    Ok(())
}
