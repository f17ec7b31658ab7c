//! What can be typed under `[stores]`: one variant a kind, with what that kind has.
//! What it means is `settings::stores`.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! store_kinds {
    ($($(#[$doc:meta])* $kind:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        /// A database: its kind, and what that kind has.
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
        pub enum Store {
            $($(#[$doc])* $kind {
                /// Where it is; `${secrets.NAME}` is replaced, percent-encoded.
                #[schemars(required)]
                url: Option<Secret>,
                /// The most connections in the pool.
                max_connections: u32,
                /// The longest that getting a connection may take.
                connect_timeout: String,
                /// The longest that one of the program's own statements may take.
                operation_timeout: String,
                /// How its health is watched.
                probe: Probe,
                /// Whether it must have been reached once before this replica is ready for the first time.
                required: bool,
                /// Whether a reload that changes it may commit while it cannot be reached.
                on_unreachable: OnUnreachable,
                /// `false` switches it off.
                enabled: bool,
                $($(#[$field_doc])* $field: $type,)*
            },)*
        }

        impl Store {
            /// What all kinds have in common.
            #[must_use]
            pub fn common(&self) -> StoreCommon<'_> {
                match self {
                    $(Self::$kind {
                        url, max_connections, connect_timeout, operation_timeout, probe, required, on_unreachable, enabled, ..
                    } => StoreCommon {
                        url: url.as_ref(),
                        max_connections: *max_connections,
                        connect_timeout,
                        operation_timeout,
                        probe,
                        required: *required,
                        on_unreachable: *on_unreachable,
                        enabled: *enabled,
                    },)*
                }
            }
        }
    };
}

/// What all kinds of stores have in common, as it was written.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each field is the one of its name in `Store`")]
pub struct StoreCommon<'a> {
    pub url: Option<&'a Secret>,
    pub max_connections: u32,
    pub connect_timeout: &'a str,
    pub operation_timeout: &'a str,
    pub probe: &'a Probe,
    pub required: bool,
    pub on_unreachable: OnUnreachable,
    pub enabled: bool,
}

store_kinds! {
    /// PostgreSQL.
    Postgres {
        /// What stands between us and the server.
        pooler: Pooler,
        /// Who brings the schema up to date.
        migrate: Migrate,
    }
    /// An embedded SQLite in a file.
    Sqlite {
        /// Who brings the schema up to date.
        migrate: Migrate,
    }
    /// Redis.
    Redis {}
    /// MongoDB.
    Mongodb {}
}

/// How a store's health is watched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// From the start of one probe to the start of the next.
    pub every: String,
    /// The longest one probe may take.
    pub timeout: String,
    /// After how many failures in a row it is down.
    pub down_after: u32,
    /// After how many successes in a row it is up.
    pub up_after: u32,
}

/// Whether a reload that changes an unreachable store may commit.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnreachable {
    /// The reload is rejected.
    Reject,
    /// It is applied, and the store is shown as down.
    Degraded,
}

/// What stands between us and a Postgres server.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooler {
    /// Nothing.
    None,
    /// A pooler in transaction mode, such as PgBouncer.
    Transaction,
}

/// Who brings the schema up to date.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Migrate {
    /// The server, at start.
    Auto,
    /// An operator, by `monolith migrate`.
    Manual,
}
