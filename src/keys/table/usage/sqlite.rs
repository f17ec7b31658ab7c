//! How keys are used, in SQLite. The meaning is in `keys::usage`; nothing is decided here.
//! One transaction for a whole part: each is a wait for the disk.

use super::{WORTH_A_WRITE_MS, last_uses, rows};
use crate::clock::Timestamp;
use crate::keys::table::{columns, readable};
use crate::keys::usage::{Tally, Used, midnight};
use crate::name::Kid;
use crate::store::{StoreError, sqlite::Sqlite};
use sqlx::{Connection, Row};
use std::collections::BTreeMap;

pub(super) async fn write(sqlite: &Sqlite, tallies: &[(Kid, Tally)]) -> Result<(), StoreError> {
    // "where true" tells the grammar that "on conflict" is no join.
    const COUNT: &str = "insert into key_usage (kid, day, outcome, n) \
        select value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each($1) where true \
        on conflict (kid, day, outcome) do update set n = n + excluded.n";
    const MOVE_FORWARD: &str = "update api_keys set last_used_at = j.value ->> 1 from json_each($1) j \
        where kid = j.value ->> 0 and (last_used_at is null or last_used_at < (j.value ->> 1) - $2)";
    let (counts, uses) = (list(rows(tallies)), list(newest(last_uses(tallies)).into_iter()));
    sqlite
        .call("writing how keys are used", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            sqlx::query(COUNT).bind(&counts).execute(&mut *tx).await?;
            sqlx::query(MOVE_FORWARD).bind(&uses).bind(WORTH_A_WRITE_MS).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
}

/// A key that waits for two days has two last uses, of which one statement would take any.
fn newest<'t>(uses: impl Iterator<Item = (&'t str, i64)>) -> BTreeMap<&'t str, i64> {
    let mut newest = BTreeMap::new();
    for (kid, at) in uses {
        newest.entry(kid).and_modify(|known: &mut i64| *known = at.max(*known)).or_insert(at);
    }
    newest
}

/// One text for one statement: each is a journey to the thread that has the connection.
fn list(rows: impl Iterator<Item = impl serde::Serialize>) -> String {
    serde_json::Value::from_iter(rows.map(|row| serde_json::json!(row))).to_string()
}

pub(super) async fn used_since(sqlite: &Sqlite, since: Timestamp) -> Result<Vec<(Kid, Timestamp)>, StoreError> {
    sqlite
        .call("reading when keys were used", async |c| {
            let rows = sqlx::query("select kid, last_used_at as at from api_keys where last_used_at >= $1")
                .bind(since.millis())
                .fetch_all(c)
                .await?;
            let used = |row: &sqlx::sqlite::SqliteRow| {
                Ok((columns::kid(&row.try_get::<String, _>("kid")?)?, Timestamp::from_millis(row.try_get("at")?)))
            };
            rows.iter().filter_map(|row| readable(used(row)).transpose()).collect()
        })
        .await
}

pub(super) async fn of(sqlite: &Sqlite, kid: &Kid, first_day: i64) -> Result<Vec<Used>, StoreError> {
    sqlite
        .call("reading how a key is used", async |c| {
            let rows =
                sqlx::query("select day, outcome, n from key_usage where kid = $1 and day >= $2 order by day, outcome")
                    .bind(kid.as_str())
                    .bind(first_day)
                    .fetch_all(c)
                    .await?;
            let used = |row: &sqlx::sqlite::SqliteRow| {
                let (day, outcome, times) = (row.try_get("day")?, row.try_get("outcome")?, row.try_get("n")?);
                Ok(Used { day: midnight(day), outcome, times })
            };
            rows.iter().filter_map(|row| readable(used(row)).transpose()).collect()
        })
        .await
}

pub(super) async fn forget_before(sqlite: &Sqlite, first_day: i64) -> Result<(), StoreError> {
    sqlite
        .call("forgetting how keys were used", async |c| {
            sqlx::query("delete from key_usage where day < $1").bind(first_day).execute(c).await.map(drop)
        })
        .await
}
