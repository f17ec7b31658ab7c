//! `monolith keys`: create, list, show, patch by switching, rotate, revoke, verify, on a running server.
//! A whole key is printed once, alone on standard output, and taken from standard input, never from the arguments.

mod import; // keys of elsewhere, from a file

use super::at::{At, Output, json};
use super::report::{self, Failure};
use crate::config::Sources;
use crate::keys::{KEY_BEGINNING, Keys as KeyTexts};
use clap::{Args, Subcommand};
use monolith_client::Client;
use monolith_client::wire::{self, CreateKey, ExplainKey, KeyText, KeysQuery, RotateKey, VerifyKey};
use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

/// The longest key that is read from standard input.
const MAX_INPUT: u64 = 4 * 1024;

#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key; the whole key is the only thing on standard output, and is never told again.
    #[command(after_help = "Example:\n  KEY=$(monolith keys create ci --owner shop --scope orders:read --ttl 30d)")]
    Create(Create),
    /// List keys, newest first.
    List(List),
    /// Show one key, by its id or by a whole key on standard input (KID is then `-`).
    Show {
        /// The key's id, or `-` for a whole key on standard input.
        kid: String,
    },
    /// End a key, for good, and print the receipt; also a leaked one, by a whole key on standard input.
    #[command(
        after_help = "Examples:\n  monolith keys revoke T6nwD44rj95a --reason 'left the team'\n  monolith keys revoke - --reason leaked < leaked.txt"
    )]
    Revoke {
        /// The key's id, or `-` for a whole key on standard input.
        kid: String,
        /// Why; it stands in the record.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Make a successor with the same rights; the old key is good for a while longer.
    Rotate {
        /// The id of the key to replace.
        kid: String,
        /// For how long the old key stays good [default: 1h].
        #[arg(long, value_name = "DURATION")]
        grace: Option<String>,
    },
    /// Say whether a key on standard input is good; exit code 1 where it is not.
    Verify {
        /// A scope it must have; can be given again.
        #[arg(long = "scope")]
        scopes: Vec<String>,
        /// From where it is used.
        #[arg(long)]
        ip: Option<String>,
        /// The declared policy it must satisfy.
        #[arg(long)]
        policy: Option<String>,
        /// Say every step of the verdict, without using the key; needs the role operator.
        #[arg(long)]
        explain: bool,
    },
    /// Take over keys that were issued elsewhere, from a file with a JSON object in each line; needs the role admin.
    Import(import::Import),
}

#[derive(Debug, Args)]
struct Create {
    /// What to call it.
    name: String,
    /// Whose it is.
    #[arg(long)]
    owner: Option<String>,
    /// What it may be used for; can be given again.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// How long it lives [default: keys.default_ttl].
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// From where it may be used, as an address or a CIDR; can be given again.
    #[arg(long = "ip-allow", value_name = "CIDR")]
    ip_allow: Vec<String>,
}

#[derive(Debug, Args)]
struct List {
    /// Only those in this state: active, disabled, expired, revoked, retiring.
    #[arg(long, value_parser = state)]
    state: Option<wire::KeyState>,
    /// Only those of this owner.
    #[arg(long)]
    owner: Option<String>,
    /// Only those with this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Only those with this text in id, name or owner.
    #[arg(long, short)]
    q: Option<String>,
    /// How many at most, over all pages.
    #[arg(long, default_value_t = 500)]
    limit: u32,
}

impl Keys {
    pub(super) fn run(self, sources: &Sources) -> Result<ExitCode, Failure> {
        super::install_cryptography();
        let output = self.at.output;
        let client = self.at.client(sources)?;
        super::runtime()?.block_on(run(&client, self.command, output))
    }
}

async fn run(client: &Client, command: Command, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Create(create) => issued(&client.create_key(&create.wish(), None).await?, output)?,
        Command::List(list) => list.run(client, output).await?,
        Command::Show { kid } => one(&client.key(&kid_of(&kid)?).await?, output)?,
        Command::Revoke { kid, reason } => {
            receipt(&client.revoke_key(&kid_of(&kid)?, reason.as_deref()).await?, output)?
        }
        Command::Rotate { kid, grace } => {
            issued(&client.rotate_key(&kid_of(&kid)?, &RotateKey { grace }).await?, output)?
        }
        Command::Verify { scopes, ip, policy, explain } => {
            let question = Question { scopes: Some(scopes).filter(|scopes| !scopes.is_empty()), ip, policy };
            return if explain {
                question.explain(client, output).await
            } else {
                question.verify(client, output).await
            };
        }
        Command::Import(import) => return import.run(client, output == Output::Json).await,
    }
    Ok(ExitCode::SUCCESS)
}

impl Create {
    fn wish(self) -> CreateKey {
        let Self { name, owner, scopes, ttl, ip_allow } = self;
        CreateKey { name, owner, scopes, ttl, ip_allow, ..CreateKey::default() }
    }
}

