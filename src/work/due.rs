//! What becomes of ticks and of attempts: which run, which were missed, what follows an end or a crash.
//! Pure: instants come in, decisions go out; recording them is `ledger`.

use super::run::{RunId, RunKind, RunState, Verdict};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::policy::{OnCrash, Overlap, Policy};
use crate::settings::schedule::Schedule;
use sha2::{Digest, Sha256};
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
    let catch_up = &policy.catch_up;
    if now.since(next_at) <= catch_up.grace {
        return on_time(schedule, Some(next_at), now);
    }
    let backlog = schedule.stretch(next_at, now);
    let after = schedule.next_after(backlog.newest);
    if backlog.cut {
        let all = Missed { from: next_at, to: backlog.newest, count: backlog.count };
        return Decision { missed: Some(all), runs: Vec::new(), next_at: after, more: true };
    }
    // One more than run, for that is where the missed ones end.
    let newest = schedule.newest(next_at, now, catch_up.most() + 1);
    let first = newest.partition_point(|tick| now.since(*tick) > catch_up.within);
    let first = first.max(newest.len().saturating_sub(catch_up.most()));
    let (missed, kept) = newest.split_at(first);
    let count = backlog.count - kept.len() as u64;
    let missed = missed.last().map(|to| Missed { from: next_at, to: *to, count });
    let late = kept.iter().map(|at| DueTick { at: *at, late: true });
    let on_time = on_time(schedule, after, now);
    Decision { missed, runs: late.chain(on_time.runs).collect(), ..on_time }
}

/// When a tick starts: moved by a hash of worker and tick, the same on every replica and after each restart.
pub(crate) fn start_of(worker: &WorkerName, tick: Timestamp, jitter: Duration) -> Timestamp {
    let span = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
    if span == 0 {
        return tick;
    }
    tick.after(Duration::from_millis(hash(worker.as_str(), tick.millis()) % span))
}

/// The first eight bytes of SHA-256 over a text and a number.
fn hash(text: &str, number: i64) -> u64 {
    let digest = Sha256::new().chain_update(text).chain_update([0]).chain_update(number.to_be_bytes()).finalize();
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
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

/// Where a run stands after an attempt that ended, and how long it waits there; `tries` counts this one, too, where it ended by itself.
pub(crate) fn after_attempt(verdict: Verdict, run: RunId, tries: u32, policy: &Policy) -> (RunState, Duration) {
    let state = match verdict {
        Verdict::Succeeded => RunState::Succeeded,
        Verdict::Cancelled => RunState::Cancelled,
        Verdict::Released => return (after_shutdown(policy), Duration::ZERO),
        Verdict::Failed | Verdict::TimedOut if tries < policy.retry.attempts => {
            return (RunState::Retrying, wait(run, tries, policy));
        }
        Verdict::Failed => RunState::Failed,
        Verdict::TimedOut => RunState::TimedOut,
    };
    (state, Duration::ZERO)
}

/// Between half and the whole of the wait, so that what failed together does not come back together.
fn wait(run: RunId, tries: u32, policy: &Policy) -> Duration {
    let whole = policy.retry.wait_after(tries);
    let chance = hash(&run.to_string(), i64::from(tries)) % 1_000;
    whole / 2 + (whole / 2).mul_f64(chance as f64 / 1_000.0)
}

/// A run that was cut off in the middle may have taken effect; where that matters more than to try again, it is lost.
fn after_shutdown(policy: &Policy) -> RunState {
    match policy.on_crash {
        OnCrash::Retry => RunState::Retrying,
        OnCrash::Lost => RunState::Lost,
    }
}

/// Where a run stands after its replica died in the middle of it; `crashes` counts this one, too.
pub(crate) fn after_crash(crashes: u32, policy: &Policy) -> RunState {
    match policy.on_crash {
        OnCrash::Retry if crashes <= MAX_CRASHES => RunState::Retrying,
        OnCrash::Retry | OnCrash::Lost => RunState::Lost,
    }
}

/// What stands in the way of a run of the same worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InTheWay {
    pub(crate) run: RunId,
    pub(crate) due_at: Timestamp,
    /// It is in progress, or between two attempts.
    pub(crate) started: bool,
    /// It waits for the worker's other runs.
    pub(crate) late: bool,
    /// It waits because it came while another one was in progress.
    pub(crate) queued: bool,
}

