//! Compares the key index with its database now and then, and whenever that was away: what was changed there without an event
//! is taken over and told. It never holds up the following.

use super::App;
use std::sync::Arc;
use std::time::Duration;

/// From one comparison to the next.
const COMPARE_EVERY: Duration = Duration::from_secs(600);
/// After one that could not be made: connections of before the outage fail once each.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Begins to compare.
pub(super) fn begin(app: &Arc<App>) {
    let comparing = Arc::clone(app);
    app.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = comparing.keys.suspected() => {}
                () = tokio::time::sleep(COMPARE_EVERY) => {}
            }
            while comparing.has_keys() && !compare(&comparing).await {
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
        }
    });
}

/// Whether it could be done. That the database cannot be reached is told by whoever follows it.
async fn compare(app: &App) -> bool {
    match app.keys.compare().await {
        Ok(None) => true,
        Ok(Some(edited)) => {
            let (keys, example) = (edited.keys, edited.example);
            tracing::warn!(keys, %example, "keys were changed in the database without an event: what stands there was taken over");
            true
        }
        Err(error) => {
            tracing::debug!("the key index could not be compared with its database: the store {error}");
            false
        }
    }
}
