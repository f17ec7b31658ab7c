//! Tells everybody what came of an attempt: metrics, /health, the log, the events and the revisions.
//! Nothing here can undo or fail it.

use super::events::Events;
use super::reload::Reloader;
use super::report::{Ending, RELOAD, Report, Trigger};
use super::revisions::Applied;
use super::{App, Disk};
use crate::audit::{Actor, Change, Outcome};
use crate::keys::Happened;
use crate::settings::diff::Effect;
use crate::settings::stores;
use crate::store::health::{Health, State};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many mistakes an event tells; all of them stand in the revision.
const MAX_TOLD: usize = 10;

impl Reloader {
    pub(super) async fn publish(&self, report: &Arc<Report>) {
        let metrics = &self.app.metrics;
        metrics.config_reloads.with_label_values(&[report.ending.as_str()]).inc();
        metrics.config_reload.observe(report.took.as_secs_f64());
        if report.ending != Ending::Rejected {
            self.app.last_good.store(0, Ordering::Relaxed);
        }
        let matched = self.judge_disk(report);
        self.app.last_reload.store(Some(Arc::clone(report)));
        log(report);
        self.tell(report, matched);
        self.audit(report);
        self.record(report).await;
    }

    /// Whether the files say what is running, before and after. A text that was rejected is never what is running, whatever it says.
    fn judge_disk(&self, report: &Report) -> (bool, bool) {
        let matches = self.seen == self.running && report.ending != Ending::Rejected;
        let before = self.app.disk();
        self.app.disk.store(Arc::new(Disk {
            matches,
            since: if before.matches == matches { before.since } else { report.at },
            hash: self.seen_hash.clone(),
            problems: report.problems.clone(),
        }));
        (before.matches, matches)
    }

    fn tell(&self, report: &Report, matched: (bool, bool)) {
        let (events, hash) = (&self.app.events, report.hash.as_str());
        let nodes: Vec<&str> = report.nodes.iter().map(|node| node.node.as_str()).collect();
        let mistakes = report.problems.iter().take(MAX_TOLD);
        let problems: Vec<_> = mistakes.map(|p| json!({ "key": p.key, "message": p.message })).collect();
        let data = json!({
            "generation": report.generation, "trigger": report.trigger, "actor": report.actor,
            "nodes": nodes, "problems": problems,
        });
        match report.ending {
            Ending::Applied => events.tell("config.applied", hash, data),
            Ending::Rejected => events.tell("config.rejected", hash, data),
            Ending::Unchanged => {}
        }
        match matched {
            (true, false) => events.tell("config.disk_differs", hash, json!({ "problems": problems })),
            (false, true) => events.tell("config.disk_matches", hash, json!({})),
            _ => {}
        }
    }

    /// Records what nobody asked for over the API, as when a file was edited; who asked there is recorded with the answer.
    fn audit(&self, report: &Report) {
        if report.actor.is_some() || report.trigger == Trigger::Start || report.ending == Ending::Unchanged {
            return;
        }
        let (app, changes) = (Arc::clone(&self.app), report.audited());
        let outcome = if report.ending == Ending::Rejected { Outcome::Failed } else { Outcome::Ok };
        let (action, subject) = (RELOAD.to_owned(), report.hash.clone());
        let change = Change { at: report.at, actor: Actor::program(), action, subject, outcome, changes };
        self.app.tasks.spawn(async move { app.record(change).await });
    }

    /// Keeps it; waiting for the disk holds up the next attempt and nothing else.
    async fn record(&self, report: &Report) {
        if report.ending == Ending::Unchanged {
            return;
        }
        let (revisions, snapshot) = (Arc::clone(&self.app.revisions), self.app.snapshot.load_full());
        revisions.add(report, || Applied {
            texts: snapshot.basis.texts.clone(),
            profile: snapshot.settings.profile.0.clone(),
            values: snapshot.values.clone(),
        });
        if let Err(error) = tokio::task::spawn_blocking(move || revisions.write()).await {
            tracing::error!(%error, "writing the revisions broke off");
        }
    }
}

/// Tells that a key changed, here or on another replica, and how long a revocation from elsewhere took to get here.
pub(super) fn key(app: &App, happened: &Happened) {
    if let Some(lag) = happened.lag {
        app.metrics.revocation_lag.observe(lag.as_secs_f64());
    }
    let name = match happened.kind.as_str() {
        "key.created" => "key.created",
        "key.revoked" => "key.revoked",
        "key.rotated" => "key.rotated",
        "key.enabled" => "key.enabled",
        "key.disabled" => "key.disabled",
        "key.imported" => "key.imported",
        _ => "key.updated",
    };
    let record = happened.record.as_deref();
    let (called, why) = (record.and_then(|r| r.name.as_deref()), record.and_then(|r| r.rare.revoke_reason.as_deref()));
    let data = json!({ "name": called, "reason": why, "by": happened.actor });
    app.events.tell(name, happened.kid.as_str(), data);
}

/// Tells that a store came or went.
pub(super) fn store(events: &Events, settings: &stores::Store, health: &Health) {
    let name = match health.state {
        State::Up => "store.up",
        State::Down => "store.down",
        State::Unknown => return,
    };
    events.tell(name, settings.name.as_str(), json!({ "kind": settings.kind.as_str(), "error": health.error }));
}

fn log(report: &Report) {
    let (generation, hash) = (report.generation, &report.hash);
    let effects: Vec<String> = report
        .nodes
        .iter()
        .filter(|node| node.effect != Effect::Unchanged)
        .map(|node| format!("{} ({})", node.node, node.effect.as_str()))
        .collect();
    match report.ending {
        Ending::Applied => {
            let trigger = report.trigger;
            tracing::info!(generation, %hash, ?trigger, "settings applied: generation {generation}, {}", effects.join(", "));
        }
        Ending::Unchanged => tracing::debug!(generation, %hash, "the files say what is running already"),
        Ending::Rejected => {
            for problem in &report.problems {
                tracing::error!(generation, "reload rejected, generation {generation} keeps running: {problem}");
            }
        }
    }
}
