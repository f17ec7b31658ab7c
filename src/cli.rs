//! The command line: where everything meets. Data goes to standard output, words to standard error.
//! A command does its work through the library or, for a running server, through the typed client.

mod at; // which server a command asks, and how it prints
mod audit; // whether the recorded changes are untouched
mod builder; // the program as a library
mod check; // compiles the configuration and prints every mistake
mod explain; // where a value comes from
mod healthcheck; // asks /health/live, for containers without curl
mod keys; // keys of a running server
mod migrate; // brings the schema of keys and ledger up to date
mod report; // how mistakes and refusals are printed, and which exit code they have
mod schema; // the JSON Schema of the file
mod serve; // the server
mod server; // which running server a command means
mod smoke; // health, metrics, and a key's whole life on a running server
mod token; // makes and inspects admin tokens
mod wall; // instants on the wall clock of a time zone
mod worker; // the process that only runs workers
mod workers; // workers of a running server, and ticks foretold

pub use builder::Builder;

use crate::config::Sources;
use crate::config::commands::Commands;
use crate::config::environment::Environment;
use builder::Embedded;
use clap::{Args, Parser, Subcommand};
use report::Failure;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// One binary and one TOML file that give a team the operated half of a service.
#[derive(Debug, Parser)]
#[command(name = "monolith", version, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done or healthy, 1 refused or failed, 2 usage, 3 configuration, \
                        4 unreachable, 5 unauthorized, 6 unreadable.")]
struct Cli {
    #[command(flatten)]
    from: From,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
struct From {
    /// The base file [default: monolith.toml in the working folder, if it is there].
    #[arg(long, global = true, value_name = "FILE", env = "MONOLITH_CONFIG")]
    config: Option<PathBuf>,
    /// The profile: profiles/<NAME>.toml beside the base file is laid over it [default: dev].
    #[arg(long, global = true, value_name = "NAME", env = "MONOLITH_PROFILE")]
    profile: Option<String>,
    /// Sets one key over everything else, such as --set server.docs=off; can be given again.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: the default.
    Serve(serve::Serve),
    /// Only run scheduled work; /health and /metrics on an address of its own.
    Worker(worker::Worker),
    /// Check the configuration and print every mistake; opens no connection.
    Check(check::Check),
    /// Say where a value comes from: the layer that won, and every layer that lost.
    Explain(explain::Explain),
    /// Print the JSON Schema of monolith.toml, for editors.
    Schema,
    /// Bring the schema of keys and ledger up to date.
    Migrate(migrate::Migrate),
    /// Make and inspect admin tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// Create, list, show, rotate, revoke and verify keys of a running server.
    Keys(keys::Keys),
    /// Prove that nobody touched the record of changes.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// List, run, pause, resume and backfill workers of a running server; foretell ticks.
    Workers(workers::Workers),
    /// Try a running server: health, metrics, and a key's life from creation to refusal.
    Smoke(smoke::Smoke),
    /// Ask a running server whether it lives; for containers without curl.
    Healthcheck(healthcheck::Healthcheck),
}

/// Runs the program with the arguments and the environment of this process, and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    Builder::from_args().run()
}

fn execute(cli: Cli, embedded: Embedded) -> Result<ExitCode, Failure> {
    let mut sources = sources(&cli.from)?;
    sources.handlers = embedded.handlers.names().map(str::to_owned).collect();
    match cli.command.unwrap_or_else(|| Command::Serve(serve::Serve::default())) {
        Command::Serve(serve) => serve.run(sources, embedded),
        Command::Worker(worker) => worker.run(sources, embedded),
        Command::Check(check) => check.run(&sources),
        Command::Explain(explain) => explain.run(&sources),
        Command::Schema => Ok(schema::run()),
        Command::Migrate(migrate) => migrate.run(&sources),
        Command::Token(token) => token.run(&sources),
        Command::Keys(keys) => keys.run(&sources),
        Command::Audit(audit) => audit.run(&sources),
        Command::Workers(workers) => workers.run(&sources),
        Command::Smoke(smoke) => smoke.run(&sources),
        Command::Healthcheck(healthcheck) => healthcheck.run(&sources),
    }
}

fn sources(from: &From) -> Result<Sources, Failure> {
    let working_dir =
        std::env::current_dir().map_err(|error| Failure::failed(format!("there is no working folder: {error}")))?;
    Ok(Sources {
        // Empty means unset, as for every variable that is not a secret.
        config: from.config.clone().filter(|path| !path.as_os_str().is_empty()),
        profile: from.profile.clone().filter(|name| !name.is_empty()),
        working_dir,
        environment: Environment::of_this_process(),
        last_good: false,
        apart: false,
        flags: from.set.iter().map(|set| ("--set".to_owned(), set.clone())).collect(),
        commands: Commands::default(),
        handlers: BTreeSet::new(),
    })
}

/// The same for a command that cannot do without the secrets that programs tell.
fn with_commands(sources: &Sources) -> Sources {
    let commands = Commands::asked(&sources.environment, CancellationToken::new());
    Sources { commands, ..sources.clone() }
}

/// A runtime for commands that ask a server or a store.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the async runtime does not start: {error}")))
}

/// Makes one cryptography provider the default of every driver that speaks TLS.
fn install_cryptography() {
    // A second call finds the first one's choice, which is the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
