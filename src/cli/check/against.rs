//! `monolith check --against URL`: asks a running server what these files would change in it, and prints that.
//! The server judges: its own environment, flags and secrets count, and nothing is changed, looked up or opened there.

use super::Format;
use crate::cli::report::{self, Failure};
use crate::cli::server::Server;
use crate::config::Sources;
use monolith_client::Client;
use monolith_client::wire::{Change, NodeEffect, Plan, PlanConfig, Problem, ValueChange};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

/// The longest value that is printed whole, in characters.
const MAX_VALUE: usize = 80;

pub(super) fn run(
    url: &str,
    files: [Option<PathBuf>; 2],
    sources: &Sources,
    format: Format,
) -> Result<ExitCode, Failure> {
    crate::cli::install_cryptography();
    let [token_file, ca_file] = files;
    let client = Server { url: Some(url.to_owned()), token_file, ca_file }.with_token(sources)?;
    let plan = crate::cli::runtime()?.block_on(ask(&client, sources))?;
    match format {
        Format::Json => {
            let text = serde_json::to_string(&plan).map_err(|error| Failure::failed(error.to_string()))?;
            report::data(text);
        }
        Format::Text => print(&plan),
    }
    Ok(code(&plan))
}

/// 3 where the texts are wrong, 1 where they are right and would need a restart.
fn code(plan: &Plan) -> ExitCode {
    let needs_restart = plan.changes.iter().any(|change| change.effect == NodeEffect::Restart);
    match (plan.valid, needs_restart) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(report::FAILED),
        (false, false) => ExitCode::from(report::CONFIGURATION),
    }
}

async fn ask(client: &Client, sources: &Sources) -> Result<Plan, Failure> {
    let running = client.config().await?.profile;
    if let Some(wanted) = sources.profile.as_ref().filter(|wanted| **wanted != running) {
        let message = format!("the server runs with the profile {running}, not {wanted}");
        return Err(Failure::failed(message).hint("leave --profile out: the server's own profile is used"));
    }
    let base = base(sources);
    let text = fs::read_to_string(&base)
        .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", base.display())))?;
    let folder = base.parent().unwrap_or(Path::new("."));
    let profile = folder.join("profiles").join(format!("{running}.toml"));
    let profile = match fs::read_to_string(&profile) {
        Ok(text) => text,
        // No such file here means none there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::failed(format!("{} cannot be read: {error}", profile.display()))),
    };
    Ok(client.plan(&PlanConfig { base: text, profile: Some(profile) }).await?)
}

/// The base file of this command line.
fn base(sources: &Sources) -> PathBuf {
    let file = sources.working_dir.join(sources.config.clone().unwrap_or_else(|| PathBuf::from("monolith.toml")));
    if file.is_dir() { file.join("monolith.toml") } else { file }
}

fn print(plan: &Plan) {
    plan.problems.iter().for_each(|problem| report::words(words(problem)));
    for change in &plan.changes {
        report::data(line(change));
        change.values.iter().for_each(|value| report::data(format_args!("  {}", value_line(value))));
    }
    match plan.withdrawn_runs {
        0 => {}
        1 => report::data("1 waiting run would be withdrawn"),
        n => report::data(format_args!("{n} waiting runs would be withdrawn")),
    }
    match (plan.valid, plan.changes.is_empty()) {
        (true, true) => report::data("ok: the server runs this already"),
        (true, false) => report::data("ok: the server would apply this"),
        (false, _) => report::words("error: the server would reject this and change nothing\n"),
    }
}

fn words(problem: &Problem) -> String {
    let mut text = "error: ".to_owned();
    let place = [problem.file.clone(), problem.line.map(|n| n.to_string()), problem.column.map(|n| n.to_string())];
    let place: Vec<String> = place.into_iter().flatten().collect();
    let place = problem.env.as_ref().map_or_else(|| place.join(":"), |name| format!("${name}"));
    for part in [&place, &problem.key].into_iter().filter(|part| !part.is_empty()) {
        text.push_str(&format!("{part}: "));
    }
    text.push_str(&problem.message);
    text.push('\n');
    if let Some(hint) = &problem.hint {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    text
}

fn line(change: &Change) -> String {
    format!("{:<9} {}", change.effect.as_str(), change.node)
}

fn value_line(value: &ValueChange) -> String {
    let short = |value: &serde_json::Value| {
        let text = value.to_string();
        match text.char_indices().nth(MAX_VALUE) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text,
        }
    };
    match (value.secret && value.to == "changed", value.from.is_null(), value.to.is_null()) {
        (true, ..) => format!("{}: changed (secret)", value.key),
        (_, true, _) => format!("{}: added {}", value.key, short(&value.to)),
        (_, _, true) => format!("{}: removed", value.key),
        _ => format!("{}: {} -> {}", value.key, short(&value.from), short(&value.to)),
    }
}
