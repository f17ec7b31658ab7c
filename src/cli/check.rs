//! `monolith check`: compiles the configuration and prints every mistake in it.
//! It reads files and variables, and opens no connection.

mod against; // what a running server would make of it

use super::report::{self, Failure};
use crate::clock::Timestamp;
use crate::config::{self, Sources};
use crate::problem::{Place, Problem};
use crate::settings::{self, Settings};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  monolith check\n  monolith check --profile prod --format json\n  \
                        monolith check --against http://127.0.0.1:8000\n\n\
                        JSON: {valid, errors, warnings}; each problem has key, message, hint and, where it was written, \
                        file, line, column or env or flag. Exit code 3 where it is not valid.")]
pub(super) struct Check {
    /// How mistakes are printed: for people, or as one JSON document on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Fail on warnings, too.
    #[arg(long)]
    deny_warnings: bool,
    /// Ask a running server what these files would change in it; nothing is changed.
    #[arg(long, value_name = "URL", conflicts_with = "deny_warnings")]
    against: Option<String>,
    /// A file with the token for that server [default: MONOLITH_TOKEN, else data/dev.token].
    #[arg(long, value_name = "FILE", requires = "against")]
    token_file: Option<PathBuf>,
    /// The authority that signed the certificate of that server, in PEM.
    #[arg(long, value_name = "FILE", requires = "against")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

impl Check {
    pub(super) fn run(&self, sources: &Sources) -> Result<ExitCode, Failure> {
        if let Some(url) = &self.against {
            return against::run(url, [self.token_file.clone(), self.ca_file.clone()], sources, self.format);
        }
        let loaded = config::load(sources);
        let compiled = settings::compile(&loaded, Timestamp::now());
        let (errors, warnings) = match &compiled {
            Ok((_, warnings)) => (Vec::new(), warnings.clone()),
            Err(problems) => (problems.errors(), problems.warnings()),
        };
        let refused = !errors.is_empty() || (self.deny_warnings && !warnings.is_empty());
        if self.format == Format::Json {
            let shown = |list: &[Problem]| list.iter().map(as_json).collect::<Vec<_>>();
            let document = json!({ "valid": !refused, "errors": shown(&errors), "warnings": shown(&warnings) });
            report::data(document);
            return Ok(if refused { ExitCode::from(3) } else { ExitCode::SUCCESS });
        }
        match compiled {
            Err(problems) => Err(Failure::configuration(&problems)),
            Ok((settings, warnings)) => {
                report::warnings(&warnings);
                for note in &loaded.notes {
                    report::words(format_args!("note: {note}\n"));
                }
                if refused {
                    report::words("error: there are warnings, and --deny-warnings was given\n");
                    return Ok(ExitCode::from(3));
                }
                report::data(summary(&settings));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn summary(settings: &Settings) -> String {
    let (stores, workers) = (settings.stores.len(), settings.workers.len());
    let (profile, hash) = (&settings.profile, &settings.hash);
    format!("ok: profile {profile}, {stores} stores, {workers} workers, hash {hash}")
}

fn as_json(problem: &Problem) -> serde_json::Value {
    let mut shown = json!({
        "key": problem.key, "message": problem.message, "hint": problem.hint,
        "file": null, "line": null, "column": null, "env": null, "flag": null,
    });
    match &problem.place {
        Place::File { path, line, column } => {
            shown["file"] = json!(path);
            shown["line"] = json!(line);
            shown["column"] = json!(column);
        }
        Place::Env(name) => shown["env"] = json!(name),
        Place::Flag(flag) => shown["flag"] = json!(flag),
        Place::Nowhere => {}
    }
    shown
}
