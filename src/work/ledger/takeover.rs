//! Taking the rows of workers over to what is declared: who may, and what becomes of ticks of the schedule before.
//! A replica that starts never overrules one that lives; a reload is an operator's word and does.

use super::book::{Answer, Book, Declared, NewSpan, Period, Stored};
use super::rows::worker_name;
use super::{Ledger, Recorded, Workers, schedules};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::schedule::Schedule;
use crate::settings::workers::Worker;
use crate::work::run::{RunId, RunState};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Why runs of an edited or retired worker do not run.
const WITHDRAWN: &str = "withdrawn";
/// Why ticks of a paused worker do not run.
pub(super) const PAUSED: &str = "paused";
/// After how long without a sign a replica's declaration is deleted.
const FORGET: Duration = Duration::from_secs(86_400);
/// How many parts of a long stretch are counted at once; a part of cron ticks is ten thousand.
const PARTS: usize = 1_000;

/// Why rows are taken over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Occasion<'w> {
    /// The replica starts, or looks again whether the one it disagrees with still lives.
    Start,
    /// Its settings were changed; these were the ones before.
    Reload(&'w Workers),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TakenOver {
    pub(crate) recorded: Vec<Recorded>,
    /// Workers of which the ledger holds another declaration, whose replica lives.
    pub(crate) split: BTreeSet<WorkerName>,
}

/// What other replicas declare: worker and declaration, by replica.
type Others = HashMap<String, HashMap<String, String>>;

/// What becomes of the rows of the ledger.
#[derive(Default)]
struct Changes {
    new: Vec<Declared>,
    edited: Vec<Declared>,
    periods: Vec<Period>,
    /// Rows whose ticks are other ones from now on, or none.
    other_clock: Vec<Stored>,
    gone: Vec<String>,
    split: BTreeSet<WorkerName>,
}

pub(super) async fn take_over(
    book: &mut impl Book,
    ledger: &Ledger,
    workers: &Workers,
    occasion: Occasion<'_>,
) -> Answer<TakenOver> {
    book.lock_take_over().await?;
    let stored = book.stored().await?;
    let now = book.now().await?;
    let by = ledger.replica();
    book.announce(by, &declaration(workers), now).await?;
    book.forget("", now.before(FORGET)).await?;
    let others = others(book, ledger, now).await?;
    let changes = compare(workers, stored, &others, occasion, now);
    write(book, by, changes, now).await
}

fn declaration(workers: &Workers) -> String {
    let specs: BTreeMap<&str, &str> =
        workers.iter().map(|(name, worker)| (name.as_str(), worker.spec_hash.as_str())).collect();
    serde_json::to_string(&specs).unwrap_or_else(|_| "{}".into())
}

/// The replicas that gave a sign within a lease.
async fn others(book: &mut impl Book, ledger: &Ledger, now: Timestamp) -> Answer<Others> {
    let live = book.live(now.before(ledger.lease)).await?;
    let others = live.into_iter().filter(|(replica, _)| replica != ledger.replica());
    Ok(others.map(|(replica, workers)| (replica, serde_json::from_str(&workers).unwrap_or_default())).collect())
}

fn compare(workers: &Workers, stored: Vec<Stored>, others: &Others, occasion: Occasion<'_>, now: Timestamp) -> Changes {
    let mut changes = Changes::default();
    let mut stored: HashMap<String, Stored> = stored.into_iter().map(|row| (row.worker.clone(), row)).collect();
    for (name, worker) in workers {
        match stored.remove(name.as_str()) {
            None => {
                changes.new.push(declared(worker, schedules::first_tick(worker, now)));
                changes.periods.push(period(worker));
            }
            Some(row) if row.spec_hash == worker.spec_hash && !row.retired => {}
            Some(row) if may_change(worker, &row, others, occasion) => change(&mut changes, worker, row, now),
            Some(_) => drop(changes.split.insert(name.clone())),
        }
    }
    for row in stored.into_values().filter(|row| !row.retired && may_retire(row, others, occasion)) {
        changes.periods.push(Period { worker: row.worker.clone(), schedule: None, spec_hash: row.spec_hash.clone() });
        changes.gone.push(row.worker.clone());
        changes.other_clock.push(row);
    }
    changes
}

/// A reload changes what it edited. A start changes what nobody who lives stands for.
fn may_change(worker: &Worker, row: &Stored, others: &Others, occasion: Occasion<'_>) -> bool {
    let edited = match occasion {
        Occasion::Start => false,
        Occasion::Reload(before) => {
            before.get(worker.name.as_str()).is_none_or(|before| before.spec_hash != worker.spec_hash)
        }
    };
    let held = |declares: &HashMap<String, String>| declares.get(&row.worker) == Some(&row.spec_hash);
    let stands_for_it = if row.retired {
        others.get(&row.by).is_some_and(|declares| !declares.contains_key(&row.worker))
    } else {
        others.values().any(held)
    };
    edited || !stands_for_it
}

