//! A database that keys or the ledger can live in: Postgres, or SQLite in a file or in memory.
//! It only tells the kinds apart; each statement exists once for each.

use super::{StoreError, postgres::Postgres, sqlite::Sqlite};
use crate::settings::Home;
use std::fmt;

/// A home of keys or of the ledger, open.
#[derive(Clone)]
pub struct Database {
    home: Home,
    kind: Kind,
}

/// Which database it is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// PostgreSQL.
    Postgres(Postgres),
    /// SQLite.
    Sqlite(Sqlite),
}

impl Database {
    /// A database of its own in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { home: Home::Memory, kind: Kind::Sqlite(Sqlite::in_memory()) }
    }

    /// A declared store as a home.
    #[must_use]
    pub const fn new(home: Home, kind: Kind) -> Self {
        Self { home, kind }
    }

    /// Which database it is.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The home it was opened for.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// Whether what is kept here survives a restart.
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        !matches!(self.home, Home::Memory)
    }

    /// Asks for nothing, to see whether it answers.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Postgres(postgres) => postgres.ping().await,
            Kind::Sqlite(sqlite) => {
                sqlite.call("ping", async |c| sqlx::query("select 1").execute(c).await.map(drop)).await
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.home)
    }
}
