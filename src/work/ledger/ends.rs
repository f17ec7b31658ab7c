//! The end of a run: finished by its replica, or judged when its replica died.
//! What follows an end or a crash is decided by `due`; here it is written, once.

use super::book::{Answer, Book, Closing, Count, Crash, End, Ending, Expired, Health};
use super::rows::{small, unexpected, worker_name};
use super::{Claim, Finish, REAP_BATCH, Recorded, Workers, claims};
use crate::clock::Timestamp;
use crate::settings::policy::Policy;
use crate::work::due;
use crate::work::run::{Done, RunId, RunState, Verdict};
use crate::work::seeded::{self, Bug};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Why a run is tried again or lost.
const CRASHED: &str = "crashed";
/// Why a run went back without costing an attempt.
const SHUTDOWN: &str = "shutdown";

/// Records the ends of attempts, perhaps inside a transaction of the caller's, which must be rolled back where a lease was lost.
pub(in crate::work) async fn finish(book: &mut impl Book, ended: &[(&Claim, &Done)]) -> Answer<Vec<Finish>> {
    let now = book.lock_workers(&claims::names(ended.iter().map(|(claim, _)| *claim))).await?;
    let claimed: Vec<Claim> = ended.iter().map(|(claim, _)| Claim::clone(claim)).collect();
    let rows = book.ending(&claims::holdings(&claimed)).await?;
    let rows: HashMap<RunId, Ending> = rows.into_iter().map(|row| (row.id, row)).collect();
    let (mut finishes, mut ends, mut tallies) = (Vec::with_capacity(ended.len()), Vec::new(), Vec::new());
    for (claim, done) in ended {
        let finish = match rows.get(&claim.run) {
            None => Finish::Lost,
            Some(row) => match already(row)? {
                Some(finish) => finish,
                None => {
                    let (state, end) = end(claim, done, row, now);
                    ends.push(end);
                    if state.is_final() {
                        tallies.push((claim.worker.name.as_str(), state));
                    }
                    Finish::Recorded { state, at: now }
                }
            },
        };
        finishes.push(finish);
    }
    let (counts, health) = tally(&tallies);
    book.end(&Closing { ends, counts, health }, now).await?;
    Ok(finishes)
}

/// What an earlier try recorded, whose answer was lost; nothing where the run is under way.
fn already(row: &Ending) -> Answer<Option<Finish>> {
    let state = RunState::parse(&row.state).ok_or_else(|| unexpected("state", &row.state))?;
    Ok(match (state, row.finished_at) {
        (RunState::Running, _) => None,
        (RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled, Some(at)) => {
            Some(Finish::Recorded { state, at: Timestamp::from_millis(at) })
        }
        _ => Some(Finish::Lost),
    })
}

fn end(claim: &Claim, done: &Done, row: &Ending, now: Timestamp) -> (RunState, End) {
    let tries = row.tries + i64::from(done.verdict != Verdict::Released);
    let (state, wait) = due::after_attempt(done.verdict, claim.run, small(tries), &claim.worker.policy);
    // What a program or a server says may hold a NUL, which Postgres keeps in no text.
    let clean = |text: &Option<String>| text.as_ref().map(|text| text.replace('\0', "\u{fffd}"));
    let end = End {
        id: claim.run.to_string(),
        attempt: row.attempt,
        outcome: done.verdict.as_str(),
        state: state.as_str(),
        reason: (done.verdict == Verdict::Released).then_some(SHUTDOWN),
        tries,
        finished_at: state.is_final().then_some(now.millis()),
        available_at: now.after(wait).millis(),
        exit_code: done.exit_code,
        result: clean(&done.result),
        error: clean(&done.error),
        output: done.output.text.clone(),
        output_bytes: done.output.bytes,
        output_truncated: done.output.truncated,
    };
    (state, end)
}