/// Workers of a newer replica, which this one does not know, are left alone.
fn may_retire(row: &Stored, others: &Others, occasion: Occasion<'_>) -> bool {
    match occasion {
        Occasion::Start => !others.values().any(|declares| declares.contains_key(&row.worker)),
        Occasion::Reload(before) => before.contains_key(row.worker.as_str()),
    }
}

/// An edit that leaves the schedule as it is keeps its clock and its queue, so that no tick falls between two declarations.
fn change(changes: &mut Changes, worker: &Worker, row: Stored, now: Timestamp) {
    let same_clock = row.schedule == worker.schedule.describe() && worker.enabled && !row.retired;
    let kept = row.next_at.filter(|_| same_clock);
    changes.edited.push(declared(worker, kept.or_else(|| schedules::first_tick(worker, now))));
    if !same_clock {
        changes.periods.push(period(worker));
        changes.other_clock.push(row);
    }
}

fn declared(worker: &Worker, next_at: Option<i64>) -> Declared {
    Declared {
        worker: worker.name.to_string(),
        spec_hash: worker.spec_hash.clone(),
        schedule: worker.schedule.describe(),
        next_at,
    }
}

fn period(worker: &Worker) -> Period {
    Period {
        worker: worker.name.to_string(),
        schedule: worker.enabled.then(|| worker.schedule.describe()),
        spec_hash: worker.spec_hash.clone(),
    }
}

async fn write(book: &mut impl Book, by: &str, changes: Changes, now: Timestamp) -> Answer<TakenOver> {
    book.insert_schedules(&changes.new, now, by).await?;
    book.update_schedules(&changes.edited, now, by).await?;
    let gone: Vec<&str> = changes.gone.iter().map(String::as_str).collect();
    book.retire(&gone, now, by).await?;
    book.open_periods(&changes.periods, now, by).await?;
    let withdrawn: Vec<&str> = changes.other_clock.iter().map(|row| row.worker.as_str()).collect();
    let ended = book.withdraw(&withdrawn, WITHDRAWN, now).await?;
    // A run in progress may finish; what waits for another attempt of a worker that is gone cannot be made by anybody.
    book.cancel_waiting(&gone, WITHDRAWN, now).await?;
    book.respec(&changes.edited).await?;
    let mut recorded = Vec::with_capacity(ended.len());
    for (worker, count) in ended {
        recorded.push(Recorded { worker: worker_name(&worker)?, state: RunState::Skipped, reason: WITHDRAWN, count });
    }
    for row in &changes.other_clock {
        recorded.extend(settle(book, row, now).await?);
    }
    schedules::count(book, &recorded, now).await?;
    Ok(TakenOver { recorded, split: changes.split })
}

/// Ticks of the schedule before that nobody has recorded: the worker was paused, or nobody was there.
async fn settle(book: &mut impl Book, row: &Stored, now: Timestamp) -> Answer<Option<Recorded>> {
    let due = row.next_at.map(Timestamp::from_millis).filter(|at| *at <= now);
    let schedule = Schedule::from_description(&row.schedule);
    let Some((from, schedule)) = due.zip(schedule) else {
        return Ok(None);
    };
    let (state, reason) =
        if row.paused_at.is_some() { (RunState::Skipped, PAUSED) } else { (RunState::Missed, WITHDRAWN) };
    let (to, count) = whole_stretch(&schedule, from, now);
    let span = span(&row.worker, &row.spec_hash, (state, reason), (from, to, count));
    book.insert_spans(&[span], now).await?;
    Ok(Some(Recorded { worker: worker_name(&row.worker)?, state, reason, count }))
}

/// The last of the ticks up to an instant, and how many they are.
pub(super) fn whole_stretch(schedule: &Schedule, from: Timestamp, until: Timestamp) -> (Timestamp, u64) {
    let mut stretch = schedule.stretch(from, until);
    let mut count = stretch.count;
    for _ in 0..PARTS {
        let next = schedule.next_after(stretch.newest).filter(|tick| stretch.cut && *tick <= until);
        let Some(next) = next else { break };
        stretch = schedule.stretch(next, until);
        count += stretch.count;
    }
    (stretch.newest, count)
}

pub(super) fn span(
    worker: &str,
    spec_hash: &str,
    (state, reason): (RunState, &'static str),
    (from, to, n): (Timestamp, Timestamp, u64),
) -> NewSpan {
    NewSpan {
        id: RunId::new().to_string(),
        worker: worker.to_owned(),
        spec_hash: spec_hash.to_owned(),
        state: state.as_str(),
        reason,
        from: from.millis(),
        to: to.millis(),
        n,
    }
}
