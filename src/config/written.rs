//! What can be typed into the file, section by section: the one source of the reference, the JSON Schema and the walk
//! that checks a text. What it means is `settings`; fields without `Option` have a value in `defaults.toml`.

mod stores; // [stores]
mod workers; // [scheduler] and [workers]

pub use stores::{Migrate, OnUnreachable, Pooler, Probe, Store, StoreCommon};
pub use workers::{
    Backoff, CatchUp, CatchUpPolicy, History, OnCrash, Overlap, Retry, Run, Scheduler, Worker, WorkerAlert,
};

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

/// Where alarms go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The receiver.
    #[schemars(required)]
    pub webhook: Option<Webhook>,
    /// What it is told of: `worker`, `store`, `config`, `keys`; without any, of the workers that name it.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "enum": ["worker", "store", "config", "keys"] }))]
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
    /// The name of a secret that signs the body: HMAC-SHA-256 in hexadecimal, in `X-Monolith-Signature`.
    pub signing_secret: Option<String>,
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
