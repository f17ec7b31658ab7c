//! The declared stores and how their connections are.
//! No address and no login of a store stands in any of these.

use serde::{Deserialize, Serialize};

use super::Time;

words! {
    /// Whether a store answers.
    pub enum StoreState {
        /// It answers.
        Up = "up",
        /// It failed its probe often enough.
        Down = "down",
        /// Nobody has asked it yet.
        Unknown = "unknown",
    }
}

words! {
    /// What a store is.
    pub enum StoreKind {
        /// PostgreSQL.
        Postgres = "postgres",
        /// SQLite, in this process.
        Sqlite = "sqlite",
        /// Redis or a server that speaks its protocol.
        Redis = "redis",
        /// MongoDB.
        Mongodb = "mongodb",
    }
}

/// Connections of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pool {
    /// Open connections.
    pub size: u64,
    /// Those that nobody uses at the moment.
    pub idle: u64,
}

/// What `GET /health` tells about a store to the holder of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoreDetails {
    /// What it is.
    pub kind: StoreKind,
    /// Whether a replica waits for it before it is ready for the first time.
    pub required: bool,
    /// Since when it has been in its state; null before the first probe.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Time>,
    /// How long the last answered probe took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Why the last probe failed.
    pub error: Option<String>,
    /// Its connections; null where the driver keeps none.
    pub pool: Option<Pool>,
}

/// One item of `GET /api/admin/stores`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Store {
    /// Its name in the file.
    pub name: String,
    /// Whether it answers.
    pub state: StoreState,
    /// What it is.
    pub kind: StoreKind,
    /// Whether a replica waits for it before it is ready for the first time.
    pub required: bool,
    /// Since when it has been in its state; null before the first probe.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Time>,
    /// How long the last answered probe took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Why the last probe failed.
    pub error: Option<String>,
    /// Its connections; null where the driver keeps none.
    pub pool: Option<Pool>,
}

impl Store {
    /// A store from the two places where `GET /health` tells about it.
    #[must_use]
    pub fn new(name: impl Into<String>, state: StoreState, details: StoreDetails) -> Self {
        let StoreDetails { kind, required, since, latency_ms, error, pool } = details;
        Self { name: name.into(), state, kind, required, since, latency_ms, error, pool }
    }
}
