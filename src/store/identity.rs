//! Which database this is: a random id that its first migration wrote into it once, and that moves with it.
//! It only reads; what another id means is for `runtime` to judge.

use super::{Database, StoreError, database::Kind};

/// The id of a database; `None` where it is not one of ours, or was never brought up to date.
///
/// # Errors
/// Any [`StoreError`].
pub async fn identity(database: &Database) -> Result<Option<String>, StoreError> {
    const READ: &str = "select id from monolith_identity where only_row = 1";
    let what = "reading which database it is";
    match database.kind() {
        Kind::Sqlite(sqlite) => {
            let exists = "select count(*) from sqlite_master where name = 'monolith_identity'";
            let read = async |c: &mut sqlx::SqliteConnection| {
                let exists: i64 = sqlx::query_scalar(exists).fetch_one(&mut *c).await?;
                if exists == 0 { Ok(None) } else { sqlx::query_scalar(READ).fetch_optional(c).await }
            };
            sqlite.call(what, read).await
        }
        Kind::Postgres(postgres) => {
            let exists = "select to_regclass('monolith_identity') is not null";
            let read = async |c: &mut sqlx::PgConnection| {
                let exists: bool = sqlx::query_scalar(exists).fetch_one(&mut *c).await?;
                if exists { sqlx::query_scalar(READ).fetch_optional(c).await } else { Ok(None) }
            };
            postgres.call(what, read).await
        }
    }
}
