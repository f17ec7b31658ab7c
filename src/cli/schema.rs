//! `monolith schema`: the JSON Schema of monolith.toml, from the same types that read it.
//! Editors find it through the first line of the shipped file.

use super::report;
use crate::config::schema::for_editors;
use std::process::ExitCode;

pub(super) fn run() -> ExitCode {
    report::data(format_args!("{:#}", for_editors()));
    ExitCode::SUCCESS
}
