//! The steps of a test run: each is one command with a limit, a name and an outcome.
//! It checks nothing itself; cargo, clippy, rustfmt and the test runner do.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use xtask::bounded;

/// Reads files only.
const FMT_LIMIT: Duration = Duration::from_secs(2 * 60);
/// Compiles everything from nothing on two slow cores.
const CLIPPY_LIMIT: Duration = Duration::from_secs(25 * 60);
/// Compiles everything once more and runs every test.
const TESTS_LIMIT: Duration = Duration::from_secs(40 * 60);
/// Compiles the examples of the documentation.
const DOC_TESTS_LIMIT: Duration = Duration::from_secs(15 * 60);
/// `cargo nextest --version`.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// How a step ended.
pub(crate) struct Outcome {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

/// A run of steps: prints each as it begins and ends, and goes on after a failure, so that one run shows all of them.
pub(crate) struct Run {
    started: Instant,
    outcomes: Vec<Outcome>,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), outcomes: Vec::new() }
    }

    /// Does one step.
    pub(crate) fn step<T>(&mut self, name: &'static str, what: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("[{}] {name}: {what}", clock(self.started.elapsed()));
        let started = Instant::now();
        let done = step();
        let took = started.elapsed();
        let failure = done.as_ref().err().map(|error| format!("{error:#}"));
        let word = failure.as_ref().map_or("ok".to_owned(), |reason| format!("FAILED: {reason}"));
        println!("[{}] {name}: {word} ({:.1} s)", clock(self.started.elapsed()), took.as_secs_f64());
        self.outcomes.push(Outcome { name, took, failure });
        done.ok()
    }

    /// Prints the table, and says whether every step went well.
    pub(crate) fn finish(self) -> bool {
        println!("\n{:<12} {:<7} {:>9}", "step", "result", "time");
        for Outcome { name, took, failure } in &self.outcomes {
            let result = if failure.is_none() { "ok" } else { "FAILED" };
            println!("{name:<12} {result:<7} {:>7.1} s", took.as_secs_f64());
        }
        let passed = self.outcomes.iter().all(|outcome| outcome.failure.is_none());
        let word = if passed { "ok" } else { "FAILED" };
        println!("{:<12} {word:<7} {:>7.1} s", "all", self.started.elapsed().as_secs_f64());
        passed
    }
}

/// Minutes and seconds since the start, as in `03:07`.
fn clock(since: Duration) -> String {
    format!("{:02}:{:02}", since.as_secs() / 60, since.as_secs() % 60)
}

/// One invocation of cargo.
pub(crate) struct Cargo {
    arguments: Vec<OsString>,
    limit: Duration,
}

impl Cargo {
    pub(crate) fn fmt() -> Self {
        Self::new("fmt --all --check", FMT_LIMIT)
    }

    pub(crate) fn clippy() -> Self {
        Self::new("clippy --workspace --all-targets -- -D warnings", CLIPPY_LIMIT)
    }

    /// Cargo-nextest knows no tests in documentation, so they are a step of their own with either runner.
    pub(crate) fn doc_tests(filter: &[String]) -> Self {
        Self::new("test --doc --workspace --no-fail-fast", DOC_TESTS_LIMIT).and(filter)
    }

    /// All tests, or with `quick` only those beside the code.
    pub(crate) fn tests(quick: bool, filter: &[String]) -> Self {
        let targets = match (nextest(), quick) {
            (true, false) => "nextest run --workspace --no-fail-fast",
            (true, true) => "nextest run --workspace --no-fail-fast --no-tests=pass --lib --bins",
            (false, false) => "test --workspace --no-fail-fast --lib --bins --tests --examples",
            (false, true) => "test --workspace --no-fail-fast --lib --bins",
        };
        Self::new(targets, TESTS_LIMIT).and(filter)
    }

    fn new(arguments: &str, limit: Duration) -> Self {
        Self { arguments: arguments.split(' ').map(OsString::from).collect(), limit }
    }

    fn and(mut self, filter: &[String]) -> Self {
        self.arguments.extend(filter.iter().map(OsString::from));
        self
    }

    /// The command line, for people.
    pub(crate) fn line(&self) -> String {
        let words: Vec<_> = self.arguments.iter().map(|word| word.to_string_lossy()).collect();
        format!("cargo {}", words.join(" "))
    }

    /// Runs it with these variables beside the inherited ones.
    pub(crate) fn run(&self, variables: &[(String, String)]) -> Result<()> {
        let mut command = cargo();
        command.args(&self.arguments).stdin(Stdio::null());
        // A snapshot that nobody reviewed is a failure, here as in CI, and never a new file.
        command.env("INSTA_UPDATE", "no").env("INSTA_FORCE_PASS", "0");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let status = bounded::status(&mut command, self.limit)?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.line());
        }
        Ok(())
    }
}

fn nextest() -> bool {
    bounded::output(cargo().args(["nextest", "--version"]), LOOK_LIMIT).is_ok()
}

/// The cargo that runs this program.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_run_and_the_next_is_still_done() {
        let mut run = Run::new();
        assert_eq!(run.step("first", "fails", || bail!("broken")), None::<()>);
        assert_eq!(run.step("second", "works", || Ok(2)), Some(2));
        assert!(!run.finish());
    }

    #[test]
    fn the_filter_comes_last() {
        let filter = ["a_test".to_owned()];
        assert_eq!(Cargo::doc_tests(&filter).line(), "cargo test --doc --workspace --no-fail-fast a_test");
    }
}
