//! The declared stores as an embedding program uses them: by name, each as its driver's own handle.
//! What is done with a handle is not bounded by the store's limits: whoever holds it bounds its own calls.

use super::{Connection, StoreError};
use crate::name::StoreName;
use redis::aio::MultiplexedConnection;
use sqlx::{PgPool, SqlitePool};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The open stores of one generation of settings. A reload that replaces a store lets whoever holds this finish on the old one.
#[derive(Debug, Clone, Default)]
pub struct Stores(Arc<BTreeMap<StoreName, Connection>>);

/// Why there is no handle.
#[derive(Debug, thiserror::Error)]
pub enum NoHandle {
    /// Nothing of this name is declared and switched on.
    #[error("no store `{0}` is declared and switched on")]
    Unknown(String),
    /// It is of another kind than the handle.
    #[error("the store `{name}` is of the kind {kind}, not {wanted}")]
    OtherKind {
        /// The store's name.
        name: String,
        /// The kind it has.
        kind: &'static str,
        /// The kind that was asked for.
        wanted: &'static str,
    },
    /// It cannot be connected.
    #[error("the store `{name}` {error}")]
    Store {
        /// The store's name.
        name: String,
        /// Why.
        error: StoreError,
    },
}

impl Stores {
    /// The handles of these connections.
    #[must_use]
    pub fn new(connections: BTreeMap<StoreName, Connection>) -> Self {
        Self(Arc::new(connections))
    }

    /// The names of all stores, in order.
    pub fn names(&self) -> impl Iterator<Item = &StoreName> {
        self.0.keys()
    }

    /// The pool of a Postgres store. A query on a server that was paused waits for ever: put a time-out around it.
    ///
    /// # Errors
    /// [`NoHandle`], where it is not there or of another kind.
    pub fn postgres(&self, name: &str) -> Result<PgPool, NoHandle> {
        match self.get(name)? {
            Connection::Postgres(postgres) => Ok(postgres.pool()),
            other => Err(other_kind(name, other, "postgres")),
        }
    }

    /// The pool of a SQLite store.
    ///
    /// # Errors
    /// [`NoHandle`], where it is not there or of another kind.
    pub fn sqlite(&self, name: &str) -> Result<SqlitePool, NoHandle> {
        match self.get(name)? {
            Connection::Sqlite(sqlite) => Ok(sqlite.pool()),
            other => Err(other_kind(name, other, "sqlite")),
        }
    }

    /// A new connection to a Redis store, without a limit on answers.
    ///
    /// # Errors
    /// [`NoHandle`], also where it cannot be connected within the store's `connect_timeout`.
    pub async fn redis(&self, name: &str) -> Result<MultiplexedConnection, NoHandle> {
        match self.get(name)? {
            Connection::Redis(redis) => {
                redis.open_another(None).await.map_err(|error| NoHandle::Store { name: name.to_owned(), error })
            }
            other => Err(other_kind(name, other, "redis")),
        }
    }

    /// The client of a MongoDB store.
    ///
    /// # Errors
    /// [`NoHandle`], also where its address is not to be looked up.
    pub async fn mongodb(&self, name: &str) -> Result<mongodb::Client, NoHandle> {
        match self.get(name)? {
            Connection::Mongodb(mongodb) => {
                let client = mongodb.client().await.cloned();
                client.map_err(|error| NoHandle::Store { name: name.to_owned(), error: error.into() })
            }
            other => Err(other_kind(name, other, "mongodb")),
        }
    }

    fn get(&self, name: &str) -> Result<&Connection, NoHandle> {
        self.0.get(name).ok_or_else(|| NoHandle::Unknown(name.to_owned()))
    }
}

fn other_kind(name: &str, found: &Connection, wanted: &'static str) -> NoHandle {
    NoHandle::OtherKind { name: name.to_owned(), kind: found.kind(), wanted }
}
