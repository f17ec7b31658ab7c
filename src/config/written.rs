//! What can be typed into the file, section by section: the one source of the reference, the JSON Schema and the walk
//! that checks a text. What it means is `settings`; fields without `Option` have a value in `defaults.toml`.

use crate::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The whole file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Keys of lower layers that this layer removes, such as `["server.tls"]`.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Sockets, limits and time-outs.
    pub server: Server,
    /// Who may sign and hold admin tokens.
    pub admin: Admin,
    /// Named secret values, each with its source.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Databases, by name.
    #[serde(default)]
    pub stores: BTreeMap<String, Store>,
    /// API keys.
    pub keys: Keys,
    /// What a forward-auth caller must satisfy, by name.
    #[serde(default)]
    pub policies: BTreeMap<String, Policy>,
    /// Answers to gateways.
    pub forward_auth: ForwardAuth,
    /// The run ledger.
    pub scheduler: Scheduler,
    /// Where alarms go, by name.
    #[serde(default)]
    pub alerts: BTreeMap<String, Alert>,
    /// Scheduled work, by name.
    #[serde(default)]
    pub workers: BTreeMap<String, Worker>,
    /// The log.
    pub telemetry: Telemetry,
}

/// Sockets, limits and time-outs of the HTTP side.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address to listen on, such as `127.0.0.1:8000`.
    pub bind: String,
    /// A second address; then the admin API, the UI, metrics and docs are served only there.
    pub admin_bind: Option<String>,
    /// The folder of the embedded database, dev secrets and the spool.
    pub data_dir: String,
    /// Who may read the API's description.
    pub docs: Docs,
    /// The longest a request may take.
    pub request_timeout: String,
    /// The longest a client may take to send a header.
    pub header_timeout: String,
    /// The largest body of a request.
    pub body_limit: String,
    /// The most connections at once.
    pub max_connections: u32,
    /// How long to keep serving after SIGTERM, not ready.
    pub drain_delay: String,
    /// How long accepted requests may take to finish after that.
    pub drain_timeout: String,
    /// CIDRs whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<String>,
    /// Certificate and key; the files are watched.
    pub tls: Option<Tls>,
}

/// Who may read the API's description.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Docs {
    /// Nobody.
    Off,
    /// The holder of a valid admin token.
    Admin,
    /// Anyone.
    Public,
}

/// Certificate and key in PEM files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    #[schemars(required)]
    pub cert: Option<String>,
    /// The private key.
    #[schemars(required)]
    pub key: Option<String>,
}

/// Who may sign and hold admin tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The HS256 keys: the first signs, all verify.
    pub signing_keys: Vec<SigningKey>,
    /// The `iss` of a token.
    pub issuer: String,
    /// The `aud` of a token.
    pub audience: String,
    /// The longest life of a token.
    pub max_token_ttl: String,
    /// Whether the web UI is served.
    pub ui: bool,
}

/// One HS256 key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// The `kid` of the tokens it signs.
    #[schemars(required)]
    pub id: Option<String>,
    /// The name of a secret of at least 32 bytes.
    #[schemars(required)]
    pub secret: Option<String>,
}

/// Where a secret's value comes from: exactly one of `env`, `file`, `command`, `literal`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSource {
    /// An environment variable, byte for byte.
    pub env: Option<String>,
    /// A file, watched; one trailing newline is dropped.
    pub file: Option<String>,
    /// A program and its arguments, without a shell; its output is the value.
    pub command: Option<Vec<String>>,
    /// The value itself; refused in strict profiles.
    pub literal: Option<Secret>,
    /// The longest a command may take.
    pub timeout: Option<String>,
    /// How often a command is asked again.
    pub refresh: Option<String>,
}

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

/// API keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// `memory`, or the name of a postgres or sqlite store.
    pub store: String,
    /// Part of every key.
    pub environment: Environment,
    /// Names of secrets that are mixed into the hashes: the first for new keys, all verify.
    pub pepper: Vec<String>,
    /// The life of a key that asks for none.
    pub default_ttl: String,
    /// The longest life of a key.
    pub max_ttl: String,
    /// Who may ask whether a key is valid.
    pub verify: VerifyAccess,
    /// For how long to answer without a proof of freshness.
    pub max_staleness: String,
    /// What to answer after that.
    pub on_stale: OnStale,
    /// A redis store that holds one rate limit for all replicas.
    pub rate_limit_store: Option<String>,
}

/// Which environment's keys are issued and accepted.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// `mono_test_…`
    Test,
    /// `mono_live_…`
    Live,
}

/// Who may call `POST /api/keys/verify`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyAccess {
    /// Anyone.
    Open,
    /// The holder of an admin token or of a key with the scope `monolith:verify`.
    Token,
}

/// What verify answers when freshness was not proved for `max_staleness`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStale {
    /// 503.
    Deny,
    /// From memory.
    Allow,
}

/// What a forward-auth caller must satisfy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Scopes that a key must have, all of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Such as `100/s`.
    pub rate_limit: Option<String>,
    /// The header that carries the key: `x-api-key`, or `authorization` (Bearer).
    pub header: Option<String>,
}

/// Answers to gateways.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuth {
    /// The name of a secret: an Ed25519 key in PKCS#8 PEM that signs assertions.
    pub assertion_key: Option<String>,
}

