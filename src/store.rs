//! Live connections to the declared databases and what is known of their health.
//! Every call passes one seam that bounds it in time; what is kept in them is the business of `keys` and `work`.

pub mod database; // a database that keys or the ledger can live in: Postgres or SQLite
pub mod error; // why a call to a store failed, without its secrets
pub mod handles; // the stores as an embedding program uses them
pub mod health; // up, down or unknown, with hysteresis
pub mod identity; // which database it is, whatever its address
pub mod mongodb; // MongoDB
pub mod postgres; // PostgreSQL
pub mod redis; // Redis
pub mod schema; // brings a home's tables up to date
pub mod sqlite; // SQLite, in a file or in memory

pub use database::Database;
pub use error::StoreError;

use crate::clock::Timestamp;
use crate::settings::{Home, stores as settings};
use crate::telemetry::metrics::Metrics;
use database::Kind;
use health::Health;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// One declared database, open.
#[derive(Debug)]
pub struct Store {
    settings: Arc<settings::Store>,
    /// Shared with the store that takes over when only the rules around it change.
    connection: Arc<Connection>,
    health: Mutex<Health>,
}

/// The connection of a store, by kind. A clone is another handle to the same one, and counts as a user of it.
#[derive(Debug, Clone)]
pub enum Connection {
    /// PostgreSQL.
    Postgres(postgres::Postgres),
    /// SQLite.
    Sqlite(sqlite::Sqlite),
    /// Redis.
    Redis(redis::Redis),
    /// MongoDB.
    Mongodb(mongodb::Mongodb),
}

impl Connection {
    /// As it stands in the file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
            Self::Redis(_) => "redis",
            Self::Mongodb(_) => "mongodb",
        }
    }

    /// Where those who work for long wait for a connection, so that one stays free for those who are quick; `None`: its connections
    /// carry many at once.
    #[must_use]
    pub(crate) fn turns(&self) -> Option<&Semaphore> {
        match self {
            Self::Postgres(postgres) => Some(postgres.turns()),
            Self::Sqlite(sqlite) => Some(sqlite.turns()),
            Self::Redis(_) | Self::Mongodb(_) => None,
        }
    }
}

/// As many as there are connections but one.
fn turns(store: &settings::Store) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(store.max_connections.saturating_sub(1).max(1) as usize))
}

impl Store {
    /// Prepares a store; nothing is connected yet.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the driver does not take what `settings` says.
    pub fn open(store: Arc<settings::Store>) -> Result<Self, StoreError> {
        let connection = match &store.kind {
            settings::StoreKind::Postgres { url, pooler, .. } => {
                Connection::Postgres(postgres::Postgres::open(&store, url.expose_text().unwrap_or_default(), *pooler)?)
            }
            settings::StoreKind::Sqlite { file, .. } => {
                make_folder_of(file)?;
                Connection::Sqlite(sqlite::Sqlite::open(&store, file))
            }
            settings::StoreKind::Redis { url } => {
                Connection::Redis(redis::Redis::open(&store, url.expose_text().unwrap_or_default())?)
            }
            settings::StoreKind::Mongodb { url } => Connection::Mongodb(mongodb::Mongodb::open(&store, url)),
        };
        let health = Mutex::new(Health::unknown(Timestamp::now()));
        Ok(Self { settings: store, connection: Arc::new(connection), health })
    }

    /// The same connections under other rules, which [`keeps_connections`](crate::settings::diff::keeps_connections)
    /// allows; what is known of its health stays known.
    #[must_use]
    pub fn under_other_rules(&self, settings: Arc<settings::Store>) -> Self {
        let connection = match &*self.connection {
            Connection::Postgres(postgres) if settings.operation_timeout != self.settings.operation_timeout => {
                Arc::new(Connection::Postgres(postgres.with_operation_timeout(settings.operation_timeout)))
            }
            _ => Arc::clone(&self.connection),
        };
        Self { settings, connection, health: Mutex::new(self.health()) }
    }

    /// Whether both use the same connections.
    #[must_use]
    pub fn shares_connections(&self, other: &Self) -> bool {
        match (&*self.connection, &*other.connection) {
            (Connection::Postgres(ours), Connection::Postgres(theirs)) => ours.shares_pool(theirs),
            _ => Arc::ptr_eq(&self.connection, &other.connection),
        }
    }

    /// What was declared.
    #[must_use]
    pub const fn settings(&self) -> &Arc<settings::Store> {
        &self.settings
    }

