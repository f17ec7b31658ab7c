//! The clock of the database, told by the local monotonic one, so that a timer can meet an instant exactly.
//! It trusts the reading with the shortest way and forgets it after a while, for clocks drift and are set.

use crate::clock::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// After how long any reading is better than the one at hand.
const STALE: Duration = Duration::from_secs(10);

/// One instant on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    local: Instant,
    database: Timestamp,
    /// How long the reading took; the error is at most half of it.
    took: Duration,
}

impl Clock {
    /// A reading that was asked for at `asked` and has just arrived.
    pub(super) fn read(asked: Instant, database: Timestamp) -> Self {
        let took = asked.elapsed();
        Self { local: asked + took / 2, database, took }
    }

    /// The better one of this and a newer reading.
    #[must_use]
    pub(super) fn better(self, newer: Self) -> Self {
        let close = newer.took <= self.took.saturating_mul(2) || newer.took < Duration::from_millis(2);
        if close || newer.local.saturating_duration_since(self.local) > STALE { newer } else { self }
    }

    /// When the database's clock will show an instant; now, if it lies back.
    pub(super) fn local(&self, instant: Timestamp) -> Instant {
        let (ahead, back) = (instant.since(self.database), self.database.since(instant));
        self.local.checked_sub(back).unwrap_or(self.local) + ahead
    }
}
