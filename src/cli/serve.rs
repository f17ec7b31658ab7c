//! `monolith serve`: starts the server, says where it is, and waits for the end.
//! Only on a laptop a token is printed; nowhere else does one leave this process.

use super::builder::Embedded;
use super::report::{self, Failure};
use crate::auth::dev;
use crate::config::Sources;
use crate::http::Http;
use crate::runtime::{self, App, Part, Shutdown, StartError};
use clap::Args;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:\n  monolith serve\n  monolith serve --profile prod --bind 0.0.0.0:8000")]
pub(super) struct Serve {
    /// The address to listen on, over what the files say.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Do not run scheduled work here; another process does.
    #[arg(long)]
    no_workers: bool,
    /// Where the files are broken, start with what ran last and say so, instead of not at all.
    #[arg(long)]
    last_good: bool,
}

impl Serve {
    pub(super) fn run(self, mut sources: Sources, embedded: Embedded) -> Result<ExitCode, Failure> {
        super::install_cryptography();
        if let Some(bind) = &self.bind {
            sources.flags.push(("--bind".to_owned(), format!("server.bind={bind}")));
        }
        sources.last_good = self.last_good;
        until_the_end(sources, Part::Serve, !self.no_workers, embedded, announce)
    }
}

/// Starts the process, says by `announce` that it is there, and waits for its end.
pub(super) fn until_the_end(
    sources: Sources,
    part: Part,
    runs_workers: bool,
    embedded: Embedded,
    announce: impl FnOnce(&App),
) -> Result<ExitCode, Failure> {
    let runtime = super::runtime()?;
    let finished = runtime.block_on(async {
        let signals =
            Shutdown::listen().map_err(|error| Failure::failed(format!("signals are not to be had: {error}")))?;
        let Embedded { handlers, routes } = embedded;
        let app = runtime::start(sources, part, Arc::new(Http::beside(routes)), handlers, runs_workers).await?;
        announce(&app);
        Ok::<bool, Failure>(signals.run(&app).await)
    })?;
    // Whatever still blocks (a name being looked up, a file system that hangs) must not hold the process.
    runtime.shutdown_background();
    Ok(if finished { ExitCode::SUCCESS } else { ExitCode::from(report::FAILED) })
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Configuration(problems) => Self::configuration(&problems),
            StartError::Refused(problems) => Self::refused(&problems),
            StartError::Internal(message) => Self::failed(message),
        }
    }
}

/// Says where everything is: the addresses alone on standard output, a line each, for scripts; the rest beside the log.
fn announce(app: &App) {
    let snapshot = app.snapshot();
    let address = app.address().unwrap_or(snapshot.settings.server.bind);
    let scheme = snapshot.settings.server.scheme();
    let url = format!("{scheme}://{address}");
    report::data(&url);
    let admin_url = app.admin_address().map(|address| format!("{scheme}://{address}"));
    if let Some(admin_url) = &admin_url {
        report::data(admin_url);
    }
    let admin_url = admin_url.unwrap_or_else(|| url.clone());
    tracing::info!(profile = %snapshot.settings.profile, "started as {}", app.replica);
    if !snapshot.settings.profile.is_dev() {
        return;
    }
    report::words(format_args!(
        "\n  health    {url}/health\n  metrics   {admin_url}/metrics\n  docs      {admin_url}/docs\n"
    ));
    if runtime::wants_dev_token(&snapshot.settings) {
        let file = dev::token_file(&snapshot.settings.server.data_dir);
        match std::fs::read_to_string(&file) {
            Ok(token) => report::words(format_args!(
                "  token     {token}\n            (admin, 12 h, dev only; kept in {})\n\n",
                file.display()
            )),
            Err(error) => tracing::warn!(%error, "the dev token cannot be read back"),
        }
    } else {
        report::words("  token     monolith token create me --role admin\n\n");
    }
}
