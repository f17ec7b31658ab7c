//! What happened to scheduled work, into the metrics.
//! It returns at once and decides nothing.

use crate::telemetry::metrics::Metrics;
use crate::work::{Observer, RunState, WorkEvent};
use std::sync::Arc;

/// Counts what it is told.
pub(super) struct Count(Arc<Metrics>);

impl Count {
    pub(super) const fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }
}

impl Observer for Count {
    fn observe(&self, event: &WorkEvent) {
        let metrics = &self.0;
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
        }
    }
}
