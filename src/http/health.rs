//! `GET /health`, `/health/live`, `/health/ready`: how the process is, for people and for probes.
//! Neither probe depends on a store: restarting every replica never repaired a database.

use super::caller::Anyone;
use super::{findings, show};
use crate::clock::Timestamp;
use crate::runtime::report::Ending;
use crate::runtime::{App, Part};
use crate::work::{WorkerState, WorkerView};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use monolith_client::wire;
use std::sync::Arc;

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
    match (waiting.is_empty(), app.has_begun(), app.part) {
        (false, ..) => format!("not ready: never reached {}", waiting.join(", ")),
        (true, false, Part::Serve) => "not ready: the key index is not loaded".into(),
        (true, false, Part::Worker) => "not ready: the run ledger was never opened".into(),
        (true, true, _) => "not ready".into(),
    }
}

async fn look(app: &App, with_causes: bool) -> wire::Health {
    let now = Timestamp::now();
    let snapshot = app.snapshot();
    let findings = findings::all(app, now);
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
        keys: keys(app),
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
    let decides = app.part == Part::Worker || app.keys.is_decidable();
    if !app.has_begun() || !decides || (!app.is_ready() && !app.is_draining()) {
        wire::HealthStatus::Down
    } else if error || rejected {
        wire::HealthStatus::Degraded
    } else {
        wire::HealthStatus::Ok
    }
}

fn keys(app: &App) -> wire::KeysHealth {
    let age = app.keys.age();
    wire::KeysHealth {
        store: app.keys.database().home().to_string(),
        persistent: app.keys.database().is_persistent(),
        count: app.keys.count(),
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
