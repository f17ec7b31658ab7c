//! What will become of a worker's ticks over a period, and of those for which nobody was there.
//! Pure, and by the very rules by which the ledger records them; how long runs take, and so what overlaps, nobody knows ahead.

use super::due::{self, Decision};
use crate::clock::Timestamp;
use crate::settings::workers::Worker;

/// One tick, or a stretch of ticks that do not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foretold {
    /// The first tick.
    pub from: Timestamp,
    /// The last tick; the same as `from` for a single one.
    pub to: Timestamp,
    /// How many ticks.
    pub count: u64,
    /// What becomes of them.
    pub fate: Fate,
}

/// What becomes of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It starts at its instant, moved by its jitter.
    OnTime(Timestamp),
    /// Nobody was there, but it is within the grace and starts once somebody is.
    Late(Timestamp),
    /// Nobody was there; it is caught up with, one after another, from this instant on.
    CaughtUp(Timestamp),
    /// Nobody was there, and it does not run.
    Missed,
}

/// A time in which no process runs workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The first instant without one.
    pub from: Timestamp,
    /// When one is there again.
    pub to: Timestamp,
}

/// What becomes of the ticks from `from` (included) to `to` (excluded), oldest first; at most `max` items.
#[must_use]
pub fn foretell(
    worker: &Worker,
    (from, to): (Timestamp, Timestamp),
    outage: Option<Outage>,
    max: usize,
) -> Vec<Foretold> {
    let quiet = outage.map_or(to, |outage| outage.from.clamp(from, to));
    let mut told: Vec<Foretold> =
        worker.schedule.ticks_between(from, quiet, max).into_iter().map(|tick| on_time(worker, tick)).collect();
    if let Some(outage) = outage.filter(|outage| outage.from < to) {
        let first = worker.schedule.ticks_between(outage.from.max(from), to, 1).first().copied();
        let resumes = first.and_then(|first| after_outage(worker, first, outage.to, &mut told));
        let ticks = resumes.map(|resumes| worker.schedule.ticks_between(resumes, to, max)).unwrap_or_default();
        told.extend(ticks.into_iter().map(|tick| on_time(worker, tick)));
        told.retain(|tick| tick.from < to);
    }
    told.truncate(max);
    told
}

/// Decides about the ticks that are due when somebody is there again; the first tick that is not among them.
fn after_outage(worker: &Worker, first: Timestamp, now: Timestamp, told: &mut Vec<Foretold>) -> Option<Timestamp> {
    let mut next = Some(first);
    while let Some(next_at) = next {
        let Decision { missed, runs, next_at, more } = due::decide(&worker.schedule, &worker.policy, next_at, now);
        let missed = missed.map(|missed| (missed.from, missed.to, missed.count));
        told.extend(missed.map(|(from, to, count)| Foretold { from, to, count, fate: Fate::Missed }));
        told.extend(runs.into_iter().map(|run| {
            let fate = match run.late {
                true => Fate::CaughtUp(now),
                false if run.at < now => Fate::Late(start(worker, run.at).max(now)),
                false => Fate::OnTime(start(worker, run.at)),
            };
            Foretold { from: run.at, to: run.at, count: 1, fate }
        }));
        next = next_at;
        if !more {
            break;
        }
    }
    next
}

fn on_time(worker: &Worker, tick: Timestamp) -> Foretold {
    Foretold { from: tick, to: tick, count: 1, fate: Fate::OnTime(start(worker, tick)) }
}

fn start(worker: &Worker, tick: Timestamp) -> Timestamp {
    due::start_of(&worker.name, tick, worker.policy.jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::policy::{CatchUp, Which};
    use crate::settings::schedule::Schedule;
    use crate::work::fixture::{command, worker};
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    proptest! {
        #[test]
        fn every_tick_is_foretold_once_whatever_the_outage_and_the_policy(
            period in 1u64..50, from in 0i64..100, length in 1i64..2_000, begins in -50i64..2_100, lasts in 1i64..2_000,
            which in 0usize..3, max in 1u32..20, within in 1u64..3_000, grace in 1u64..60,
        ) {
            let mut it = worker("it", command(&["true"]));
            it.schedule = Schedule::every(Duration::from_secs(period)).unwrap();
            let which = [Which::Skip, Which::Last, Which::All][which];
            let (within, grace) = (Duration::from_secs(within), Duration::from_secs(grace));
            it.policy.catch_up = CatchUp { which, max, within, grace };
            let outage = Outage { from: at(from + begins), to: at(from + begins + lasts) };
            let to = at(from + length);
            let told = foretell(&it, (at(from), to), Some(outage), usize::MAX);
            // A stretch of missed ticks may reach beyond the period asked about.
            let inside = |tick: &Foretold| it.schedule.ticks_between(tick.from, tick.to.after(Duration::from_millis(1)).min(to), usize::MAX).len();
            let counted: usize = told.iter().map(inside).sum();
            prop_assert_eq!(counted, it.schedule.ticks_between(at(from), to, usize::MAX).len());
            prop_assert!(told.is_sorted_by(|one, next| one.to < next.from), "{:?}", told);
        }
    }
}
