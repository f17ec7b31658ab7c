//! `monolith worker`: the process that only runs scheduled work, beside servers that share its ledger.
//! It answers for itself alone, by /health and /metrics; keys, the API and the addresses of servers are not its business.

use super::builder::Embedded;
use super::report::{self, Failure};
use super::serve;
use crate::config::Sources;
use crate::runtime::{App, Part};
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  monolith worker\n  monolith worker --profile prod --bind 0.0.0.0:8001")]
pub(super) struct Worker {
    /// Where /health and /metrics are; server.bind and server.admin_bind are for servers.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8001")]
    bind: String,
    /// Where the files are broken, start with what ran last and say so, instead of not at all.
    #[arg(long)]
    last_good: bool,
}

impl Worker {
    pub(super) fn run(self, mut sources: Sources, embedded: Embedded) -> Result<ExitCode, Failure> {
        super::install_cryptography();
        sources.apart = true;
        sources.flags.push(("--bind".to_owned(), format!("server.bind={}", self.bind)));
        sources.last_good = self.last_good;
        serve::until_the_end(sources, Part::Worker, true, embedded, announce)
    }
}

/// Says where it is, alone on standard output, for scripts.
fn announce(app: &App) {
    let snapshot = app.snapshot();
    let server = &snapshot.settings.server;
    let address = app.address().unwrap_or(server.bind);
    report::data(format_args!("{}://{address}", server.scheme()));
    let (profile, workers) = (&snapshot.settings.profile, snapshot.settings.workers.len());
    tracing::info!(%profile, "started as {}, for {workers} workers", app.replica);
}
