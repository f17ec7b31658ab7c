//! The command line of the console: what to look at, how, and the exit codes.
//! A token is never an argument: arguments stand in every process list and in the shell's history.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use monolith_client::Client;

use crate::clock::Clock;
use crate::headless::Form;
use crate::model::Look;
use crate::settings::{Settings, TargetSettings};
use crate::status::Failed;
use crate::theme::Theme;
use crate::token::TokenSource;
use crate::{console, headless};

/// The exit code of a command line that cannot be carried out.
const USAGE: u8 = 2;
/// Threads for pollers; they wait most of the time.
const THREADS: usize = 2;
/// What a target is called that only the command line names.
const UNNAMED: &str = "local";

const EXAMPLES: &str = "\
Examples:
  monolith-tui
      the console, on the server of this machine or on those of console.toml
  monolith-tui --server https://monolith.example --token-file ~/.monolith.token
      another server; without a token it tells what everyone may see
  monolith-tui snapshot --json | jq -r '.targets[].health.status'
      one look, for a script
  monolith-tui watch --jsonl
      a line for each change, for as long as it runs
  until monolith-tui check; do sleep 1; done
      wait until it is healthy

The token: --token-file, else MONOLITH_TOKEN, else what console.toml names for the target (a file, a variable, a command,
the keyring), else data/dev.token where the server is on this machine.

Keys: press ? in the console. Where the terminal was left behind by `kill -9`, `reset` brings it back.

Exit codes: 0 healthy, 1 degraded, down or refused, 2 usage, 4 unreachable, 5 unauthorized, 6 unreadable";

/// The console of Monolith servers: what is wrong, since when, and whether that is true now.
#[derive(Debug, Parser)]
#[command(name = "monolith-tui", version, after_help = EXAMPLES)]
struct Options {
    /// The address of a server, instead of those of console.toml
    #[arg(long, value_name = "URL", env = "MONOLITH_SERVER", global = true)]
    server: Option<String>,
    /// One target of console.toml
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "server")]
    target: Option<String>,
    /// A file that holds a token and nothing else; it is watched
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// The settings of the console [default: ~/.config/monolith/console.toml]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// How things look; NO_COLOR means none
    #[arg(long, value_enum)]
    theme: Option<Theme>,
    /// Signs and frames in ASCII
    #[arg(long)]
    ascii: bool,
    /// One look as plain text, without a screen
    #[arg(long)]
    plain: bool,
    #[command(subcommand)]
    command: Option<What>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// One look at every target: tables, or JSON
    Snapshot {
        /// One JSON object, schema 1
        #[arg(long)]
        json: bool,
    },
    /// A line for each change, until it is ended
    Watch {
        /// One JSON object a line
        #[arg(long)]
        jsonl: bool,
    },
    /// One word a target, and the exit code
    Check,
    /// The table of keys, in Markdown
    Keys,
}

/// Why there is no answer, in words, with the exit code it leads to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit_code: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit_code: u8, message: impl Into<String>) -> Self {
        Self { exit_code, message: message.into(), hint: None }
    }
}

impl From<&Failed> for Failure {
    fn from(failed: &Failed) -> Self {
        Self { exit_code: failed.exit_code, message: failed.why.clone(), hint: failed.hint.clone() }
    }
}

/// Parses, runs, and says what went wrong.
pub(crate) fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(options: &Options) -> Result<u8, Failure> {
    let clock = Clock::start();
    let settings = settings(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(1, format!("cannot start: {error}")))?;
    let answer = match options.command {
        Some(What::Keys) => headless::print(&settings.keymap.markdown()).map(|_| 0),
        Some(What::Snapshot { json }) => {
            let form = if json { Form::Json } else { tables() };
            runtime.block_on(headless::snapshot(&settings, clock, form))
        }
        Some(What::Watch { jsonl }) => runtime.block_on(headless::watch(settings, clock, jsonl)),
        Some(What::Check) => runtime.block_on(headless::check(&settings, clock)),
        None if options.plain || !can_draw() => runtime.block_on(headless::snapshot(&settings, clock, Form::Linear)),
        None => {
            let theme = if may_colour() { options.theme.unwrap_or(settings.theme) } else { Theme::None };
            let look = Look { theme, ascii: options.ascii || settings.ascii };
            let ended = runtime.block_on(console::run(settings, look, clock));
            ended.map(|()| 0).map_err(|error| Failure::new(1, format!("cannot use the terminal: {error}")))
        }
    };
    // A request that hangs keeps nobody waiting.
    runtime.shutdown_background();
    answer
}

