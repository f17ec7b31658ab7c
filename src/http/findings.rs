//! What an operator should look at, worst first, each with since when: the heart of `/health` for whoever has a token.
//! It judges what others know; nothing is asked of a store here.

use super::show;
use crate::clock::{Timestamp, write_duration};
use crate::keys::{ENDS_SOON, Few, UNUSED};
use crate::problem::Problem;
use crate::runtime::report::Ending;
use crate::runtime::{App, Part};
use crate::store::health::State as StoreState;
use monolith_client::wire::{Finding, Severity};
use std::time::Duration;

/// How long before its end a certificate is worth a word.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// For how long a change behind the program's back is worth a word: until everybody on call was on call.
const EDITED_SHOWN_FOR: Duration = Duration::from_secs(24 * 3600);

/// Everything worth a look.
pub(super) fn all(app: &App, now: Timestamp) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    findings.certificate(app, now);
    findings.stores(app);
    findings.keys(app, now);
    findings.forgotten_keys(app, now);
    findings.config(app);
    findings.secrets(app);
    findings.workers(app, now);
    findings.audit(app, now);
    findings.alerts(app);
    findings.0.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, code: &str, severity: Severity, subject: impl Into<String>, since: Timestamp, message: String) {
        let (code, subject, since) = (code.to_owned(), subject.into(), show::time(since));
        self.0.push(Finding { code, severity, subject, since, message });
    }

    fn certificate(&mut self, app: &App, now: Timestamp) {
        let snapshot = app.snapshot();
        let Some(tls) = &snapshot.settings.server.tls else { return };
        let (subject, end) = ("server.tls", tls.not_after);
        if end <= now {
            self.add("certificate_expired", Severity::Error, subject, end, format!("the certificate expired at {end}"));
        } else if end.before(EXPIRES_SOON) <= now {
            let message = format!("the certificate expires at {end}");
            self.add("certificate_expires", Severity::Warning, subject, end.before(EXPIRES_SOON), message);
        }
    }

    fn stores(&mut self, app: &App) {
        for (name, store) in &app.snapshot().stores {
            let health = store.health();
            if health.state == StoreState::Down {
                let message = format!("{name} is down: {}", health.error.unwrap_or_default());
                self.add("store_down", Severity::Error, format!("stores.{name}"), health.since, message);
            }
        }
    }

    fn keys(&mut self, app: &App, now: Timestamp) {
        if app.has_keys() && !app.keys.is_fresh() {
            let since = now.before(app.keys.age().unwrap_or_default());
            let message = "the key index was not proved fresh for more than two seconds".to_owned();
            self.add("key_index_stale", Severity::Warning, "keys", since, message);
        }
        if let Some(edited) = app.keys.edited().filter(|edited| now.since(edited.at) < EDITED_SHOWN_FOR) {
            let (count, example) = (edited.keys, &edited.example);
            let message = format!(
                "{count} keys were changed in the database without an event, {example} among them: what stands there was taken over"
            );
            self.add("keys_edited", Severity::Warning, "keys", edited.at, message);
        }
        if app.part == Part::Serve && !app.keys.database().is_persistent() {
            let message = "API keys are kept in memory and are gone at restart".to_owned();
            self.add("keys_in_memory", Severity::Info, "keys.store", app.started_at, message);
        }
    }

    fn forgotten_keys(&mut self, app: &App, now: Timestamp) {
        let attention = app.keys.attention(now);
        let mut told = |code, severity, few: &Few, what: String| {
            let Some(since) = few.since else { return };
            let more = if few.count > few.named.len() as u64 { ", ..." } else { "" };
            let message = format!("{what}: {}{more}", few.named.join(", "));
            self.add(code, severity, "keys", since, message);
        };
        let count = attention.ending.count;
        let ending = format!("{count} keys end within {}", write_duration(ENDS_SOON));
        told("keys_end_soon", Severity::Warning, &attention.ending, ending);
        let count = attention.unused.count;
        let unused = format!("{count} keys were not used for {}", write_duration(UNUSED));
        told("keys_unused", Severity::Info, &attention.unused, unused);
    }

    fn config(&mut self, app: &App) {
        if let Some(report) = app.last_reload().filter(|report| report.ending == Ending::Rejected) {
            let first = report.problems.first().map(Problem::to_string).unwrap_or_default();
            let running = report.generation;
            let message = format!("the last reload was rejected, generation {running} keeps running: {first}");
            self.add("config_rejected", Severity::Error, "config", app.disk().since, message);
        }
        if let Some(revision) = app.last_good() {
            let message =
                format!("the files were broken at the start: revision {revision}, which ran last, runs in their place");
            self.add("config_last_good", Severity::Error, "config", app.started_at, message);
        }
        if let Some(trouble) = app.revisions.trouble() {
            self.add("revisions_not_kept", Severity::Warning, "server.data_dir", app.started_at, trouble);
        }
        let snapshot = app.snapshot();
        for warning in &snapshot.warnings {
            let (subject, message) = (warning.key.clone(), warning.message.clone());
            self.add("config_warning", Severity::Warning, subject, snapshot.since, message);
        }
    }

    fn secrets(&mut self, app: &App) {
        for trouble in app.commands.troubles() {
            let message =
                format!("{} cannot be asked for again, its old value stays: {}", trouble.name, trouble.message);
            let subject = format!("secrets.{}", trouble.name);
            self.add("secret_refresh_failed", Severity::Warning, subject, trouble.since, message);
        }
    }

    fn audit(&mut self, app: &App, now: Timestamp) {
        let spooling = app.audit.spooling();
        if spooling.waiting > 0 {
            let message =
                format!("{} entries of the audit wait on this machine's disk to be chained", spooling.waiting);
            self.add("audit_spooled", Severity::Warning, "audit", now, message);
        }
        if spooling.lost > 0 {
            let message = format!("{} entries of the audit stand in the log alone: {}", spooling.lost, spooling.why);
            self.add("audit_in_the_log_alone", Severity::Error, "audit", now, message);
        }
    }

    fn workers(&mut self, app: &App, now: Timestamp) {
        for worker in app.workers().iter() {
            let subject = format!("workers.{}", worker.name);
            if let Some(since) = worker.overdue_since {
                let message = format!("{} is overdue", worker.name);
                self.add("worker_overdue", Severity::Warning, subject.clone(), since, message);
            }
            if let Some(slow) = &worker.outlasts {
                let (took, interval) = (write_duration(slow.took), write_duration(slow.interval));
                let message = format!(
                    "most runs of {} take {took} and more, and it is due every {interval}: it does less than it says",
                    worker.name
                );
                self.add("worker_outlasts_interval", Severity::Warning, subject.clone(), slow.since, message);
            }
            if worker.consecutive_failures > 0 {
                let since = worker.last_run.as_ref().and_then(|run| run.finished_at).unwrap_or(now);
                let why = worker.last_run.as_ref().and_then(|run| run.error.clone()).unwrap_or_default();
                let message = format!("{} failed {} times in a row: {why}", worker.name, worker.consecutive_failures);
                self.add("worker_failing", Severity::Warning, subject, since, message);
            }
        }
    }

    fn alerts(&mut self, app: &App) {
        for trouble in app.undelivered().iter() {
            let message = format!("{} takes no messages: it {}", trouble.alert, trouble.error);
            let subject = format!("alerts.{}", trouble.alert);
            self.add("alert_undelivered", Severity::Warning, subject, trouble.since, message);
        }
    }
}
