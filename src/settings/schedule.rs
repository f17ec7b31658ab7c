//! When a worker is due: cron in a time zone, or every so often since the epoch. Pure: `now` is an argument.
//! Recording and running what is due is `crate::work`.

use crate::clock::{Timestamp, parse_duration, write_duration};
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The shortest period: below it the record of a run costs more than most runs.
pub const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
/// The longest period: beyond ten years it is a typing error.
pub const LONGEST_PERIOD: Duration = Duration::from_secs(3660 * 86_400);
/// The most cron ticks that one look at a stretch counts, so that a long outage is worked off in bounded steps.
const MAX_STRETCH: u64 = 10_000;
/// The nicknames, as they may stand instead of five fields.
const NICKNAMES: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// A valid schedule that had at least one future tick when it was made.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Multiples of a period since the epoch, so that all replicas agree.
    Every(Every),
    /// A cron expression on the wall clock of a time zone.
    Cron(Box<Cron>),
}

/// A period, in whole milliseconds, at least [`SHORTEST_PERIOD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every {
    millis: i64,
}

/// A cron expression in a time zone. A time that a zone skips is due at the first instant after the gap; one that a zone repeats
/// is due once, and interval patterns (`*/30`) are due through both halves (croner's rules, which are Vixie's).
#[derive(Clone)]
pub struct Cron {
    text: String,
    zone_name: String,
    pattern: croner::Cron,
    zone: TimeZone,
}

/// Why a text is not a cron schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It is not an expression.
    #[error(
        "`{text}` is not a cron expression ({why}): use 5 fields (minute hour day month weekday), 6 with seconds first, \
         or one of @yearly @annually @monthly @weekly @daily @midnight @hourly"
    )]
    Pattern {
        /// What was found.
        text: String,
        /// What the parser says.
        why: String,
    },
    /// The time zone is not known.
    #[error("`{0}` is not a time zone: use an IANA name such as UTC or Europe/Berlin")]
    Zone(String),
    /// It has no future tick.
    #[error("`{0}` can never be due")]
    Never(String),
}

/// The ticks from one known tick up to an instant, counted rather than listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The last tick that was counted.
    pub newest: Timestamp,
    /// How many were counted, both ends included.
    pub count: u64,
    /// Whether the count stopped at its limit before the instant was reached.
    pub cut: bool,
}

impl Schedule {
    /// Due at every multiple of a period since the epoch.
    ///
    /// # Errors
    /// What is allowed, when the period is shorter than a second, longer than ten years or not in whole milliseconds.
    pub fn every(period: Duration) -> Result<Self, String> {
        let millis = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
        let whole = Duration::from_millis(millis.unsigned_abs()) == period;
        if !whole || period < SHORTEST_PERIOD || period > LONGEST_PERIOD {
            return Err(format!("a period of {} is not possible: use 1s to 3660d", write_duration(period)));
        }
        Ok(Self::Every(Every { millis }))
    }

    /// Due when the wall clock of a zone matches an expression.
    ///
    /// # Errors
    /// [`CronError`]: the expression or the zone is not one, or there is no tick after `now`.
    pub fn cron(text: &str, timezone: &str, now: Timestamp) -> Result<Self, CronError> {
        let text = text.trim();
        let not_a_pattern = |why: String| CronError::Pattern { text: text.chars().take(80).collect(), why };
        if text.contains('@') && !NICKNAMES.contains(&text.to_lowercase().as_str()) {
            return Err(not_a_pattern("unknown nickname".into()));
        }
        let zone = TimeZone::get(timezone).map_err(|_| CronError::Zone(timezone.chars().take(80).collect()))?;
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let pattern = parser.parse(text).map_err(|error| not_a_pattern(tidy(&error)))?;
        let cron = Cron { text: text.to_owned(), zone_name: timezone.to_owned(), pattern, zone };
        cron.next_after(now).ok_or_else(|| CronError::Never(text.to_owned()))?;
        Ok(Self::Cron(Box::new(cron)))
    }

