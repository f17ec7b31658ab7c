//! The declared databases: how to reach each and what to expect of it.
//! Connections are `crate::store`; nothing here opens one.

use crate::name::StoreName;
use crate::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// One declared database.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// Its name.
    pub name: StoreName,
    /// Its kind, with what only that kind has.
    pub kind: StoreKind,
    /// The most connections in its pool.
    pub max_connections: u32,
    /// The longest that getting a connection may take, opening one included.
    pub connect_timeout: Duration,
    /// The longest that one of the program's own statements may take.
    pub operation_timeout: Duration,
    /// How its health is watched.
    pub probe: Probe,
    /// Whether it must have been reached once before this replica is ready for the first time.
    pub required: bool,
    /// Whether a reload that changes it may commit while it cannot be reached.
    pub on_unreachable: OnUnreachable,
}

/// The kind of a store and what only that kind has. URLs hold passwords, so they are secrets.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreKind {
    /// PostgreSQL.
    Postgres {
        /// `postgres://…`
        url: Secret,
        /// What stands between us and the server.
        pooler: Pooler,
        /// Whether the schema is brought up to date by the server itself.
        migrate: Migrate,
    },
    /// An embedded SQLite in a file.
    Sqlite {
        /// The database's file; absolute.
        file: PathBuf,
        /// Whether the schema is brought up to date by the server itself.
        migrate: Migrate,
    },
    /// Redis.
    Redis {
        /// `redis://…` or `rediss://…`
        url: Secret,
    },
    /// MongoDB.
    Mongodb {
        /// `mongodb://…` or `mongodb+srv://…`
        url: Secret,
    },
}

impl StoreKind {
    /// As it stands in the file, the API and the metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Sqlite { .. } => "sqlite",
            Self::Redis { .. } => "redis",
            Self::Mongodb { .. } => "mongodb",
        }
    }

    /// Whether keys and ledger can live in it.
    #[must_use]
    pub const fn is_sql(&self) -> bool {
        matches!(self, Self::Postgres { .. } | Self::Sqlite { .. })
    }
}

/// How a store's health is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// From the start of one probe to the start of the next, while it is up; each second otherwise.
    pub every: Duration,
    /// The longest one probe may take.
    pub timeout: Duration,
    /// After how many failures in a row it is down.
    pub down_after: u32,
    /// After how many successes in a row it is up.
    pub up_after: u32,
}

/// What stands between us and a Postgres server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing.
    None,
    /// A pooler in transaction mode: no session state, no LISTEN, nothing at connect that it refuses.
    Transaction,
}

/// Who brings the schema up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// The server, at start.
    Auto,
    /// An operator, by `monolith migrate`.
    Manual,
}

/// What a reload does with a changed store that cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnreachable {
    /// It is rejected.
    Reject,
    /// It is applied, and the store is shown as down.
    Degraded,
}
