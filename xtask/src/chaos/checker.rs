//! What a recorded history must say after any storm. It reads the history alone, and it proves that it would notice: forgeries are made
//! and each must be found by its rule.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, bail};

use super::forgeries;
use super::history::{Attempt, Effect, History, Run, What};

/// All workers are due each second.
const PERIOD: i64 = 1_000;
/// How long after a lease a run of a dead replica may be taken over.
const TAKEOVER: i64 = 2_000;
/// How exactly the notes of events and the database's clock agree.
const SLACK: i64 = 1_000;
/// How long after the first process the first tick may be.
const FIRST_TICK: i64 = 60_000;
/// How many breaches of a rule are shown.
const SHOWN: usize = 3;

/// Its name, and what breaches it.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) breaches: fn(&History) -> Vec<String>,
}

pub(super) const RULES: [Rule; 11] = [
    Rule { name: "effects that were made twice", breaches: made_twice },
    Rule { name: "ticks that are missing", breaches: missing },
    Rule { name: "ticks that are recorded twice", breaches: doubled },
    Rule { name: "effects without a run that succeeded (a zombie's write)", breaches: without_run },
    Rule { name: "runs that succeeded without an effect", breaches: without_effect },
    Rule { name: "attempts of one run that overlap in time", breaches: overlapping },
    Rule { name: "attempts that were made twice", breaches: attempt_twice },
    Rule { name: "attempts that the ledger does not know (a zombie's)", breaches: unknown_attempt },
    Rule { name: "runs judged dead though their replica lived", breaches: judged_alive },
    Rule { name: "runs that were started and never finished", breaches: unfinished },
    Rule { name: "takeovers later than a lease and 2 s", breaches: late_takeover },
];

/// Checks everything and prints the figures.
pub(super) fn check(history: &History) -> Result<()> {
    figures(history);
    let mut total = 0;
    for rule in &RULES {
        let found = (rule.breaches)(history);
        println!("{:>8}  {}", found.len(), rule.name);
        found.iter().take(SHOWN).for_each(|breach| println!("          {breach}"));
        total += found.len();
    }
    forgeries::prove(history)?;
    if total > 0 {
        bail!("{total} breaches");
    }
    Ok(())
}

/// The names of the rules that are breached.
pub(super) fn breached(history: &History) -> Vec<&'static str> {
    RULES.iter().filter(|rule| !(rule.breaches)(history).is_empty()).map(|rule| rule.name).collect()
}

