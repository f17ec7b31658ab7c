//! The project's chores at the shell: `cargo xtask test` and `cargo xtask servers`.
//! It decides what is printed and how the process ends; the work is in the library and in `steps`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to whoever sits at the shell")]

/// The chaos proof of scheduled work.
mod chaos;
/// The description of the API, held against it.
mod schemathesis;
/// The steps of a test run.
mod steps;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use nix::sys::signal::{SigSet, Signal};
use xtask::servers::stand_in::StandIn;
use xtask::servers::{self, Found, Kind, STAND_IN_VARIABLE, machine};

use steps::{Cargo, Run};

/// The chores of this repository. Start with `cargo xtask test`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Test(Test),
    Servers(Servers),
    Chaos(chaos::Chaos),
    Schemathesis(schemathesis::Schemathesis),
    /// Install the stand-in for MongoDB (Python 3 with venv) where it is missing
    StandIn,
}

/// Find or start real servers, then check and test everything
///
/// Postgres, Redis and MongoDB are each looked for in this order: the address in MONOLITH_TEST_POSTGRES_URL,
/// MONOLITH_TEST_REDIS_URL or MONOLITH_TEST_MONGO_URL; a server program on this machine, started on a free port in a
/// temporary folder; Docker; on Debian as root, its package; for MongoDB, a stand-in that is named as such.
/// Exit code 0: everything passed; 1: something failed.
#[derive(Args)]
struct Test {
    /// The inner loop: rustfmt and the tests beside the code; no servers, no clippy
    #[arg(long)]
    quick: bool,
    /// No rustfmt, no clippy
    #[arg(long)]
    skip_lints: bool,
    /// Go on without a server that cannot be found
    #[arg(long)]
    allow_missing: bool,
    /// Passed on to the test runner: `cargo xtask test -- reload`
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Start Postgres, Redis and MongoDB, print their addresses, and stop them on Ctrl-C
///
/// What is printed on stdout can be pasted into another shell.
#[derive(Args)]
struct Servers {
    /// Go on without a server that cannot be found
    #[arg(long)]
    allow_missing: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test(arguments) => Ok(arguments.run()),
        Chore::Servers(arguments) => arguments.run().map(|()| true),
        Chore::Chaos(arguments) => arguments.run().map(|()| true),
        Chore::Schemathesis(arguments) => arguments.run().map(|()| true),
        Chore::StandIn => StandIn::install().map(|stand_in| println!("nx-27017 {}", stand_in.version())).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Test {
    fn run(self) -> bool {
        let mut run = Run::new();
        let mut found = Vec::new();
        if !self.quick {
            let servers = run.step("servers", "find or start Postgres, Redis and MongoDB", || self.servers());
            found = servers.unwrap_or_default();
        }
        let mut cargo = |name, command: Cargo| run.step(name, &command.line(), || command.run(&exports(&found)));
        if !self.skip_lints {
            cargo("fmt", Cargo::fmt());
        }
        if !self.skip_lints && !self.quick {
            cargo("clippy", Cargo::clippy());
        }
        if !self.quick {
            cargo("doc tests", Cargo::doc_tests(&self.filter));
        }
        // Last, so that the runner's own summary stands right above the table.
        cargo("tests", Cargo::tests(self.quick, &self.filter));
        drop(found);
        run.finish()
    }

    fn servers(&self) -> Result<Vec<Found>> {
        let found = find(self.allow_missing, |line| println!("        {line}"))?;
        if !Kind::Mongo.can_start() {
            match StandIn::install() {
                Ok(installed) => {
                    println!("        nx-27017  {:<18} stands in where a test breaks a MongoDB", installed.version())
                }
                Err(error) => println!("        no MongoDB to break: {error:#}"),
            }
        }
        match machine::nginx() {
            Some(program) => {
                println!("        nginx     {:<18} {}", machine::version(&program, "-v"), program.display())
            }
            None => {
                println!("        nginx     not found: its gateway tests are left out (Debian: apt-get install nginx)")
            }
        }
        Ok(found)
    }
}

impl Servers {
    fn run(self) -> Result<()> {
        let found = find(self.allow_missing, |line| eprintln!("{line}"))?;
        // From here on a Ctrl-C is ours; before, the servers' guardians would have cleaned up.
        let mut stop = SigSet::empty();
        stop.extend([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        stop.thread_block().context("cannot wait for Ctrl-C")?;
        for (name, value) in exports(&found) {
            println!("export {name}='{value}'");
        }
        eprintln!("Ctrl-C stops them");
        stop.wait().context("cannot wait for Ctrl-C")?;
        eprintln!("\nstopping");
        Ok(())
    }
}

/// Finds the servers and tells each; one that is missing is an error, unless that is allowed.
fn find(allow_missing: bool, tell: impl Fn(&str)) -> Result<Vec<Found>> {
    let (found, missing) = servers::found(&tell);
    for server in &found {
        tell(&format!("{:<9} {:<18} {}  ({})", server.kind.name(), server.version, masked(&server.url), server.how));
    }
    for server in &missing {
        tell(&server.to_string());
    }
    if !missing.is_empty() && !allow_missing {
        bail!("{} of the servers cannot be found (--allow-missing goes on without)", missing.len());
    }
    Ok(found)
}

/// What the tests read.
fn exports(found: &[Found]) -> Vec<(String, String)> {
    let urls = found.iter().map(|server| (server.kind.variable().to_owned(), server.url.clone()));
    let stand_in =
        found.iter().filter(|server| server.stand_in).map(|_| (STAND_IN_VARIABLE.to_owned(), "1".to_owned()));
    urls.chain(stand_in).collect()
}

/// A password in a URL that somebody gave is not for the log.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((login, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let Some((user, _)) = login.split_once(':') else {
        return url.to_owned();
    };
    format!("{scheme}://{user}:***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(masked("postgres://a:b@c@db/x"), "postgres://a:***@db/x");
        assert_eq!(masked("redis://127.0.0.1:1"), "redis://127.0.0.1:1");
    }
}
