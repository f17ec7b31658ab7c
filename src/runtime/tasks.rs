//! The only place that spawns: every task has a name, is counted, and is waited for or ended at shutdown.
//! What a task does is the business of whoever hands it in.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of this process.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// What goes on until all others have ended, and when it has to end.
    last: TaskTracker,
    last_stop: CancellationToken,
}

/// The longest that the last tasks may take to end, once they are told: some write a last batch.
const LAST_LIMIT: Duration = Duration::from_secs(3);

impl Tasks {
    /// Starts a task that ends by itself, at the latest when everything stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        drop(self.tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        }));
    }

    /// Starts a task that is told when everything stops and then ends by itself.
    pub fn spawn_graceful<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(CancellationToken) -> F) {
        drop(self.tracker.spawn(task(self.stop.clone())));
    }

    /// Runs something to its end, even where nobody waits for the outcome any more; `None` where it panicked.
    pub async fn spawn_whole<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.tracker.spawn(work).await.ok()
    }

    /// Starts a task that goes on while the others end, and is told when they have: requests that were accepted are
    /// answered out of what it keeps.
    pub fn spawn_last<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(CancellationToken) -> F) {
        drop(self.last.spawn(task(self.last_stop.clone())));
    }

    /// Cancelled when everything stops.
    #[must_use]
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// How many tasks there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.len() + self.last.len()
    }

    /// Tells all tasks to stop and waits for them; `false` where some did not end in time.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(limit, self.tracker.wait()).await.is_ok();
        self.last_stop.cancel();
        self.last.close();
        tokio::time::timeout(LAST_LIMIT, self.last.wait()).await.is_ok() && ended
    }
}