/// A run whose instant has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ripe {
    pub(crate) run: RunId,
    pub(crate) kind: RunKind,
    pub(crate) due_at: Timestamp,
    pub(crate) late: bool,
    /// Whether it was never started.
    pub(crate) first: bool,
}

/// What becomes of a run whose instant has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Start,
    /// It is recorded as skipped.
    Skip,
    /// It goes on waiting; `queued` from now on because of the overlap.
    Wait {
        queued: bool,
    },
}

/// Judges overlap at the instant itself. Ticks that are caught up with, or queued, run one after another, oldest first, and wait for
/// whatever is in progress; what somebody asked for and what was started before runs in any case.
pub(crate) fn turn(ripe: &Ripe, overlap: Overlap, others: &[InTheWay]) -> Turn {
    let others = || others.iter().filter(|other| other.run != ripe.run);
    let under_way = others().any(|other| other.started);
    let waits = |other: &&InTheWay| !other.started && other.late;
    if ripe.kind == RunKind::Manual || !ripe.first {
        return Turn::Start;
    }
    if ripe.late {
        let before = |other: &InTheWay| (other.due_at, other.run) < (ripe.due_at, ripe.run);
        let blocked = under_way || others().filter(waits).any(before);
        return if blocked { Turn::Wait { queued: false } } else { Turn::Start };
    }
    let one_waits = others().filter(waits).any(|other| other.queued);
    match overlap {
        Overlap::Skip if under_way => Turn::Skip,
        Overlap::Queue if one_waits => Turn::Skip,
        Overlap::Queue if under_way => Turn::Wait { queued: true },
        Overlap::Skip | Overlap::Queue | Overlap::Allow => Turn::Start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::policy::{CatchUp, Retry, Which};

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

    fn catching_up(which: Which, max: u32, within: u64) -> Policy {
        let catch_up = CatchUp { which, max, within: Duration::from_secs(within), ..CatchUp::default() };
        Policy { catch_up, ..Policy::default() }
    }

    #[test]
    fn each_way_to_catch_up_with_ten_missed_ticks() {
        // (policy, most, age, those that run, the missed ones)
        let table = [
            (Which::Skip, 100, 86_400, vec![], Some((10, 100, 10))),
            (Which::Last, 100, 86_400, vec![100], Some((10, 90, 9))),
            (Which::Last, 100, 3, vec![], Some((10, 100, 10))),
            (Which::All, 100, 86_400, vec![10, 20, 30, 40, 50, 60, 70, 80, 90, 100], None),
            (Which::All, 3, 86_400, vec![80, 90, 100], Some((10, 70, 7))),
            (Which::All, 100, 25, vec![80, 90, 100], Some((10, 70, 7))),
            (Which::All, 2, 25, vec![90, 100], Some((10, 80, 8))),
        ];
        for (which, max, within, runs, missed) in table {
            let decision = decide(&seconds(10), &catching_up(which, max, within), at(10), at(105));
            let late: Vec<i64> = ticks(&decision).into_iter().filter(|(_, late)| *late).map(|(at, _)| at).collect();
            let found = decision.missed.map(|m| (m.from.millis() / 1000, m.to.millis() / 1000, m.count));
            assert_eq!((late, found), (runs, missed), "{which:?} {max} {within}");
            assert_eq!(decision.next_at, Some(at(110)));
        }
    }

    #[test]
    fn jitter_moves_each_tick_by_less_than_its_span_and_always_the_same() {
        let name = WorkerName::parse("one").unwrap();
        let span = Duration::from_secs(30);
        let moved: Vec<i64> = (0..1_000).map(|n| start_of(&name, at(n * 60), span).millis() - n * 60_000).collect();
        assert!(moved.iter().all(|by| (0..30_000).contains(by)));
        assert!(moved.iter().any(|by| *by < 3_000) && moved.iter().any(|by| *by > 27_000));
        assert_eq!(start_of(&name, at(60), span), start_of(&name, at(60), span));
        assert_ne!(start_of(&name, at(60), span), start_of(&WorkerName::parse("two").unwrap(), at(60), span));
        assert_eq!(start_of(&name, at(60), Duration::ZERO), at(60));
    }

    fn ended(verdict: Verdict, tries: u32, policy: &Policy) -> RunState {
        after_attempt(verdict, RunId::new(), tries, policy).0
    }

    #[test]
    fn a_crash_costs_no_attempt_and_the_sixth_is_the_last() {
        let policy = Policy::default();
        assert_eq!(after_crash(5, &policy), RunState::Retrying);
        assert_eq!(after_crash(6, &policy), RunState::Lost);
        assert_eq!(ended(Verdict::Failed, 1, &policy), RunState::Failed);
        assert_eq!(ended(Verdict::Released, 0, &policy), RunState::Retrying);
        let at_most_once = Policy { on_crash: OnCrash::Lost, ..policy };
        assert_eq!(after_crash(1, &at_most_once), RunState::Lost);
        assert_eq!(ended(Verdict::Released, 0, &at_most_once), RunState::Lost);
    }

    #[test]
    fn a_failed_attempt_is_followed_by_a_wait_until_there_are_no_more() {
        let retry = Retry { attempts: 3, ..Retry::default() };
        let policy = Policy { retry, ..Policy::default() };
        for (tries, whole) in [(1, 1_000), (2, 2_000)] {
            let (state, wait) = after_attempt(Verdict::TimedOut, RunId::new(), tries, &policy);
            assert_eq!(state, RunState::Retrying);
            assert!((whole / 2..=whole).contains(&wait.as_millis()), "{wait:?}");
        }
        assert_eq!(after_attempt(Verdict::TimedOut, RunId::new(), 3, &policy), (RunState::TimedOut, Duration::ZERO));
        assert_eq!(ended(Verdict::Cancelled, 1, &policy), RunState::Cancelled);
    }

    #[test]
    fn each_overlap_policy_judges_each_situation() {
        let (mine, other) = (RunId::new(), RunId::new());
        let ripe = Ripe { run: mine, kind: RunKind::Tick, due_at: at(20), late: false, first: true };
        let one = InTheWay { run: other, due_at: at(10), started: true, late: false, queued: false };
        let waiting = InTheWay { started: false, late: true, queued: true, ..one };
        let caught_up = InTheWay { queued: false, ..waiting };
        let newer = InTheWay { due_at: at(30), ..waiting };
        let (queue, wait) = (Turn::Wait { queued: true }, Turn::Wait { queued: false });
        let late = Ripe { late: true, ..ripe };
        let table = [
            (ripe, Overlap::Skip, vec![], Turn::Start),
            (ripe, Overlap::Skip, vec![one], Turn::Skip),
            (ripe, Overlap::Skip, vec![caught_up], Turn::Start),
            (ripe, Overlap::Queue, vec![one], queue),
            (ripe, Overlap::Queue, vec![one, waiting], Turn::Skip),
            (ripe, Overlap::Queue, vec![waiting], Turn::Skip),
            (ripe, Overlap::Queue, vec![one, caught_up], queue),
            (ripe, Overlap::Allow, vec![one, waiting], Turn::Start),
            (late, Overlap::Skip, vec![one], wait),
            (late, Overlap::Allow, vec![one], wait),
            (late, Overlap::Queue, vec![waiting], wait),
            (late, Overlap::Queue, vec![newer], Turn::Start),
            (Ripe { first: false, ..ripe }, Overlap::Skip, vec![one], Turn::Start),
            (Ripe { kind: RunKind::Manual, ..ripe }, Overlap::Skip, vec![one], Turn::Start),
            (ripe, Overlap::Skip, vec![InTheWay { run: mine, ..one }], Turn::Start),
        ];
        for (ripe, overlap, others, expected) in table {
            assert_eq!(turn(&ripe, overlap, &others), expected, "{ripe:?} {overlap:?} {others:?}");
        }
    }
}
