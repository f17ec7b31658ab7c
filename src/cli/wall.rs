//! Instants as people say and read them: on the wall clock of a time zone, with the days on which that clock is changed.
//! When a worker is due is not decided here.

use crate::clock::{Timestamp, parse_duration};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::str::FromStr;

/// What was typed for an instant: one of its own, or a date and time that means one only in some zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// `2026-03-08T07:00:00Z`, or so long before or after now.
    Instant(Timestamp),
    /// `2026-03-08` or `2026-03-08T02:30`.
    Civil(DateTime),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let now = Timestamp::now();
        if text == "now" {
            return Ok(Self::Instant(now));
        }
        if let Some((sign, length)) = text.split_at_checked(1).filter(|(sign, _)| matches!(*sign, "-" | "+")) {
            let length = parse_duration(length).ok_or("is no length of time such as +30m or -2d")?;
            return Ok(Self::Instant(if sign == "-" { now.before(length) } else { now.after(length) }));
        }
        let civil = || text.parse::<DateTime>().map(Self::Civil).ok();
        Timestamp::parse(text).map(Self::Instant).or_else(civil).ok_or_else(|| {
            "must be an instant such as 2026-03-08T07:00:00Z, a date such as 2026-03-08, now, +30m or -2d".to_owned()
        })
    }
}

impl Moment {
    /// The instant that is meant in a zone; a time that the zone skips is the first after the gap, one that it repeats the
    /// earlier of both.
    pub(super) fn in_zone(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Civil(civil) => {
                zone.to_ambiguous_timestamp(civil).compatible().map_or(Timestamp::EPOCH, Timestamp::from_jiff)
            }
        }
    }

    /// The instant that is meant where nobody speaks of a zone: in UTC.
    pub(super) fn in_utc(self) -> Timestamp {
        self.in_zone(&TimeZone::UTC)
    }
}

/// An instant on the wall clock of a zone: `2026-03-08T03:00:00-04:00`.
pub(super) fn local(instant: Timestamp, zone: &TimeZone) -> String {
    instant.to_jiff().to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// What is done to the clock of a zone on the day of an instant: `clocks +1h at 2026-03-08T03:00:00-04:00`.
pub(super) fn clock_change(instant: Timestamp, zone: &TimeZone) -> Option<String> {
    let day = instant.to_jiff().to_zoned(zone.clone());
    let (begins, ends) = (day.start_of_day().ok()?, day.tomorrow().ok()?.start_of_day().ok()?);
    let change = zone.following(begins.timestamp()).next().filter(|change| change.timestamp() < ends.timestamp())?;
    let moved = change.offset().seconds() - begins.offset().seconds();
    if moved == 0 {
        return None;
    }
    let sign = if moved > 0 { '+' } else { '-' };
    let length = crate::clock::write_duration(std::time::Duration::from_secs(u64::from(moved.unsigned_abs())));
    Some(format!("clocks {sign}{length} at {}", local(Timestamp::from_jiff(change.timestamp()), zone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_date_means_its_midnight_in_the_zone_that_is_spoken_of() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let moment: Moment = "2026-03-08".parse().unwrap();
        assert_eq!(moment.in_zone(&zone), at("2026-03-08T05:00:00Z"));
        assert_eq!(moment.in_utc(), at("2026-03-08T00:00:00Z"));
        let skipped: Moment = "2026-03-08T02:30".parse().unwrap();
        assert_eq!(skipped.in_zone(&zone), at("2026-03-08T07:30:00Z"));
        assert_eq!("2026-03-08T02:30:00+01:00".parse(), Ok(Moment::Instant(at("2026-03-08T01:30:00Z"))));
        for bad in ["yesterday", "-soon", "2026-13-01", ""] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_on_which_the_clock_is_changed_says_by_how_much() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let told = |text| clock_change(at(text), &zone);
        assert_eq!(told("2026-03-08T12:00:00Z").as_deref(), Some("clocks +1h at 2026-03-08T03:00:00-04:00"));
        assert_eq!(told("2026-11-01T05:30:00Z").as_deref(), Some("clocks -1h at 2026-11-01T01:00:00-05:00"));
        assert_eq!((told("2026-03-09T12:00:00Z"), told("2026-03-07T12:00:00Z")), (None, None));
        let lord_howe = TimeZone::get("Australia/Lord_Howe").unwrap();
        let half = clock_change(at("2026-10-03T18:00:00Z"), &lord_howe);
        assert!(half.is_some_and(|half| half.starts_with("clocks +30m at")));
    }
}
