//! A statement in a declared store, told which run it is. On the ledger's own store its effect and the record of its end are one
//! transaction; elsewhere a crash between the two makes it run again.

mod postgres; // on PostgreSQL
mod rows; // what a statement answered, as bounded text
mod sqlite; // on SQLite

use super::{Ended, Job};
use crate::name::StoreName;
use crate::settings::Home;
use crate::settings::statement::{Parameter, Statement};
use crate::store::{Connection, StoreError};
use crate::work::ledger::{Book, Finish, finish_in};
use crate::work::run::Done;
use std::time::Duration;

/// How long after its deadline a statement may take to notice and to roll back.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The value of a parameter.
enum Value {
    Text(Option<String>),
    Integer(i64),
}

pub(super) async fn run(job: &Job, store: &StoreName, statement: &Statement, transactional: bool) -> Ended {
    let wrap = match transactional {
        true if job.ledger.lives_in(&Home::Store(store.clone())) => Wrap::WithTheEnd,
        true => Wrap::Own,
        false => Wrap::None,
    };
    let connection = job.plan.stores.get(store);
    let Some(turns) = connection.and_then(Connection::turns) else {
        return Ended::Open(Done::failed(format!("store `{store}` is not open")));
    };
    // A busy store is no failure: the run waits, and its time-out and whoever cancels it end that, too.
    let _turn = tokio::select! {
        turn = turns.acquire() => turn,
        () = job.cancel.cancelled() => return Ended::Open(job.stopped()),
        () = tokio::time::sleep_until(job.deadline) => return Ended::Open(job.stopped()),
    };
    let outcome = match connection {
        Some(Connection::Sqlite(database)) => sqlite::run(job, database, statement, wrap).await,
        Some(Connection::Postgres(database)) => postgres::run(job, database, statement, wrap).await,
        _ => return Ended::Open(Done::failed(format!("store `{store}` is not open"))),
    };
    match outcome {
        Ok(Effect { finish: Some(finish), .. }) => Ended::Recorded(finish),
        Ok(Effect { result, finish: None }) => Ended::Open(Done::succeeded(Some(result))),
        Err(error) => Ended::Open(failed(job, &error)),
    }
}

/// What stands around a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrap {
    /// Nothing: the statement itself says when it takes effect.
    None,
    /// A transaction.
    Own,
    /// A transaction that also records the end of the run.
    WithTheEnd,
}

/// What a statement did, and the record of the run's end where both are one transaction.
struct Effect {
    result: String,
    finish: Option<Finish>,
}

/// Records the end of the run in the transaction of its statement. Where the lease was lost, the caller rolls both back.
async fn finish(book: &mut impl Book, job: &Job, result: &str) -> Result<Finish, sqlx::Error> {
    let done = Done::succeeded(Some(result.to_owned()));
    let finishes = finish_in(book, &[(&job.claim, &done)]).await?;
    Ok(finishes.first().copied().unwrap_or(Finish::Lost))
}

fn values(job: &Job, parameters: &[Parameter]) -> Vec<Value> {
    let value = |parameter: &Parameter| match parameter {
        Parameter::Worker => Value::Text(Some(job.claim.worker.name.as_str().to_owned())),
        Parameter::RunId => Value::Text(Some(job.claim.run.to_string())),
        Parameter::TickAt => Value::Text(job.tick_text()),
        Parameter::Attempt => Value::Integer(i64::from(job.attempt)),
    };
    parameters.iter().map(value).collect()
}

/// The end that an error means. Only a statement that was stopped can end late, whatever the store calls it.
fn failed(job: &Job, error: &StoreError) -> Done {
    let late = job.cancel.is_cancelled() || tokio::time::Instant::now() >= job.deadline;
    if late { job.stopped() } else { Done::failed(error.to_string()) }
}

/// How long the store's seam waits before it drops the connection.
fn limit(job: &Job) -> Duration {
    job.deadline.saturating_duration_since(tokio::time::Instant::now()) + STOP_GRACE
}
