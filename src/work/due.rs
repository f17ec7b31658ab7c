//! What becomes of ticks and of attempts: which run, which were missed, what follows an end or a crash.
//! Pure: instants come in, decisions go out; recording them is `ledger`.

use super::run::{RunState, Verdict};
use crate::clock::Timestamp;
use crate::settings::policy::{CatchUp, OnCrash, Policy, Which};
use crate::settings::schedule::Schedule;
use std::time::Duration;

/// How far ahead of their instants ticks are recorded and claimed, so that only a timer stands between a tick and its start.
pub(crate) const HORIZON: Duration = Duration::from_secs(2);
/// After how many crashes a run is lost.
const MAX_CRASHES: u32 = 5;

/// What becomes of a worker's ticks from `next_at` up to the horizon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) missed: Option<Missed>,
    pub(crate) runs: Vec<DueTick>,
    /// The first tick that was not decided about.
    pub(crate) next_at: Option<Timestamp>,
    /// Whether there is more to decide about at once.
    pub(crate) more: bool,
}

/// A stretch of ticks that do not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) count: u64,
}

/// A tick that gets a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DueTick {
    pub(crate) at: Timestamp,
    /// Whether it is caught up with: then it waits for the worker's other runs and is not skipped for them.
    pub(crate) late: bool,
}

/// Decides about the ticks from `next_at`, which is one, up to the horizon. Where the oldest is later than the grace allows, all that
/// are due by now are a backlog, and the policy says which of them run.
pub(crate) fn decide(schedule: &Schedule, policy: &Policy, next_at: Timestamp, now: Timestamp) -> Decision {
    if now.since(next_at) <= policy.catch_up.grace {
        return on_time(schedule, Some(next_at), now);
    }
    let backlog = schedule.stretch(next_at, now);
    let after = schedule.next_after(backlog.newest);
    let all = Missed { from: next_at, to: backlog.newest, count: backlog.count };
    if backlog.cut {
        return Decision { missed: Some(all), runs: Vec::new(), next_at: after, more: true };
    }
    let mut decision = on_time(schedule, after, now);
    if runs_newest(&policy.catch_up, backlog.newest, now) {
        decision.missed = backlog.previous.map(|to| Missed { from: next_at, to, count: backlog.count - 1 });
        decision.runs.insert(0, DueTick { at: backlog.newest, late: true });
    } else {
        decision.missed = Some(all);
    }
    decision
}

fn runs_newest(catch_up: &CatchUp, newest: Timestamp, now: Timestamp) -> bool {
    match catch_up.which {
        Which::Last => catch_up.max > 0 && now.since(newest) <= catch_up.within,
    }
}

fn on_time(schedule: &Schedule, first: Option<Timestamp>, now: Timestamp) -> Decision {
    let end = now.after(HORIZON);
    let mut next_at = first;
    let mut runs = Vec::new();
    while let Some(at) = next_at.filter(|at| *at <= end) {
        runs.push(DueTick { at, late: false });
        next_at = schedule.next_after(at);
    }
    Decision { missed: None, runs, next_at, more: false }
}

/// Where a run stands after an attempt that ended; `tries` counts this one, too, where it ended by itself.
pub(crate) fn after_attempt(verdict: Verdict, tries: u32, policy: &Policy) -> RunState {
    match verdict {
        Verdict::Succeeded => RunState::Succeeded,
        Verdict::Released => RunState::Retrying,
        Verdict::Failed | Verdict::TimedOut if tries < policy.retry.attempts => RunState::Retrying,
        Verdict::Failed => RunState::Failed,
        Verdict::TimedOut => RunState::TimedOut,
    }
}

/// Where a run stands after its replica died in the middle of it; `crashes` counts this one, too.
pub(crate) fn after_crash(crashes: u32, policy: &Policy) -> RunState {
    match policy.on_crash {
        OnCrash::Retry if crashes <= MAX_CRASHES => RunState::Retrying,
        OnCrash::Retry => RunState::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(period: u64) -> Schedule {
        Schedule::every(Duration::from_secs(period)).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn ticks(decision: &Decision) -> Vec<(i64, bool)> {
        decision.runs.iter().map(|run| (run.at.millis() / 1000, run.late)).collect()
    }

    #[test]
    fn ticks_within_the_grace_are_on_time_and_those_ahead_are_prepared() {
        let decision = decide(&seconds(10), &Policy::default(), at(100), at(118));
        assert_eq!(ticks(&decision), [(100, false), (110, false), (120, false)]);
        assert_eq!((decision.missed, decision.next_at), (None, Some(at(130))));
    }

    #[test]
    fn three_days_of_seconds_become_one_record_and_one_run() {
        let now = 3 * 86_400 + 5;
        let decision = decide(&seconds(1), &Policy::default(), at(5), at(now));
        let missed = Missed { from: at(5), to: at(now - 1), count: 3 * 86_400 };
        assert_eq!(decision.missed, Some(missed));
        assert_eq!(ticks(&decision), [(now, true), (now + 1, false), (now + 2, false)]);
    }

    #[test]
    fn one_missed_tick_runs_and_nothing_is_recorded_as_missed() {
        let decision = decide(&seconds(3600), &Policy::default(), at(3600), at(4000));
        assert_eq!((ticks(&decision), decision.missed), (vec![(3600, true)], None));
    }

    #[test]
    fn what_is_older_than_a_day_is_not_caught_up_with() {
        let decision = decide(&seconds(7 * 86_400), &Policy::default(), at(0), at(2 * 86_400));
        assert_eq!((ticks(&decision), decision.missed.map(|m| m.count)), (vec![], Some(1)));
    }

    #[test]
    fn a_long_stretch_of_cron_ticks_is_worked_off_in_steps() {
        let schedule = Schedule::cron("* * * * *", "UTC", Timestamp::EPOCH).unwrap();
        let decision = decide(&schedule, &Policy::default(), at(60), at(30 * 86_400));
        assert!(decision.more && decision.runs.is_empty());
        assert_eq!(decision.missed.map(|m| m.count), Some(10_000));
        assert_eq!(decision.next_at, Some(at(60 * 10_001)));
    }

    #[test]
    fn a_crash_costs_no_attempt_and_the_sixth_is_the_last() {
        let policy = Policy::default();
        assert_eq!(after_crash(5, &policy), RunState::Retrying);
        assert_eq!(after_crash(6, &policy), RunState::Lost);
        assert_eq!(after_attempt(Verdict::Failed, 1, &policy), RunState::Failed);
        assert_eq!(after_attempt(Verdict::Released, 0, &policy), RunState::Retrying);
    }
}
