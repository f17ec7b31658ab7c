//! Asks for one source again and again: one question at a time, at its interval while all is well, sooner and then ever
//! later while nobody answers, and not at all while nobody looks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Common, fetch};
use crate::feed::{Source, Trouble};
use crate::message::{Answer, Interest, Keys, Msg, Payload};

/// The first pause after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// No pause is longer. The health is asked as often as ever, which costs a server that is down no more than one that is
/// up: one that is back is seen within the interval, and everything else is then asked at once.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A server that refuses a token, or does not have a route, changes seldom.
const REFUSED: Duration = Duration::from_secs(5);
const NOT_SERVED: Duration = Duration::from_secs(30);
/// After a fault of our own.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// Starts a poller. One that panics says so and is started again.
pub(super) fn start(common: Common, source: Source) {
    tokio::spawn(async move {
        while let Err(error) = tokio::spawn(run(common.clone(), source)).await {
            if !error.is_panic() {
                return;
            }
            let text = format!("the poller of {} panicked and is started again", source.name());
            drop(common.to_console.send(Msg::Note(text)).await);
            tokio::time::sleep(AFTER_PANIC).await;
        }
    });
}

/// Asks until nobody is there who wants to know.
async fn run(mut common: Common, source: Source) {
    let (mut due, mut failures) = (Instant::now(), 0_u32);
    let mut sent = Sent::default();
    let mut told = common.interest.borrow().clone();
    loop {
        if wait(&mut common, source, &mut told, due).await.is_err() {
            return;
        }
        #[cfg(debug_assertions)]
        crate::console::panic_where_asked(source.name());
        let asked_at = common.clock.at();
        let client = common.client.borrow_and_update().clone();
        let outcome =
            fetch::fetch(&client, source, &told, fetch::limit(source)).await.map(|payload| sent.keep(payload));
        let every = common.every * source.intervals();
        let next_in = outcome.as_ref().err().map_or(every, |trouble| pause(source, trouble, failures, every));
        failures = if outcome.is_ok() { 0 } else { failures.saturating_add(1) };
        due = Instant::now() + next_in;
        let answer = Answer { target: common.target, source, asked_at, next_in, outcome };
        if common.to_console.send(Msg::Answer(Box::new(answer))).await.is_err() {
            return;
        }
    }
}

/// The lists of keys that were sent last. One that is the same is sent again as the same, so that nobody sorts it anew; and
/// one that was replaced is freed here, because freeing ten thousand keys takes longer than drawing a frame.
#[derive(Default)]
struct Sent(VecDeque<Arc<Keys>>);

impl Sent {
    /// The console may still hold the last one when the next is sent.
    const KEPT: usize = 2;

    fn keep(&mut self, payload: Payload) -> Payload {
        let Payload::Keys(keys) = payload else { return payload };
        if let Some(last) = self.0.back().filter(|last| **last == keys) {
            return Payload::Keys(last.clone());
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(keys.clone());
        Payload::Keys(keys)
    }
}

/// Waits until the source is wanted and due, or wanted out of turn. An error is the end of the console.
async fn wait(
    common: &mut Common,
    source: Source,
    told: &mut Interest,
    mut due: Instant,
) -> Result<(), tokio::sync::watch::error::RecvError> {
    loop {
        let now = common.interest.borrow_and_update().clone();
        if is_sooner(source, told, &now) {
            due = Instant::now();
        }
        *told = now;
        if !told.wants(source) {
            common.interest.changed().await?;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep_until(due) => return Ok(()),
            changed = common.interest.changed() => changed?,
            // Another token is a reason to ask again at once.
            changed = common.client.changed() => {
                changed?;
                common.client.borrow_and_update();
                due = Instant::now();
            }
        }
    }
}

/// Whether it should be asked at once: out of turn, for the first time in a while, or about something else.
fn is_sooner(source: Source, before: &Interest, now: &Interest) -> bool {
    let subject = |interest: &Interest| match source {
        Source::Runs => interest.runs_of.clone(),
        Source::Output => interest.output_of.clone().map(|(run, _)| run),
        Source::Logs => interest.logs_of.clone(),
        _ => None,
    };
    now.nudges(source) != before.nudges(source)
        || now.wants(source) && !before.wants(source)
        || subject(now) != subject(before)
}

/// How long to wait after a question that was not answered as wanted.
fn pause(source: Source, trouble: &Trouble, failures: u32, every: Duration) -> Duration {
    match trouble {
        Trouble::Silent(_) => jitter(backoff(failures).min(longest(source, every))),
        Trouble::NotServed => NOT_SERVED,
        // A gateway that answers for a server that is away is an outage too.
        _ if source == Source::Health => longest(source, every),
        _ => every.max(REFUSED),
    }
}

/// Twice as long each time, up to the limit.
fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(failures.min(8))).min(BACKOFF_MAX)
}

fn longest(source: Source, every: Duration) -> Duration {
    if source == Source::Health { every.min(BACKOFF_MAX) } else { BACKOFF_MAX }
}

/// Some of ten consoles that lost one server do not ask it at the same moment.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [128_u8];
    getrandom::fill(&mut byte).unwrap_or_default();
    pause.mul_f64(0.8 + 0.2 * f64::from(byte[0]) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_and_has_a_limit() {
        let seen = [0, 1, 2, 4, 5, 1_000].map(|failures| backoff(failures).as_millis());
        assert_eq!(seen, [250, 500, 1_000, 4_000, 5_000, 5_000]);
        for _ in 0..100 {
            let pause = jitter(BACKOFF_MAX);
            assert!((BACKOFF_MAX.mul_f64(0.8)..=BACKOFF_MAX).contains(&pause), "{pause:?}");
        }
        let second = Duration::from_secs(1);
        assert_eq!([longest(Source::Health, second), longest(Source::Keys, second)], [second, BACKOFF_MAX]);
        let page = Trouble::Unreadable("it is an HTML page".into());
        assert_eq!(pause(Source::Health, &page, 9, second), second);
        assert_eq!(pause(Source::Stores, &page, 0, second), REFUSED);
    }

    #[test]
    fn a_list_of_keys_that_is_the_same_is_sent_as_the_same() {
        let keys = |more| Arc::new(Keys { items: Vec::new(), more });
        let mut sent = Sent::default();
        let mut send = |more| match sent.keep(Payload::Keys(keys(more))) {
            Payload::Keys(keys) => keys,
            other => panic!("{other:?}"),
        };
        let (first, again, other) = (send(false), send(false), send(true));
        assert!(Arc::ptr_eq(&first, &again) && other.more);
    }

    #[test]
    fn what_is_looked_at_anew_is_asked_for_at_once() {
        let (mut before, mut now) = (Interest::default(), Interest::default());
        now.want(Source::Keys);
        assert!(is_sooner(Source::Keys, &before, &now));
        before.want(Source::Keys);
        assert!(!is_sooner(Source::Keys, &before, &now));
        now.nudge(Source::Keys);
        assert!(is_sooner(Source::Keys, &before, &now) && !is_sooner(Source::Audit, &before, &now));
        now.runs_of = Some("a".into());
        assert!(is_sooner(Source::Runs, &before, &now));
        now.output_of = Some(("r".into(), 0));
        before.output_of = Some(("r".into(), 9));
        assert!(!is_sooner(Source::Output, &before, &now));
    }
}
