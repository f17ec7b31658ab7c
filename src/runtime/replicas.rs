//! Tells the other replicas that this one lives, what runs in it, and how far it has followed the keys.
//! It never holds up the following: a row that cannot be written makes others wait, not this one's answers old.

use super::{App, Part};
use crate::keys::About;
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// From one sign of life to the next where nothing happens: well within the least `keys.max_staleness` that makes sense,
/// and no load on anybody's disk.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// After a sign that could not be written: as soon as the store is back, others should know.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The longest that the end of the process waits to say so.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// Begins to tell, until the end; then says that it goes.
pub(super) fn begin(app: &Arc<App>) {
    let telling = Arc::clone(app);
    app.tasks.spawn_last(move |stop| async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep_telling(&telling) => {}
        }
        leave(&telling).await;
    });
}

async fn keep_telling(app: &App) {
    loop {
        let told = tell(app).await;
        if told.is_ok() && app.snapshot().settings.keys.rate_limit_store.is_some() {
            // Where it fails, the last count stays: it only matters while a Redis is away.
            drop(app.keys.count_replicas().await);
        }
        let pause = if told.is_ok() { BEAT_EVERY } else { TRY_AGAIN_AFTER };
        tokio::select! {
            () = app.keys.further() => {}
            () = app.committed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Writes one sign of life. Before its tables are there, a home knows nobody; that it cannot be reached is told by whoever
/// follows it.
pub(super) async fn tell(app: &App) -> Result<(), StoreError> {
    match app.keys.beat(&about(app)).await {
        Err(error) if !error.is_outage() && !error.is_schema_behind() => {
            tracing::warn!("this replica cannot be registered with the keys: the store {error}");
            Err(error)
        }
        told => told,
    }
}

async fn leave(app: &App) {
    let left = tokio::time::timeout(LEAVE_LIMIT, app.keys.leave()).await;
    if !matches!(left, Ok(Ok(()))) {
        tracing::warn!(
            "the other replicas count this one until keys.max_staleness is over: it could not say that it goes"
        );
    }
}

fn about(app: &App) -> About {
    let snapshot = app.snapshot();
    About {
        role: match app.part {
            Part::Serve => "serve",
            Part::Worker => "worker",
        },
        follows_keys: app.part == Part::Serve,
        started_at: app.started_at,
        generation: snapshot.generation,
        hash: snapshot.settings.hash.to_string(),
        ready: app.is_ready(),
        running: app.work.in_progress() as u64,
    }
}
