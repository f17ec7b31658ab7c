//! The running configuration, what a new one would change, and what reloads did.
//! Values are masked before they get here: no secret travels.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Problem, Time};

words! {
    /// How a reload ended.
    pub enum ReloadOutcome {
        /// The new settings run.
        Applied = "applied",
        /// They mean what already ran.
        Unchanged = "unchanged",
        /// The old settings run on, untouched.
        Rejected = "rejected",
    }
}

words! {
    /// What asked for a reload.
    pub enum Trigger {
        /// The process started.
        Start = "start",
        /// A file of the configuration changed.
        File = "file",
        /// The value of a secret changed.
        Secret = "secret",
        /// SIGHUP.
        Signal = "signal",
        /// Somebody, through the API, the console or the web UI.
        Api = "api",
    }
}

words! {
    /// What a change means for a part of the program; the order is from little to much.
    pub enum NodeEffect {
        /// Nothing.
        Unchanged = "unchanged",
        /// It takes the new values as it runs.
        Hot = "hot",
        /// It is made anew beside the old one.
        Rebuild = "rebuild",
        /// It would need a restart, so the reload is rejected.
        Restart = "restart",
    }
}

/// The answer to `GET /api/admin/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Config {
    /// The number of settings committed in this process.
    pub generation: u64,
    /// Their identity across replicas.
    pub hash: String,
    /// The profile.
    pub profile: String,
    /// What they were merged from, lowest first.
    pub layers: Vec<Layer>,
    /// What the files say by now.
    pub disk: Disk,
    /// The merged values, secrets masked.
    pub values: Value,
}

/// One source of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Layer {
    /// What it is, as in `profile`.
    pub name: String,
    /// Where it is: the path of a file, for example.
    pub source: Option<String>,
    /// The identity of its content; null where it has none.
    pub hash: Option<String>,
}

/// What the files say by now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Disk {
    /// The identity of what they mean; null where they are broken.
    pub hash: Option<String>,
    /// Whether that is what runs.
    pub matches: bool,
    /// Why they could not be taken.
    pub problems: Vec<Problem>,
}

/// Which key `GET /api/admin/config/explain` is asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// As in `server.bind`.
    pub key: String,
}

/// Why a key has its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// The key.
    pub key: String,
    /// The value that won, masked where it is secret; null where it is unset.
    pub value: Value,
    /// Whether the values are masked.
    pub masked: bool,
    /// Every layer that names the key, lowest first.
    pub layers: Vec<ExplainedLayer>,
}

/// What one layer says about a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainedLayer {
    /// The layer.
    pub layer: String,
    /// Where in it, as in `monolith.toml:3:8`; null for a default.
    pub place: Option<String>,
    /// The value there, masked where it is secret.
    pub value: Value,
    /// Whether it is the one that won.
    pub wins: bool,
}

/// The body of `POST /api/admin/config/plan`: texts, never paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanConfig {
    /// The text of the base file.
    pub base: String,
    /// The text of the profile's file; unset: the one that the server runs with, empty: none.
    #[serde(default)]
    pub profile: Option<String>,
}

/// What a reload with these texts would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// Whether it would be applied.
    pub valid: bool,
    /// Why not.
    pub problems: Vec<Problem>,
    /// What would change, part by part; parts that say the same are left out.
    pub changes: Vec<Change>,
    /// How many queued runs would be withdrawn with their workers.
    pub withdrawn_runs: u64,
}

/// What would change in one part of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// The part, as in `stores.main`.
    pub node: String,
    /// What that means for it.
    pub effect: NodeEffect,
    /// The keys that differ.
    pub keys: Vec<String>,
    /// What each of them said and says.
    #[serde(default)]
    pub values: Vec<ValueChange>,
}

/// What one key said and says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValueChange {
    /// The key, as in `server.body_limit`.
    pub key: String,
    /// What it said, masked; null where it was not there.
    pub from: Value,
    /// What it says, masked; null where it is gone, `changed` where the difference may not be shown.
    pub to: Value,
    /// Whether something in it is not shown.
    pub secret: bool,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    /// The number of the reload in this process.
    pub attempt: u64,
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// The generation that runs afterwards.
    pub generation: u64,
    /// The hash that runs afterwards.
    pub hash: String,
    /// What asked for it.
    pub trigger: Trigger,
    /// Who asked for it; null where nobody did.
    pub actor: Option<String>,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Time,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What it did to each part that differed.
    pub nodes: Vec<NodeOutcome>,
    /// Why it was rejected.
    pub problems: Vec<Problem>,
}

/// What a reload did to one part of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeOutcome {
    /// The part, as in `stores.main`.
    pub node: String,
    /// What was done to it.
    pub effect: NodeEffect,
    /// Why that failed.
    pub error: Option<String>,
}

/// One item of `GET /api/admin/config/revisions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Revision {
    /// Its number in `data_dir`.
    pub revision: u64,
    /// What differs from the one before, part by part.
    pub diff: Vec<Change>,
    /// What the reload did.
    #[serde(flatten)]
    pub outcome: Outcome,
}
