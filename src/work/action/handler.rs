//! A Rust function of the embedding program, in a task of its own: a panic is a failed run, and what ignores its cancellation is dropped.
//! Whether the function is registered was checked when the file was read.

use super::Job;
use crate::store::handles::Stores;
use crate::work::handler::Run;
use crate::work::run::Done;
use std::any::Any;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long a handler may take to end by itself after it was told to: as long as a command.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(job: &Job, name: &str) -> Done {
    let Some(handler) = job.handlers.get(name) else {
        return Done::failed(format!("no handler `{name}` is registered in this process"));
    };
    let cancel = CancellationToken::new();
    // Dropping the set ends the task: it never outlives its run.
    let mut task = JoinSet::new();
    task.spawn(handler(told(job, cancel.clone())));
    tokio::select! {
        Some(ended) = task.join_next() => return judge(ended),
        () = job.cancel.cancelled() => {}
        () = sleep_until(job.deadline) => {}
    }
    let stopped = job.stopped();
    cancel.cancel();
    // Whatever it says now, it was stopped.
    drop(timeout(CANCEL_GRACE, task.join_next()).await);
    stopped
}

fn told(job: &Job, cancel: CancellationToken) -> Run {
    Run {
        id: job.claim.run,
        worker: job.claim.worker.name.clone(),
        tick_at: job.claim.tick_at,
        attempt: job.attempt,
        cancel,
        stores: Stores::new(job.plan.stores.clone()),
        live: job.live.clone(),
    }
}

fn judge(ended: Result<Result<(), String>, JoinError>) -> Done {
    match ended {
        Ok(Ok(())) => Done::succeeded(None),
        Ok(Err(why)) => Done::failed(why),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Done::failed(format!("the handler panicked: {}", words(&*panic))),
            Err(_) => Done::failed("the handler was dropped"),
        },
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}
