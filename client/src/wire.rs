//! The bodies of the API as types: the server writes what the client reads, because both use these.
//! Nothing here checks, decides or connects; what a value means is the server's business.

/// A closed set of words, with its text at hand for tables, labels and rows.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$doc:meta])* $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $( $(#[$doc])* $variant, )+ }

        impl $name {
            /// Every word of the set, in its order.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The word as it travels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }

            /// The value of a word, or `None` where the set does not hold it.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

/// What was done, by whom, and whether it was allowed.
pub mod audit;
/// The running configuration, plans of a new one, and what reloads did.
pub mod config;
/// What the event stream carries.
pub mod events;
/// Why a key is good or is not.
pub mod explain;
/// How the server is: the answer that everyone may see, and the causes behind it.
pub mod health;
/// Keys that were issued elsewhere.
pub mod import;
/// Public keys.
pub mod jwks;
/// API keys: their records, their creation, their end.
pub mod keys;
/// Pages of a list.
pub mod list;
/// The bounded ring of recent warnings and errors.
pub mod logs;
/// Why a request was refused.
pub mod problem;
/// The processes that share the work.
pub mod replicas;
/// One execution of a worker, with its attempts and its output.
pub mod runs;
/// Connections to databases.
pub mod stores;
/// Tokens that are refused before their time.
pub mod tokens;
/// How often a key was used.
pub mod usage;
/// Whether a key is good, and for what.
pub mod verify;
/// Who the caller is.
pub mod whoami;
/// Scheduled work.
pub mod workers;

pub use audit::{AuditEntry, AuditOutcome};
pub use config::{
    Change, Config, Disk, ExplainQuery, ExplainedLayer, Explanation, Layer, NodeEffect, NodeOutcome, Outcome, Plan,
    PlanConfig, ReloadOutcome, Revision, Trigger, ValueChange,
};
pub use events::EventData;
pub use explain::{ExplainKey, ExplainStep, KeyExplanation, StepOutcome};
pub use health::{
    ConfigHealth, Finding, Health, HealthStatus, KeysHealth, LastReload, ProcessRole, Severity, WorkersHealth,
};
pub use import::{ImportKey, ImportKeys, ImportRefusal, ImportedKeys};
pub use jwks::{Jwk, Jwks};
pub use keys::{
    BulkRevoke, BulkRevoked, CreateKey, Environment, IssuedKey, Key, KeyState, KeyText, KeysQuery, PatchKey, Receipt,
    RevokeQuery, RotateKey,
};
pub use list::{List, PageQuery};
pub use logs::{LogEntry, LogLevel, LogsQuery};
pub use problem::{Problem, ProblemBody};
pub use replicas::Replica;
pub use runs::{Attempt, AttemptOutcome, OutputQuery, Run, RunKind, RunOutput, RunState};
pub use stores::{Pool, Store, StoreDetails, StoreKind, StoreState};
pub use tokens::{DeniedToken, DenyToken};
pub use usage::{UsageDay, UsageQuery};
pub use verify::{RateLimit, Verdict, VerifyCode, VerifyKey};
pub use whoami::{Role, Whoami};
pub use workers::{
    ActionKind, Backfill, BackfillStarted, Counts, Outlasts, PauseWorker, Paused, RunStarted, TickOutcome, TickSpan,
    Ticks, TicksQuery, Worker, WorkerState,
};

/// An instant: RFC 3339 in UTC with milliseconds, as in `2026-01-31T08:15:00.000Z`. It stays text here, so that a value
/// passes through a client unchanged; such texts also sort in the order of time.
pub type Time = String;

#[cfg(test)]
mod tests;
