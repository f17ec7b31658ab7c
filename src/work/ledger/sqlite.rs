//! The ledger's statements for SQLite. Whatever writes begins with `begin immediate` and reads the clock inside; a look that finds
//! nothing to do takes no lock. The rules are `ledger`'s and `due`'s.

mod ends; // finish and reap
mod history; // reading runs, and deleting old ones
mod overview; // all workers at a glance
mod runs; // claim, start, put back, renew
mod schedules; // workers and their ticks

pub(crate) use ends::{finish, finish_in, reap};
pub(crate) use history::{output, retain, run, runs};
pub(crate) use overview::overview;
pub(crate) use runs::{claim, heartbeat, run_now, start, unclaim};
pub(crate) use schedules::{materialise, rearm, sync};

use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::work::run::{RunId, RunState};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};

const MILLIS_PER_HOUR: i64 = 3_600_000;

/// The clock of the database, in milliseconds.
pub(crate) async fn now(c: &mut SqliteConnection) -> Result<Timestamp, sqlx::Error> {
    let millis: i64 = sqlx::query_scalar("select cast(unixepoch('subsec') * 1000 as integer)").fetch_one(c).await?;
    Ok(Timestamp::from_millis(millis))
}

async fn begin(c: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
    c.begin_with("begin immediate").await
}

/// Adds to the worker's outcomes of this hour.
async fn count(
    c: &mut SqliteConnection,
    worker: &str,
    state: RunState,
    n: u64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into work_counts (worker, hour, outcome, n) values ($1, $2, $3, $4)
         on conflict (worker, hour, outcome) do update set n = n + excluded.n",
    )
    .bind(worker)
    .bind(now.millis().div_euclid(MILLIS_PER_HOUR))
    .bind(state.as_str())
    .bind(i64::try_from(n).unwrap_or(i64::MAX))
    .execute(c)
    .await?;
    Ok(())
}

/// A value that this program did not write.
fn unexpected(what: &'static str, text: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} `{}`", text.chars().take(80).collect::<String>()).into())
}

fn worker_name(text: &str) -> Result<WorkerName, sqlx::Error> {
    WorkerName::parse(text).map_err(|_| unexpected("worker", text))
}

fn run_id(text: &str) -> Result<RunId, sqlx::Error> {
    RunId::parse(text).ok_or_else(|| unexpected("run", text))
}

fn instant(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

fn small(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