impl List {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut query =
            KeysQuery { state: self.state, owner: self.owner, scope: self.scope, q: self.q, ..KeysQuery::default() };
        let mut keys: Vec<wire::Key> = Vec::new();
        loop {
            let missing = self.limit.saturating_sub(u32::try_from(keys.len()).unwrap_or(u32::MAX));
            query.limit = Some(missing.min(500));
            let page = client.keys(&query).await?;
            keys.extend(page.items);
            query.after = page.next;
            if query.after.is_none() || keys.len() >= self.limit as usize {
                break;
            }
        }
        if query.after.is_some() {
            report::words("note: there are more; raise --limit\n");
        }
        if output == Output::Json {
            return json(&keys);
        }
        let rows = keys.iter().map(|key| {
            let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".into());
            [
                key.kid.clone(),
                key.state.to_string(),
                text(&key.name),
                text(&key.owner),
                text(&key.expires_at),
                text(&key.last_used_at),
            ]
        });
        report::table(["KID", "STATE", "NAME", "OWNER", "EXPIRES", "LAST USED"], rows);
        Ok(())
    }
}

fn state(text: &str) -> Result<wire::KeyState, &'static str> {
    serde_json::from_value(text.into()).map_err(|_| "a key is active, disabled, expired, revoked or retiring")
}

/// The id that is meant; a whole key never leaves this process.
fn kid_of(text: &str) -> Result<String, Failure> {
    if text == "-" {
        let key = key_on_standard_input()?;
        let kid = KeyTexts::kid_in(&key).ok_or_else(|| {
            Failure::failed("what stands on standard input is no key that was issued here")
                .hint("an imported one is found by its name or owner: monolith keys list -q TEXT")
        })?;
        return Ok(kid.to_string());
    }
    match KeyTexts::kid_in(text) {
        Some(kid) => {
            report::words("warning: a whole key in the arguments is seen by everybody on this machine; use `-`\n");
            Ok(kid.to_string())
        }
        // What leaves this process stands in logs of gateways, and a mistyped key is a key but for a letter.
        None if text.contains(KEY_BEGINNING) => {
            Err(Failure::failed("this looks like a key that was mistyped; nothing was asked")
                .hint("give the id of the key (the letters and digits after its second `_`), or the whole key to `-`"))
        }
        None => Ok(text.to_owned()),
    }
}

fn key_on_standard_input() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        report::words("paste the key, then press Enter and Ctrl-D\n");
    }
    let mut text = String::new();
    let read = io::stdin().take(MAX_INPUT).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("the key cannot be read: {error}")))?;
    Ok(text.trim().to_owned())
}

/// What is asked about a key on standard input.
struct Question {
    scopes: Option<Vec<String>>,
    ip: Option<String>,
    policy: Option<String>,
}

impl Question {
    async fn verify(self, client: &Client, output: Output) -> Result<ExitCode, Failure> {
        let Self { scopes, ip, policy } = self;
        let key = KeyText::new(key_on_standard_input()?);
        let verdict = client.verify(&VerifyKey { key, policy, scopes, ip }).await?;
        match output {
            Output::Json => json(&verdict)?,
            Output::Text => report::data(verdict.code),
        }
        Ok(ending(verdict.valid))
    }

    async fn explain(self, client: &Client, output: Output) -> Result<ExitCode, Failure> {
        let Self { scopes, ip, policy } = self;
        let key = Some(KeyText::new(key_on_standard_input()?));
        let explained = client.explain_key(&ExplainKey { key, kid: None, policy, scopes, ip }).await?;
        match output {
            Output::Json => json(&explained)?,
            Output::Text => {
                let steps = explained.steps.iter();
                let rows = steps.map(|step| [step.step.clone(), step.outcome.to_string(), step.detail.clone()]);
                report::table(["STEP", "OUTCOME", "WHY"], rows);
            }
        }
        Ok(ending(explained.valid))
    }
}

fn ending(is_valid: bool) -> ExitCode {
    if is_valid { ExitCode::SUCCESS } else { ExitCode::from(report::FAILED) }
}

/// The whole key alone on standard output, what belongs to it beside it.
fn issued(issued: &wire::IssuedKey, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return json(issued);
    }
    let expires = issued.record.expires_at.as_deref().unwrap_or("never");
    report::words(format_args!("kid {}, expires {expires}; the key is not told again\n", issued.record.kid));
    let key = issued.key.as_ref().ok_or_else(|| Failure::failed("the new key was not told"))?;
    report::data(key.expose());
    Ok(())
}

fn one(key: &wire::Key, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return json(key);
    }
    let value = serde_json::to_value(key).map_err(Failure::failed)?;
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        report::data(format_args!("{name:<15} {}", if value.is_null() { "-" } else { &text }));
    }
    Ok(())
}

fn receipt(receipt: &wire::Receipt, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return json(receipt);
    }
    let (acked, known) = (receipt.replicas_acked, receipt.replicas_known);
    report::data(format_args!("{} revoked at {}; {acked} of {known} replicas know", receipt.kid, receipt.revoked_at));
    if !receipt.complete
        && let Some(bound) = receipt.bound_ms
    {
        report::words(format_args!("note: the others refuse it within {bound} ms of its revocation\n"));
    }
    Ok(())
}
