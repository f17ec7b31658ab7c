//! A connection that hears what is published on a channel, kept for nothing else, and the publishing.
//! What it hears is a hint: Redis keeps nothing for who is away, so whoever listens looks for itself, too.

use super::Redis;
use crate::store::StoreError;
use futures_util::StreamExt;
use redis::Value;
use redis::aio::{PubSubSink, PubSubStream};
use std::time::Duration;

/// How long it may be quiet before the connection is asked whether it still lives: nobody tells of a dead one.
const QUIET: Duration = Duration::from_secs(10);

/// An open ear.
pub struct Subscribed {
    sink: PubSubSink,
    stream: PubSubStream,
    limit: Duration,
}

impl Redis {
    /// Begins to listen on a channel.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn subscribe(&self, channel: &str) -> Result<Subscribed, StoreError> {
        let (what, limit) = ("beginning to listen", self.connect_timeout);
        let subscribing = async {
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            sink.subscribe(channel).await?;
            Ok::<_, StoreError>((sink, stream))
        };
        let subscribed = tokio::time::timeout(limit, subscribing).await;
        let (sink, stream) = subscribed.map_err(|_| StoreError::TimedOut { what, limit })??;
        Ok(Subscribed { sink, stream, limit: self.operation_timeout })
    }

    /// Publishes a word on a channel; how many heard it does not matter.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn publish(&self, channel: &str, word: &str) -> Result<(), StoreError> {
        self.call("publishing", redis::cmd("PUBLISH").arg(channel).arg(word)).await
    }
}

impl Subscribed {
    /// Returns when something was published.
    ///
    /// # Errors
    /// Any [`StoreError`] once the connection is lost: it does not come back by itself.
    pub async fn heard(&mut self) -> Result<(), StoreError> {
        loop {
            match tokio::time::timeout(QUIET, self.stream.next()).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => return Err(StoreError::Unreachable("the connection was lost".into())),
                Err(_) => self.ask().await?,
            }
        }
    }

    async fn ask(&mut self) -> Result<(), StoreError> {
        let (what, limit) = ("asking whether the connection lives", self.limit);
        tokio::time::timeout(limit, self.sink.ping::<Value>())
            .await
            .map_err(|_| StoreError::TimedOut { what, limit })?
            .map(drop)
            .map_err(Into::into)
    }
}

impl std::fmt::Debug for Subscribed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscribed")
    }
}
