//! SQLite behind the time-out seam: a file with a write-ahead log, or a database in memory that lives as long as its pool.
//! Writers begin with `begin immediate`, so that two processes on one file wait instead of failing half-way.

use super::{StoreError, turns};
use crate::settings::stores::Store;
use sqlx::SqliteConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The limit of one operation on a database in memory, which has no section of its own to say it.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of connections to one SQLite database.
#[derive(Debug, Clone)]
pub struct Sqlite {
    /// Shared by every clone of this handle, so that its users can be counted.
    pool: Arc<SqlitePool>,
    connect_timeout: Duration,
    operation_timeout: Duration,
    in_memory: bool,
    turns: Arc<Semaphore>,
}

impl Sqlite {
    /// Prepares a pool on a file, which is created, with its folder, at the first use.
    #[must_use]
    pub fn open(store: &Store, file: &Path) -> Self {
        let options = options()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(store.operation_timeout);
        let pool = SqlitePoolOptions::new()
            .max_connections(store.max_connections)
            .acquire_timeout(store.connect_timeout)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let (connect_timeout, operation_timeout) = (store.connect_timeout, store.operation_timeout);
        let turns = turns(store);
        Self { pool: Arc::new(pool), connect_timeout, operation_timeout, in_memory: false, turns }
    }

    /// Prepares a database in memory: one connection that is never closed, for closing it would erase everything.
    #[must_use]
    pub fn in_memory() -> Self {
        let pool = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(MEMORY_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(options().in_memory(true));
        Self {
            pool: Arc::new(pool),
            connect_timeout: MEMORY_TIMEOUT,
            operation_timeout: MEMORY_TIMEOUT,
            in_memory: true,
            turns: Arc::new(Semaphore::new(1)),
        }
    }

    /// Runs one of the program's own pieces of work on a connection, within the store's `operation_timeout`.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn call<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    {
        self.call_within(what, self.operation_timeout, work).await
    }

    /// The same within another limit: a worker's run is bounded by its own time-out.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_within<T, F>(&self, what: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    {
        let mut connection = tokio::time::timeout(self.connect_timeout, self.pool.acquire())
            .await
            .map_err(|_| StoreError::TimedOut { what: "connecting", limit: self.connect_timeout })??;
        match tokio::time::timeout(limit, work(&mut connection)).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => {
                if !self.in_memory {
                    drop(connection.detach());
                }
                Err(StoreError::TimedOut { what, limit })
            }
        }
    }

    /// Where those who work for long wait.
    #[must_use]
    pub(super) fn turns(&self) -> &Semaphore {
        &self.turns
    }

    /// Whether it is gone at restart.
    #[must_use]
    pub const fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// The driver's own pool, for whoever embeds the program; its calls pass no seam.
    pub(super) fn pool(&self) -> SqlitePool {
        SqlitePool::clone(&self.pool)
    }

    /// How many connections there are, and how many of them are idle.
    #[must_use]
    pub fn pool_size(&self) -> (u32, u32) {
        (self.pool.size(), u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX))
    }

    /// How many clones of this handle there are beside the one that is asked.
    #[must_use]
    pub fn other_users(&self) -> usize {
        Arc::strong_count(&self.pool).saturating_sub(1)
    }

    /// Refuses new checkouts and closes each connection when its user is done.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new().foreign_keys(true)
}
