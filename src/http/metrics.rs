//! `GET /metrics`: the Prometheus text. Values that are only known when somebody asks are set here, just before.
//! Nothing a caller sent and no secret is ever a label.

use super::answer::ApiError;
use crate::clock::Timestamp;
use crate::runtime::report::Ending;
use crate::runtime::{App, Part};
use crate::store::health::State as StoreState;
use crate::telemetry::metrics::CONTENT_TYPE;
use crate::work::WorkerState;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use std::sync::Arc;

/// Everything that is counted and measured, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    refresh(&app);
    let text = app.metrics.render().map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

fn refresh(app: &App) {
    let (metrics, snapshot) = (&app.metrics, app.snapshot());
    metrics.config_generation.set(i64::try_from(snapshot.generation).unwrap_or(i64::MAX));
    metrics.config_info.reset();
    metrics.config_info.with_label_values(&[&snapshot.settings.hash.0]).set(1);
    metrics.config_disk_matches.set(i64::from(app.disk().matches));
    if let Some(report) = app.last_reload() {
        metrics.config_last_reload_success.set(i64::from(report.ending != Ending::Rejected));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit 53 bits for 280,000 years")]
        metrics.config_last_reload_at.set(report.at.millis() as f64 / 1000.0);
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    metrics.audit_spooled.set(i64::try_from(app.audit.spooling().waiting).unwrap_or(i64::MAX));
    stores(app);
    if app.part == Part::Serve {
        keys(app);
    }
    workers(app);
}

fn workers(app: &App) {
    let metrics = &app.metrics;
    metrics.worker_overdue.reset();
    metrics.worker_paused.reset();
    for worker in app.workers().iter() {
        let name = worker.name.as_str();
        metrics.worker_overdue.with_label_values(&[name]).set(i64::from(worker.overdue_since.is_some()));
        metrics.worker_paused.with_label_values(&[name]).set(i64::from(worker.state == WorkerState::Paused));
    }
    metrics.runs_in_progress.set(i64::try_from(app.work.in_progress()).unwrap_or(i64::MAX));
}

fn stores(app: &App) {
    let (metrics, snapshot) = (&app.metrics, app.snapshot());
    // A store that a reload took away must not be shown for ever.
    metrics.store_up.reset();
    metrics.store_pool.reset();
    for (name, store) in &snapshot.stores {
        let kind = store.settings().kind.as_str();
        metrics.store_up.with_label_values(&[name.as_str(), kind]).set(match store.health().state {
            StoreState::Up => 1,
            StoreState::Down => 0,
            StoreState::Unknown => -1,
        });
        if let Some((size, idle)) = store.pool_size() {
            metrics.store_pool.with_label_values(&[name.as_str(), "idle"]).set(i64::from(idle));
            let busy = size.saturating_sub(idle);
            metrics.store_pool.with_label_values(&[name.as_str(), "busy"]).set(i64::from(busy));
        }
    }
}

fn keys(app: &App) {
    let now = Timestamp::now();
    for (state, count) in app.keys.counts(now).by_state() {
        app.metrics.keys.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    app.metrics.key_usage_lost.reset();
    app.metrics.key_usage_lost.inc_by(app.keys.usage_lost());
    if let Some(age) = app.keys.age() {
        app.metrics.key_index_age.set(age.as_secs_f64());
    }
}
