//! Brings a home's tables up to date: plain SQL files, applied in order, once, whoever comes first.
//! A newer migration in the database is ignored, so that a roll-back of the binary still runs; no table and no column is ever dropped.

use super::{Database, StoreError, database::Kind, postgres::Postgres, sqlite::Sqlite};
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;

/// One file under `migrations/`, in both dialects.
struct Migration {
    version: i64,
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "0001_keys",
        postgres: include_str!("../../migrations/postgres/0001_keys.sql"),
        sqlite: include_str!("../../migrations/sqlite/0001_keys.sql"),
    },
    Migration {
        version: 2,
        name: "0002_ledger",
        postgres: include_str!("../../migrations/postgres/0002_ledger.sql"),
        sqlite: include_str!("../../migrations/sqlite/0002_ledger.sql"),
    },
    Migration {
        version: 3,
        name: "0003_work",
        postgres: include_str!("../../migrations/postgres/0003_work.sql"),
        sqlite: include_str!("../../migrations/sqlite/0003_work.sql"),
    },
    Migration {
        version: 4,
        name: "0004_replicas",
        postgres: include_str!("../../migrations/postgres/0004_replicas.sql"),
        sqlite: include_str!("../../migrations/sqlite/0004_replicas.sql"),
    },
    Migration {
        version: 5,
        name: "0005_audit",
        postgres: include_str!("../../migrations/postgres/0005_audit.sql"),
        sqlite: include_str!("../../migrations/sqlite/0005_audit.sql"),
    },
    Migration {
        version: 7,
        name: "0007_alerts",
        postgres: include_str!("../../migrations/postgres/0007_alerts.sql"),
        sqlite: include_str!("../../migrations/sqlite/0007_alerts.sql"),
    },
    Migration {
        version: 8,
        name: "0008_queue",
        postgres: include_str!("../../migrations/postgres/0008_queue.sql"),
        sqlite: include_str!("../../migrations/sqlite/0008_queue.sql"),
    },
    Migration {
        version: 9,
        name: "0009_held",
        postgres: include_str!("../../migrations/postgres/0009_held.sql"),
        sqlite: include_str!("../../migrations/sqlite/0009_held.sql"),
    },
];

/// Who holds this number in Postgres is migrating ("monolith" in ASCII, cut to 63 bits).
const LOCK: i64 = 0x6d6f_6e6f_6c69_7468;
/// How often a replica that waits for another one's migration looks again.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// The longest it waits for another one's migration.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// The longest that all migrations together may take.
const APPLY_LIMIT: Duration = Duration::from_secs(300);

/// Where a home's tables stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Names of the migrations that were applied, in order.
    pub applied: Vec<String>,
    /// Names of the migrations that are missing, in order.
    pub pending: Vec<String>,
}

/// Applies what is missing and says which those were.
///
/// # Errors
/// Any [`StoreError`]; everything or nothing is applied.
pub async fn migrate(database: &Database) -> Result<Vec<String>, StoreError> {
    match database.kind() {
        Kind::Sqlite(sqlite) => migrate_sqlite(sqlite).await,
        Kind::Postgres(postgres) => migrate_postgres(postgres).await,
    }
}

/// Says what was applied and what is missing, and changes nothing.
///
/// # Errors
/// Any [`StoreError`].
pub async fn status(database: &Database) -> Result<Status, StoreError> {
    let versions = match database.kind() {
        Kind::Sqlite(sqlite) => sqlite.call("reading the schema's state", async |c| sqlite_versions(c).await).await?,
        Kind::Postgres(postgres) => {
            postgres.call("reading the schema's state", async |c| postgres_versions(c).await).await?
        }
    };
    let (applied, pending) = MIGRATIONS.iter().partition::<Vec<_>, _>(|m| versions.contains(&m.version));
    let names = |list: Vec<&Migration>| list.into_iter().map(|m| m.name.to_owned()).collect();
    Ok(Status { applied: names(applied), pending: names(pending) })
}

