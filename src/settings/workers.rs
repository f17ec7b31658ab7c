//! The declared work: what to do, when, and what to do when it goes wrong.
//! Running it is `crate::work`.

pub mod action; // what a worker does

pub use action::Action;

use super::compile::{Compiler, Declared, short_hash};
use super::{
    Home, advice,
    alerts::WorkerAlert,
    policy::{Overlap, Policy},
    request::Address,
    schedule::{CronError, Schedule},
    stores::StoreKind,
};
use crate::clock::write_duration;
use crate::config::written;
use crate::name::{StoreName, WorkerName};
use std::collections::BTreeMap;
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
    /// Who is called after each success.
    pub ping: Option<Address>,
    /// Whom it tells when it fails or is overdue.
    pub alert: Option<WorkerAlert>,
    /// SHA-256 in hex, first sixteen digits, over everything above but the alert and the values of secrets: an old replica
    /// cannot advance an edited schedule.
    pub spec_hash: String,
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
        let named = action::Stores { kinds, declared: stores };
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
            let action = written.run.as_ref().and_then(|run| self.action(&format!("{key}.run"), run, named));
            let ping = written.ping.as_ref().and_then(|url| self.web_address(&format!("{key}.ping"), url));
            let (Some(schedule), Some(action)) = (schedule, action) else { continue };
            let spec = self.loaded.values.get("workers").and_then(|w| w.get(text)).cloned().unwrap_or_default();
            let alert = self.worker_alert(&format!("{key}.alert"), written.alert.as_ref());
            let policy = self.policy(&key, written, &schedule);
            if policy.overlap != Overlap::Allow {
                self.longer_than_its_interval(&key, &schedule, timeout);
            }
            let worker = Worker {
                name: name.clone(),
                schedule,
                timeout,
                enabled: written.enabled,
                policy,
                action,
                ping,
                alert,
                spec_hash: short_hash(&without_alert(spec)),
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
}

/// Whom a worker tells changes nothing of what is due: what was queued for it stays.
fn without_alert(mut spec: serde_json::Value) -> serde_json::Value {
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("alert");
    }
    spec
}
