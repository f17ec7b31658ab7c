//! MongoDB behind the time-out seam. The driver waits thirty seconds for a server unless it is told otherwise, and its
//! `connect_timeout` does not bound that wait, so both limits are set.

use super::{StoreError, error::LOGIN_REFUSED};
use crate::secret::Secret;
use crate::settings::stores::Store;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::ClientOptions;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// A client of one MongoDB deployment.
#[derive(Clone)]
pub struct Mongodb {
    url: Secret,
    /// Shared by every clone of this handle, so that its users can be counted.
    client: Arc<OnceCell<Client>>,
    max_connections: u32,
    connect_timeout: Duration,
    operation_timeout: Duration,
}

impl Mongodb {
    /// Prepares a client; nothing is connected or looked up yet.
    #[must_use]
    pub fn open(store: &Store, url: &Secret) -> Self {
        Self {
            url: url.clone(),
            client: Arc::default(),
            max_connections: store.max_connections,
            connect_timeout: store.connect_timeout,
            operation_timeout: store.operation_timeout,
        }
    }

    /// Runs one command on a database, within the store's `operation_timeout` after the server was found.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn call(&self, what: &'static str, database: &str, command: Document) -> Result<Document, StoreError> {
        let limit = self.connect_timeout + self.operation_timeout;
        self.call_within(what, limit, database, command).await
    }

    /// The same within another limit: a worker's run is bounded by its own time-out.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn call_within(
        &self,
        what: &'static str,
        limit: Duration,
        database: &str,
        command: Document,
    ) -> Result<Document, StoreError> {
        let work = async { self.client().await?.database(database).run_command(command).await };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result.map_err(StoreError::from),
            Err(_) => Err(StoreError::TimedOut { what, limit }),
        }
    }

    /// Asks for nothing, to see whether it answers.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.call("ping", "admin", doc! { "ping": 1 }).await.map(drop)
    }

    /// The driver's client; the first who asks looks the servers up.
    ///
    /// # Errors
    /// The driver's, where it does not take the URL or the name in it is not to be looked up.
    pub async fn client(&self) -> Result<&Client, Error> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    /// How many clones of this handle there are beside the one that is asked.
    #[must_use]
    pub fn other_users(&self) -> usize {
        Arc::strong_count(&self.client).saturating_sub(1)
    }

    /// Ends the driver's own tasks and connections.
    pub async fn close(&self) {
        if let Some(client) = self.client.get() {
            client.clone().shutdown().await;
        }
    }

    async fn connect(&self) -> Result<Client, Error> {
        let mut options = ClientOptions::parse(self.url.expose_text().unwrap_or_default()).await?;
        options.app_name = Some("monolith".into());
        options.connect_timeout = Some(self.connect_timeout);
        options.server_selection_timeout = Some(self.connect_timeout);
        options.max_pool_size = Some(self.max_connections);
        Client::with_options(options)
    }
}

impl fmt::Debug for Mongodb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mongodb")
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match &*error.kind {
            ErrorKind::Authentication { .. } => {
                Self::Refused { message: LOGIN_REFUSED.into(), code: None, constraint: None }
            }
            ErrorKind::Command(command) => Self::Refused {
                message: command.message.clone(),
                code: Some(command.code_name.clone()).filter(|name| !name.is_empty()),
                constraint: None,
            },
            // The driver's words for these list the whole topology; the first sentence says it.
            ErrorKind::ServerSelection { .. } => Self::Unreachable("no server answered in time".into()),
            _ => Self::Unreachable(error.to_string().lines().next().unwrap_or_default().chars().take(200).collect()),
        }
    }
}
