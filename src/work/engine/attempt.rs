//! One attempt: do the work, then record its end, however long the ledger takes to hear it.
//! Whether it may start was decided before; what follows is decided by the ledger.

use super::Work;
use super::trouble::Backoff;
use crate::work::action::{self, Ended, Job, News};
use crate::work::event::WorkEvent;
use crate::work::ledger::Finish;
use crate::work::run::{Done, RunState};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long after its deadline an action is believed to end by itself; then it is dropped.
const BACKSTOP: Duration = Duration::from_secs(10);

/// How often what a run writes is told and put into the ledger, where other replicas read it.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn make(work: Work, job: Job) {
    let started = Instant::now();
    work.0.in_progress.fetch_add(1, Ordering::Relaxed);
    let _leave = Leave(&work);
    let over = CancellationToken::new();
    let doing = async {
        let ended = perform(&job).await;
        over.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(doing, tell_output(&work, &job, &over));
    let took = started.elapsed();
    record(&work, &job, ended, took).await;
}

async fn perform(job: &Job) -> Ended {
    if job.attempt > 1 && job.claim.worker.action.writes() {
        go_on(job).await;
    }
    let ended = match timeout_at(job.deadline + BACKSTOP, action::run(job)).await {
        Ok(ended) => ended,
        Err(_) => Ended::Open(Done::timed_out(job.timeout())),
    };
    match ended {
        Ended::Open(done) => Ended::Open(Done { output: job.live.finish(), ..done }),
        Ended::Recorded(finish) => Ended::Recorded(finish),
    }
}

/// A run has one output, whatever the number of its attempts: offsets go on, and the first failure can still be read.
async fn go_on(job: &Job) {
    match job.ledger.output(job.claim.run, 0).await {
        Ok(Some(earlier)) if earlier.next > 0 => {
            let line = if earlier.data.ends_with('\n') { "" } else { "\n" };
            job.live.go_on(&earlier.data, earlier.next);
            job.live.push(format!("{line}--- attempt {} ---\n", job.attempt).as_bytes());
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, run = %job.claim.run, "what earlier attempts wrote is not kept"),
    }
}

/// Tells what is written until the attempt is over. What the ledger does not take now stands in the record of the end.
async fn tell_output(work: &Work, job: &Job, over: &CancellationToken) {
    let (worker, run) = (&job.claim.worker.name, job.claim.run);
    let tell = |text, next| work.tell(&WorkEvent::Output { worker: worker.clone(), run, text, next });
    loop {
        tokio::select! {
            () = over.cancelled() => break,
            () = sleep(TELL_EVERY) => {}
        }
        let Some(News { output, text, next }) = job.live.news() else { continue };
        if let Err(error) = job.ledger.write_output(&job.claim, &output).await {
            tracing::debug!(%error, %worker, %run, "what a run writes waits for the ledger");
        }
        tell(text, next);
    }
    if let Some(News { text, next, .. }) = job.live.news() {
        tell(text, next);
    }
}

/// Records the end of an attempt whose task did not survive it.
pub(super) async fn bury(work: Work, job: Job) {
    let done = Done::failed("the program failed while it made this attempt");
    let done = Done { output: job.live.finish(), ..done };
    record(&work, &job, Ended::Open(done), Duration::ZERO).await;
}

async fn record(work: &Work, job: &Job, ended: Ended, took: Duration) {
    let finish = match ended {
        Ended::Recorded(finish) => Some(finish),
        Ended::Open(done) => finish(job, &done).await,
    };
    let (worker, run) = (job.claim.worker.name.clone(), job.claim.run);
    match finish {
        Some(Finish::Recorded { state, at }) => {
            work.tell(&WorkEvent::Finished { worker, run, state, took, at });
            if state == RunState::Succeeded {
                work.ping(job);
            }
        }
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
