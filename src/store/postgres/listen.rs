//! A connection that hears what a database announces, kept for nothing else.
//! What it hears is a hint: an announcement made while it was away is lost, so whoever listens looks for itself, too.

use super::Postgres;
use crate::settings::stores::Pooler;
use crate::store::StoreError;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::time::Duration;

/// How long it may be quiet before the connection is asked whether it still lives: nobody tells of a dead one.
const QUIET: Duration = Duration::from_secs(10);

/// An open ear.
pub struct Listening {
    listener: PgListener,
    limit: Duration,
}

impl Postgres {
    /// Begins to listen on a channel; `None` behind a pooler in transaction mode, which has no sessions to listen in.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn listen(&self, channel: &str) -> Result<Option<Listening>, StoreError> {
        if self.pooler == Pooler::Transaction {
            return Ok(None);
        }
        let (what, limit) = ("beginning to listen", self.connect_timeout);
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(limit)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with((*self.options).clone());
        let listening = async {
            let mut listener = PgListener::connect_with(&own).await?;
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let listener =
            tokio::time::timeout(limit, listening).await.map_err(|_| StoreError::TimedOut { what, limit })??;
        Ok(Some(Listening { listener, limit: self.operation_timeout }))
    }
}

impl Listening {
    /// Returns when something was announced.
    ///
    /// # Errors
    /// Any [`StoreError`] once the connection is lost: it does not come back by itself.
    pub async fn heard(&mut self) -> Result<(), StoreError> {
        loop {
            match tokio::time::timeout(QUIET, self.listener.try_recv()).await {
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None)) => return Err(StoreError::Unreachable("the connection was lost".into())),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => self.ask().await?,
            }
        }
    }

    async fn ask(&mut self) -> Result<(), StoreError> {
        let (what, limit) = ("asking whether the connection lives", self.limit);
        let asking = sqlx::Executor::execute(&mut self.listener, "select 1");
        tokio::time::timeout(limit, asking).await.map_err(|_| StoreError::TimedOut { what, limit })??;
        Ok(())
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listening")
    }
}
