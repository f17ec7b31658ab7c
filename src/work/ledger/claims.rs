//! The start of a run: queued by hand, claimed, started, put back, its lease renewed.
//! After the claim every write names the epoch; where it matches nothing, the lease was lost.

use super::book::{Answer, Book, Candidate, Claimed, Holding, Open, Starting};
use super::{Claim, Ledger, Recorded, Start, Workers, unexpected};
use crate::clock::Timestamp;
use crate::settings::policy::Overlap;
use crate::settings::workers::Worker;
use crate::work::due;
use crate::work::run::{RunId, RunKind, RunState};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Why an on-time tick did not run.
const OVERLAP: &str = "overlap";
/// How often a claim looks past runs that only other replicas can make.
const LOOKS: usize = 8;

pub(super) async fn run_now(book: &mut impl Book, worker: &Worker, requested_by: &str) -> Answer<RunId> {
    let id = RunId::new();
    book.insert_manual(id, worker.name.as_str(), &worker.spec_hash, requested_by).await?;
    Ok(id)
}

/// Whether there is anything to claim.
pub(super) async fn waits(book: &mut impl Book) -> Answer<bool> {
    let until = book.now().await?.after(due::HORIZON);
    book.waits(until).await
}

/// Takes at most `free` runs. What only another replica can make is looked past, so that it stands in nobody's way.
pub(super) async fn claim(book: &mut impl Book, ledger: &Ledger, workers: &Workers, free: usize) -> Answer<Vec<Claim>> {
    let mut not = Vec::new();
    let mut claims = Vec::new();
    let mut caught_up = HashSet::new();
    for _ in 0..LOOKS {
        let known = not.len();
        let now = book.now().await?;
        let limit = i64::try_from(free - claims.len()).unwrap_or(i64::MAX);
        let found = book.candidates(now.after(due::HORIZON), &not, limit).await?;
        let seen = found.len();
        let mut taken = Vec::new();
        for row in found {
            match workers.get(row.worker.as_str()).filter(|worker| worker.spec_hash == row.spec_hash) {
                None => not.push(format!("{}:{}", row.worker, row.spec_hash)),
                // Caught-up ticks go one after another.
                Some(worker) if row.late && !caught_up.insert(worker.name.clone()) => {}
                Some(worker) => taken.push(claimed(row, worker)?),
            }
        }
        let ids: Vec<RunId> = taken.iter().map(|claim| claim.run).collect();
        book.take(&ids, ledger.replica(), now.after(ledger.lease)).await?;
        let full = seen == usize::try_from(limit).unwrap_or(usize::MAX);
        claims.extend(taken);
        if !full || not.len() == known || claims.len() >= free {
            break;
        }
    }
    Ok(claims)
}

fn claimed(row: Candidate, worker: &Arc<Worker>) -> Answer<Claim> {
    Ok(Claim {
        run: row.id,
        epoch: row.epoch + 1,
        worker: Arc::clone(worker),
        kind: RunKind::parse(&row.kind).ok_or_else(|| unexpected("kind", &row.kind))?,
        tick_at: row.tick_at.map(Timestamp::from_millis),
        at: Timestamp::from_millis(row.available_at),
    })
}

pub(super) fn holdings(claims: &[Claim]) -> Vec<Holding> {
    claims.iter().map(|claim| Holding { id: claim.run.to_string(), epoch: claim.epoch }).collect()
}

/// The names of the workers, each once, in their order.
pub(super) fn names<'c>(claims: impl Iterator<Item = &'c Claim>) -> Vec<&'c str> {
    let mut names: Vec<&str> = claims.map(|claim| claim.worker.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Starts claimed runs, in order; the rows of their workers are locked first, so that two replicas judge one after the other.
pub(super) async fn start(book: &mut impl Book, ledger: &Ledger, claims: &[Claim]) -> Answer<Vec<Start>> {
    let workers = names(claims.iter());
    book.lock_workers(&workers).await?;
    let held = book.claimed(&holdings(claims)).await?;
    let held: HashMap<RunId, Claimed> = held.into_iter().map(|row| (row.id, row)).collect();
    let mut open = book.open_runs(&workers).await?;
    let now = book.now().await?;
    let mut starts = Vec::with_capacity(claims.len());
    let (mut starting, mut skipped) = (Vec::new(), Vec::new());
    for claim in claims {
        let start = match held.get(&claim.run) {
            None => Start::Lost,
            Some(row) if overlaps(claim, row, &open) => {
                skipped.push(claim.run);
                Start::Overlapped
            }
            Some(row) => {
                let (start, row) = begin(claim, row, now);
                open.push(Open { id: claim.run, worker: row.worker.clone(), started: true });
                starting.push(row);
                start
            }
        };
        starts.push(start);
    }
    book.start(&starting, ledger.replica(), now.after(ledger.lease)).await?;
    skip(book, claims, &skipped, now).await?;
    Ok(starts)
}

/// A run between two attempts counts as in progress; only a tick that is on time is judged.
fn overlaps(claim: &Claim, row: &Claimed, open: &[Open]) -> bool {
    let on_time_tick = claim.kind == RunKind::Tick && !row.late && row.first;
    let others = || open.iter().any(|o| o.started && o.id != claim.run && o.worker == claim.worker.name.as_str());
    match claim.worker.policy.overlap {
        Overlap::Skip => on_time_tick && others(),
    }
}

fn begin(claim: &Claim, row: &Claimed, now: Timestamp) -> (Start, Starting) {
    // The timer may be a fraction of a millisecond ahead of the database's clock.
    let started_at = now.millis().max(claim.at.millis());
    let attempt = row.attempt + 1;
    let lateness = if row.first { started_at.saturating_sub(row.due_at) } else { 0 };
    let start = Start::Started {
        attempt: super::small(attempt),
        lateness: Duration::from_millis(u64::try_from(lateness).unwrap_or(0)),
    };
    let worker = claim.worker.name.to_string();
    (start, Starting { id: claim.run.to_string(), worker, attempt, started_at })
}

async fn skip(book: &mut impl Book, claims: &[Claim], skipped: &[RunId], now: Timestamp) -> Answer<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    book.skip(skipped, OVERLAP, now).await?;
    let ours = claims.iter().filter(|claim| skipped.contains(&claim.run));
    let recorded = |claim: &Claim| Recorded {
        worker: claim.worker.name.clone(),
        state: RunState::Skipped,
        reason: OVERLAP,
        count: 1,
    };
    super::schedules::count(book, &ours.map(recorded).collect::<Vec<_>>(), now).await
}