fn figures(history: &History) {
    let say = |n: i64, what: &str| println!("{n:>8}  {what}");
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let events = |what: What| count(history.events.iter().filter(|event| event.what == what).count());
    say(events(What::Killed), "processes killed");
    say(events(What::Frozen), "processes frozen");
    say(events(What::StoreDown), "times the store was away");
    let mut states: BTreeMap<&str, i64> = BTreeMap::new();
    history.runs.iter().for_each(|run| *states.entry(&run.state).or_default() += run.count);
    say(states.values().sum(), "ticks recorded");
    states.iter().for_each(|(state, n)| say(*n, &format!("of them {state}")));
    say(count(history.hits.len() + history.marks.len()), "effects");
    say(count(history.attempts.iter().filter(|attempt| crashed(attempt)).count()), "attempts that ended by a crash");
    let span = |at: fn(&Run) -> i64| {
        let times = || history.runs.iter().map(at);
        times().max().zip(times().min()).map_or(0, |(last, first)| last - first)
    };
    let seconds = (span(|run| run.tick) / 1_000).max(1);
    say(count(history.runs.len()) / seconds, "runs recorded each second, on average");
    let takeovers = takeovers(history);
    let longest =
        |of: &dyn Fn(&Takeover<'_>) -> bool| takeovers.iter().filter(|one| of(one)).map(|one| one.after).max();
    say(longest(&|_| true).unwrap_or(0), "ms at most from a kill to the next attempt");
    say(count(takeovers.iter().filter(|one| !one.disturbed).count()), "takeovers that nothing else disturbed");
    say(longest(&|one| !one.disturbed).unwrap_or(0), "ms at most of them");
    lateness(history);
}

/// How late the first attempts started, all of them, outages included.
fn lateness(history: &History) {
    let due: HashMap<&str, i64> = history.runs.iter().map(|run| (run.id.as_str(), run.due)).collect();
    let first = history.attempts.iter().filter(|attempt| attempt.n == 1);
    let mut late: Vec<i64> =
        first.filter_map(|attempt| Some(attempt.started - due.get(attempt.run.as_str())?)).collect();
    late.sort_unstable();
    for (part, name) in [(500, "0.5"), (900, "0.9"), (990, "0.99"), (1_000, "1.0")] {
        let at = (late.len() * part / 1_000).min(late.len().saturating_sub(1));
        println!("{:>8}  ms late, quantile {name}", late.get(at).copied().unwrap_or(0));
    }
}

fn made_twice(history: &History) -> Vec<String> {
    let mut seen = HashSet::new();
    let twice = history.hits.iter().filter(|hit| !seen.insert((hit.worker.as_str(), hit.tick)));
    twice.map(|hit| format!("{} at {}: run {}", hit.worker, hit.tick, hit.run)).collect()
}

/// The runs of each worker by tick.
fn by_worker(history: &History) -> BTreeMap<&str, Vec<&Run>> {
    let mut runs: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    history.runs.iter().for_each(|run| runs.entry(&run.worker).or_default().push(run));
    runs.values_mut().for_each(|runs| runs.sort_by_key(|run| run.tick));
    runs
}

fn end_of(run: &Run) -> i64 {
    run.tick + run.count * PERIOD
}

/// From the first tick, which is soon after the first process, to the worker's next one.
fn missing(history: &History) -> Vec<String> {
    let runs = by_worker(history);
    let began = history.events.iter().find(|event| event.what == What::Started).map_or(0, |event| event.at);
    let mut breaches = Vec::new();
    for (worker, next) in &history.next {
        let Some(runs) = runs.get(worker.as_str()) else {
            breaches.push(format!("{worker} has no ticks at all"));
            continue;
        };
        let mut expected = runs.first().map_or(0, |run| run.tick);
        if expected > began + FIRST_TICK {
            breaches.push(format!("{worker} begins at {expected}, long after {began}"));
        }
        for run in runs {
            if run.tick > expected {
                breaches.push(format!("{worker} from {expected} to {}", run.tick - PERIOD));
            }
            expected = expected.max(end_of(run));
        }
        if expected < *next {
            breaches.push(format!("{worker} from {expected} to {}", next - PERIOD));
        }
    }
    breaches
}

fn doubled(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    for (worker, runs) in by_worker(history) {
        for pair in runs.windows(2) {
            if let [one, other] = pair
                && other.tick < end_of(one)
            {
                breaches.push(format!("{worker} at {}: runs {} and {}", other.tick, one.id, other.id));
            }
        }
    }
    breaches
}

fn without_run(history: &History) -> Vec<String> {
    let succeeded: HashSet<&str> = succeeded(history).map(|run| run.id.as_str()).collect();
    let zombies = history.hits.iter().filter(|hit| !succeeded.contains(hit.run.as_str()));
    zombies.map(|hit| format!("{} at {}: run {}", hit.worker, hit.tick, hit.run)).collect()
}

fn without_effect(history: &History) -> Vec<String> {
    let effects: HashSet<&str> = history.hits.iter().chain(&history.marks).map(|effect| effect.run.as_str()).collect();
    let empty = succeeded(history).filter(|run| !effects.contains(run.id.as_str()));
    empty.map(|run| format!("{} at {}: run {}", run.worker, run.tick, run.id)).collect()
}

fn succeeded(history: &History) -> impl Iterator<Item = &Run> {
    history.runs.iter().filter(|run| run.state == "succeeded")
}

/// The attempts of each run, by number.
fn by_run(history: &History) -> HashMap<&str, Vec<&Attempt>> {
    let mut attempts: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    history.attempts.iter().for_each(|attempt| attempts.entry(&attempt.run).or_default().push(attempt));
    attempts.values_mut().for_each(|attempts| attempts.sort_by_key(|attempt| attempt.n));
    attempts
}

fn overlapping(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    for (run, attempts) in by_run(history) {
        for pair in attempts.windows(2) {
            if let [one, next] = pair
                && one.finished.is_none_or(|finished| next.started < finished)
            {
                breaches
                    .push(format!("run {run}: attempts {} ({}) and {} ({})", one.n, one.replica, next.n, next.replica));
            }
        }
    }
    breaches
}

fn attempt_twice(history: &History) -> Vec<String> {
    let mut seen = HashSet::new();
    let twice = history.hits.iter().chain(&history.marks).filter(|one| !seen.insert((one.run.as_str(), one.attempt)));
    twice.map(|one| format!("{} at {}: run {} attempt {}", one.worker, one.tick, one.run, one.attempt)).collect()
}

fn unknown_attempt(history: &History) -> Vec<String> {
    let known: HashSet<(&str, i64)> =
        history.attempts.iter().map(|attempt| (attempt.run.as_str(), attempt.n)).collect();
    let unknown = |effect: &&Effect| !known.contains(&(effect.run.as_str(), effect.attempt));
    let unknown = history.hits.iter().chain(&history.marks).filter(unknown);
    unknown.map(|one| format!("{} at {}: run {} attempt {}", one.worker, one.tick, one.run, one.attempt)).collect()
}

fn unfinished(history: &History) -> Vec<String> {
    let open = history.runs.iter().filter(|run| matches!(run.state.as_str(), "running" | "claimed"));
    open.map(|run| format!("{} at {}: run {} is {}", run.worker, run.tick, run.id, run.state)).collect()
}

fn crashed(attempt: &Attempt) -> bool {
    attempt.outcome == "crashed"
}

fn judged_alive(history: &History) -> Vec<String> {
    let excuses = Excuses::of(history);
    let judged = history.attempts.iter().filter(|attempt| crashed(attempt) && !excuses.hold(history, attempt));
    judged.map(|attempt| format!("run {}: attempt {} of {}", attempt.run, attempt.n, attempt.replica)).collect()
}

/// Why a replica could not renew a lease.
struct Excuses<'h> {
    killed: HashMap<&'h str, i64>,
    /// Frozen or stopped, from when until when.
    frozen: HashMap<&'h str, Vec<(i64, i64)>>,
    /// The store was away for all.
    away: Vec<(i64, i64)>,
}

