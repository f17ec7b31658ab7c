//! The statements of denied tokens for SQLite. Times are milliseconds since the epoch.
//! Their meaning is in `denied`.

use super::{DENIED, Denial, MAX_DENIED, Row, body};
use crate::audit::Actor;
use crate::audit::chain::{Link, sqlite::append};
use crate::clock::Timestamp;
use crate::store::{StoreError, sqlite::Sqlite};
use sqlx::{Connection, Row as _, SqliteConnection};

pub(super) async fn since(sqlite: &Sqlite, seq: i64) -> Result<Vec<Row>, StoreError> {
    sqlite
        .call("following denied tokens", async |c| {
            let query = "select jti, seq, expires_at from denied_tokens where seq > $1 order by seq";
            sqlx::query(query).bind(seq).fetch_all(c).await?.iter().map(row_of).collect()
        })
        .await
}

pub(super) async fn deny(
    sqlite: &Sqlite,
    denial: &Denial,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<Row>, StoreError> {
    sqlite
        .call("denying a token", async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            let old = now.before(crate::auth::LEEWAY).millis();
            sqlx::query("delete from denied_tokens where expires_at < $1").bind(old).execute(&mut *tx).await?;
            if let Some(known) = one(&mut tx, &denial.jti).await? {
                return Ok(Some(known));
            }
            let count: i64 = sqlx::query_scalar("select count(*) from denied_tokens").fetch_one(&mut *tx).await?;
            if count >= MAX_DENIED {
                return Ok(None);
            }
            let seq = append(&mut tx, &denial.jti, Link { kind: DENIED, actor, at: now }, body(denial)).await?;
            sqlx::query("insert into denied_tokens (jti, seq, expires_at) values ($1, $2, $3)")
                .bind(&denial.jti)
                .bind(seq)
                .bind(denial.expires_at.millis())
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(Some(Row { jti: denial.jti.clone(), seq, expires_at: denial.expires_at }))
        })
        .await
}

async fn one(c: &mut SqliteConnection, jti: &str) -> Result<Option<Row>, sqlx::Error> {
    let query = "select jti, seq, expires_at from denied_tokens where jti = $1";
    sqlx::query(query).bind(jti).fetch_optional(c).await?.as_ref().map(row_of).transpose()
}

fn row_of(row: &sqlx::sqlite::SqliteRow) -> Result<Row, sqlx::Error> {
    let expires_at = Timestamp::from_millis(row.try_get("expires_at")?);
    Ok(Row { jti: row.try_get("jti")?, seq: row.try_get("seq")?, expires_at })
}
