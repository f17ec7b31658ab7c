//! A worker's statement on PostgreSQL. The server is told the time-out and every cancellation, so that nothing goes on there after its
//! run has ended; a connection whose statement was cut off is closed.

use super::rows::{Rows, affected};
use super::{Effect, Value, Wrap, finish, limit, values};
use crate::clock::Timestamp;
use crate::settings::statement::{Dialect, Statement};
use crate::settings::stores::Pooler;
use crate::store::StoreError;
use crate::store::postgres::Postgres;
use crate::work::action::Job;
use crate::work::ledger::{Finish, PostgresBook, idle_limit, settle};
use crate::work::seeded::{self, Bug};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::{
    AssertSqlSafe, Column, Connection, Either, Executor, PgConnection, Row, SqlSafeStr, Statement as _, TypeInfo,
    ValueRef,
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a cancelled statement may take to say so.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(
    job: &Job,
    database: &Postgres,
    statement: &Statement,
    wrap: Wrap,
) -> Result<Effect, StoreError> {
    // What a pooler in transaction mode carries is one transaction, or it may be cut in the middle of a statement.
    let wrap = if wrap == Wrap::None && database.pooler() == Pooler::Transaction { Wrap::Own } else { wrap };
    let once = async |c: &mut PgConnection| match wrap {
        Wrap::None => alone(c, job, database, statement).await,
        Wrap::Own | Wrap::WithTheEnd => in_transaction(c, job, database, statement, wrap).await,
    };
    let work = async |c: &mut PgConnection| match once(c).await {
        Err(error) if is_outdated(&error) => {
            c.clear_cached_statements().await?;
            once(c).await
        }
        outcome => outcome,
    };
    database.call_within("running the statement", limit(job), work).await
}

/// Whether a table has other columns than when the statement was prepared on this connection; the server says so before it does anything.
fn is_outdated(error: &sqlx::Error) -> bool {
    // PostgreSQL, RevalidateCachedQuery: feature_not_supported, told apart from others only by its words.
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("0A000") && error.message().starts_with("cached plan"))
}

async fn in_transaction(
    c: &mut PgConnection,
    job: &Job,
    database: &Postgres,
    statement: &Statement,
    wrap: Wrap,
) -> Result<Effect, sqlx::Error> {
    // One message. A replica that is frozen here must not hold the run's rows, or the statement's, longer than the ledger bears.
    let begin = format!(
        "begin; set local statement_timeout = {}; set local idle_in_transaction_session_timeout = {}",
        millis_left(job),
        idle_limit(job.plan.scheduler.lease).as_millis()
    );
    let mut tx = c.begin_with(AssertSqlSafe(begin)).await?;
    let result = cancellable(&mut tx, job, database, statement).await?;
    if database.pooler() == Pooler::Transaction {
        // The driver names some statements; on the pooler's connection another client's names would meet them.
        sqlx::raw_sql("deallocate all").execute(&mut *tx).await?;
    }
    if wrap == Wrap::Own {
        tx.commit().await?;
        return Ok(Effect { result, finish: None });
    }
    // The record of the end has the limits of the ledger, not of the statement.
    sqlx::raw_sql(AssertSqlSafe(settle(database.operation_timeout()))).execute(&mut *tx).await?;
    let finish = finish(&mut PostgresBook::new(&mut tx, database.pooler()), job, &result).await?;
    match finish {
        Finish::Recorded { .. } => tx.commit().await?,
        Finish::Lost if seeded::has(Bug::ZombieCommits) => tx.commit().await?,
        Finish::Lost => tx.rollback().await?,
    }
    Ok(Effect { result, finish: Some(finish) })
}

/// Without a transaction the limit is the session's.
async fn alone(
    c: &mut PgConnection,
    job: &Job,
    database: &Postgres,
    statement: &Statement,
) -> Result<Effect, sqlx::Error> {
    let limit = format!("set statement_timeout = {}", millis_left(job));
    sqlx::raw_sql(AssertSqlSafe(limit)).execute(&mut *c).await?;
    let result = cancellable(c, job, database, statement).await;
    sqlx::raw_sql("reset statement_timeout").execute(c).await?;
    Ok(Effect { result: result?, finish: None })
}

