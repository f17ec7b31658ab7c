//! Reading what was recorded of runs and workers, and deleting what is no longer kept.
//! Nothing here changes a run, and nothing is counted over the runs.

use super::book::{Answer, Book};
use super::rows::{instant, small, worker_name};
use super::{Overview, RETAIN_BATCH, WorkerRecord};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::settings::workers::History;
use crate::work::cadence;
use crate::work::run::{RunId, RunState};
use crate::work::view::{AttemptView, Counts, Page, RunView};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The most runs of one answer.
const MAX_PAGE: u32 = 500;
/// For how long outcomes are kept by the hour.
const COUNTED: Duration = Duration::from_secs(8 * 24 * 3600);
/// Over how long outcomes are told.
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn runs(
    book: &mut impl Book,
    worker: &WorkerName,
    limit: u32,
    after: Option<RunId>,
) -> Answer<Page<RunView>> {
    let limit = limit.clamp(1, MAX_PAGE);
    let mut items = book.runs(worker.as_str(), after, i64::from(limit) + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|run| run.id);
    let items = with_attempts(book, items).await?;
    Ok(Page { items, next })
}

pub(super) async fn run(book: &mut impl Book, id: RunId) -> Answer<Option<RunView>> {
    let found = book.run(id).await?;
    Ok(with_attempts(book, found.into_iter().collect()).await?.pop())
}

pub(super) async fn recent(
    book: &mut impl Book,
    workers: &[&WorkerName],
) -> Answer<BTreeMap<WorkerName, Vec<RunView>>> {
    let mut recent = BTreeMap::new();
    for worker in workers {
        recent.insert((*worker).clone(), book.recent_runs(worker.as_str(), i64::from(cadence::JUDGED)).await?);
    }
    Ok(recent)
}

async fn with_attempts(book: &mut impl Book, mut runs: Vec<RunView>) -> Answer<Vec<RunView>> {
    let ids: Vec<RunId> = runs.iter().filter(|run| run.attempt > 0).map(|run| run.id).collect();
    let mut attempts: HashMap<RunId, Vec<AttemptView>> = HashMap::new();
    if !ids.is_empty() {
        for (run, attempt) in book.attempts(&ids).await? {
            attempts.entry(run).or_default().push(attempt);
        }
    }
    for run in &mut runs {
        run.attempts = attempts.remove(&run.id).unwrap_or_default();
    }
    Ok(runs)
}

pub(super) async fn overview(book: &mut impl Book) -> Answer<Overview> {
    let now = book.now().await?;
    let mut workers: BTreeMap<WorkerName, WorkerRecord> = BTreeMap::new();
    for row in book.records().await? {
        let record = WorkerRecord {
            spec_hash: row.spec_hash,
            next_at: instant(row.next_at),
            paused: row.paused,
            last_success_at: instant(row.last_success_at),
            scheduled_since: instant(row.scheduled_since),
            consecutive_failures: small(row.consecutive_failures),
            ..WorkerRecord::default()
        };
        workers.insert(worker_name(&row.worker)?, record);
    }
    for (worker, running, waiting_since) in book.open().await? {
        if let Some(record) = workers.get_mut(worker.as_str()) {
            record.running = running;
            record.waiting_since = instant(waiting_since);
        }
    }
    for (worker, outcome, n) in book.counts(now.before(DAY)).await? {
        if let Some(record) = workers.get_mut(worker.as_str()) {
            add(&mut record.counts_24h, &outcome, u64::try_from(n).unwrap_or(0));
        }
    }
    let last_runs = book.last_runs().await?;
    for run in with_attempts(book, last_runs).await? {
        if let Some(record) = workers.get_mut(&run.worker) {
            record.last_run = Some(run);
        }
    }
    Ok(Overview { now, workers })
}

fn add(counts: &mut Counts, outcome: &str, n: u64) {
    match RunState::parse(outcome) {
        Some(RunState::Succeeded) => counts.succeeded += n,
        Some(RunState::Failed | RunState::TimedOut | RunState::Cancelled) => counts.failed += n,
        Some(RunState::Skipped) => counts.skipped += n,
        Some(RunState::Missed) => counts.missed += n,
        Some(RunState::Lost) => counts.lost += n,
        _ => {}
    }
}

/// The last run of a worker stays, however old it is.
pub(super) async fn retain(book: &mut impl Book, history: &History) -> Answer<u64> {
    let now = book.now().await?;
    let old = book.delete_old(now.before(history.keep), RETAIN_BATCH).await?;
    book.delete_counts(now.before(COUNTED)).await?;
    Ok(old + book.delete_surplus(i64::from(history.max_runs_per_worker), RETAIN_BATCH).await?)
}

/// The start of the hour that an instant lies in: outcomes are counted by the hour.
pub(super) fn hour_of(instant: Timestamp) -> i64 {
    instant.millis().div_euclid(3_600_000)
}
