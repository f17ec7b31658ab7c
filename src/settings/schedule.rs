//! When a worker is due: cron in a time zone, or every so often since the epoch. Pure: `now` is an argument.
//! Recording and running what is due is `crate::work`.

use crate::clock::Timestamp;
use std::time::Duration;

/// A valid schedule that has at least one future tick.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Multiples of a period since the epoch, so that all replicas agree.
    Every(Duration),
}

impl Schedule {
    /// The first tick strictly after an instant, or `None` where there is none within the search limit.
    #[must_use]
    pub fn next_after(&self, _now: Timestamp) -> Option<Timestamp> {
        None
    }
}
