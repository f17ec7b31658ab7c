//! The declared work: what to do, when, and what to do when it goes wrong.
//! Running it is `crate::work`.

use super::compile::{Compiler, Declared, Encoding, short_hash};
use super::{
    Home, advice,
    policy::Policy,
    schedule::{CronError, Schedule},
    statement::Statement,
    stores::StoreKind,
};
use crate::clock::write_duration;
use crate::config::written;
use crate::name::{StoreName, WorkerName};
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where the run ledger lives and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// Where runs are recorded.
    pub store: Home,
    /// The most runs at once in this process.
    pub max_concurrent_runs: usize,
    /// For how long a claim holds without being renewed.
    pub lease: Duration,
    /// What is kept of finished runs.
    pub history: History,
}

/// What is kept of finished runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// For how long.
    pub keep: Duration,
    /// How many for each worker.
    pub max_runs_per_worker: u32,
    /// How many bytes of each run's output.
    pub max_output: usize,
}

/// One declared piece of scheduled work.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Its name.
    pub name: WorkerName,
    /// When it is due.
    pub schedule: Schedule,
    /// The longest one run may take.
    pub timeout: Duration,
    /// Whether it runs; a disabled worker is shown and can be run by hand.
    pub enabled: bool,
    /// What happens when it overlaps, was missed, fails or crashes.
    pub policy: Policy,
    /// What it does.
    pub action: Action,
    /// SHA-256 in hex, first sixteen digits, over everything above but the values of secrets: an old replica cannot
    /// advance an edited schedule.
    pub spec_hash: String,
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Runs a statement in a declared Postgres or SQLite store.
    Sql {
        /// The store.
        store: StoreName,
        /// The statement, with `:worker :run_id :tick_at :attempt` not yet bound.
        statement: Statement,
        /// Whether, on the ledger's own store, it commits with the run's finish.
        transactional: bool,
    },
    /// Starts a program, without a shell.
    Command {
        /// The program and its arguments; never empty.
        argv: Vec<String>,
        /// Its own variables, beside `PATH HOME LANG TZ TMPDIR` and the run's identity.
        env: BTreeMap<String, Secret>,
        /// Where it runs; absolute.
        cwd: PathBuf,
    },
}

impl Action {
    /// As it stands in the file and in the API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sql { .. } => "sql",
            Self::Command { .. } => "command",
        }
    }
}

