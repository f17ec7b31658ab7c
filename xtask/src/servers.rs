//! The real servers that tests meet: private ones that a test may break, and the shared ones of a whole run.
//! It speaks only enough of each protocol to know that a server answers; the tests bring the drivers.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let postgres = xtask::servers::Postgres::start()?; // stopped and deleted on drop
//! postgres.pause()?; // it still accepts connections, and never answers
//! postgres.resume()?;
//! postgres.kill()?; // a power cut
//! postgres.restart()?; // same port, same data
//! # Ok(()) }
//! ```
//! All calls block (a restart takes up to a second): in async tests use a multi-threaded runtime or `spawn_blocking`.

/// In which order a server is looked for, and what is told when there is none.
mod found;
/// Stops a server whose owner was killed before it could.
mod guardian;
/// What this machine has and may do: programs, packages, Docker, users.
pub mod machine;
/// A MongoDB, or the stand-in for it.
mod mongo;
/// A PgBouncer in front of a PostgreSQL.
mod pgbouncer;
/// Free ports that two test processes never both get.
mod port;
/// A PostgreSQL.
mod postgres;
/// Process trees and the signals to them.
pub(crate) mod process;
/// A Redis.
mod redis;
/// One running server: its process, folder and port, and the ways to break it.
mod server;
/// The MongoDB stand-in from the Python package index.
pub mod stand_in;
/// The few messages of each protocol that tell whether a server answers.
mod wire;

pub use found::{Found, Missing, find, found};
pub use mongo::Mongo;
pub use pgbouncer::Pgbouncer;
pub use postgres::Postgres;
pub use redis::Redis;
pub use server::Server;

/// Says `1` to the tests when the MongoDB they meet is the stand-in, which answers unknown commands with ok.
pub const STAND_IN_VARIABLE: &str = "MONOLITH_TEST_MONGO_STAND_IN";

/// The stores that tests need a server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// MongoDB.
    Mongo,
}

impl Kind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::Mongo];

    /// The name of its service in `docker-compose.test.yml`, and in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Mongo => "mongo",
        }
    }

    /// The environment variable that holds the URL of a server of this kind.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "MONOLITH_TEST_POSTGRES_URL",
            Self::Redis => "MONOLITH_TEST_REDIS_URL",
            Self::Mongo => "MONOLITH_TEST_MONGO_URL",
        }
    }

    /// The URL in [`variable`](Self::variable): of the server that the tests of this run share.
    #[must_use]
    pub fn given_url(self) -> Option<String> {
        std::env::var_os(self.variable()).map(|url| url.to_string_lossy().into_owned())
    }

    /// Whether a private server of this kind can be started here, for a test to break; an address or Docker alone
    /// is not enough.
    #[must_use]
    pub fn can_start(self) -> bool {
        match self {
            Self::Postgres => postgres::binaries().is_some(),
            Self::Redis => redis::binary().is_some(),
            Self::Mongo => mongo::binary().is_some() || stand_in::StandIn::installed().is_ok(),
        }
    }
}
