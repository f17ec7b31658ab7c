//! `monolith token`: makes admin tokens with the configured key, and says what is in one.
//! The token alone goes to standard output.

use super::report::{self, Failure};
use crate::auth::{Auth, Refusal, Role, dev, unproved_payload};
use crate::clock::{self, Timestamp};
use crate::config::{self, Sources};
use crate::secret::Secret;
use crate::settings::{self, Settings, admin::SigningSecret};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

/// The longest token that is read from standard input.
const MAX_INPUT: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token; it is the only thing on standard output.
    Create(Create),
    /// Say what is in a token and why this configuration refuses it, if it does; reads it from standard input or
    /// MONOLITH_TOKEN. It asks no server: whether the token was denied is not known here.
    Inspect,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  TOKEN=$(monolith token create ann --role operator --ttl 15m)")]
pub(super) struct Create {
    /// Whose token it is: a person or a program.
    subject: String,
    /// What its bearer may do.
    #[arg(long, value_enum)]
    role: RoleName,
    /// How long it lives.
    #[arg(long, default_value = "15m", value_parser = ttl)]
    ttl: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Reads.
    Viewer,
    /// Also acts on keys and workers, and reloads.
    Operator,
    /// Also revokes in bulk, imports, and denies tokens.
    Admin,
}

fn ttl(text: &str) -> Result<Duration, String> {
    clock::parse_duration(text).ok_or_else(|| "write a length of time such as 15m, 8h or 1d".to_owned())
}

impl Token {
    pub(super) fn run(&self, sources: &Sources) -> Result<ExitCode, Failure> {
        let loaded = config::load(&super::with_commands(sources));
        let (settings, _) =
            settings::compile(&loaded, Timestamp::now()).map_err(|problems| Failure::configuration(&problems))?;
        let generated = generated(&settings)?;
        let auth = Auth::new(&settings.admin, generated.as_ref());
        match self {
            Self::Create(create) => create.run(&auth),
            Self::Inspect => inspect(&auth, sources),
        }
    }
}

impl Create {
    fn run(&self, auth: &Auth) -> Result<ExitCode, Failure> {
        let role = match self.role {
            RoleName::Viewer => Role::Viewer,
            RoleName::Operator => Role::Operator,
            RoleName::Admin => Role::Admin,
        };
        let token = auth.mint(&self.subject, role, self.ttl, Timestamp::now()).map_err(Failure::failed)?;
        report::data(token);
        Ok(ExitCode::SUCCESS)
    }
}

/// The secret of a laptop, the same that the server uses; made here if no server was started yet.
fn generated(settings: &Settings) -> Result<Option<Secret>, Failure> {
    if !settings.admin.signing_keys.iter().any(|key| key.secret == SigningSecret::Generated) {
        return Ok(None);
    }
    let folder = &settings.server.data_dir;
    let secret = dev::secret(folder)
        .map_err(|error| Failure::failed(format!("a secret cannot be kept in {}: {error}", folder.display())))?;
    Ok(Some(secret))
}

fn inspect(auth: &Auth, sources: &Sources) -> Result<ExitCode, Failure> {
    let token = token_to_inspect(sources)?;
    let verdict = auth.verify(&token, Timestamp::now());
    let (valid, reason) = match &verdict {
        Ok(_) => (true, None),
        // Whoever holds the signing keys may know what bearers are not told.
        Err(Refusal::Unproved(why) | Refusal::Lacking(why)) => (false, Some(why)),
    };
    let document = json!({ "valid": valid, "reason": reason, "claims": unproved_payload(&token) });
    report::data(format_args!("{document:#}"));
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::from(report::FAILED) })
}

/// Never from the arguments: those are seen by everybody on the machine.
fn token_to_inspect(sources: &Sources) -> Result<String, Failure> {
    if let Some(token) = sources.environment.text("MONOLITH_TOKEN").filter(|token| !token.is_empty()) {
        return Ok(token.to_owned());
    }
    if io::stdin().is_terminal() {
        report::words("paste the token, then press Ctrl-D\n");
    }
    let mut text = String::new();
    io::stdin()
        .take(MAX_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::failed(format!("the token cannot be read: {error}")))?;
    match text.trim() {
        "" => {
            Err(Failure::failed("there is no token on standard input").hint("monolith token inspect < data/dev.token"))
        }
        token => Ok(token.to_owned()),
    }
}
