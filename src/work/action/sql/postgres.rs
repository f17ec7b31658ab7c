//! A worker's statement on PostgreSQL. The server is told the time-out, so that it stops by itself; a connection whose statement was
//! cut off is closed.

use super::rows::{Rows, affected};
use super::{Value, failed, limit, values};
use crate::clock::Timestamp;
use crate::settings::statement::{Dialect, Statement};
use crate::settings::stores::Pooler;
use crate::store::postgres::Postgres;
use crate::work::action::Job;
use crate::work::run::Done;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::{
    AssertSqlSafe, Column, Connection, Either, Executor, PgConnection, Row, SqlSafeStr, Statement as _, TypeInfo,
    ValueRef,
};
use std::time::Duration;

pub(super) async fn run(job: &Job, database: &Postgres, statement: &Statement, transactional: bool) -> Done {
    let session = database.pooler() == Pooler::None;
    let work = async |c: &mut PgConnection| {
        tokio::select! {
            result = bounded(c, job, statement, transactional, session) => result,
            // An error of this kind closes the connection, and with it the statement.
            () = job.cancel.cancelled() => Err(sqlx::Error::Protocol("stopped".into())),
        }
    };
    match database.call_within("running the statement", limit(job), work).await {
        Ok(result) => Done::succeeded(Some(result)),
        Err(error) => failed(job, &error),
    }
}

/// Without a transaction the limit is the session's, which a pooler in transaction mode does not have.
async fn bounded(
    c: &mut PgConnection,
    job: &Job,
    statement: &Statement,
    transactional: bool,
    session: bool,
) -> Result<String, sqlx::Error> {
    let left = job.deadline.saturating_duration_since(tokio::time::Instant::now()).max(Duration::from_millis(1));
    let millis = left.as_millis();
    if transactional {
        let mut tx = c.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("set local statement_timeout = {millis}"))).execute(&mut *tx).await?;
        let result = execute(&mut tx, job, statement).await?;
        tx.commit().await?;
        return Ok(result);
    }
    if session {
        sqlx::raw_sql(AssertSqlSafe(format!("set statement_timeout = {millis}"))).execute(&mut *c).await?;
    }
    let result = execute(c, job, statement).await;
    if session {
        sqlx::raw_sql("reset statement_timeout").execute(c).await?;
    }
    result
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
