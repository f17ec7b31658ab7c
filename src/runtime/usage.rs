//! Writes how keys are used, now and then, and takes in what other replicas wrote about their last uses.
//! Nothing waits for it: a store that is away makes counts wait in memory, within bounds.

use super::App;
use crate::clock::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From one batch to the next: what a crash loses, and what a store is asked to write at once.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// From one reading of last uses to the next, on other replicas too: they are written to the minute.
const READ_EVERY: Duration = Duration::from_secs(60);
/// How much further back a reading goes than the last one: a transaction may commit what it wrote a while ago, and
/// replicas' clocks differ.
const OVERLAP: Duration = Duration::from_secs(120);
/// From one deletion of old counts to the next.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// The longest that the end of the process waits for the last batch.
const LAST_LIMIT: Duration = Duration::from_secs(2);

/// Begins to write, until the end.
pub(super) fn begin(app: &Arc<App>) {
    let keeping = Arc::clone(app);
    app.tasks.spawn_last(move |stop| async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep(&keeping) => {}
        }
        if !matches!(tokio::time::timeout(LAST_LIMIT, keeping.keys.write_usage()).await, Ok(Ok(_))) {
            tracing::warn!("the last uses of keys before the end are not counted: they could not be written");
        }
    });
}

async fn keep(app: &App) {
    let (mut read, mut forgot): (Option<(Instant, Timestamp)>, Option<Instant>) = (None, None);
    loop {
        tokio::time::sleep(WRITE_EVERY).await;
        // That a store is away is told by whoever follows it; what was counted waits.
        if !app.has_keys() || app.keys.write_usage().await.is_err() {
            continue;
        }
        if read.is_none_or(|(at, _)| at.elapsed() >= READ_EVERY) {
            // The first reading is the loading of the index itself.
            let (now, since) = (Timestamp::now(), read.map_or(app.started_at, |(_, since)| since));
            if app.keys.read_last_used(since.before(OVERLAP)).await.is_ok() {
                read = Some((Instant::now(), now));
            }
        }
        if forgot.is_none_or(|at| at.elapsed() >= FORGET_EVERY) && app.keys.forget_usage(Timestamp::now()).await.is_ok()
        {
            forgot = Some(Instant::now());
        }
    }
}
