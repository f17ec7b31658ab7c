//! The binary `monolith`: runs the command line of the library and ends with its exit code.
//! Nothing else happens here.

use std::process::ExitCode;

fn main() -> ExitCode {
    monolith::cli::run()
}