/// The run ledger.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduler {
    /// `memory`, or the name of a postgres or sqlite store.
    pub store: String,
    /// The most runs at once in this process.
    pub max_concurrent_runs: u32,
    /// For how long a claim holds without being renewed.
    pub lease: String,
    /// What is kept of finished runs.
    pub history: History,
}

/// What is kept of finished runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// For how long.
    pub keep: String,
    /// How many for each worker.
    pub max_runs_per_worker: u32,
    /// How much of each run's output.
    pub max_output: String,
}

/// Where alarms go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The receiver.
    #[schemars(required)]
    pub webhook: Option<Webhook>,
    /// What it is told of: `worker`, `store`, `config`, `keys`.
    #[serde(default)]
    pub on: Vec<String>,
}

/// A receiver of alarms.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to post.
    #[schemars(required)]
    pub url: Option<Secret>,
    /// Headers; `${secrets.NAME}` is replaced.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The name of a secret that signs the body.
    pub signing_secret: Option<String>,
}

/// Scheduled work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Cron with five or six fields, or a nickname such as `@daily`; or use `every`.
    pub schedule: Option<String>,
    /// A period such as `30s`, aligned to the epoch; or use `schedule`.
    pub every: Option<String>,
    /// The IANA zone of `schedule`.
    pub timezone: String,
    /// The most that a tick is moved, by a hash that is the same on every replica.
    pub jitter: String,
    /// The longest one run may take.
    pub timeout: String,
    /// What to do when an attempt fails.
    pub retry: Retry,
    /// What to do when a tick is due while a run is in progress.
    pub overlap: Overlap,
    /// What to do with ticks that nobody was there for.
    pub catch_up: CatchUp,
    /// What to do with a run whose process died.
    pub on_crash: OnCrash,
    /// `false` switches it off.
    pub enabled: bool,
    /// Who is told when it fails or is overdue.
    pub alert: Option<WorkerAlert>,
    /// Called after each success.
    pub ping: Option<Secret>,
    /// What it does.
    #[schemars(required)]
    pub run: Option<Run>,
}

/// What to do when an attempt fails.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts that ended by themselves, in all.
    pub attempts: u32,
    /// How the wait between attempts grows.
    pub backoff: Backoff,
    /// The first wait.
    pub initial: String,
    /// The longest wait.
    pub max: String,
}

/// How the wait between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// It doubles.
    Exponential,
    /// It stays.
    Fixed,
}

/// What to do when a tick is due while a run is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Record it as skipped.
    Skip,
    /// Let at most one wait.
    Queue,
    /// Run both.
    Allow,
}

/// What to do with ticks that nobody was there for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatchUp {
    /// Which of them run.
    pub policy: CatchUpPolicy,
    /// The most that run.
    pub max: u32,
    /// The oldest that runs.
    pub within: String,
    /// How late a tick may be and still count as on time.
    pub grace: String,
}

/// Which missed ticks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUpPolicy {
    /// None.
    Skip,
    /// The newest.
    Last,
    /// All, oldest first.
    All,
}

/// What to do with a run whose process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCrash {
    /// Run it again.
    Retry,
    /// Declare it lost.
    Lost,
}

/// Who is told when a worker fails or is overdue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerAlert {
    /// The name of an alert.
    #[schemars(required)]
    pub to: Option<String>,
    /// After how many failures in a row.
    pub after_failures: Option<u32>,
    /// How long after a tick should have succeeded.
    pub overdue_after: Option<String>,
}

/// What a worker does: its kind, and what that kind needs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Run {
    /// A statement in a postgres or sqlite store.
    Sql {
        /// The store's name.
        #[schemars(required)]
        store: Option<String>,
        /// The statement; `:worker :run_id :tick_at :attempt` are bound.
        #[schemars(required)]
        statement: Option<String>,
        /// Whether, on the ledger's own store, it commits with the run's finish.
        transactional: Option<bool>,
    },
    /// An HTTP request.
    Http {
        /// Such as `POST`.
        method: Option<String>,
        /// Where to.
        #[schemars(required)]
        url: Option<Secret>,
        /// Headers; `${secrets.NAME}` is replaced.
        #[serde(default)]
        headers: BTreeMap<String, Secret>,
        /// The body.
        body: Option<Secret>,
        /// The status codes that count as success.
        expect_status: Option<Vec<u16>>,
    },
    /// A Redis command.
    Redis {
        /// The store's name.
        #[schemars(required)]
        store: Option<String>,
        /// The command and its arguments.
        #[schemars(required)]
        command: Option<Vec<String>>,
    },
    /// A MongoDB command.
    Mongodb {
        /// The store's name.
        #[schemars(required)]
        store: Option<String>,
        /// The database.
        #[schemars(required)]
        database: Option<String>,
        /// The command document.
        #[schemars(required)]
        command: Option<BTreeMap<String, serde_json::Value>>,
    },
    /// A program, without a shell.
    Command {
        /// The program and its arguments.
        #[schemars(required)]
        argv: Option<Vec<String>>,
        /// Its own variables; `${secrets.NAME}` is replaced.
        #[serde(default)]
        env: BTreeMap<String, Secret>,
        /// Where it runs.
        cwd: Option<String>,
    },
    /// A Rust function that the embedding program registered.
    Handler {
        /// The name it was registered under.
        #[schemars(required)]
        name: Option<String>,
    },
}

/// The log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// A tracing filter, such as `info`.
    pub log: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}
