//! Doing what a worker says: one file for each kind. An action ends by itself soon after its deadline or its cancellation, and says
//! what it left behind; when it runs and what is recorded is decided elsewhere.

mod command; // a program, without a shell
mod handler; // a Rust function
mod http; // an HTTP request
mod mongodb; // a command in a declared MongoDB
mod output; // what a run writes, while it goes on
mod redis; // a command in a declared Redis
mod shown; // an answer as bounded text
mod sql; // a statement in a declared store

pub(super) use output::{Live, News};

use super::handler::Handlers;
use super::ledger::{Claim, Finish, Ledger};
use super::outbound::Outbound;
use super::plan::Plan;
use super::run::Done;
use crate::settings::statement::Parameter;
use crate::settings::template::Template;
use crate::settings::workers::Action;
use std::ffi::OsString;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The five variables that a command inherits; the only reader of the environment hands them in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseEnv {
    /// `PATH`.
    pub path: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
    /// `LANG`.
    pub lang: Option<OsString>,
    /// `TZ`.
    pub tz: Option<OsString>,
    /// `TMPDIR`.
    pub tmpdir: Option<OsString>,
}

/// How much later than the run's own limit a driver's comes.
const AFTER_THE_RUN: Duration = Duration::from_secs(1);

/// One attempt that is to be made.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) claim: Claim,
    pub(super) attempt: u32,
    pub(super) plan: Arc<Plan>,
    pub(super) ledger: Ledger,
    pub(super) env: Arc<BaseEnv>,
    pub(super) handlers: Handlers,
    pub(super) outbound: Arc<Outbound>,
    /// What it writes.
    pub(super) live: Arc<Live>,
    /// From when on it must end.
    pub(super) deadline: Instant,
    /// Fires when it must end for another reason.
    pub(super) cancel: CancellationToken,
    /// Who wanted it to end, where somebody did.
    pub(super) unwanted_by: Arc<OnceLock<String>>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The end is still to be recorded.
    Open(Done),
    /// The end was recorded in the transaction of the work itself.
    Recorded(Finish),
}

impl Job {
    pub(super) fn timeout(&self) -> Duration {
        self.claim.worker.timeout
    }

    /// The tick as it is told to the action; nothing for a manual run.
    fn tick_text(&self) -> Option<String> {
        self.claim.tick_at.map(|tick| tick.to_string())
    }

    /// A text that is told which run it is; a manual run has no tick, and its text is empty.
    fn filled(&self, text: &Template) -> String {
        text.fill(|parameter| match parameter {
            Parameter::Worker => self.claim.worker.name.to_string(),
            Parameter::RunId => self.claim.run.to_string(),
            Parameter::TickAt => self.tick_text().unwrap_or_default(),
            Parameter::Attempt => self.attempt.to_string(),
        })
    }

    /// The limit of a driver and of its server: a little later than the run's own, so that it is the run that says that it
    /// took too long.
    fn driver_limit(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).saturating_add(AFTER_THE_RUN)
    }

    /// Does work that ends by being dropped: at its end, at the deadline, or when somebody stops it.
    async fn within_its_time(&self, work: impl Future<Output = Done>) -> Done {
        tokio::select! {
            () = self.cancel.cancelled() => self.stopped(),
            () = sleep_until(self.deadline) => self.stopped(),
            done = work => done,
        }
    }

    /// What it left behind when it was stopped: by somebody, by us, or because it took too long.
    fn stopped(&self) -> Done {
        match self.unwanted_by.get() {
            Some(by) => Done::cancelled(by),
            None if self.cancel.is_cancelled() => Done::released(),
            None => Done::timed_out(self.timeout()),
        }
    }
}

/// Makes the attempt.
pub(super) async fn run(job: &Job) -> Ended {
    match &job.claim.worker.action {
        Action::Sql { store, statement, transactional } => sql::run(job, store, statement, *transactional).await,
        Action::Http(request) => Ended::Open(http::run(job, request).await),
        Action::Redis { store, command } => Ended::Open(redis::run(job, store, command).await),
        Action::Mongodb { store, database, command } => Ended::Open(mongodb::run(job, store, database, command).await),
        Action::Handler { name } => Ended::Open(handler::run(job, name).await),
        Action::Command { argv, env, cwd } => Ended::Open(command::run(job, argv, env, cwd).await),
    }
}

#[cfg(test)]
mod tests;
