//! How mistakes and refusals are printed, and which exit code they have: one place for all commands.
//! Words go to standard error, one `error:` line and one `hint:` line each; data is printed by `data`.

use crate::problem::{Problem, Problems};
use monolith_client as client;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Refused or failed.
pub(super) const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// The configuration is wrong.
pub(super) const CONFIGURATION: u8 = 3;

/// Why a command did not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    lines: String,
}

impl Failure {
    /// It failed, for a reason in words.
    pub(super) fn failed(message: impl Display) -> Self {
        Self { code: FAILED, lines: format!("error: {message}\n") }
    }

    /// The command line is wrong, in a way that only its values tell.
    pub(super) fn usage(message: impl Display) -> Self {
        Self { code: USAGE, lines: format!("error: {message}\n") }
    }

    /// The configuration is wrong.
    pub(super) fn configuration(problems: &Problems) -> Self {
        Self { code: CONFIGURATION, lines: problems.to_string() }
    }

    /// The configuration is right, but what it asks for is not to be had.
    pub(super) fn refused(problems: &Problems) -> Self {
        Self { code: FAILED, lines: problems.to_string() }
    }

    /// The same with advice.
    pub(super) fn hint(mut self, hint: impl Display) -> Self {
        self.lines.push_str(&format!("hint: {hint}\n"));
        self
    }

    /// Prints it and gives its exit code.
    pub(super) fn print(self) -> ExitCode {
        words(&self.lines);
        ExitCode::from(self.code)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let failure = Self { code: error.exit_code(), lines: format!("error: {error}\n") };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Help and version are data; what clap has to complain about is not.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() {
        words(&text);
        return ExitCode::from(USAGE);
    }
    data(text.trim_end());
    ExitCode::SUCCESS
}

/// Prints a line of data. A reader that went away, as `head` does, is no mistake of anybody's.
pub(super) fn data(line: impl Display) {
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// Prints columns, each as wide as its widest cell; the last one is not filled up.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        data(line.join("  ").trim_end());
    }
}

/// Prints words.
pub(super) fn words(text: impl Display) {
    drop(write!(io::stderr().lock(), "{text}"));
}

/// Prints warnings.
pub(super) fn warnings(warnings: &[Problem]) {
    for warning in warnings {
        words(format_args!("warning: {warning:#}\n"));
    }
}
