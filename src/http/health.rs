//! `GET /health`, `/health/live`, `/health/ready`: how the process is, for people and for probes.
//! Neither probe depends on a store: restarting every replica never repaired a database.

use super::caller::Anyone;
use super::show;
use crate::clock::Timestamp;
use crate::problem::Problem;
use crate::runtime::report::Ending;
use crate::runtime::{App, Part};
use crate::store::health::State as StoreState;
use crate::work::{WorkerState, WorkerView};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use monolith_client::wire;
use std::sync::Arc;
use std::time::Duration;

/// How long before a certificate expires somebody is asked to look at it: two weeks leave a week-end and a holiday.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);

/// 200 while the process runs.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = String)))]
pub(super) async fn live() -> &'static str {
    "ok"
}

/// 200 when traffic may come.
#[utoipa::path(get, path = "/health/ready", tag = "operations",
    responses((status = 200, body = String), (status = 503, body = String)))]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_ready() {
        return "ready".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, why_not_ready(&app)).into_response()
}

/// The status of every part; causes and latencies only with a token.
#[utoipa::path(get, path = "/health", tag = "operations", security((), ("token" = [])),
    responses((status = 200, body = wire::Health), (status = 503, body = wire::Health)))]
pub(super) async fn health(State(app): State<Arc<App>>, Anyone(caller): Anyone) -> Response {
    let health = look(&app, caller.is_some()).await;
    let status = match health.status {
        wire::HealthStatus::Down => StatusCode::SERVICE_UNAVAILABLE,
        wire::HealthStatus::Ok | wire::HealthStatus::Degraded => StatusCode::OK,
    };
    (status, Json(health)).into_response()
}

fn why_not_ready(app: &App) -> String {
    if app.is_draining() {
        return "not ready: the process is about to end".into();
    }
    let snapshot = app.snapshot();
    let waiting = snapshot.stores.iter().filter(|(_, store)| store.settings().required && !store.health().reached);
    let waiting: Vec<&str> = waiting.map(|(name, _)| name.as_str()).collect();
    match (waiting.is_empty(), app.has_keys()) {
        (false, _) => format!("not ready: never reached {}", waiting.join(", ")),
        (true, false) => "not ready: the key index is not loaded".into(),
        (true, true) => "not ready".into(),
    }
}

async fn look(app: &App, with_causes: bool) -> wire::Health {
    let now = Timestamp::now();
    let snapshot = app.snapshot();
    let findings = findings(app, now);
    let disk = app.disk();
    wire::Health {
        status: status(app, &findings),
        version: crate::VERSION.into(),
        commit: Some(crate::COMMIT.into()),
        profile: snapshot.settings.profile.to_string(),
        replica: app.replica.clone(),
        role: match app.part {
            Part::Serve => wire::ProcessRole::Serve,
            Part::Worker => wire::ProcessRole::Worker,
        },
        started_at: show::time(app.started_at),
        uptime_s: now.since(app.started_at).as_secs(),
        generation: snapshot.generation,
        ready: app.is_ready(),
        config: wire::ConfigHealth {
            hash: Some(snapshot.settings.hash.to_string()),
            disk_matches_running: Some(disk.matches),
            last_reload: app.last_reload().map(|report| wire::LastReload {
                at: show::time(report.at),
                outcome: show::ending(report.ending),
                trigger: show::trigger(report.trigger),
            }),
        },
        keys: keys(app, now),
        stores: stores(app),
        workers: workers(app),
        store_details: with_causes
            .then(|| snapshot.stores.iter().map(|(name, store)| (name.to_string(), show::store(store))).collect()),
        findings: with_causes.then_some(findings),
    }
}

fn status(app: &App, findings: &[wire::Finding]) -> wire::HealthStatus {
    let error = findings.iter().any(|finding| finding.severity == wire::Severity::Error);
    let rejected = app.last_reload().is_some_and(|report| report.ending == Ending::Rejected);
    if !app.has_keys() || !app.keys.is_decidable() || (!app.is_ready() && !app.is_draining()) {
        wire::HealthStatus::Down
    } else if error || rejected {
        wire::HealthStatus::Degraded
    } else {
        wire::HealthStatus::Ok
    }
}

fn keys(app: &App, now: Timestamp) -> wire::KeysHealth {
    let age = app.keys.age();
    wire::KeysHealth {
        store: app.keys.database().home().to_string(),
        persistent: app.keys.database().is_persistent(),
        count: app.keys.counts(now).total(),
        fresh: app.keys.is_fresh(),
        age_ms: age.map(show::millis),
    }
}

