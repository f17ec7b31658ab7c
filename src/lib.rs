//! Monolith: one binary and one TOML file that give a team the operated half of a service.
//!
//! A file declares stores, secrets, scheduled work and API keys; this crate reads it, understands it, makes it live,
//! runs it and shows it. The modules form layers, and a module imports only from lower ones (`tests/it/tidy.rs`).

// 0: words
pub mod clock; // instants and lengths of time
pub mod name; // what people call things
pub mod problem; // a mistake in the configuration
mod process; // a group of processes that ends as a whole
pub mod secret; // a value that must not be seen

// 1: what was written
pub mod config; // reads every layer and says where each value came from

// 2: what it means
pub mod settings; // complete, valid values that nobody checks again

// 3: what it tells
pub mod telemetry; // the log and the metrics

// 4: what is connected
pub mod store; // live connections and their health

// 5
pub mod audit; // who changed what, chained so that nothing can be taken out

// 6: what it does
pub mod alerts; // trouble that somebody is told of
pub mod auth; // admin tokens and roles
pub mod keys; // API keys: issue, list, verify, revoke
pub mod work; // scheduled work, recorded once

// 7: what runs it
pub mod runtime; // the snapshot, the reload, the end

// 8: what shows it
pub mod http; // the API

// 9: where everything meets
pub mod cli; // the command line

pub use cli::Builder;

/// What an embedding program needs beside the [`Builder`].
pub mod embed {
    pub use crate::http::embedded::{Admin, Caller, Operator, Routes, Viewer};
    pub use crate::store::handles::{NoHandle, Stores};
    pub use crate::work::handler::Run;
}

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of this build, or `unknown` where it was built without its repository.
pub const COMMIT: &str = match option_env!("MONOLITH_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
