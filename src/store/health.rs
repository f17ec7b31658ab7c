//! What is known of a store's health, with hysteresis: one lost probe is not an outage. Judging is pure and `now` an
//! argument; probing is `Store::watch`.

use crate::clock::Timestamp;
use crate::settings::stores::Probe;
use std::time::Duration;

/// How often a store is probed while it is not known to be up.
pub const IMPATIENT: Duration = Duration::from_secs(1);

/// Whether a store can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It was not asked often enough to tell.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// What is known of a store's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it can be used.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// How long the last answer took.
    pub latency: Option<Duration>,
    /// Why the last probe failed, if it did.
    pub error: Option<String>,
    /// Whether it ever answered.
    pub reached: bool,
    failures: u32,
    successes: u32,
}

impl Health {
    /// Nothing is known yet.
    #[must_use]
    pub const fn unknown(now: Timestamp) -> Self {
        Self {
            state: State::Unknown,
            since: now,
            latency: None,
            error: None,
            reached: false,
            failures: 0,
            successes: 0,
        }
    }

    /// Takes in one probe: how long the answer took, or why there was none. Says whether the state changed.
    pub fn judge(&mut self, outcome: Result<Duration, String>, now: Timestamp, rules: &Probe) -> bool {
        let before = self.state;
        match outcome {
            Ok(latency) => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                self.latency = Some(latency);
                self.error = None;
                self.reached = true;
                if self.successes >= rules.up_after {
                    self.state = State::Up;
                }
            }
            Err(error) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                self.error = Some(error);
                if self.failures >= rules.down_after {
                    self.state = State::Down;
                }
            }
        }
        if self.state != before {
            self.since = now;
        }
        self.state != before
    }

    /// From the start of the last probe to the start of the next.
    #[must_use]
    pub fn next_probe(&self, rules: &Probe) -> Duration {
        match self.state {
            State::Up => rules.every,
            State::Unknown | State::Down => rules.every.min(IMPATIENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Probe =
        Probe { every: Duration::from_secs(5), timeout: Duration::from_secs(2), down_after: 3, up_after: 2 };

    fn after(outcomes: &str) -> Health {
        let mut health = Health::unknown(Timestamp::EPOCH);
        for (n, outcome) in outcomes.chars().enumerate() {
            let outcome = if outcome == '+' { Ok(Duration::ZERO) } else { Err("gone".to_owned()) };
            health.judge(outcome, Timestamp::from_millis(n as i64), &RULES);
        }
        health
    }

    #[test]
    fn one_lost_probe_is_not_an_outage() {
        for (outcomes, state) in [
            ("", State::Unknown),
            ("+", State::Unknown),
            ("++", State::Up),
            ("++--", State::Up),
            ("++---", State::Down),
            ("++--+--", State::Up),
            ("---", State::Down),
            ("---+", State::Down),
            ("---++", State::Up),
        ] {
            assert_eq!(after(outcomes).state, state, "{outcomes}");
        }
    }

    #[test]
    fn since_is_when_the_state_changed_and_not_the_last_probe() {
        assert_eq!(after("++----").since, Timestamp::from_millis(4));
        assert_eq!(after("++").next_probe(&RULES), Duration::from_secs(5));
        assert_eq!(after("++---").next_probe(&RULES), Duration::from_secs(1));
    }
}
