//! Redis behind the time-out seam: one multiplexed connection, made at the first use and thrown away after any failure.
//! The driver's own manager stays with the address it once resolved, so that after a failover every write fails.

use super::{StoreError, error::LOGIN_REFUSED};
use crate::settings::stores::Store;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError};
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;

/// A connection to one Redis server.
pub struct Redis {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
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
        Ok(Self { client, connection: Mutex::new(None), connect_timeout, operation_timeout })
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
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(limit))
                .set_response_timeout(Some(self.operation_timeout));
            let opened = self.client.get_multiplexed_async_connection_with_config(&config).await?;
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
