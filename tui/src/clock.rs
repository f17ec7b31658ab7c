//! Time as an argument: how long the console has been running, and what the wall says.
//! Only the loop and the pollers read a clock; a model and a view are told what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long after the start of the console something was; ages are differences of these, so no clock that is set moves them.
pub(crate) type At = Duration;

/// A moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since the start of the console.
    pub(crate) at: At,
    /// The wall clock of this machine, in milliseconds since 1970.
    pub(crate) unix_ms: i64,
}

/// The clock of one console.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn at(self) -> At {
        self.0.elapsed()
    }

    pub(crate) fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { at: self.at(), unix_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
    }
}

/// An instant of the API in milliseconds since 1970; `None` where the text is none.
pub(crate) fn unix_ms(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// The other way round, to the second: `2026-01-31T08:15:00Z`.
pub(crate) fn rfc3339(unix_ms: i64) -> String {
    let time = jiff::Timestamp::from_second(unix_ms.div_euclid(1000)).unwrap_or_default();
    time.to_string()
}
