//! What every command about keys or workers of a running server takes: which server, which token, how to print.
//! The token comes from a file or a variable, never from the arguments.

use super::report::{self, Failure};
use super::server::Server;
use crate::config::Sources;
use clap::{Args, ValueEnum};
use monolith_client::Client;
use std::path::PathBuf;

/// Which server, and how to print.
#[derive(Debug, Args)]
pub(super) struct At {
    /// The server's address [default: server.admin_bind or server.bind of the configuration].
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// A file with the token [default: MONOLITH_TOKEN, else data/dev.token].
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A PEM file with an authority, or the server's very certificate, to be trusted beside the system's.
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Columns, or one value alone.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

impl At {
    /// A client of that server with that token.
    pub(super) fn client(self, sources: &Sources) -> Result<Client, Failure> {
        let Self { server, token_file, ca_file, output: _ } = self;
        Server { url: server, token_file, ca_file }.with_token(sources)
    }
}

/// Prints one JSON document.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    report::data(serde_json::to_string_pretty(value).map_err(Failure::failed)?);
    Ok(())
}

/// A field that may be unset, in a column.
pub(super) fn or_dash(field: Option<&str>) -> String {
    field.unwrap_or("-").to_owned()
}