fn stores(app: &App) -> std::collections::BTreeMap<String, wire::StoreState> {
    let snapshot = app.snapshot();
    snapshot.stores.iter().map(|(name, store)| (name.to_string(), show::store_state(store.health().state))).collect()
}

fn workers(app: &App) -> wire::WorkersHealth {
    let workers = app.workers();
    let count = |test: &dyn Fn(&WorkerView) -> bool| workers.iter().filter(|worker| test(worker)).count() as u64;
    wire::WorkersHealth {
        total: app.snapshot().settings.workers.len() as u64,
        running: count(&|worker| worker.state == WorkerState::Running),
        failing: count(&|worker| worker.consecutive_failures > 0),
        overdue: count(&|worker| worker.overdue_since.is_some()),
        paused: count(&|worker| worker.state == WorkerState::Paused),
    }
}

/// What an operator should look at, worst first.
fn findings(app: &App, now: Timestamp) -> Vec<wire::Finding> {
    let snapshot = app.snapshot();
    let mut findings = Vec::new();
    let mut find = |code: &str, severity, subject: String, since, message: String| {
        findings.push(wire::Finding { code: code.into(), severity, subject, since: show::time(since), message });
    };
    if let Some(tls) = &snapshot.settings.server.tls {
        let subject = "server.tls".to_owned();
        if tls.not_after <= now {
            let message = format!("the certificate expired at {}", tls.not_after);
            find("certificate_expired", wire::Severity::Error, subject, tls.not_after, message);
        } else if tls.not_after.before(EXPIRES_SOON) <= now {
            let message = format!("the certificate expires at {}", tls.not_after);
            find("certificate_expires", wire::Severity::Warning, subject, tls.not_after.before(EXPIRES_SOON), message);
        }
    }
    for (name, store) in &snapshot.stores {
        let health = store.health();
        if health.state == StoreState::Down {
            let why = health.error.unwrap_or_default();
            find(
                "store_down",
                wire::Severity::Error,
                format!("stores.{name}"),
                health.since,
                format!("{name} is down: {why}"),
            );
        }
    }
    if app.has_keys() && !app.keys.is_fresh() {
        let since = now.before(app.keys.age().unwrap_or_default());
        let message = "the key index was not proved fresh for more than two seconds".to_owned();
        find("key_index_stale", wire::Severity::Warning, "keys".into(), since, message);
    }
    if let Some(report) = app.last_reload().filter(|report| report.ending == Ending::Rejected) {
        let first = report.problems.first().map(Problem::to_string).unwrap_or_default();
        let message = format!("the last reload was rejected, generation {} keeps running: {first}", report.generation);
        find("config_rejected", wire::Severity::Error, "config".into(), app.disk().since, message);
    }
    if let Some(revision) = app.last_good() {
        let message =
            format!("the files were broken at the start: revision {revision}, which ran last, runs in their place");
        find("config_last_good", wire::Severity::Error, "config".into(), app.started_at, message);
    }
    if let Some(trouble) = app.revisions.trouble() {
        find("revisions_not_kept", wire::Severity::Warning, "server.data_dir".into(), app.started_at, trouble);
    }
    for trouble in app.commands.troubles() {
        let message = format!("{} cannot be asked for again, its old value stays: {}", trouble.name, trouble.message);
        let subject = format!("secrets.{}", trouble.name);
        find("secret_refresh_failed", wire::Severity::Warning, subject, trouble.since, message);
    }
    for worker in app.workers().iter() {
        let subject = format!("workers.{}", worker.name);
        if let Some(since) = worker.overdue_since {
            let message = format!("{} is overdue", worker.name);
            find("worker_overdue", wire::Severity::Warning, subject.clone(), since, message);
        }
        if worker.consecutive_failures > 0 {
            let since = worker.last_run.as_ref().and_then(|run| run.finished_at).unwrap_or(now);
            let why = worker.last_run.as_ref().and_then(|run| run.error.clone()).unwrap_or_default();
            let message = format!("{} failed {} times in a row: {why}", worker.name, worker.consecutive_failures);
            find("worker_failing", wire::Severity::Warning, subject, since, message);
        }
    }
    if !app.keys.database().is_persistent() {
        let message = "API keys are kept in memory and are gone at restart".to_owned();
        find("keys_in_memory", wire::Severity::Info, "keys.store".into(), app.started_at, message);
    }
    for warning in &snapshot.warnings {
        find("config_warning", wire::Severity::Warning, warning.key.clone(), snapshot.since, warning.message.clone());
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}
