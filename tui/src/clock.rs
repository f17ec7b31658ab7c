//! Time as an argument: how long the console has been running, and what the wall says.
//! Only the loop and the pollers read a clock; a model and a view are told what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The clock that also goes on while a machine sleeps: what was known before the lid was closed is old when it is opened, and
/// what was unlocked is locked. Elsewhere than on Linux the one that is called monotonic does so, or there is none.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ELAPSED: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ELAPSED: ClockId = ClockId::Monotonic;

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
pub(crate) struct Clock(Duration);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(elapsed())
    }

    pub(crate) fn at(self) -> At {
        elapsed().saturating_sub(self.0)
    }

    pub(crate) fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { at: self.at(), unix_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
    }
}

/// Since the machine was started.
fn elapsed() -> Duration {
    // Neither part is ever negative.
    let time = clock_gettime(ELAPSED);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_laptop_that_slept_is_not_unlocked_when_it_wakes() {
        assert_eq!(ELAPSED, ClockId::Boottime, "it is the only clock that counts sleep");
        let clock = Clock::start();
        assert!(clock.at() < Duration::from_secs(60), "{:?}", clock.at());
    }
}
