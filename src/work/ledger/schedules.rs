//! Workers and their ticks: recording what is due, re-arming what stopped.
//! Every change of `next_at` is a compare-and-set together with the runs it stands for.

use super::book::{Answer, Book, Count, Due, NewSpan, NewTick, Step};
use super::{Materialised, Recorded, Workers};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::workers::Worker;
use crate::work::due::{self, Decision};
use crate::work::run::{RunId, RunState};
use crate::work::seeded::{self, Bug};
use std::collections::HashSet;
use std::time::Duration;

/// Why ticks of a past outage do not run.
const CATCH_UP: &str = "catch_up";
/// How many workers one transaction deals with.
pub(super) const BATCH: usize = 500;

/// A worker, its next tick as it was read, and what becomes of it.
pub(super) type Decided<'w> = (&'w Worker, Timestamp, Decision);

pub(super) fn first_tick(worker: &Worker, now: Timestamp) -> Option<i64> {
    worker.enabled.then(|| worker.schedule.next_after(now)).flatten().map(Timestamp::millis)
}

/// Adds what was recorded to the outcomes of this hour.
pub(super) async fn count(book: &mut impl Book, recorded: &[Recorded], now: Timestamp) -> Answer<()> {
    let counts: Vec<Count> = recorded
        .iter()
        .map(|one| Count { worker: one.worker.to_string(), outcome: one.state.as_str(), n: one.count })
        .collect();
    book.count(&counts, now).await
}

/// Decisions are made before the transaction, which holds others up; the compare-and-set drops those that came too late.
pub(super) fn decide<'w>(workers: &'w Workers, due: &[Due], now: Timestamp) -> Vec<Decided<'w>> {
    let ours = due.iter().filter_map(|row| {
        let worker = workers.get(row.worker.as_str());
        let worker = worker.filter(|worker| worker.spec_hash == row.spec_hash && worker.enabled)?;
        Some((worker.as_ref(), row.next_at, due::decide(&worker.schedule, &worker.policy, row.next_at, now)))
    });
    ours.collect()
}

/// Records what becomes of the ticks of some workers, each once, whoever comes first.
pub(super) async fn advance(book: &mut impl Book, some: &[Decided<'_>]) -> Answer<Materialised> {
    let ours = advance_clocks(book, some).await?;
    record(book, &ours, some.len()).await
}

/// Moves the clocks of those that are still as they were read.
pub(super) async fn advance_clocks<'s, 'w>(
    book: &mut impl Book,
    some: &'s [Decided<'w>],
) -> Answer<Vec<&'s Decided<'w>>> {
    let mut steps: Vec<Step> = some.iter().map(step).collect();
    if seeded::has(Bug::BlindAdvance) {
        read_again(book, &mut steps).await?;
    }
    let advanced: HashSet<String> = book.advance(&steps).await?.into_iter().collect();
    Ok(some.iter().filter(|(worker, ..)| advanced.contains(worker.name.as_str())).collect())
}

/// The bug that makes each comparison hold.
async fn read_again(book: &mut impl Book, steps: &mut [Step]) -> Answer<()> {
    let until = book.now().await?.after(Duration::from_secs(3_600));
    for row in book.due(until).await? {
        if let Some(step) = steps.iter_mut().find(|step| step.worker == row.worker) {
            step.old = row.next_at.millis();
        }
    }
    Ok(())
}

/// Records the ticks whose clocks were moved; `of` is how many were to be.
pub(super) async fn record(book: &mut impl Book, ours: &[&Decided<'_>], of: usize) -> Answer<Materialised> {
    let now = book.now().await?;
    let ticks: Vec<NewTick> = ours.iter().flat_map(|one| new_ticks(one)).collect();
    let queued = book.insert_ticks(&ticks, now).await?;
    let spans: Vec<NewSpan> = ours.iter().filter_map(|one| missed(one)).collect();
    book.insert_spans(&spans, now).await?;
    let missed = ours.iter().filter_map(|(worker, _, decision)| {
        let count = decision.missed?.count;
        Some(Recorded { worker: worker.name.clone(), state: RunState::Missed, reason: CATCH_UP, count })
    });
    let recorded: Vec<Recorded> = missed.collect();
    count(book, &recorded, now).await?;
    let more = ours.iter().any(|(_, _, decision)| decision.more);
    Ok(Materialised {
        queued: usize::try_from(queued).unwrap_or(usize::MAX),
        recorded,
        more,
        passed_over: ours.len() < of,
    })
}

fn step((worker, old, decision): &Decided<'_>) -> Step {
    Step {
        worker: worker.name.to_string(),
        spec_hash: worker.spec_hash.clone(),
        old: old.millis(),
        new: decision.next_at.map(Timestamp::millis),
    }
}

fn new_ticks<'d>((worker, _, decision): &'d Decided<'_>) -> impl Iterator<Item = NewTick> + use<'d> {
    decision.runs.iter().map(|tick| NewTick {
        id: RunId::new().to_string(),
        worker: worker.name.to_string(),
        spec_hash: worker.spec_hash.clone(),
        tick_at: tick.at.millis(),
        due_at: due::start_of(&worker.name, tick.at, worker.policy.jitter).millis(),
        late: tick.late,
    })
}

fn missed((worker, _, decision): &Decided<'_>) -> Option<NewSpan> {
    let missed = decision.missed?;
    Some(NewSpan {
        id: RunId::new().to_string(),
        worker: worker.name.to_string(),
        spec_hash: worker.spec_hash.clone(),
        state: RunState::Missed.as_str(),
        reason: CATCH_UP,
        from: missed.from.millis(),
        to: missed.to.millis(),
        n: missed.count,
    })
}

/// Gives a next tick to workers that lost theirs.
pub(super) async fn rearm(book: &mut impl Book, workers: &Workers) -> Answer<Vec<WorkerName>> {
    let mut rearmed = Vec::new();
    for (name, spec_hash) in book.stopped().await? {
        let Some(worker) = workers.get(name.as_str()).filter(|worker| worker.spec_hash == spec_hash) else {
            continue;
        };
        let now = book.now().await?;
        if let Some(next_at) = first_tick(worker, now) {
            book.rearm(&name, &spec_hash, next_at).await?;
            rearmed.push(worker.name.clone());
        }
    }
    Ok(rearmed)
}