/// Counts ends, and what they say about the health of their workers.
fn tally(ends: &[(&str, RunState)]) -> (Vec<Count>, Vec<Health>) {
    let mut counts: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    let mut health: BTreeMap<&str, Health> = BTreeMap::new();
    for (worker, state) in ends {
        *counts.entry((worker, state.as_str())).or_default() += 1;
        if *state != RunState::Succeeded && !state.is_failure() {
            continue;
        }
        let of_worker = Health { worker: (*worker).to_owned(), succeeded: false, failures: 0 };
        let entry = health.entry(worker).or_insert(of_worker);
        if *state == RunState::Succeeded {
            (entry.succeeded, entry.failures) = (true, 0);
        } else {
            entry.failures += 1;
        }
    }
    let count = |((worker, outcome), n): ((&str, &'static str), u64)| Count { worker: worker.to_owned(), outcome, n };
    (counts.into_iter().map(count).collect(), health.into_values().collect())
}

/// Whether a lease has run out.
pub(super) async fn any_expired(book: &mut impl Book) -> Answer<bool> {
    let now = judged_at(book).await?;
    Ok(!book.expired(now, 1).await?.is_empty())
}

/// A lease that ends before then has run out.
async fn judged_at(book: &mut impl Book) -> Answer<Timestamp> {
    let now = book.now().await?;
    Ok(if seeded::has(Bug::ImpatientReaper) { now.after(Duration::from_secs(3_600)) } else { now })
}

/// Judges runs whose replica died.
pub(super) async fn reap(book: &mut impl Book, workers: &Workers) -> Answer<Vec<Recorded>> {
    let now = judged_at(book).await?;
    let mut found = book.expired(now, REAP_BATCH).await?;
    // The policy of a worker that is not declared here is another replica's to know, unless nobody declares it any more.
    found.retain(|row| workers.contains_key(row.worker.as_str()) || row.retired);
    let mut names: Vec<&str> = found.iter().map(|row| row.worker.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    book.lock_workers(&names).await?;
    let ids: Vec<RunId> = found.iter().map(|row| row.id).collect();
    let now = judged_at(book).await?;
    // What was read before the locks may be of yesterday: its replica may have started it meanwhile, with a lease that is over.
    let dead = book.still_expired(&ids, now).await?;
    let crashes: Vec<Crash> = dead.iter().map(|row| judge(row, policy(workers, row), now)).collect();
    book.bury(&crashes, now).await?;
    let lost = dead.iter().zip(&crashes).filter(|(_, crash)| crash.state == RunState::Lost.as_str());
    let lost: Vec<&str> = lost.map(|(row, _)| row.worker.as_str()).collect();
    let (counts, health) = tally(&lost.iter().map(|worker| (*worker, RunState::Lost)).collect::<Vec<_>>());
    book.count(&counts, now).await?;
    book.health(&health, now).await?;
    lost.iter()
        .map(|worker| Ok(Recorded { worker: worker_name(worker)?, state: RunState::Lost, reason: CRASHED, count: 1 }))
        .collect()
}

fn policy(workers: &Workers, row: &Expired) -> Option<Policy> {
    workers.get(row.worker.as_str()).map(|worker| worker.policy)
}

/// What was not started goes back at no cost; a crash in the middle is counted, and the last one loses the run. Either keeps its place
/// among what waits: a takeover does not stand behind everything that became due meanwhile.
fn judge(row: &Expired, policy: Option<Policy>, now: Timestamp) -> Crash {
    let crashes = row.crashes + i64::from(row.running);
    let next = match policy {
        None => RunState::Lost,
        Some(_) if row.untouched => RunState::Queued,
        Some(policy) if row.running => due::after_crash(small(crashes), &policy),
        Some(_) => RunState::Retrying,
    };
    Crash {
        id: row.id.to_string(),
        state: next.as_str(),
        reason: row.running.then_some(CRASHED),
        crashes,
        attempt: row.attempt,
        finished_at: next.is_final().then_some(now.millis()),
        outcome: row.running.then_some(CRASHED),
        error: row.running.then_some("its replica stopped renewing the lease"),
    }
}
