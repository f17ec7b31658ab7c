//! Redis behind the time-out seam: one multiplexed connection, made at the first use and thrown away after any failure.
//! The driver's own manager stays with the address it once resolved, so that after a failover every write fails.

pub mod listen; // hears what is published

use super::{StoreError, error::LOGIN_REFUSED};
use crate::settings::stores::Store;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, Value};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A connection to one Redis server.
#[derive(Clone)]
pub struct Redis {
    client: Box<Client>,
    /// Shared by every clone of this handle, so that its users can be counted.
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
    connect_timeout: Duration,
    operation_timeout: Duration,
}

impl Redis {
    /// Prepares a connection; nothing is connected yet.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the URL is not one that the driver takes, which `settings` rules out.
    pub fn open(store: &Store, url: &str) -> Result<Self, StoreError> {
        let client = Client::open(url).map_err(|_| StoreError::Unexpected("the url is not one of redis".into()))?;
        let (connect_timeout, operation_timeout) = (store.connect_timeout, store.operation_timeout);
        Ok(Self { client: Box::new(client), connection: Arc::default(), connect_timeout, operation_timeout })
    }

    /// Sends one command, within the store's `operation_timeout`.
    ///
    /// # Errors
    /// Any [`StoreError`]; the connection is thrown away with it.
    pub async fn call<T: FromRedisValue>(&self, what: &'static str, command: &Cmd) -> Result<T, StoreError> {
        let limit = self.operation_timeout;
        let mut connection = self.connected().await?;
        let answer = tokio::time::timeout(limit, command.query_async(&mut connection)).await;
        let result = match answer {
            Ok(result) => result.map_err(StoreError::from),
            Err(_) => Err(StoreError::TimedOut { what, limit }),
        };
        if result.is_err() {
            *self.connection.lock().await = None;
        }
        result
    }

    /// Sends one command on a connection of its own, within another limit: one that blocks, or that is given up, must not stand in
    /// anybody's way. Dropping the call closes the connection, which is how the server learns of it.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn call_alone(&self, what: &'static str, limit: Duration, command: &Cmd) -> Result<Value, StoreError> {
        let mut connection = self.open_another(Some(limit)).await?;
        let answer = tokio::time::timeout(limit, command.query_async(&mut connection)).await;
        answer.map_err(|_| StoreError::TimedOut { what, limit })?.map_err(Into::into)
    }

    /// A new connection, whose answers are waited for no longer than `answer_within`.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn open_another(&self, answer_within: Option<Duration>) -> Result<MultiplexedConnection, StoreError> {
        let limit = self.connect_timeout;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(answer_within);
        let opening = self.client.get_multiplexed_async_connection_with_config(&config);
        let opened = tokio::time::timeout(limit, opening).await;
        Ok(opened.map_err(|_| StoreError::TimedOut { what: "connecting", limit })??)
    }

    /// How many clones of this handle there are beside the one that is asked.
    #[must_use]
    pub fn other_users(&self) -> usize {
        Arc::strong_count(&self.connection).saturating_sub(1)
    }

    /// Throws the connection away; calls in progress end by themselves.
    pub async fn close(&self) {
        *self.connection.lock().await = None;
    }

    async fn connected(&self) -> Result<MultiplexedConnection, StoreError> {
        let limit = self.connect_timeout;
        let timed_out = |_| StoreError::TimedOut { what: "connecting", limit };
        // The wait for the lock is a wait for somebody else's connecting, so the same limit holds for both.
        tokio::time::timeout(limit, async {
            let mut connection = self.connection.lock().await;
            if let Some(open) = &*connection {
                return Ok(open.clone());
            }
            let opened = self.open_another(Some(self.operation_timeout)).await?;
            *connection = Some(opened.clone());
            Ok(opened)
        })
        .await
        .map_err(timed_out)?
    }
}

impl fmt::Debug for Redis {
    /// The driver's own `Debug` shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let broken = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
        match error.kind() {
            _ if broken => Self::Unreachable(error.to_string()),
            ErrorKind::AuthenticationFailed => Self::refused(LOGIN_REFUSED, &error),
            _ => Self::refused(&error.to_string(), &error),
        }
    }
}

impl StoreError {
    fn refused(message: &str, error: &RedisError) -> Self {
        Self::Refused { message: message.to_owned(), code: error.code().map(str::to_owned), constraint: None }
    }
}