const CREATE_SQLITE: &str = "create table if not exists monolith_migrations (version integer primary key, name text not null, applied_at integer not null)";
const CREATE_POSTGRES: &str = "create table if not exists monolith_migrations (version bigint primary key, name text not null, applied_at timestamptz not null default now())";

async fn sqlite_versions(c: &mut sqlx::SqliteConnection) -> Result<Vec<i64>, sqlx::Error> {
    let exists: i64 = sqlx::query_scalar("select count(*) from sqlite_master where name = 'monolith_migrations'")
        .fetch_one(&mut *c)
        .await?;
    if exists == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from monolith_migrations").fetch_all(c).await
}

/// In a transaction: a pooler may cut a prepared statement in two anywhere else.
async fn postgres_versions(c: &mut sqlx::PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let mut tx = c.begin().await?;
    let c = &mut *tx;
    let exists: bool = sqlx::query_scalar("select to_regclass('monolith_migrations') is not null")
        .persistent(false)
        .fetch_one(&mut *c)
        .await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from monolith_migrations").persistent(false).fetch_all(c).await
}

async fn migrate_sqlite(sqlite: &Sqlite) -> Result<Vec<String>, StoreError> {
    sqlite
        .call_within("migrating", APPLY_LIMIT, async |c| {
            let mut tx = c.begin_with("begin immediate").await?;
            sqlx::query(CREATE_SQLITE).execute(&mut *tx).await?;
            let present = sqlite_versions(&mut tx).await?;
            let mut applied = Vec::new();
            for migration in MIGRATIONS.iter().filter(|m| !present.contains(&m.version)) {
                sqlx::raw_sql(AssertSqlSafe(migration.sqlite)).execute(&mut *tx).await?;
                sqlx::query("insert into monolith_migrations (version, name, applied_at) values ($1, $2, cast(unixepoch('subsec') * 1000 as integer))")
                    .bind(migration.version)
                    .bind(migration.name)
                    .execute(&mut *tx)
                    .await?;
                applied.push(migration.name.to_owned());
            }
            tx.commit().await?;
            Ok(applied)
        })
        .await
}

/// One try for the lock is one transaction: a replica that dies while it migrates leaves nothing held and nothing half done.
async fn migrate_postgres(postgres: &Postgres) -> Result<Vec<String>, StoreError> {
    let give_up = tokio::time::Instant::now() + LOCK_WAIT;
    loop {
        let tried = postgres.call_within("migrating", APPLY_LIMIT, async |c| try_migrate_postgres(c).await).await?;
        match tried {
            Some(applied) => return Ok(applied),
            None if tokio::time::Instant::now() >= give_up => {
                return Err(StoreError::TimedOut { what: "waiting for another replica's migration", limit: LOCK_WAIT });
            }
            None => tokio::time::sleep(LOCK_POLL).await,
        }
    }
}

async fn try_migrate_postgres(c: &mut sqlx::PgConnection) -> Result<Option<Vec<String>>, sqlx::Error> {
    let mut tx = c.begin().await?;
    let ours: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
        .persistent(false)
        .bind(LOCK)
        .fetch_one(&mut *tx)
        .await?;
    if !ours {
        return Ok(None);
    }
    sqlx::query(CREATE_POSTGRES).persistent(false).execute(&mut *tx).await?;
    let present = postgres_versions(&mut tx).await?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter().filter(|m| !present.contains(&m.version)) {
        sqlx::raw_sql(AssertSqlSafe(migration.postgres)).execute(&mut *tx).await?;
        sqlx::query("insert into monolith_migrations (version, name) values ($1, $2)")
            .persistent(false)
            .bind(migration.version)
            .bind(migration.name)
            .execute(&mut *tx)
            .await?;
        applied.push(migration.name.to_owned());
    }
    tx.commit().await?;
    Ok(Some(applied))
}
