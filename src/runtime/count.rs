//! What happened to scheduled work, into the metrics, the log and the events.
//! It returns at once and decides nothing.

use super::events::Events;
use crate::telemetry::metrics::Metrics;
use crate::work::{Observer, RunState, WorkEvent};
use serde_json::json;
use std::sync::Arc;

/// Counts what it is told, and tells it on.
pub(super) struct Count {
    metrics: Arc<Metrics>,
    events: Arc<Events>,
}

impl Count {
    pub(super) const fn new(metrics: Arc<Metrics>, events: Arc<Events>) -> Self {
        Self { metrics, events }
    }

    fn tell(&self, event: &WorkEvent) {
        let events = &self.events;
        match event {
            WorkEvent::Started { worker, run, lateness } => {
                let lateness = u64::try_from(lateness.as_millis()).unwrap_or(u64::MAX);
                events.tell(
                    "run.started",
                    run.to_string(),
                    json!({ "worker": worker.as_str(), "lateness_ms": lateness }),
                );
            }
            WorkEvent::Output { worker, run, text, next } => {
                let after = next.saturating_sub(text.len() as u64);
                let data = json!({ "worker": worker.as_str(), "after": after, "data": text, "next": next });
                events.tell("run.output", run.to_string(), data);
            }
            WorkEvent::Finished { worker, run, state, took, .. } => {
                let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let data = json!({ "worker": worker.as_str(), "state": state.as_str(), "duration_ms": took });
                events.tell("run.finished", run.to_string(), data);
            }
            WorkEvent::Recorded { worker, state, reason, count } => {
                let data = json!({ "state": state.as_str(), "reason": reason, "count": count });
                events.tell("worker.recorded", worker.as_str(), data);
            }
            WorkEvent::LeaseLost { worker, run } => {
                events.tell("run.lease_lost", run.to_string(), json!({ "worker": worker.as_str() }));
            }
            WorkEvent::LedgerAway { error } => {
                events.tell("worker.ledger_away", "scheduler", json!({ "error": error }))
            }
            // Whoever was pinged knows; whoever looks after us reads the log and the metric.
            WorkEvent::Pinged { .. } => {}
            WorkEvent::LedgerBack => events.tell("worker.ledger_back", "scheduler", json!({})),
        }
    }
}

impl Observer for Count {
    fn observe(&self, event: &WorkEvent) {
        self.tell(event);
        let metrics = &self.metrics;
        match event {
            WorkEvent::Started { lateness, .. } => metrics.worker_lateness.observe(lateness.as_secs_f64()),
            WorkEvent::Finished { worker, state, took, at, .. } => {
                let name = worker.as_str();
                metrics.worker_runs.with_label_values(&[name, state.as_str()]).inc();
                metrics.worker_run.with_label_values(&[name]).observe(took.as_secs_f64());
                if *state == RunState::Succeeded {
                    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit 53 bits")]
                    let seconds = at.millis() as f64 / 1000.0;
                    metrics.worker_last_success.with_label_values(&[name]).set(seconds);
                } else {
                    tracing::warn!(worker = name, state = state.as_str(), "a run of {name} ended {}", state.as_str());
                }
            }
            WorkEvent::Recorded { worker, state, count, .. } => {
                metrics.worker_runs.with_label_values(&[worker.as_str(), state.as_str()]).inc_by(*count);
            }
            WorkEvent::LeaseLost { worker, run } => {
                tracing::warn!(worker = %worker, run = %run, "the lease of a run of {worker} was lost");
            }
            WorkEvent::LedgerAway { error } => tracing::error!("the run ledger does not answer: the store {error}"),
            WorkEvent::LedgerBack => tracing::info!("the run ledger answers again"),
            WorkEvent::Output { .. } => {}
            WorkEvent::Pinged { worker, run, error } => {
                let outcome = if error.is_some() { "failed" } else { "ok" };
                metrics.worker_pings.with_label_values(&[worker.as_str(), outcome]).inc();
                if let Some(error) = error {
                    tracing::warn!(%worker, %run, error, "the ping of {worker} came to nothing: {error}");
                }
            }
        }
    }
}