    /// The connection, by kind.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The store as a home of keys or ledger, where its kind can be one.
    #[must_use]
    pub fn database(&self) -> Option<Database> {
        let home = Home::Store(self.settings.name.clone());
        match &*self.connection {
            Connection::Postgres(postgres) => Some(Database::new(home, Kind::Postgres(postgres.clone()))),
            Connection::Sqlite(sqlite) => Some(Database::new(home, Kind::Sqlite(sqlite.clone()))),
            Connection::Redis(_) | Connection::Mongodb(_) => None,
        }
    }

    /// What is known of its health.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections there are and how many of them are idle, where the driver tells.
    #[must_use]
    pub fn pool_size(&self) -> Option<(u32, u32)> {
        match &*self.connection {
            Connection::Postgres(postgres) => Some(postgres.pool_size()),
            Connection::Sqlite(sqlite) => Some(sqlite.pool_size()),
            Connection::Redis(_) | Connection::Mongodb(_) => None,
        }
    }

    /// Asks it for nothing, within the probe's time-out, and takes the outcome into its health.
    /// Says whether the state changed.
    pub async fn probe(&self, metrics: &Metrics) -> bool {
        let rules = &self.settings.probe;
        let began = Instant::now();
        let outcome = match tokio::time::timeout(rules.timeout, self.ping()).await {
            Ok(Ok(())) => Ok(began.elapsed()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(StoreError::TimedOut { what: "the probe", limit: rules.timeout }.to_string()),
        };
        metrics.store_probed(self.settings.name.as_str(), began.elapsed());
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = health.judge(outcome, Timestamp::now(), rules);
        if changed {
            tell(&self.settings, &health);
        }
        changed
    }

    /// Logs in and asks for nothing, within the limits for connecting and for one operation.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn login(&self) -> Result<(), StoreError> {
        let limit = self.settings.connect_timeout + self.settings.operation_timeout;
        let what = "logging in";
        tokio::time::timeout(limit, self.ping()).await.map_err(|_| StoreError::TimedOut { what, limit })?
    }

    /// Probes until it is told to stop, and tells each change of the state.
    pub async fn watch(&self, metrics: &Metrics, stop: &CancellationToken, told: &(dyn Fn(&Health) + Sync)) {
        while !stop.is_cancelled() {
            let began = Instant::now();
            if self.probe(metrics).await {
                told(&self.health());
            }
            let pause = self.health().next_probe(&self.settings.probe).saturating_sub(began.elapsed());
            let pause = pause.max(SHORTEST_PAUSE);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How many others hold its connections: keys, the ledger, runs in progress.
    #[must_use]
    pub fn users(&self) -> usize {
        match &*self.connection {
            Connection::Postgres(postgres) => postgres.other_users(),
            Connection::Sqlite(sqlite) => sqlite.other_users(),
            Connection::Redis(redis) => redis.other_users(),
            Connection::Mongodb(mongodb) => mongodb.other_users(),
        }
    }

    /// Refuses new users and closes each connection when its user is done.
    pub async fn close(&self) {
        match &*self.connection {
            Connection::Postgres(postgres) => postgres.close().await,
            Connection::Sqlite(sqlite) => sqlite.close().await,
            Connection::Redis(redis) => redis.close().await,
            Connection::Mongodb(mongodb) => mongodb.close().await,
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        match &*self.connection {
            Connection::Postgres(postgres) => postgres.ping().await,
            Connection::Sqlite(sqlite) => {
                sqlite.call("the probe", async |c| sqlx::query("select 1").execute(c).await.map(drop)).await
            }
            Connection::Redis(redis) => redis.call::<()>("the probe", &::redis::cmd("PING")).await,
            Connection::Mongodb(mongodb) => mongodb.ping().await,
        }
    }
}

/// Between the end of a probe that took its whole period and the next one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

fn tell(store: &settings::Store, health: &Health) {
    let (name, kind) = (&store.name, store.kind.as_str());
    match (&health.state, &health.error) {
        (health::State::Down, error) => {
            let error = error.as_deref().unwrap_or_default();
            tracing::error!(store = %name, kind, error, "the store {name} is down: {error}");
        }
        _ => tracing::info!(store = %name, kind, "the store {name} is up"),
    }
}

fn make_folder_of(file: &std::path::Path) -> Result<(), StoreError> {
    match file.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|error| {
            StoreError::Unreachable(format!("the folder {} cannot be made: {error}", folder.display()))
        }),
        None => Ok(()),
    }
}
