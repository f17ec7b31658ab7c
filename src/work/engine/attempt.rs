//! One attempt: do the work, then record its end, however long the ledger takes to hear it.
//! Whether it may start was decided before; what follows is decided by the ledger.

use super::Work;
use super::trouble::Backoff;
use crate::work::action::{self, Ended, Job};
use crate::work::event::WorkEvent;
use crate::work::ledger::Finish;
use crate::work::run::Done;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long after its deadline an action is believed to end by itself; then it is dropped.
const BACKSTOP: Duration = Duration::from_secs(10);

pub(super) async fn make(work: Work, job: Job) {
    let started = Instant::now();
    work.0.in_progress.fetch_add(1, Ordering::Relaxed);
    let _leave = Leave(&work);
    let ended = match timeout_at(job.deadline + BACKSTOP, action::run(&job)).await {
        Ok(ended) => ended,
        Err(_) => Ended::Open(Done::timed_out(job.timeout())),
    };
    let took = started.elapsed();
    record(&work, &job, ended, took).await;
}

/// Records the end of an attempt whose task did not survive it.
pub(super) async fn bury(work: Work, job: Job) {
    record(&work, &job, Ended::Open(Done::failed("the program failed while it made this attempt")), Duration::ZERO)
        .await;
}

async fn record(work: &Work, job: &Job, ended: Ended, took: Duration) {
    let finish = match ended {
        Ended::Recorded(finish) => Some(finish),
        Ended::Open(done) => finish(job, &done).await,
    };
    let (worker, run) = (job.claim.worker.name.clone(), job.claim.run);
    match finish {
        Some(Finish::Recorded { state, at }) => work.tell(&WorkEvent::Finished { worker, run, state, took, at }),
        Some(Finish::Lost) => {
            tracing::warn!(%worker, %run, "the lease of a run was lost; its end is recorded by another replica");
            work.tell(&WorkEvent::LeaseLost { worker, run });
        }
        None => {
            tracing::warn!(%worker, %run, "the end of a run could not be recorded before the process stopped")
        }
    }
}

/// Tries until the ledger has heard it; once the run was cancelled, only that one time.
async fn finish(job: &Job, done: &Done) -> Option<Finish> {
    let mut backoff = Backoff::new();
    loop {
        match job.ledger.finish(&job.claim, done).await {
            Ok(finish) => return Some(finish),
            Err(error) if job.cancel.is_cancelled() => {
                tracing::warn!(%error, run = %job.claim.run, "the end of a cancelled run was not recorded");
                return None;
            }
            Err(_) => tokio::select! {
                () = sleep(backoff.next()) => {}
                () = job.cancel.cancelled() => {}
            },
        }
    }
}

/// Leaves the count of runs in progress, also by a panic.
struct Leave<'w>(&'w Work);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}
