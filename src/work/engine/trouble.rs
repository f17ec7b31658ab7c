//! What is done while the ledger does not answer: say so once, wait a little longer each time, judge nobody right after.
//! A failing ledger never disables anything.

use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;

/// The first wait.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Waits that double, each between half and the whole of its length, so that replicas do not come back in step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(FIRST_WAIT)
    }

    pub(super) fn next(&mut self) -> Duration {
        let wait = jittered(self.0);
        self.0 = self.0.saturating_mul(2).min(LONGEST_WAIT);
        wait
    }
}

/// Between half and the whole of a length.
pub(super) fn jittered(length: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    length / 2 + (length / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Whether the ledger answers.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It does.
    None,
    /// It does not, and is asked again then.
    Until(Instant, Backoff),
}

impl Trouble {
    /// The earliest instant at which the ledger may be asked.
    pub(super) const fn until(&self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Until(instant, _) => Some(*instant),
        }
    }

    /// Takes note of a failure; whether it is the first.
    pub(super) fn failed(&mut self, error: &StoreError) -> bool {
        let (first, mut backoff) = match self {
            Self::None => (true, Backoff::new()),
            Self::Until(_, backoff) => (false, *backoff),
        };
        if first {
            tracing::warn!(%error, "the ledger does not answer; runs in progress go on, new ones wait");
        }
        *self = Self::Until(Instant::now() + backoff.next(), backoff);
        first
    }

    /// Takes note of an answer; whether it ends a trouble.
    pub(super) fn answered(&mut self) -> bool {
        let ends = matches!(self, Self::Until(..));
        if ends {
            tracing::info!("the ledger answers again");
        }
        *self = Self::None;
        ends
    }
}