fn millis_left(job: &Job) -> u128 {
    job.deadline.saturating_duration_since(Instant::now()).as_millis().max(1)
}

/// A statement that is to stop is stopped by the server: closing a connection alone would leave it running to its end.
async fn cancellable(
    c: &mut PgConnection,
    job: &Job,
    database: &Postgres,
    statement: &Statement,
) -> Result<String, sqlx::Error> {
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").persistent(false).fetch_one(&mut *c).await?;
    let mut executing = std::pin::pin!(execute(c, job, statement));
    tokio::select! {
        result = &mut executing => return result,
        () = job.cancel.cancelled() => {}
    }
    let stop = async |c: &mut PgConnection| {
        let mut tx = c.begin().await?;
        sqlx::query("select pg_cancel_backend($1)").persistent(false).bind(backend).execute(&mut *tx).await?;
        tx.commit().await
    };
    if let Err(error) = database.call("stopping a statement", stop).await {
        tracing::warn!(%error, run = %job.claim.run, "a statement could not be stopped on the server");
    }
    // An error of this kind closes the connection.
    timeout(CANCEL_GRACE, executing).await.unwrap_or_else(|_| Err(sqlx::Error::Protocol("stopped".into())))
}

async fn execute(c: &mut PgConnection, job: &Job, statement: &Statement) -> Result<String, sqlx::Error> {
    let (sql, parameters) = statement.write(Dialect::Postgres);
    let prepared = (&mut *c).prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
    let columns: Vec<String> = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    drop(prepared);
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for value in values(job, &parameters) {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(i32::try_from(number).unwrap_or(i32::MAX)),
        };
    }
    if columns.is_empty() {
        return Ok(affected(query.execute(c).await?.rows_affected()));
    }
    let mut rows = Rows::new(columns.iter().map(String::as_str));
    let mut answers = (&mut *c).fetch_many(query).boxed();
    while let Some(answer) = answers.try_next().await? {
        match answer {
            Either::Right(row) if rows.wants_more() => rows.push(cells(&row)),
            Either::Right(_) => rows.skip(),
            Either::Left(_) => {}
        }
    }
    Ok(rows.finish())
}

fn cells(row: &PgRow) -> impl Iterator<Item = String> {
    (0..row.len()).map(|column| cell(row, column))
}

/// What has no short text of its own is shown as its type.
fn cell(row: &PgRow, column: usize) -> String {
    let Ok(value) = row.try_get_raw(column) else {
        return "?".into();
    };
    if value.is_null() {
        return "null".into();
    }
    let kind = value.type_info().name().to_owned();
    let text = match kind.as_str() {
        "BOOL" => row.try_get::<bool, _>(column).ok().map(|v| v.to_string()),
        "INT2" => row.try_get::<i16, _>(column).ok().map(|v| v.to_string()),
        "INT4" => row.try_get::<i32, _>(column).ok().map(|v| v.to_string()),
        "INT8" => row.try_get::<i64, _>(column).ok().map(|v| v.to_string()),
        "FLOAT4" => row.try_get::<f32, _>(column).ok().map(|v| v.to_string()),
        "FLOAT8" => row.try_get::<f64, _>(column).ok().map(|v| v.to_string()),
        "TEXT" | "VARCHAR" | "NAME" | "CHAR" => row.try_get::<String, _>(column).ok(),
        "TIMESTAMPTZ" => value.as_bytes().ok().and_then(instant),
        "JSON" | "UNKNOWN" => row.try_get_unchecked::<String, _>(column).ok(),
        _ => None,
    };
    text.unwrap_or_else(|| format!("({})", kind.to_lowercase()))
}

/// Microseconds since the year 2000, as the wire carries them.
fn instant(bytes: &[u8]) -> Option<String> {
    const YEAR_2000_MILLIS: i64 = 946_684_800_000;
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    Some(Timestamp::from_millis(micros.div_euclid(1_000).saturating_add(YEAR_2000_MILLIS)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_from_the_wire() {
        assert_eq!(instant(&0_i64.to_be_bytes()).as_deref(), Some("2000-01-01T00:00:00.000Z"));
        assert_eq!(instant(&(-1_i64).to_be_bytes()).as_deref(), Some("1999-12-31T23:59:59.999Z"));
        assert_eq!(instant(&[1]), None);
    }
}
