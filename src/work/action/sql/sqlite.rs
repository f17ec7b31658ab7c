//! A worker's statement on SQLite. SQLite knows no time-out of its own: a handler that it calls as it works stops the statement, so that
//! it never goes on holding the file's write lock after its run has ended.

use super::rows::{Rows, affected};
use super::{Effect, Value, Wrap, finish, limit, values};
use crate::settings::statement::{Dialect, Statement};
use crate::store::StoreError;
use crate::store::sqlite::Sqlite;
use crate::work::action::Job;
use crate::work::ledger::Finish;
use crate::work::seeded::{self, Bug};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::sqlite::SqliteRow;
use sqlx::{
    AssertSqlSafe, Column, Connection, Either, Executor, Row, SqlSafeStr, SqliteConnection, Statement as _, TypeInfo,
    ValueRef,
};

/// After how many steps of its machine SQLite asks whether to go on: some tens of microseconds.
const STEPS: i32 = 4_000;

pub(super) async fn run(job: &Job, database: &Sqlite, statement: &Statement, wrap: Wrap) -> Result<Effect, StoreError> {
    let work = async |c: &mut SqliteConnection| {
        watch(c, job).await?;
        let effect = match wrap {
            Wrap::None => execute(c, job, statement).await.map(|result| Effect { result, finish: None }),
            Wrap::Own | Wrap::WithTheEnd => in_transaction(c, job, statement, wrap).await,
        };
        c.lock_handle().await?.remove_progress_handler();
        effect
    };
    database.call_within("running the statement", limit(job), work).await
}

async fn watch(c: &mut SqliteConnection, job: &Job) -> Result<(), sqlx::Error> {
    let (cancel, deadline) = (job.cancel.clone(), job.deadline);
    let goes_on = move || !cancel.is_cancelled() && tokio::time::Instant::now() < deadline;
    c.lock_handle().await?.set_progress_handler(STEPS, goes_on);
    Ok(())
}

async fn in_transaction(
    c: &mut SqliteConnection,
    job: &Job,
    statement: &Statement,
    wrap: Wrap,
) -> Result<Effect, sqlx::Error> {
    let mut tx = c.begin_with("begin immediate").await?;
    let result = match execute(&mut tx, job, statement).await {
        Ok(result) => result,
        Err(error) => {
            tx.rollback().await?;
            return Err(error);
        }
    };
    if wrap == Wrap::Own {
        tx.commit().await?;
        return Ok(Effect { result, finish: None });
    }
    let finish = finish(&mut *tx, job, &result).await?;
    match finish {
        Finish::Recorded { .. } => tx.commit().await?,
        Finish::Lost if seeded::has(Bug::ZombieCommits) => tx.commit().await?,
        Finish::Lost => tx.rollback().await?,
    }
    Ok(Effect { result, finish: Some(finish) })
}

async fn execute(c: &mut SqliteConnection, job: &Job, statement: &Statement) -> Result<String, sqlx::Error> {
    let (sql, parameters) = statement.write(Dialect::Sqlite);
    // Another process may have changed the tables: SQLite notices at the next step of any statement, and its driver, which keeps the columns
    // of what it prepared before, would panic at the first row that has others.
    sqlx::raw_sql("select 1 from sqlite_schema limit 1").execute(&mut *c).await?;
    c.clear_cached_statements().await?;
    let prepared = (&mut *c).prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
    let columns: Vec<String> = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    drop(prepared);
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for value in values(job, &parameters) {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(number),
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

fn cells(row: &SqliteRow) -> impl Iterator<Item = String> {
    (0..row.len()).map(|column| cell(row, column).unwrap_or_else(|| "?".into()))
}

fn cell(row: &SqliteRow, column: usize) -> Option<String> {
    let value = row.try_get_raw(column).ok()?;
    if value.is_null() {
        return Some("null".into());
    }
    match value.type_info().name() {
        "BLOB" => row.try_get_unchecked::<Vec<u8>, _>(column).ok().map(|bytes| format!("({} bytes)", bytes.len())),
        "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(column).ok().map(|number| number.to_string()),
        "REAL" => row.try_get_unchecked::<f64, _>(column).ok().map(|number| number.to_string()),
        _ => row.try_get_unchecked::<String, _>(column).ok(),
    }
}