    /// The first tick strictly after an instant, or `None` where there is none before the year 5000.
    #[must_use]
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(every) => Some(every.next_after(instant)),
            Self::Cron(cron) => cron.next_after(instant),
        }
    }

    /// The next `n` ticks strictly after an instant; fewer where there are fewer.
    #[must_use]
    pub fn next_n(&self, now: Timestamp, n: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(now), |tick| self.next_after(*tick)).take(n).collect()
    }

    /// The ticks from `from` (included) to `to` (excluded), oldest first, at most `max` of them.
    #[must_use]
    pub fn ticks_between(&self, from: Timestamp, to: Timestamp, max: usize) -> Vec<Timestamp> {
        let first = self.next_after(Timestamp::from_millis(from.millis().saturating_sub(1)));
        std::iter::successors(first, |tick| self.next_after(*tick)).take_while(|tick| *tick < to).take(max).collect()
    }

    /// Counts the ticks from `first`, which is one, up to and including `until`. A period is counted at once, a cron expression
    /// tick by tick and at most 10,000 of them.
    #[must_use]
    pub fn stretch(&self, first: Timestamp, until: Timestamp) -> Stretch {
        match self {
            Self::Every(every) => every.stretch(first, until),
            Self::Cron(cron) => cron.stretch(first, until),
        }
    }

    /// The newest of the ticks from `first`, which is one, up to and including `until`: at most `n`, oldest first.
    #[must_use]
    pub fn newest(&self, first: Timestamp, until: Timestamp, n: usize) -> Vec<Timestamp> {
        match self {
            Self::Every(every) => every.newest(first, until, n),
            Self::Cron(cron) => cron.newest(first, until, n),
        }
    }

    /// Reads what [`Schedule::describe`] wrote; `None` where it is something else.
    #[must_use]
    pub fn from_description(text: &str) -> Option<Self> {
        if let Some(period) = text.strip_prefix("every ") {
            return Self::every(parse_duration(period)?).ok();
        }
        let (expression, zone) = text.rsplit_once(" in ")?;
        Self::cron(expression, zone, Timestamp::EPOCH).ok()
    }

    /// The period in milliseconds; `None` for a cron expression.
    #[must_use]
    pub const fn period_ms(&self) -> Option<u64> {
        match self {
            Self::Every(every) => Some(every.millis.unsigned_abs()),
            Self::Cron(_) => None,
        }
    }

    /// The cron expression as it was written; `None` for a period.
    #[must_use]
    pub fn expression(&self) -> Option<&str> {
        match self {
            Self::Every(_) => None,
            Self::Cron(cron) => Some(&cron.text),
        }
    }

    /// The IANA name of the zone; `None` for a period, which knows no zones.
    #[must_use]
    pub fn timezone(&self) -> Option<&str> {
        match self {
            Self::Every(_) => None,
            Self::Cron(cron) => Some(&cron.zone_name),
        }
    }

    /// In words for people and as an identity: `every 30s`, `*/5 * * * * in Europe/Berlin`. Equal schedules read the same.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Every(every) => {
                format!("every {}", write_duration(Duration::from_millis(every.millis.unsigned_abs())))
            }
            Self::Cron(cron) => format!("{} in {}", cron.text, cron.zone_name),
        }
    }
}

impl Every {
    fn next_after(self, instant: Timestamp) -> Timestamp {
        let periods = instant.millis().div_euclid(self.millis).saturating_add(1);
        Timestamp::from_millis(periods.saturating_mul(self.millis))
    }

    fn stretch(self, first: Timestamp, until: Timestamp) -> Stretch {
        let further = u64::try_from(until.millis().saturating_sub(first.millis()) / self.millis).unwrap_or(0);
        let ahead = i64::try_from(further).unwrap_or(0).saturating_mul(self.millis);
        let newest = first.millis().saturating_add(ahead);
        Stretch { newest: Timestamp::from_millis(newest), count: further + 1, cut: false }
    }

    fn newest(self, first: Timestamp, until: Timestamp, n: usize) -> Vec<Timestamp> {
        let stretch = self.stretch(first, until);
        let n = i64::try_from(stretch.count.min(n as u64)).unwrap_or(0);
        let back =
            |k: i64| Timestamp::from_millis(stretch.newest.millis().saturating_sub(k.saturating_mul(self.millis)));
        (0..n).rev().map(back).collect()
    }
}

