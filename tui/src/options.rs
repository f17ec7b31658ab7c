//! The command line of the console, and where its token comes from.
//! A token is never an argument: arguments stand in every process list and in the shell's history.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use monolith_client::{Client, Error, Token};

use crate::model::Failed;

/// Where a server in `dev` leaves its token.
const DEV_TOKEN: &str = "data/dev.token";
/// A token is well below a kilobyte; a larger file is something else.
const TOKEN_FILE_LIMIT: u64 = 64 * 1024;
/// The exit code of a command line that cannot be carried out.
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  monolith-tui
      how the server on this machine is, with the token that a server in dev left in data/dev.token
  monolith-tui --server https://monolith.example --token-file ~/.monolith.token
      another server; without a token it tells what everyone may see
  monolith-tui --output json | jq -r .health.status
      the same for a script
  until monolith-tui >/dev/null 2>&1; do sleep 1; done
      wait until it is healthy

The token: --token-file, else MONOLITH_TOKEN, else data/dev.token where the server is on this machine.

Exit codes: 0 healthy, 1 degraded, down or refused, 2 usage, 4 unreachable, 5 unauthorized, 6 unreadable";

/// Shows how a Monolith server is: status, stores, workers, keys and traffic.
#[derive(Debug, Parser)]
#[command(name = "monolith-tui", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The address of the server
    #[arg(long, value_name = "URL", env = "MONOLITH_SERVER", default_value = "http://127.0.0.1:8000")]
    server: String,
    /// A file that holds a token and nothing else
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// Whom the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables; coloured on a terminal where NO_COLOR is unset
    Text,
    /// One JSON object
    Json,
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

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Unreachable { .. } => Some("start it with `monolith`, or name another with --server URL"),
            other => other.hint(),
        };
        Self { exit_code: error.exit_code(), message: error.to_string(), hint: hint.map(str::to_owned) }
    }
}

impl From<&Failed> for Failure {
    fn from(failed: &Failed) -> Self {
        Self { exit_code: failed.exit_code, message: failed.why.clone(), hint: failed.hint.clone() }
    }
}

impl Options {
    /// The client that these options ask for, with its token.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let client = Client::new(&self.server, None)?;
        Ok(match self.token(client.is_loopback())? {
            Some(token) => client.with_token(token),
            None => client,
        })
    }

    fn token(&self, server_is_here: bool) -> Result<Option<Token>, Failure> {
        if let Some(file) = &self.token_file {
            return read_token(file).map(Some);
        }
        if let Some(text) = std::env::var_os("MONOLITH_TOKEN").filter(|text| !text.is_empty()) {
            let token = Token::parse(&text.to_string_lossy());
            return token.map(Some).map_err(|error| Failure::new(USAGE, format!("MONOLITH_TOKEN: {error}")));
        }
        // The token of a server in dev is for this machine: no other one gets it without being asked to.
        let dev = Path::new(DEV_TOKEN);
        if server_is_here && dev.exists() { read_token(dev).map(Some) } else { Ok(None) }
    }
}

fn read_token(file: &Path) -> Result<Token, Failure> {
    let name = file.display();
    let text = read_bounded(file).map_err(|error| {
        Failure::new(USAGE, format!("cannot read the token file {name}: {error}"))
            .hint("name another file with --token-file, or set MONOLITH_TOKEN")
    })?;
    Token::parse(&text).map_err(|error| {
        Failure::new(USAGE, format!("{name}: {error}")).hint("the file must hold a token and nothing else")
    })
}

fn read_bounded(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(TOKEN_FILE_LIMIT).read_to_string(&mut text)?;
    Ok(text)
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
    fn a_named_token_file_that_is_missing_is_an_error() {
        let options = Options::parse_from(["monolith-tui", "--token-file", "/nonexistent/token"]);
        let failure = options.client().unwrap_err();
        assert_eq!((failure.exit_code, failure.hint.is_some()), (USAGE, true));
    }
}
