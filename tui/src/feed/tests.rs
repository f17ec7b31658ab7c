//! When a figure is fresh, stale, withdrawn or missing, and that none is ever shown fresher than it is.
//! Time is a number here; nothing waits.

use super::*;
use crate::fixture::dice;

const EVERY: Duration = Duration::from_secs(1);

fn at(ms: u64) -> At {
    Duration::from_millis(ms)
}

fn silent() -> Trouble {
    Trouble::Silent("connection refused".into())
}

fn answered(ms: u64) -> Feed<u32> {
    let mut feed = Feed::new(EVERY);
    feed.take(Ok(7), at(ms), at(ms), EVERY);
    feed
}

#[test]
fn a_figure_grows_old_by_itself() {
    let feed = answered(0);
    let seen = [0, 3_000, 3_001, 60_000, 60_001].map(|ms| feed.shown(at(ms)));
    let age = |ms| Duration::from_millis(ms);
    let expected = [
        Shown::Fresh(&7),
        Shown::Fresh(&7),
        Shown::Old(&7, age(3_001)),
        Shown::Old(&7, age(60_000)),
        Shown::Withdrawn(&7, age(60_001)),
    ];
    assert_eq!(seen, expected);
    assert_eq!([0, 3_001].map(|ms| feed.condition(at(ms))), [Condition::Fresh, Condition::Stale]);
}

#[test]
fn one_failure_is_said_at_once_and_two_are_an_outage() {
    let mut feed = answered(0);
    feed.take(Err(silent()), at(1_000), at(1_000), EVERY);
    assert_eq!(feed.condition(at(1_100)), Condition::Failing);
    feed.take(Err(silent()), at(2_000), at(2_000), EVERY);
    assert_eq!([2_000, 3_001].map(|ms| feed.condition(at(ms))), [Condition::Failing, Condition::Unreachable]);
    assert_eq!(feed.failing_since, Some(at(1_000)));
    assert!(feed.take(Ok(8), at(4_000), at(4_000), EVERY));
    assert_eq!((feed.condition(at(4_000)), feed.failures, feed.failing_since), (Condition::Fresh, 0, None));
}

#[test]
fn a_trouble_is_told_once() {
    let mut feed = answered(0);
    let refused = |n: u32| Trouble::Unauthorized(format!("the token expired (request {n})"));
    let take = |feed: &mut Feed<u32>, trouble| feed.take(Err(trouble), at(1), at(1), EVERY);
    assert!(take(&mut feed, refused(1)));
    assert!(!take(&mut feed, refused(2)));
    assert!(take(&mut feed, silent()));
}

#[test]
fn a_server_that_never_answered_is_not_stale() {
    let mut feed: Feed<u32> = Feed::new(EVERY);
    assert_eq!(feed.condition(at(90_000)), Condition::Loading);
    feed.take(Err(silent()), at(1), at(1), EVERY);
    assert_eq!(feed.condition(at(2)), Condition::Failing);
    feed.take(Err(silent()), at(3), at(3), EVERY);
    assert_eq!((feed.condition(at(4)), feed.shown(at(4))), (Condition::Unreachable, Shown::Nothing));
}

#[test]
fn in_ten_thousand_schedules_no_old_figure_looks_fresh() {
    for schedule in 1..=10_000_u64 {
        let mut seed = schedule.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut feed: Feed<u64> = Feed::new(Duration::from_millis(500 + dice(&mut seed) % 5_000));
        let (mut now, mut last_good) = (0, None);
        for _ in 0..30 {
            let asked = now;
            now += dice(&mut seed) % 4_000;
            let outcome = match dice(&mut seed) % 4 {
                0 => Err(silent()),
                1 => Err(Trouble::Unreadable("it is an HTML page".into())),
                _ => Ok(asked),
            };
            last_good = outcome.as_ref().ok().copied().or(last_good);
            feed.take(outcome, at(asked), at(now), EVERY);
            now += dice(&mut seed) % 9_000;
            if let Shown::Fresh(figure) = feed.shown(at(now)) {
                assert_eq!(Some(*figure), last_good, "schedule {schedule}");
                assert!(at(now - figure) <= feed.limit(), "schedule {schedule}");
            }
        }
    }
}