impl<'h> Excuses<'h> {
    fn of(history: &'h History) -> Self {
        let mut excuses = Self { killed: HashMap::new(), frozen: HashMap::new(), away: Vec::new() };
        for event in &history.events {
            let replica = event.replica.as_str();
            match event.what {
                What::Killed => {
                    excuses.killed.insert(replica, event.at);
                }
                What::Frozen => excuses.frozen.entry(replica).or_default().push((event.at, i64::MAX)),
                What::Thawed => {
                    if let Some(last) = excuses.frozen.get_mut(replica).and_then(|all| all.last_mut()) {
                        last.1 = event.at;
                    }
                }
                What::StoreDown => excuses.away.push((event.at, i64::MAX)),
                What::StoreUp => {
                    if let Some(last) = excuses.away.last_mut() {
                        last.1 = event.at;
                    }
                }
                What::Started | What::Stopped => {}
            }
        }
        if history.sqlite {
            let all = excuses.frozen.values().flatten().copied();
            excuses.away.extend(all.collect::<Vec<_>>());
        }
        excuses
    }

    fn hold(&self, history: &History, attempt: &Attempt) -> bool {
        let Some(judged) = attempt.finished else { return true };
        let replica = attempt.replica.as_str();
        let within = |(from, to): &(i64, i64)| {
            (from - SLACK..=to.saturating_add(2 * history.lease + TAKEOVER)).contains(&judged)
        };
        self.killed.get(replica).is_some_and(|at| *at <= judged + SLACK)
            || self.frozen.get(replica).is_some_and(|all| all.iter().any(within))
            || self.away.iter().any(within)
    }
}

/// An attempt that died with its replica, and the next one.
struct Takeover<'h> {
    run: &'h str,
    replica: &'h str,
    /// From the kill to the next attempt.
    after: i64,
    /// Something else happened near: another kill may have met the one that took over.
    disturbed: bool,
}

fn takeovers(history: &History) -> Vec<Takeover<'_>> {
    let killed: HashMap<&str, i64> = history
        .events
        .iter()
        .filter(|event| event.what == What::Killed)
        .map(|event| (event.replica.as_str(), event.at))
        .collect();
    let mut all = Vec::new();
    for (run, attempts) in by_run(history) {
        for pair in attempts.windows(2) {
            if let [one, next] = pair
                && crashed(one)
                && let Some(at) = killed.get(one.replica.as_str())
            {
                let disturbed = history.events.iter().any(|event| {
                    event.what != What::Started
                        && (event.replica != one.replica || event.what != What::Killed)
                        && (at - history.lease..=next.started).contains(&event.at)
                });
                all.push(Takeover { run, replica: &one.replica, after: next.started - at, disturbed });
            }
        }
    }
    all
}

/// Only a takeover that nothing else disturbed is held to the bound.
fn late_takeover(history: &History) -> Vec<String> {
    let late = |takeover: &Takeover<'_>| !takeover.disturbed && takeover.after > history.lease + TAKEOVER;
    let breaches = takeovers(history).into_iter().filter(late);
    breaches.map(|late| format!("run {}: {} ms after the end of {}", late.run, late.after, late.replica)).collect()
}
