//! The start of a run: queued by hand, claimed, started, put back, its lease renewed.
//! After the claim every write names the epoch; where it matches nothing, the lease was lost.

use super::book::{Answer, Book, Candidate, Claimed, Holding, Open, Starting};
use super::rows::{small, unexpected};
use super::{Claim, Ledger, Recorded, Start, Workers};
use crate::clock::Timestamp;
use crate::settings::workers::Worker;
use crate::work::due::{self, InTheWay, Ripe, Turn};
use crate::work::run::{RunId, RunKind, RunState};
use crate::work::seeded::{self, Bug};
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
        let limit = i64::try_from(free - claims.len()).unwrap_or(i64::MAX);
        let found = book.candidates(due::HORIZON, &not, limit).await?;
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
        book.take(&ids, ledger.replica(), ledger.lease).await?;
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
    let now = book.lock_workers(&workers).await?;
    let held = book.claimed(&holdings(claims)).await?;
    let held: HashMap<RunId, Claimed> = held.into_iter().map(|row| (row.id, row)).collect();
    let late = |claim: &&Claim| held.get(&claim.run).is_some_and(|row| row.late);
    let catching_up = names(claims.iter().filter(late));
    let mut open = in_the_way(book.open_runs(&workers, &catching_up).await?);
    let mut judged = Judged::default();
    let mut starts = Vec::with_capacity(claims.len());
    for claim in claims {
        let others = open.entry(claim.worker.name.to_string()).or_default();
        starts.push(match held.get(&claim.run) {
            None if seeded::has(Bug::UnfencedStart) => Start::Started { attempt: 1, lateness: Duration::ZERO },
            None => Start::Lost,
            Some(row) => judged.judge(claim, row, others, now),
        });
    }
    book.start(&judged.starting, ledger.replica(), now, ledger.lease).await?;
    for (held, reason) in [(&judged.waiting, None), (&judged.queued, Some(OVERLAP))] {
        if !held.is_empty() {
            book.put_back(held, reason).await?;
        }
    }
    skip(book, claims, &judged.skipped, now).await?;
    Ok(starts)
}

/// What of each worker stands in the way of its runs.
fn in_the_way(open: Vec<Open>) -> HashMap<String, Vec<InTheWay>> {
    let mut of_workers: HashMap<String, Vec<InTheWay>> = HashMap::new();
    for Open { id, worker, due_at, started, late, queued } in open {
        let due_at = Timestamp::from_millis(due_at);
        of_workers.entry(worker).or_default().push(InTheWay { run: id, due_at, started, late, queued });
    }
    of_workers
}

/// What becomes of the runs of a batch.
#[derive(Default)]
struct Judged {
    starting: Vec<Starting>,
    waiting: Vec<Holding>,
    queued: Vec<Holding>,
    skipped: Vec<RunId>,
}

impl Judged {
    /// One after the other: what starts stands in the way of the next.
    fn judge(&mut self, claim: &Claim, row: &Claimed, others: &mut Vec<InTheWay>, now: Timestamp) -> Start {
        let due_at = Timestamp::from_millis(row.due_at);
        let ripe = Ripe { run: claim.run, kind: claim.kind, due_at, late: row.late, first: row.first };
        let turn = due::turn(&ripe, claim.worker.policy.overlap, others);
        others.retain(|other| other.run != claim.run);
        let holding = || Holding { id: claim.run.to_string(), epoch: claim.epoch };
        let mut stays = |started, queued| {
            others.push(InTheWay { run: claim.run, due_at, started, late: !started, queued });
        };
        match turn {
            Turn::Start => {
                stays(true, false);
                let (start, starting) = begin(claim, row, now);
                self.starting.push(starting);
                start
            }
            Turn::Skip => {
                self.skipped.push(claim.run);
                Start::Overlapped
            }
            Turn::Wait { queued } => {
                stays(false, queued);
                if queued {
                    self.queued.push(holding())
                } else {
                    self.waiting.push(holding())
                }
                Start::Waits
            }
        }
    }
}

fn begin(claim: &Claim, row: &Claimed, now: Timestamp) -> (Start, Starting) {
    // The timer may be a fraction of a millisecond ahead of the database's clock.
    let started_at = now.millis().max(claim.at.millis());
    let attempt = row.attempt + 1;
    let lateness = if row.first { started_at.saturating_sub(row.due_at) } else { 0 };
    let start = Start::Started {
        attempt: small(attempt),
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
