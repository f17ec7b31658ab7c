//! PostgreSQL behind the time-out seam. A connection whose call was cut off is closed, never given back to the pool:
//! sqlx waits for ever on a server that was paused (transact-rs/sqlx#3540).
//! What the statements are is the business of `keys`, `work` and the actions.

pub mod listen; // hears what the database announces

use super::{StoreError, turns};
use crate::settings::stores::{Pooler, Store};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long an idle connection is kept before it is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// The oldest a connection gets, so that a moved server is noticed.
const MAX_LIFETIME: Duration = Duration::from_secs(1800);

/// A pool of connections to one PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Shared by every clone of this handle, so that its users can be counted.
    pool: Arc<PgPool>,
    options: Arc<PgConnectOptions>,
    connect_timeout: Duration,
    operation_timeout: Duration,
    pooler: Pooler,
    turns: Arc<Semaphore>,
}

impl Postgres {
    /// Prepares a pool; nothing is connected yet.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the URL is not one that the driver takes, which `settings` rules out.
    pub fn open(store: &Store, url: &str, pooler: Pooler) -> Result<Self, StoreError> {
        let mut options = PgConnectOptions::from_str(url)
            .map_err(|_| StoreError::Unexpected("the url is not one of postgres".into()))?
            .application_name("monolith");
        if pooler == Pooler::Transaction {
            // It refuses what it does not know at connect, and carries nothing from one transaction to the next.
            options = options.statement_cache_capacity(0).extra_float_digits(None);
        }
        let pool = PgPoolOptions::new()
            .max_connections(store.max_connections)
            .min_connections(0)
            .acquire_timeout(store.connect_timeout)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool: Arc::new(pool),
            options: Arc::new(options),
            connect_timeout: store.connect_timeout,
            operation_timeout: store.operation_timeout,
            pooler,
            turns: turns(store),
        })
    }

    /// Runs one of the program's own pieces of work on a connection, within the store's `operation_timeout`.
    ///
    /// # Errors
    /// Any [`StoreError`]; after [`StoreError::TimedOut`] the connection is closed, not reused.
    pub async fn call<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    {
        self.call_within(what, self.operation_timeout, work).await
    }

    /// The same within another limit: a worker's run is bounded by its own time-out.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_within<T, F>(&self, what: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    {
        // The pool's own limit answers first; ours stands behind it because its ping can hang, too.
        let acquire_limit = self.connect_timeout + Duration::from_secs(1);
        let mut connection = tokio::time::timeout(acquire_limit, self.pool.acquire())
            .await
            .map_err(|_| StoreError::TimedOut { what: "connecting", limit: self.connect_timeout })??;
        match tokio::time::timeout(limit, work(&mut connection)).await {
            Ok(Err(error)) if breaks_connection(&error) => {
                drop(connection.detach());
                Err(error.into())
            }
            Ok(result) => result.map_err(Into::into),
            Err(_) => {
                drop(connection.detach());
                Err(StoreError::TimedOut { what, limit })
            }
        }
    }

    /// Asks for nothing: on an idle connection where there is one, else on one of its own. The pool tries a refused
    /// connection again until its time is over, and nobody would learn that it was refused.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        let what = "the probe";
        if self.pool.num_idle() > 0 || self.pool.size() >= self.pool.options().get_max_connections() {
            return self.call(what, async |c| sqlx::raw_sql("select 1").execute(c).await.map(drop)).await;
        }
        let connecting = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            sqlx::raw_sql("select 1").execute(&mut connection).await?;
            connection.close().await
        };
        let limit = self.connect_timeout;
        tokio::time::timeout(limit, connecting)
            .await
            .map_err(|_| StoreError::TimedOut { what, limit })?
            .map_err(Into::into)
    }

    /// The same pool under another limit for statements.
    #[must_use]
    pub(super) fn with_operation_timeout(&self, operation_timeout: Duration) -> Self {
        Self { operation_timeout, ..self.clone() }
    }

    /// Where those who work for long wait.
    #[must_use]
    pub(super) fn turns(&self) -> &Semaphore {
        &self.turns
    }

    /// Whether both use the same pool.
    #[must_use]
    pub fn shares_pool(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool)
    }

    /// Whether a pooler in transaction mode stands in between: then no session state is used.
    #[must_use]
    pub const fn pooler(&self) -> Pooler {
        self.pooler
    }

    /// The limit of one piece of work.
    #[must_use]
    pub(crate) const fn operation_timeout(&self) -> Duration {
        self.operation_timeout
    }

    /// The driver's own pool, for whoever embeds the program; its calls pass no seam.
    pub(super) fn pool(&self) -> PgPool {
        PgPool::clone(&self.pool)
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

/// Whether the connection can no longer be trusted after this error.
fn breaks_connection(error: &sqlx::Error) -> bool {
    // The server ended the session and says why: class 57P, and transactions whose client was silent.
    let ended = |code: &str| code.starts_with("57P") || code == "25P03" || code == "25P04";
    if error.as_database_error().and_then(|error| error.code()).is_some_and(|code| ended(&code)) {
        return true;
    }
    !matches!(
        error,
        sqlx::Error::Database(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
    )
}
