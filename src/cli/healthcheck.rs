//! `monolith healthcheck`: asks /health/live, for containers without curl.
//! It asks nothing else: whether traffic may come is the orchestrator's question.

use super::report::{self, Failure};
use super::server::Server;
use crate::config::Sources;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  monolith healthcheck\n  monolith healthcheck http://127.0.0.1:8001")]
pub(super) struct Healthcheck {
    /// The server's address [default: server.admin_bind of the configuration, else server.bind].
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// A PEM file with an authority, or the server's very certificate, to be trusted beside the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Healthcheck {
    pub(super) fn run(self, sources: &Sources) -> Result<ExitCode, Failure> {
        super::install_cryptography();
        let client = Server { url: self.url, ca_file: self.ca_file, ..Server::default() }.prober(sources)?;
        let alive = super::runtime()?.block_on(client.live())?;
        report::data(if alive { "alive" } else { "not alive" });
        Ok(if alive { ExitCode::SUCCESS } else { ExitCode::from(report::FAILED) })
    }
}
