//! The declared databases: how to reach each and what to expect of it.
//! Connections are `crate::store`; nothing here opens one.

use super::compile::{Compiler, Declared, Encoding};
use crate::config::written;
use crate::name::StoreName;
use crate::secret::Secret;
use redis::IntoConnectionInfo;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
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

impl Compiler<'_> {
    pub(super) fn stores(&mut self, declared: &Declared) -> BTreeMap<StoreName, Arc<Store>> {
        let mut stores = BTreeMap::new();
        for (text, written) in declared {
            let key = format!("stores.{text}");
            match StoreName::parse(text) {
                Ok(name) => {
                    if let Some(store) = self.one_store(&key, name.clone(), written) {
                        stores.insert(name, Arc::new(store));
                    }
                }
                Err(error) => self.error(&key, error.to_string()),
            }
        }
        stores
    }

    /// `None` where it is switched off, or where its address could not be understood.
    fn one_store(&mut self, key: &str, name: StoreName, written: &written::Store) -> Option<Store> {
        let common = written.common();
        let kind = common.url.and_then(|url| self.store_kind(key, url, written));
        let store = Store {
            name,
            kind: kind?,
            max_connections: self.positive(&format!("{key}.max_connections"), common.max_connections),
            connect_timeout: self.store_limit(key, "connect_timeout", common.connect_timeout),
            operation_timeout: self.store_limit(key, "operation_timeout", common.operation_timeout),
            probe: self.probe(&format!("{key}.probe"), common.probe),
            required: common.required,
            on_unreachable: match common.on_unreachable {
                written::OnUnreachable::Reject => OnUnreachable::Reject,
                written::OnUnreachable::Degraded => OnUnreachable::Degraded,
            },
        };
        common.enabled.then_some(store)
    }

    /// One arm a kind, so that a new kind cannot be forgotten.
    fn store_kind(&mut self, key: &str, url: &Secret, written: &written::Store) -> Option<StoreKind> {
        Some(match written {
            written::Store::Postgres { pooler, migrate, .. } => StoreKind::Postgres {
                url: self.store_url(key, url, "postgres", &["postgres", "postgresql"])?,
                pooler: (*pooler).into(),
                migrate: (*migrate).into(),
            },
            written::Store::Sqlite { migrate, .. } => {
                StoreKind::Sqlite { file: self.sqlite_file(key, url)?, migrate: (*migrate).into() }
            }
            written::Store::Redis { .. } => {
                StoreKind::Redis { url: self.store_url(key, url, "redis", &["redis", "rediss"])? }
            }
            written::Store::Mongodb { .. } => {
                StoreKind::Mongodb { url: self.store_url(key, url, "mongodb", &["mongodb", "mongodb+srv"])? }
            }
        })
    }

    /// A URL that the kind's own driver takes. What was found is never told: it may hold a password.
    fn store_url(&mut self, key: &str, url: &Secret, kind: &str, schemes: &[&str]) -> Option<Secret> {
        let key = format!("{key}.url");
        let url = self.with_secrets(&key, url, Encoding::Url);
        let text = url.expose_text()?.to_owned();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_owned());
        if !scheme.as_deref().is_some_and(|scheme| schemes.contains(&scheme)) {
            let found = scheme.filter(|s| s.len() <= 20).map_or("no scheme".into(), |s| format!("{s}://"));
            let wanted = schemes.join(":// or ");
            self.error(&key, format!("a {kind} store's url begins with {wanted}://, found {found}"));
            return None;
        }
        let fits = match kind {
            "postgres" => sqlx::postgres::PgConnectOptions::from_str(&text).is_ok(),
            "redis" => text.as_str().into_connection_info().is_ok(),
            _ => mongodb::options::ConnectionString::parse(&text).is_ok(),
        };
        if !fits && !self.problems.concern(&key) {
            let message =
                format!("is not a url that the {kind} driver understands (it is not shown: it may hold a password)");
            self.error_with_hint(
                &key,
                message,
                "a password with special characters belongs in ${secrets.NAME}, which is encoded for you",
            );
        }
        fits.then_some(url)
    }

    fn sqlite_file(&mut self, key: &str, url: &Secret) -> Option<PathBuf> {
        let key = format!("{key}.url");
        let text = url.expose_text().unwrap_or_default();
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        match path {
            Some(path) if !path.is_empty() && !path.starts_with(":memory:") && !path.contains('?') => {
                Some(self.loaded.base_dir.join(path))
            }
            Some(path) if path.starts_with(":memory:") => {
                self.error(&key, "a declared store is a file; for a database in memory set keys.store or scheduler.store to \"memory\"");
                None
            }
            _ => {
                self.error(
                    &key,
                    "a sqlite store's url begins with sqlite: and a path, such as sqlite:data/monolith.db",
                );
                None
            }
        }
    }

    fn store_limit(&mut self, key: &str, field: &str, text: &str) -> Duration {
        self.duration(&format!("{key}.{field}"), text, Duration::from_millis(10))
    }

    fn probe(&mut self, key: &str, written: &written::Probe) -> Probe {
        let at_least = Duration::from_millis(10);
        Probe {
            every: self.duration(&format!("{key}.every"), &written.every, at_least),
            timeout: self.duration(&format!("{key}.timeout"), &written.timeout, at_least),
            down_after: self.positive(&format!("{key}.down_after"), written.down_after),
            up_after: self.positive(&format!("{key}.up_after"), written.up_after),
        }
    }
}

impl From<written::Pooler> for Pooler {
    fn from(written: written::Pooler) -> Self {
        match written {
            written::Pooler::None => Self::None,
            written::Pooler::Transaction => Self::Transaction,
        }
    }
}

impl From<written::Migrate> for Migrate {
    fn from(written: written::Migrate) -> Self {
        match written {
            written::Migrate::Auto => Self::Auto,
            written::Migrate::Manual => Self::Manual,
        }
    }
}
