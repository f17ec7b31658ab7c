//! Puts what is declared and what is recorded of a worker together.
//! Pure: nothing is read here.

use super::ledger::WorkerRecord;
use super::view::{RunView, WorkerState, WorkerView};
use super::{OVERDUE_AFTER, TICKS_FORETOLD, cadence};
use crate::clock::Timestamp;
use crate::settings::workers::Worker;

/// A worker at an instant; `record` is `None` until the ledger has taken it over.
pub(super) fn worker(worker: &Worker, record: Option<&WorkerRecord>, recent: &[RunView], now: Timestamp) -> WorkerView {
    let empty = WorkerRecord { spec_hash: worker.spec_hash.clone(), ..WorkerRecord::default() };
    let record = record.unwrap_or(&empty);
    let state = state(worker, record);
    let waits = matches!(state, WorkerState::Idle | WorkerState::Running);
    WorkerView {
        name: worker.name.clone(),
        kind: worker.action.kind(),
        enabled: worker.enabled,
        schedule: worker.schedule.expression().map(str::to_owned),
        every_ms: worker.schedule.period_ms(),
        timezone: worker.schedule.timezone().map(str::to_owned),
        state,
        next: if waits { worker.schedule.next_n(now, TICKS_FORETOLD) } else { Vec::new() },
        lateness_ms: record.last_run.as_ref().and_then(|run| run.lateness_ms),
        last_run: record.last_run.clone(),
        consecutive_failures: record.consecutive_failures,
        last_success_at: record.last_success_at,
        scheduled_since: record.scheduled_since,
        outlasts: cadence::judge(worker, recent),
        overdue_since: if waits { overdue_since(record, now) } else { None },
        paused: record.paused.clone(),
        spec_hash: worker.spec_hash.clone(),
        counts_24h: record.counts_24h,
    }
}

fn state(worker: &Worker, record: &WorkerRecord) -> WorkerState {
    if record.spec_hash != worker.spec_hash {
        WorkerState::ConfigSplit
    } else if record.running {
        WorkerState::Running
    } else if !worker.enabled {
        WorkerState::Disabled
    } else if record.paused.is_some() {
        WorkerState::Paused
    } else {
        WorkerState::Idle
    }
}

/// The oldest of the next tick that nobody recorded and the run that nobody started, where it lies back too far.
fn overdue_since(record: &WorkerRecord, now: Timestamp) -> Option<Timestamp> {
    let limit = now.before(OVERDUE_AFTER);
    [record.next_at, record.waiting_since].into_iter().flatten().filter(|due| *due < limit).min()
}
