//! `monolith check`: compiles the configuration and prints every mistake in it.
//! It reads files and variables; unless it is told to, it opens no connection and runs no command.

mod against; // what a running server would make of it
mod connect; // logs in to every store
mod ticks; // when each worker is due next

use super::report::{self, Failure};
use crate::clock::Timestamp;
use crate::config::{self, Sources};
use crate::problem::{Place, Problem};
use crate::settings::{self, Settings};
use clap::{Args, ValueEnum};
use connect::Tried;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  monolith check\n  monolith check --profile prod --format json\n  monolith check --connect\n  \
                        monolith check --against http://127.0.0.1:8000\n\n\
                        JSON: {valid, errors, warnings, workers}; each problem has key, message, hint and, where it was written, \
                        file, line, column or env or flag; each worker has its next ticks. Exit code 3 where it is not valid; \
                        with --connect also 4 where a store does not answer, 5 where one refuses the login."
)]
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
    /// Also ask commands for their secrets and log in to every store.
    #[arg(long)]
    connect: bool,
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
        let asking = if self.connect { super::with_commands(sources) } else { sources.clone() };
        let loaded = config::load(&asking);
        let now = Timestamp::now();
        let compiled = settings::compile(&loaded, now);
        let tried = self.try_stores(compiled.as_ref().ok().map(|(settings, _)| settings))?;
        let (mut errors, warnings) = match &compiled {
            Ok((_, warnings)) => (Vec::new(), warnings.clone()),
            Err(problems) => (problems.errors(), problems.warnings()),
        };
        let denied = self.deny_warnings && !warnings.is_empty();
        let code = match &tried {
            _ if !errors.is_empty() || denied => ExitCode::from(3),
            Some(tried) => tried.code(),
            None => ExitCode::SUCCESS,
        };
        let failed = tried.as_ref().map(|tried| tried.problems(&loaded.places)).unwrap_or_default();
        if self.format == Format::Json {
            errors.extend(failed.errors());
            let shown = |list: &[Problem]| list.iter().map(as_json).collect::<Vec<_>>();
            let valid = errors.is_empty() && !denied;
            let workers = compiled.map(|(settings, _)| ticks::document(&settings, now)).unwrap_or_default();
            let (errors, warnings) = (shown(&errors), shown(&warnings));
            report::data(json!({ "valid": valid, "errors": errors, "warnings": warnings, "workers": workers }));
            return Ok(code);
        }
        let (settings, warnings) = compiled.map_err(|problems| Failure::configuration(&problems))?;
        report::warnings(&warnings);
        for note in &loaded.notes {
            report::words(format_args!("note: {note}\n"));
        }
        for name in &loaded.unasked {
            report::words(format_args!("note: secrets.{name} is told by a command, which was not run\n"));
        }
        tried.iter().flat_map(Tried::lines).for_each(report::data);
        report::words(&failed);
        if denied {
            report::words("error: there are warnings, and --deny-warnings was given\n");
        }
        if !denied && !failed.any() {
            report::data(summary(&settings));
            ticks::print(&settings, now);
        }
        Ok(code)
    }

    /// Logs in to the stores, where that was asked for and the configuration is good.
    fn try_stores(&self, settings: Option<&Settings>) -> Result<Option<Tried>, Failure> {
        let Some(settings) = settings.filter(|_| self.connect) else { return Ok(None) };
        super::install_cryptography();
        Ok(Some(super::runtime()?.block_on(connect::connect(settings))))
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