/// What tables are drawn as: a terminal that is dumb may not have the signs of their frames.
fn tables() -> Form {
    match (is_dumb(), may_colour()) {
        (true, _) => Form::Linear,
        (false, true) => Form::Coloured,
        (false, false) => Form::Tables,
    }
}

/// Nothing is said of a pipe, whose reader has a terminal of his own or none.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// https://no-color.org: present and not empty.
fn may_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether there is a screen to draw on, and somebody to press keys.
fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal() && !dumb
}

fn settings(options: &Options) -> Result<Settings, Failure> {
    let usage = |mistakes: Vec<String>| Failure::new(USAGE, mistakes.join("\nerror: "));
    let mut settings = Settings::load(options.config.as_deref()).map_err(usage)?;
    if let Some(name) = &options.target {
        settings.targets.retain(|target| target.name == *name);
        if settings.targets.is_empty() {
            return Err(Failure::new(USAGE, format!("console.toml has no target {name}")));
        }
    }
    if let Some(server) = options.server.as_deref().or(settings.targets.is_empty().then_some("http://127.0.0.1:8000")) {
        let failure = |error: monolith_client::Error| Failure {
            exit_code: error.exit_code(),
            hint: error.hint().map(str::to_owned),
            message: error.to_string(),
        };
        let client = Client::new(server, None).map_err(failure)?;
        let token = if client.is_loopback() { TokenSource::Dev } else { TokenSource::None };
        settings.targets = vec![TargetSettings { name: name_of(server, &client), danger: false, client, token }];
    }
    let chosen = match (&options.token_file, std::env::var_os("MONOLITH_TOKEN")) {
        (Some(file), _) => Some(TokenSource::File(file.clone())),
        (None, Some(value)) if !value.is_empty() => Some(TokenSource::Env("MONOLITH_TOKEN".to_owned())),
        _ => None,
    };
    // A token that was named beside the settings is for one server, and goes to no other.
    match (chosen, settings.targets.as_mut_slice()) {
        (Some(token), [target]) => target.token = token,
        (Some(TokenSource::File(_)), _) => {
            return Err(Failure::new(USAGE, "--token-file is for one server: name it with --server or --target"));
        }
        _ => {}
    }
    Ok(settings)
}

/// A short name for a server that only has an address.
fn name_of(server: &str, client: &Client) -> String {
    if client.is_loopback() {
        return UNNAMED.to_owned();
    }
    let host = server.split("://").nth(1).unwrap_or(server);
    host.split(['/', ':']).next().unwrap_or(UNNAMED).to_owned()
}

/// Says what went wrong, without the control characters that a server could have put into it.
pub(crate) fn complain(failure: &Failure) {
    let clean = |text: &str| text.replace(|c: char| c.is_control() && c != '\n', " ");
    let mut text = format!("error: {}\n", clean(&failure.message));
    if let Some(hint) = &failure.hint {
        text += &format!("hint: {}\n", clean(hint));
    }
    // Nobody is left to tell that stderr is gone.
    drop(std::io::stderr().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn help_teaches_with_examples() {
        let help = Options::command().render_help().to_string();
        assert!(help.contains("Examples:") && help.contains("Exit codes: 0 healthy"), "{help}");
    }

    #[test]
    fn a_server_has_a_name() {
        let name = |url: &str| name_of(url, &Client::new(url, None).unwrap());
        assert_eq!([name("http://127.0.0.1:8000"), name("https://mono.example:8443/x")], ["local", "mono.example"]);
    }
}