impl Cron {
    fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let start = instant.to_jiff().to_zoned(self.zone.clone());
        let next = self.pattern.find_next_occurrence(&start, false).ok()?;
        let tick = Timestamp::from_jiff(next.timestamp());
        (tick > instant).then_some(tick)
    }

    fn stretch(&self, first: Timestamp, until: Timestamp) -> Stretch {
        let mut stretch = Stretch { newest: first, count: 1, cut: false };
        while let Some(tick) = self.next_after(stretch.newest).filter(|tick| *tick <= until) {
            if stretch.count == MAX_STRETCH {
                return Stretch { cut: true, ..stretch };
            }
            stretch = Stretch { newest: tick, count: stretch.count + 1, cut: false };
        }
        stretch
    }

    fn newest(&self, first: Timestamp, until: Timestamp, n: usize) -> Vec<Timestamp> {
        let mut kept = VecDeque::with_capacity(n.min(64));
        let mut next = Some(first);
        while let Some(tick) = next.filter(|tick| *tick <= until && n > 0) {
            if kept.len() == n {
                kept.pop_front();
            }
            kept.push_back(tick);
            next = self.next_after(tick);
        }
        kept.into()
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone_name == other.zone_name
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({:?} in {})", self.text, self.zone_name)
    }
}

/// The parser's sentence in our manner: lower case, without a full stop.
fn tidy(error: &croner::errors::CronError) -> String {
    let text = error.to_string();
    let text =
        text.strip_prefix("Component error: ").or_else(|| text.strip_prefix("Invalid pattern: ")).unwrap_or(&text);
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn next(expression: &str, zone: &str, from: &str, n: usize) -> Vec<String> {
        let schedule = Schedule::cron(expression, zone, at(from)).unwrap();
        schedule.next_n(at(from), n).iter().map(|tick| tick.to_string().replace(":00.000Z", "Z")).collect()
    }

    #[test]
    fn a_period_is_aligned_to_the_epoch() {
        let schedule = Schedule::every(Duration::from_secs(30)).unwrap();
        let ticks = schedule.next_n(at("2026-11-24T03:00:07Z"), 2);
        assert_eq!(ticks, [at("2026-11-24T03:00:30Z"), at("2026-11-24T03:01:00Z")]);
        assert_eq!(schedule.next_after(ticks[0]), Some(ticks[1]), "strictly after");
        assert_eq!(schedule.next_after(Timestamp::from_millis(-1)), Some(Timestamp::EPOCH));
        assert_eq!(schedule.describe(), "every 30s");
    }

    #[test]
    fn a_period_below_a_second_is_refused_and_says_what_is_allowed() {
        for bad in [Duration::ZERO, Duration::from_millis(999), Duration::from_micros(1_500_500), LONGEST_PERIOD * 2] {
            assert!(Schedule::every(bad).unwrap_err().ends_with("use 1s to 3660d"), "{bad:?}");
        }
    }

    #[test]
    fn a_time_in_new_yorks_spring_gap_is_due_right_after_it() {
        let ticks = next("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2);
        assert_eq!(ticks, ["2026-03-08T07:00Z", "2026-03-09T06:30Z"]);
    }

    #[test]
    fn a_time_in_new_yorks_autumn_overlap_is_due_once() {
        let ticks = next("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2);
        assert_eq!(ticks, ["2026-11-01T05:30Z", "2026-11-02T06:30Z"]);
    }

    #[test]
    fn an_interval_goes_through_both_halves_of_new_yorks_overlap() {
        let ticks = next("*/30 * * * *", "America/New_York", "2026-11-01T04:59:59Z", 5);
        assert_eq!(
            ticks,
            ["2026-11-01T05:00Z", "2026-11-01T05:30Z", "2026-11-01T06:00Z", "2026-11-01T06:30Z", "2026-11-01T07:00Z"]
        );
    }

    #[test]
    fn midnight_that_cairo_skips_is_due_at_one() {
        let ticks = next("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2);
        assert_eq!(ticks, ["2026-04-23T22:00Z", "2026-04-24T21:00Z"]);
    }

    #[test]
    fn lord_howes_half_hour_overlap_is_due_once() {
        let ticks = next("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", 2);
        assert_eq!(ticks, ["2026-04-04T14:45Z", "2026-04-05T15:15Z"]);
    }

    #[test]
    fn gaps_and_overlaps_around_the_world() {
        // (expression, zone, from, ticks)
        let table: [(&str, &str, &str, &[&str]); 8] = [
            ("0 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", &["2026-03-08T07:00Z", "2026-03-09T06:00Z"]),
            (
                "*/30 1-3 * * *",
                "America/New_York",
                "2026-03-08T05:59:00Z",
                &[
                    "2026-03-08T06:00Z",
                    "2026-03-08T06:30Z",
                    "2026-03-08T07:00Z",
                    "2026-03-08T07:30Z",
                    "2026-03-09T05:00Z",
                ],
            ),
            (
                "0 * * * *",
                "America/New_York",
                "2026-11-01T04:30:00Z",
                &["2026-11-01T05:00Z", "2026-11-01T06:00Z", "2026-11-01T07:00Z"],
            ),
            ("30 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", &["2026-04-23T22:00Z", "2026-04-24T21:30Z"]),
            ("30 23 * * *", "Africa/Cairo", "2026-10-29T12:00:00Z", &["2026-10-29T20:30Z", "2026-10-30T21:30Z"]),
            ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:30Z", "2026-10-04T15:15Z"]),
            (
                "*/15 1 * * *",
                "Australia/Lord_Howe",
                "2026-04-04T13:59:00Z",
                &["2026-04-04T14:00Z", "2026-04-04T14:15Z", "2026-04-04T14:30Z", "2026-04-04T14:45Z"],
            ),
            ("@daily", "Africa/Cairo", "2026-04-23T12:00:00Z", &["2026-04-23T22:00Z"]),
        ];
        for (expression, zone, from, ticks) in table {
            assert_eq!(next(expression, zone, from, ticks.len()), ticks, "{expression} in {zone}");
        }
    }

    /// What a clock on the wall of a zone shows at an instant.
    fn wall(zone: &TimeZone, instant: Timestamp) -> (i8, i8) {
        let shown = instant.to_jiff().to_zoned(zone.clone());
        (shown.hour(), shown.minute())
    }

    proptest::proptest! {
        /// An interval pattern is due at each minute whose number fits, in both halves of an overlap, and never in a gap.
        #[test]
        fn an_interval_is_due_whenever_the_wall_clock_says_so(
            zone in proptest::sample::select(vec!["America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Europe/Berlin", "Asia/Kolkata", "UTC"]),
            day in 0_i64..365, step in proptest::sample::select(vec![1_i8, 5, 7, 15, 20, 30]),
        ) {
            let begin = Timestamp::from_millis(at("2026-01-01T00:00:00Z").millis() + day * 86_400_000);
            let schedule = Schedule::cron(&format!("*/{step} * * * *"), zone, begin).unwrap();
            let clock = TimeZone::get(zone).unwrap();
            let minutes = (1..=36 * 60).map(|n| Timestamp::from_millis(begin.millis() + n * 60_000));
            let oracle: Vec<Timestamp> = minutes.filter(|minute| wall(&clock, *minute).1 % step == 0).collect();
            let end = Timestamp::from_millis(begin.millis() + 36 * 3_600_000 + 1);
            let found = schedule.ticks_between(Timestamp::from_millis(begin.millis() + 1), end, 10_000);
            proptest::prop_assert_eq!(found, oracle);
        }

        /// A time of day is due once on each day, at it or, where a gap swallows it, right after the gap.
        #[test]
        fn a_time_of_day_is_due_once_a_day(
            zone in proptest::sample::select(vec!["America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Europe/Berlin", "Asia/Kolkata", "UTC"]),
            hour in 0_i8..24, minute in 0_i8..60,
        ) {
            let (begin, end) = (at("2026-01-02T12:00:00Z"), at("2026-12-30T12:00:00Z"));
            let schedule = Schedule::cron(&format!("{minute} {hour} * * *"), zone, begin).unwrap();
            let clock = TimeZone::get(zone).unwrap();
            let ticks = schedule.ticks_between(begin, end, 1_000);
            let mut days: Vec<_> = ticks.iter().map(|tick| tick.to_jiff().to_zoned(clock.clone()).date()).collect();
            proptest::prop_assert!(days.is_sorted());
            days.dedup();
            proptest::prop_assert_eq!(days.len(), ticks.len(), "once on each day");
            proptest::prop_assert!((361..=363).contains(&ticks.len()));
            let moved = ticks.iter().filter(|tick| wall(&clock, **tick) != (hour, minute)).count();
            proptest::prop_assert!(moved <= 1, "only a gap moves a tick, and there is one a year");
        }
    }

    #[test]
    fn five_or_six_fields_and_nicknames_are_taken() {
        assert_eq!(next("*/20 * * * * *", "UTC", "2026-01-01T00:00:00Z", 1), ["2026-01-01T00:00:20.000Z"]);
        assert_eq!(next("@hourly", "UTC", "2026-01-01T00:00:00Z", 1), ["2026-01-01T01:00Z"]);
        assert_eq!(
            next("0 0 13 * FRI", "UTC", "2026-02-12T00:00:00Z", 3),
            ["2026-02-13T00:00Z", "2026-02-20T00:00Z", "2026-02-27T00:00Z"]
        );
    }

    #[test]
    fn what_is_not_a_schedule_says_why() {
        let now = at("2026-01-01T00:00:00Z");
        for bad in ["", "* * * *", "* * * * * * *", "61 * * * *", "@reboot", "@every 5m", "@daily x", "a b c d e"] {
            let error = Schedule::cron(bad, "UTC", now).unwrap_err().to_string();
            assert!(error.contains("use 5 fields") && !error.ends_with('.'), "{bad}: {error}");
        }
        assert_eq!(Schedule::cron("0 0 31 2 *", "UTC", now).unwrap_err(), CronError::Never("0 0 31 2 *".into()));
        assert_eq!(Schedule::cron("@daily", "Mars/Base", now).unwrap_err(), CronError::Zone("Mars/Base".into()));
    }

    #[test]
    fn three_days_of_seconds_are_counted_at_once() {
        let schedule = Schedule::every(Duration::from_secs(1)).unwrap();
        let stretch = schedule.stretch(at("2026-01-01T00:00:00Z"), at("2026-01-04T00:00:00.5Z"));
        assert_eq!(stretch, Stretch { newest: at("2026-01-04T00:00:00Z"), count: 259_201, cut: false });
    }

    #[test]
    fn a_stretch_of_cron_ticks_is_counted_in_bounded_steps() {
        let schedule = Schedule::cron("* * * * *", "UTC", Timestamp::EPOCH).unwrap();
        let stretch = schedule.stretch(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:10:30Z"));
        assert_eq!(stretch, Stretch { newest: at("2026-01-01T00:10:00Z"), count: 11, cut: false });
        let long = schedule.stretch(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        assert!(long.cut && long.count == 10_000);
    }

    #[test]
    fn the_newest_ticks_of_a_stretch_come_oldest_first() {
        let (first, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:05:30Z"));
        for schedule in [
            Schedule::cron("* * * * *", "UTC", Timestamp::EPOCH).unwrap(),
            Schedule::every(Duration::from_secs(60)).unwrap(),
        ] {
            let newest = [at("2026-01-01T00:04:00Z"), at("2026-01-01T00:05:00Z")];
            assert_eq!(schedule.newest(first, until, 2), newest);
            assert_eq!(schedule.newest(first, until, 100).len(), 6);
            assert!(schedule.newest(first, until, 0).is_empty());
        }
    }

    #[test]
    fn a_description_is_read_back() {
        for schedule in [
            Schedule::cron("*/5 8-17 * * MON-FRI", "Europe/Berlin", Timestamp::EPOCH).unwrap(),
            Schedule::cron("@daily", "UTC", Timestamp::EPOCH).unwrap(),
            Schedule::every(Duration::from_millis(1_500)).unwrap(),
        ] {
            assert_eq!(Schedule::from_description(&schedule.describe()), Some(schedule));
        }
        assert_eq!(Schedule::from_description("now and then"), None);
    }

    #[test]
    fn ticks_between_include_the_start_and_exclude_the_end() {
        let schedule = Schedule::cron("0 * * * *", "UTC", Timestamp::EPOCH).unwrap();
        let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T03:00:00Z"));
        assert_eq!(schedule.ticks_between(from, to, 10).len(), 3);
        assert_eq!(schedule.ticks_between(from, to, 2).len(), 2);
    }
}
