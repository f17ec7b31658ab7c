//! Whether a worker's runs take longer than the time from one of its ticks to the next, so that it does less than it says.
//! Pure, from its recent runs: one slow run is none of anybody's business.

use super::ledger::WorkerRecord;
use super::view::{Outlasts, RunView};
use crate::clock::Timestamp;
use crate::settings::workers::Worker;
use std::time::Duration;

/// How many recent runs are judged.
pub(super) const JUDGED: u32 = 5;
/// So many of them must have outlasted their interval.
const ENOUGH: usize = 3;

/// Whether its last run gives cause to look at those before: it goes on, or it took too long.
pub(super) fn is_suspect(worker: &Worker, record: &WorkerRecord) -> bool {
    let Some(run) = &record.last_run else { return false };
    let Some((started, finished)) = run.started_at.zip(run.finished_at) else { return true };
    interval(worker, run.due_at).is_some_and(|interval| finished.since(started) > interval)
}

/// What is told of a worker most of whose recent runs outlasted their intervals; `runs` came to their end, newest first.
pub(super) fn judge(worker: &Worker, runs: &[RunView]) -> Option<Outlasts> {
    let outlasting = |run: &RunView| {
        let (started, finished) = run.started_at.zip(run.finished_at)?;
        let (took, interval) = (finished.since(started), interval(worker, run.tick_at?)?);
        (took > interval).then_some((started, took, interval))
    };
    let mut slow: Vec<(Timestamp, Duration, Duration)> = runs.iter().filter_map(outlasting).collect();
    if slow.len() < ENOUGH {
        return None;
    }
    let since = slow.iter().map(|(started, ..)| *started).min()?;
    slow.sort_by_key(|(_, took, _)| *took);
    let (_, took, interval) = slow.get(slow.len() / 2).copied()?;
    Some(Outlasts { since, took, interval })
}

/// From a tick to the next.
fn interval(worker: &Worker, tick: Timestamp) -> Option<Duration> {
    worker.schedule.next_after(tick).map(|next| next.since(tick))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::schedule::Schedule;
    use crate::work::fixture::{command, worker};
    use crate::work::run::{RunId, RunKind, RunState};

    fn run(second: i64, took: i64) -> RunView {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        RunView {
            id: RunId::new(),
            worker: crate::name::WorkerName::parse("it").unwrap(),
            kind: RunKind::Tick,
            tick_at: Some(at(second)),
            due_at: at(second),
            state: RunState::Succeeded,
            reason: None,
            replica: None,
            attempt: 1,
            attempts: Vec::new(),
            started_at: Some(at(second)),
            finished_at: Some(at(second + took)),
            duration_ms: None,
            lateness_ms: None,
            exit_code: None,
            result: None,
            error: None,
            output_bytes: 0,
            output_truncated: false,
            requested_by: None,
            range: None,
            count: 1,
        }
    }

    #[test]
    fn a_worker_is_told_of_when_most_of_its_runs_outlast_its_interval_and_not_for_a_slow_one() {
        let mut it = worker("it", command(&["true"]));
        it.schedule = Schedule::every(Duration::from_secs(10)).unwrap();
        let told = judge(&it, &[run(60, 14), run(40, 12), run(20, 11), run(10, 2)]);
        let (since, took, interval) =
            (Timestamp::from_millis(20_000), Duration::from_secs(12), Duration::from_secs(10));
        assert_eq!(told, Some(Outlasts { since, took, interval }));
        assert_eq!(judge(&it, &[run(60, 14), run(40, 12), run(30, 10), run(20, 9)]), None, "as long is not longer");
    }
}
