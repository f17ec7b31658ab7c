//! `monolith keys import`: keys of elsewhere, from a file with a JSON object in each line.
//! Everything is tried before anything is changed; a line that does not fit is told with its number.

use crate::cli::report::{self, Failure};
use crate::keys::MAX_IMPORT;
use clap::Args;
use monolith_client::Client;
use monolith_client::wire::{ImportKey, ImportKeys, ImportedKeys, Problem};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

/// The largest file that is read: a hundred thousand keys.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// How many keys are sent at once: what fits the default of `server.body_limit` by far.
const PART: usize = if MAX_IMPORT < 500 { MAX_IMPORT } else { 500 };
/// The most lines that are told of.
const MAX_TOLD: usize = 100;

#[derive(Debug, Args)]
#[command(
    after_help = "A line:\n  {\"kid\":\"shop-1\",\"hash\":\"<64 hex digits>\",\"algorithm\":\"sha256\",\"name\":\"shop\",\"scopes\":[\"orders:read\"]}\n\n\
                        The hash is of the whole text of the key. With \"algorithm\":\"hmac-sha256\", \"pepper\" names the secret that \
                        was mixed in, one of keys.pepper. Also: owner, created_at, expires_at, ip_allow, rate_limit, metadata."
)]
pub(super) struct Import {
    /// The file, or `-` for standard input.
    file: PathBuf,
    /// Only say what would be taken over.
    #[arg(long)]
    dry_run: bool,
    /// Take over the lines that fit, where some do not.
    #[arg(long)]
    partial: bool,
}

/// A key, and the line that it stands in.
type Line = (usize, ImportKey);

impl Import {
    pub(super) async fn run(self, client: &Client, as_json: bool) -> Result<ExitCode, Failure> {
        let (lines, mut faults) = read(&self.text()?);
        let mut fits = 0;
        for part in lines.chunks(PART) {
            let tried = send(client, part, true, false).await?;
            fits += tried.imported;
            faults.extend(faults_of(part, &tried));
        }
        faults.sort();
        self.tell(&faults);
        if !faults.is_empty() && !self.partial {
            return Err(Failure::failed(format!("{} lines do not fit, so nothing was imported", faults.len()))
                .hint("mend them, or import the others with --partial"));
        }
        let mut imported = 0;
        if !self.dry_run {
            for part in lines.chunks(PART) {
                imported += send(client, part, false, self.partial).await?.imported;
            }
        }
        let document = serde_json::json!({ "imported": imported, "would_import": fits, "refused": faults.len() });
        match (as_json, self.dry_run) {
            (true, _) => report::data(format_args!("{document:#}")),
            (false, true) => report::data(format_args!("{fits} keys would be imported")),
            (false, false) => report::data(format_args!("{imported} keys imported")),
        }
        Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(report::FAILED) })
    }

    fn text(&self) -> Result<String, Failure> {
        let mut text = String::new();
        let read = if self.file.as_os_str() == "-" {
            io::stdin().take(MAX_FILE + 1).read_to_string(&mut text)
        } else {
            File::open(&self.file).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        };
        let name = self.file.display();
        read.map_err(|error| Failure::failed(format!("{name} cannot be read: {error}")))?;
        if text.len() as u64 > MAX_FILE {
            return Err(Failure::failed(format!("{name} is larger than {} MiB; split it", MAX_FILE >> 20)));
        }
        Ok(text)
    }

    fn tell(&self, faults: &[(usize, String)]) {
        let name = self.file.display();
        for (line, fault) in faults.iter().take(MAX_TOLD) {
            report::words(format_args!("{name}:{line}: {fault}\n"));
        }
        if faults.len() > MAX_TOLD {
            report::words(format_args!("... and {} more\n", faults.len() - MAX_TOLD));
        }
    }
}

/// The keys of a text, and what is wrong with lines that hold none.
fn read(text: &str) -> (Vec<Line>, Vec<(usize, String)>) {
    let (mut keys, mut faults) = (Vec::<Line>::new(), Vec::new());
    let mut seen = HashSet::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<ImportKey>(line) {
            // They may be sent in different parts, so that no server would see both at once.
            Ok(key) if !seen.insert(key.kid.clone()) => {
                faults.push((n + 1, "kid: stands in an earlier line, too".into()))
            }
            Ok(key) if !seen.insert(key.hash.clone()) => {
                faults.push((n + 1, "hash: stands in an earlier line, too".into()))
            }
            Ok(key) => keys.push((n + 1, key)),
            Err(error) => faults.push((n + 1, error.to_string())),
        }
    }
    (keys, faults)
}

async fn send(client: &Client, part: &[Line], dry_run: bool, partial: bool) -> Result<ImportedKeys, Failure> {
    let keys = part.iter().map(|(_, key)| key.clone()).collect();
    Ok(client.import_keys(&ImportKeys { keys, dry_run, partial }).await?)
}

fn faults_of(part: &[Line], tried: &ImportedKeys) -> Vec<(usize, String)> {
    let words = |problem: &Problem| format!("{}: {}", problem.key, problem.message);
    let line = |n: u64| usize::try_from(n).ok().and_then(|n| part.get(n)).map_or(0, |(line, _)| *line);
    tried
        .refused
        .iter()
        .map(|refused| (line(refused.n), refused.errors.iter().map(words).collect::<Vec<_>>().join("; ")))
        .collect()
}
