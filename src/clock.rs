//! Instants and lengths of time as Monolith writes, stores and computes with them.
//! `Timestamp::now` is the only place that reads the wall clock; everything pure takes `now` as an argument.

use jiff::Timestamp as Instant;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

/// The years that RFC 3339 can write: 0001 to 9999, in milliseconds since the epoch.
const FIRST: i64 = -62_135_596_800_000;
const LAST: i64 = 253_402_207_199_999;

/// An instant in UTC, to the millisecond, as it stands in every database, body and log of Monolith.
/// Counted from just before the first one, so that an instant that may be missing takes no more room: a million keys
/// have six of those each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The epoch, for arithmetic and tests.
    pub const EPOCH: Self = Self::from_millis(0);

    /// The wall clock, now.
    #[must_use]
    pub fn now() -> Self {
        Self::from_jiff(Instant::now())
    }

    /// From milliseconds since the epoch, held to the years 0001 to 9999 that RFC 3339 can write.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        let held = if millis < FIRST {
            FIRST
        } else if millis > LAST {
            LAST
        } else {
            millis
        };
        Self(NonZeroU64::MIN.saturating_add(held.abs_diff(FIRST)))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.get().cast_signed() - 1 + FIRST
    }

    /// Reads RFC 3339, with any offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Instant>().ok().map(Self::from_jiff)
    }

    /// This instant and a length of time after it.
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self::from_millis(self.millis().saturating_add(millis(length)))
    }

    /// This instant less a length of time.
    #[must_use]
    pub fn before(self, length: Duration) -> Self {
        Self::from_millis(self.millis().saturating_sub(millis(length)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis().saturating_sub(earlier.millis())).unwrap_or(0))
    }

    /// The same instant in the library that knows zones.
    #[must_use]
    pub fn to_jiff(self) -> Instant {
        Instant::from_millisecond(self.millis()).unwrap_or(Instant::UNIX_EPOCH)
    }

    /// From the library that knows zones, cut to the millisecond.
    #[must_use]
    pub fn from_jiff(instant: Instant) -> Self {
        Self::from_millis(instant.as_millisecond())
    }
}

impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Self::from_millis(millis)
    }
}

impl From<Timestamp> for i64 {
    fn from(instant: Timestamp) -> Self {
        instant.millis()
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.millis()).finish()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-11-24T03:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a length of time: whole numbers with `ms`, `s`, `m`, `h` or `d`, from large to small, as in `1h30m`.
/// `None` where the text is anything else, a unit stands twice, or the sum passes 100 years.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    const LONGEST: u64 = 100 * 366 * 86_400_000;
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.as_slice();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let found = units.iter().position(|(name, _)| *name == unit)?;
        let (_, factor) = units.get(found)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        units = units.get(found + 1..)?;
        rest = tail;
    }
    (!text.is_empty() && total <= LONGEST).then(|| Duration::from_millis(total))
}

/// Writes a length of time as [`parse_duration`] reads it, in the largest whole units: `1h30m`, `0s`.
#[must_use]
pub fn write_duration(length: Duration) -> String {
    let mut rest = length.as_millis();
    let mut text = String::new();
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = rest / factor;
        rest %= factor;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_written_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_795_489_200_000).to_string(), "2026-11-24T03:00:00.000Z");
        assert_eq!(Timestamp::parse("2026-11-24T05:00:00.0019+02:00"), Some(Timestamp::from_millis(1_795_489_200_001)));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn an_instant_that_may_be_missing_takes_no_more_room_and_keeps_its_order() {
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<i64>());
        let instants = [i64::MIN, FIRST, -1, 0, 1, 1_795_489_200_000, LAST, i64::MAX].map(Timestamp::from_millis);
        assert!(instants.is_sorted());
        assert_eq!(instants.map(Timestamp::millis), [FIRST, FIRST, -1, 0, 1, 1_795_489_200_000, LAST, LAST]);
    }

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "s", "1.5s", "-1s", "5 s", "1m1h", "1s1s", "5w", "99999999999999999999s", "40000d", "５s"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_written_length_is_read_back_the_same(millis in 0u64..10_000_000_000) {
            let length = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&write_duration(length)), Some(length));
        }
    }
}
