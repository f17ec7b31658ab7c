//! Rows of either dialect as what the rules and the pages read: one text for both, since only the type of the row differs.
//! A value that this program did not write is an error, never a guess.

use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::work::run::RunId;
use std::collections::BTreeMap;

/// A run as it is shown, from a row of either dialect.
macro_rules! run_view {
    ($row:expr) => {{
        use crate::work::ledger::rows::{instant, run_id, small, unexpected, worker_name};
        let row = $row;
        let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(instant);
        let (kind, state): (String, String) = (row.try_get("kind")?, row.try_get("state")?);
        let due_at = crate::clock::Timestamp::from_millis(row.try_get("due_at")?);
        let (started_at, finished_at) = (time("started_at")?, time("finished_at")?);
        let length = |from: crate::clock::Timestamp, to: crate::clock::Timestamp| {
            u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
        };
        Ok(crate::work::view::RunView {
            id: run_id(row.try_get("id")?)?,
            worker: worker_name(row.try_get("worker")?)?,
            kind: crate::work::run::RunKind::parse(&kind).ok_or_else(|| unexpected("kind", &kind))?,
            tick_at: time("tick_at")?,
            due_at,
            state: crate::work::run::RunState::parse(&state).ok_or_else(|| unexpected("state", &state))?,
            reason: row.try_get("reason")?,
            replica: row.try_get("owner")?,
            attempt: small(row.try_get("attempt")?),
            attempts: Vec::new(),
            started_at,
            finished_at,
            duration_ms: started_at.zip(finished_at).map(|(from, to)| length(from, to)),
            lateness_ms: started_at.map(|at| length(due_at, at)),
            exit_code: row.try_get("exit_code")?,
            result: row.try_get("result")?,
            error: row.try_get("error")?,
            output_bytes: u64::try_from(row.try_get::<i64, _>("output_bytes")?).unwrap_or(0),
            output_truncated: row.try_get("output_truncated")?,
            requested_by: row.try_get("requested_by")?,
            range: time("range_from")?.zip(time("range_to")?),
            count: u64::try_from(row.try_get::<i64, _>("count")?).unwrap_or(0),
        })
    }};
}

/// What the ledger holds of a declaration, from a row of either dialect.
macro_rules! stored_row {
    ($row:expr) => {{
        let row = $row;
        Ok(crate::work::ledger::book::Stored {
            worker: row.try_get("worker")?,
            spec_hash: row.try_get("spec_hash")?,
            schedule: row.try_get("schedule")?,
            next_at: row.try_get("next_at")?,
            retired: row.try_get("retired")?,
            paused_at: row.try_get("paused_at")?,
            paused_until: row.try_get("paused_until")?,
            by: row.try_get("updated_by")?,
        })
    }};
}

/// What was recorded of a tick, from a row of either dialect.
macro_rules! tick_row {
    ($row:expr) => {{
        let row = $row;
        Ok(crate::work::ledger::book::TickRow {
            id: crate::work::ledger::rows::run_id(row.try_get("id")?)?,
            at: row.try_get("at")?,
            to: row.try_get("upto")?,
            n: row.try_get("count")?,
            state: row.try_get("state")?,
            reason: row.try_get("reason")?,
            spec_hash: row.try_get("spec_hash")?,
        })
    }};
}

/// The row of a worker, from a row of either dialect.
macro_rules! record_row {
    ($row:expr) => {{
        let row = $row;
        let by: Option<String> = row.try_get("paused_by")?;
        let (reason, until) =
            (row.try_get("pause_reason")?, crate::work::ledger::rows::instant(row.try_get("paused_until")?));
        let paused_at: Option<i64> = row.try_get("paused_at")?;
        let paused = crate::work::ledger::rows::instant(paused_at).map(|at| crate::work::view::Pause {
            by: by.unwrap_or_default(),
            at,
            reason,
            until,
        });
        Ok(crate::work::ledger::book::RecordRow {
            worker: row.try_get("worker")?,
            spec_hash: row.try_get("spec_hash")?,
            next_at: row.try_get("next_at")?,
            paused,
            last_success_at: row.try_get("last_success_at")?,
            scheduled_since: row.try_get("scheduled_since")?,
            consecutive_failures: row.try_get("consecutive_failures")?,
        })
    }};
}

/// Every run that was started, and every one that is claimed or waits because of another: few, however much waits. It is the condition of
/// an index word by word, and names no column that a start changes.
macro_rules! under_way {
    () => {
        "finished_at is null and (lease_until is not null or tries > 0 or crashes > 0 or reason is not null)"
    };
}

/// The oldest run that a worker is to catch up with; `w.name` is the worker's. It is found by an index of its own.
macro_rules! oldest_late {
    ($id:literal) => {
        concat!(
            "(select id from work_run where worker = w.name and late and lease_until is null and finished_at is null
               order by due_at, ",
            $id,
            " limit 1)"
        )
    };
}

pub(super) use {oldest_late, record_row, run_view, stored_row, tick_row, under_way};

/// How many there are of each.
pub(super) fn tallied(names: Vec<String>) -> Vec<(String, u64)> {
    let mut tally: BTreeMap<String, u64> = BTreeMap::new();
    for name in names {
        *tally.entry(name).or_default() += 1;
    }
    tally.into_iter().collect()
}

/// A value that this program did not write.
pub(super) fn unexpected(what: &'static str, text: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} `{}`", text.chars().take(80).collect::<String>()).into())
}

pub(super) fn worker_name(text: &str) -> Result<WorkerName, sqlx::Error> {
    WorkerName::parse(text).map_err(|_| unexpected("worker", text))
}

pub(super) fn run_id(text: &str) -> Result<RunId, sqlx::Error> {
    RunId::parse(text).ok_or_else(|| unexpected("run", text))
}

pub(super) fn instant(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

pub(super) fn small(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
