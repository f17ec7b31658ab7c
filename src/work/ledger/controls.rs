//! What operators do with workers and runs: pause, resume, cancel.
//! A pause ends no run in progress, and each tick that it leaves out is recorded.

use super::book::{Answer, Book, Stored};
use super::rows::worker_name;
use super::takeover::{PAUSED, span, whole_stretch};
use super::{Recorded, Workers, schedules};
use crate::clock::Timestamp;
use crate::settings::workers::Worker;
use crate::work::run::{RunId, RunState};
use crate::work::view::Pause;

/// Whether there was a row to change, and what came to its end by it.
type Changed = Option<Vec<Recorded>>;

/// Pauses a worker; ticks that were recorded ahead and those that wait are skipped.
pub(super) async fn pause(
    book: &mut impl Book,
    worker: &Worker,
    by: &str,
    reason: &str,
    until: Option<Timestamp>,
) -> Answer<Changed> {
    let name = worker.name.as_str();
    let now = book.lock_workers(&[name]).await?;
    let Some(row) = book.schedule(name).await?.filter(|row| !row.retired) else {
        return Ok(None);
    };
    // A second pause keeps the beginning of the first: since then nothing has run.
    let at = row.paused_at.map_or(now, Timestamp::from_millis);
    let pause = Pause { by: by.to_owned(), at, reason: Some(reason.to_owned()), until };
    book.set_pause(name, Some(&pause)).await?;
    let count = book.skip_waiting(name, PAUSED, now).await?;
    let recorded = Recorded { worker: worker.name.clone(), state: RunState::Skipped, reason: PAUSED, count };
    let recorded: Vec<Recorded> = Some(recorded).filter(|recorded| recorded.count > 0).into_iter().collect();
    schedules::count(book, &recorded, now).await?;
    Ok(Some(recorded))
}

/// Ends the pause of a worker now.
pub(super) async fn resume(book: &mut impl Book, worker: &Worker) -> Answer<Changed> {
    let name = worker.name.as_str();
    let now = book.lock_workers(&[name]).await?;
    match book.schedule(name).await?.filter(|row| !row.retired) {
        None => Ok(None),
        Some(row) if row.paused_at.is_none() => Ok(Some(Vec::new())),
        Some(row) => {
            let recorded = end_pause(book, worker, &row, now).await?;
            Ok(Some(recorded.into_iter().collect()))
        }
    }
}

/// Ends pauses whose time has come.
pub(super) async fn end_pauses(book: &mut impl Book, workers: &Workers) -> Answer<Vec<Recorded>> {
    let now = book.now().await?;
    let mut over = book.pauses_over(now).await?;
    over.retain(|name| workers.contains_key(name.as_str()));
    over.sort_unstable();
    book.lock_workers(&over.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let mut recorded = Vec::new();
    for name in over {
        let (row, worker) = (book.schedule(&name).await?, workers.get(name.as_str()));
        let Some((row, worker)) = row.zip(worker) else { continue };
        // Another replica may have been first, or somebody paused it again.
        let until = row.paused_until.map(Timestamp::from_millis).filter(|until| *until <= now);
        if let Some(until) = until.filter(|_| row.spec_hash == worker.spec_hash) {
            recorded.extend(end_pause(book, worker, &row, until).await?);
        }
    }
    Ok(recorded)
}

/// The ticks of the pause are recorded as one stretch.
async fn end_pause(book: &mut impl Book, worker: &Worker, row: &Stored, until: Timestamp) -> Answer<Option<Recorded>> {
    book.set_pause(&row.worker, None).await?;
    let Some(from) = row.next_at.map(Timestamp::from_millis).filter(|at| *at <= until) else {
        return Ok(None);
    };
    let (to, count) = whole_stretch(&worker.schedule, from, until);
    let skipped = span(&row.worker, &row.spec_hash, (RunState::Skipped, PAUSED), (from, to, count));
    let now = book.now().await?;
    book.insert_spans(&[skipped], now).await?;
    book.set_next(&row.worker, worker.schedule.next_after(to).map(Timestamp::millis)).await?;
    let recorded = Recorded { worker: worker_name(&row.worker)?, state: RunState::Skipped, reason: PAUSED, count };
    schedules::count(book, std::slice::from_ref(&recorded), now).await?;
    Ok(Some(recorded))
}

/// Ends a run that waits, or asks whoever has it to stop it; `None`: there is no such run.
pub(super) async fn cancel(book: &mut impl Book, id: RunId, by: &str) -> Answer<Option<()>> {
    let Some(run) = book.run(id).await? else {
        return Ok(None);
    };
    let now = book.lock_workers(&[run.worker.as_str()]).await?;
    if book.cancel_idle(id, &format!("cancelled by {by}"), now).await? {
        let recorded = Recorded { worker: run.worker, state: RunState::Cancelled, reason: "cancelled", count: 1 };
        schedules::count(book, &[recorded], now).await?;
    } else {
        book.ask_to_cancel(id, by, now).await?;
    }
    Ok(Some(()))
}