impl Compiler<'_> {
    pub(super) fn scheduler(
        &mut self,
        written: &written::Scheduler,
        kinds: &BTreeMap<StoreName, StoreKind>,
        declared: &Declared,
    ) -> Scheduler {
        let store = self.home("scheduler.store", &written.store, kinds, declared);
        let history = &written.history;
        Scheduler {
            store,
            max_concurrent_runs: self.positive("scheduler.max_concurrent_runs", written.max_concurrent_runs) as usize,
            lease: self.duration("scheduler.lease", &written.lease, Duration::from_secs(1)),
            history: History {
                keep: self.duration("scheduler.history.keep", &history.keep, Duration::from_secs(60)),
                max_runs_per_worker: self
                    .positive("scheduler.history.max_runs_per_worker", history.max_runs_per_worker),
                max_output: self.size("scheduler.history.max_output", &history.max_output),
            },
        }
    }

    pub(super) fn workers(
        &mut self,
        declared: &BTreeMap<String, written::Worker>,
        kinds: &BTreeMap<StoreName, StoreKind>,
        stores: &Declared,
    ) -> BTreeMap<WorkerName, Arc<Worker>> {
        let mut workers = BTreeMap::new();
        for (text, written) in declared {
            let key = format!("workers.{text}");
            let name = match WorkerName::parse(text) {
                Ok(name) => name,
                Err(error) => {
                    self.error(&key, error.to_string());
                    continue;
                }
            };
            let schedule = self.schedule(&key, written);
            let timeout = self.duration(&format!("{key}.timeout"), &written.timeout, Duration::from_millis(10));
            let action = written.run.as_ref().and_then(|run| self.action(&format!("{key}.run"), run, kinds, stores));
            let (Some(schedule), Some(action)) = (schedule, action) else { continue };
            self.longer_than_its_interval(&key, &schedule, timeout);
            let spec = self.loaded.values.get("workers").and_then(|w| w.get(text)).cloned().unwrap_or_default();
            let policy = self.policy(&key, written, &schedule);
            let worker = Worker {
                name: name.clone(),
                schedule,
                timeout,
                enabled: written.enabled,
                policy,
                action,
                spec_hash: short_hash(&spec),
            };
            workers.insert(name, Arc::new(worker));
        }
        workers
    }

    /// A run that may take longer than the time to the next tick makes the worker miss some.
    fn longer_than_its_interval(&mut self, key: &str, schedule: &Schedule, timeout: Duration) {
        let ticks = schedule.next_n(self.now, 6);
        let gaps = ticks.iter().zip(ticks.iter().skip(1)).map(|(first, second)| second.since(*first));
        let Some(shortest) = gaps.min().filter(|gap| *gap < timeout) else { return };
        let wrote = ["timeout", "every", "schedule"].map(|part| format!("{key}.{part}"));
        let at = wrote.iter().find(|key| self.loaded.places.wrote(key)).map_or(key, String::as_str).to_owned();
        let (timeout, shortest) = (write_duration(timeout), write_duration(shortest));
        let message = format!(
            "a run may take {timeout} (timeout), but the next one is due after {shortest}: a slow run makes it skip ticks"
        );
        self.warn_with_hint(&at, message, format!("set timeout to {shortest} or less, or run it less often"));
    }

    fn schedule(&mut self, key: &str, written: &written::Worker) -> Option<Schedule> {
        match (&written.schedule, &written.every) {
            (Some(cron), None) => self.cron(key, cron, &written.timezone),
            (None, Some(every)) => self.every(&format!("{key}.every"), every),
            (Some(_), Some(_)) => {
                self.error(&format!("{key}.every"), "a worker has either `schedule` or `every`, not both");
                None
            }
            (None, None) => {
                if !self.problems.concern(&format!("{key}.schedule")) && !self.problems.concern(&format!("{key}.every"))
                {
                    let hint = "add schedule = \"*/5 * * * *\" or every = \"30s\"";
                    self.error_with_hint(key, "says nowhere when it is due", hint);
                }
                None
            }
        }
    }

    fn cron(&mut self, key: &str, text: &str, timezone: &str) -> Option<Schedule> {
        let schedule = Schedule::cron(text, timezone, self.now);
        schedule
            .map_err(|error| {
                let (part, advice) = match error {
                    CronError::Zone(_) => ("timezone", advice::timezone(timezone)),
                    CronError::Pattern { .. } | CronError::Never(_) => ("schedule", advice::cron(text)),
                };
                self.error_with_advice(&format!("{key}.{part}"), error.to_string(), advice);
            })
            .ok()
    }

    fn every(&mut self, key: &str, text: &str) -> Option<Schedule> {
        if let Some(advice) = advice::every(text) {
            self.error_with_hint(key, format!("must be a length of time such as 30s or 5m, found \"{text}\""), advice);
            return None;
        }
        let period = self.duration(key, text, Duration::ZERO);
        if self.problems.concern(key) {
            return None;
        }
        Schedule::every(period).map_err(|message| self.error(key, message)).ok()
    }

    fn action(
        &mut self,
        key: &str,
        written: &written::Run,
        kinds: &BTreeMap<StoreName, StoreKind>,
        stores: &Declared,
    ) -> Option<Action> {
        match written {
            written::Run::Sql { store, statement, transactional } => {
                // Both are looked at before either is missed: one mistake must not hide the other.
                let at = format!("{key}.store");
                let name = store.as_deref().and_then(|store| self.store(&at, store, kinds, stores));
                if let Some(kind) = name.as_ref().and_then(|name| kinds.get(name)).filter(|kind| !kind.is_sql()) {
                    self.error(
                        &at,
                        format!("must be a postgres or sqlite store, found one of the kind {}", kind.as_str()),
                    );
                }
                let statement = statement.as_deref().map(Statement::parse).transpose();
                let statement = statement.map_err(|message| self.error(&format!("{key}.statement"), message)).ok()?;
                Some(Action::Sql { store: name?, statement: statement?, transactional: transactional.unwrap_or(true) })
            }
            written::Run::Command { argv, env, cwd } => {
                let argv = argv.clone()?;
                if argv.first().is_none_or(String::is_empty) {
                    self.error(&format!("{key}.argv"), "must name a program, such as [\"python3\", \"report.py\"]");
                }
                let env = env
                    .iter()
                    .map(|(name, value)| {
                        (name.clone(), self.with_secrets(&format!("{key}.env.{name}"), value, Encoding::Verbatim))
                    })
                    .collect();
                let cwd =
                    cwd.as_ref().map_or_else(|| self.loaded.base_dir.clone(), |cwd| self.loaded.base_dir.join(cwd));
                Some(Action::Command { argv, env, cwd })
            }
            // Told by `unavailable`.
            written::Run::Http { .. }
            | written::Run::Redis { .. }
            | written::Run::Mongodb { .. }
            | written::Run::Handler { .. } => None,
        }
    }
}
