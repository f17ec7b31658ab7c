//! What happens when work overlaps, was missed, fails or crashes. The default is what a worker gets that says nothing.
//! Applying a policy to what is due or done is `crate::work`.

use super::compile::Compiler;
use super::schedule::Schedule;
use crate::config::written;
use std::time::Duration;

/// The most ticks that are caught up with at once: as many as one look at a stretch counts.
pub const MOST_CAUGHT_UP: u32 = 10_000;
/// The most attempts of one run.
const MOST_ATTEMPTS: u32 = 1_000;
/// The shortest wait between two attempts.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// The least that a tick may be late and still count as on time: a busy database takes as long.
const LEAST_GRACE: Duration = Duration::from_secs(1);

/// The rules of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// What becomes of an on-time tick while a run of the worker is in progress.
    pub overlap: Overlap,
    /// What becomes of ticks that nobody was there for.
    pub catch_up: CatchUp,
    /// How often a run that failed by itself is tried, in all.
    pub retry: Retry,
    /// What becomes of a run whose replica died.
    pub on_crash: OnCrash,
    /// The most that a tick is moved, by a hash that is the same on every replica.
    pub jitter: Duration,
}

/// What becomes of an on-time tick while a run of the worker is in progress; a run between two attempts counts as in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is recorded as skipped.
    #[default]
    Skip,
    /// It waits; a second one that would wait is skipped.
    Queue,
    /// It runs beside the others.
    Allow,
}

/// What becomes of ticks that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// Which of them run.
    pub which: Which,
    /// The most that run.
    pub max: u32,
    /// Only those that are younger run.
    pub within: Duration,
    /// A tick that is less late than this is on time.
    pub grace: Duration,
}

/// Which missed ticks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// None.
    Skip,
    /// The newest one that is due.
    #[default]
    Last,
    /// The newest ones, up to the limit, one after another, oldest first.
    All,
}

impl CatchUp {
    /// How many run at most.
    #[must_use]
    pub const fn most(&self) -> usize {
        match self.which {
            Which::Skip => 0,
            Which::Last if self.max == 0 => 0,
            Which::Last => 1,
            Which::All => self.max as usize,
        }
    }
}

impl Default for CatchUp {
    fn default() -> Self {
        Self { which: Which::Last, max: 100, within: Duration::from_secs(86_400), grace: Duration::from_secs(30) }
    }
}

/// How often a run that failed by itself is tried, in all, and after which waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts that ended by themselves; crashes and shutdowns do not count.
    pub attempts: u32,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// How the wait between two attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// It doubles.
    #[default]
    Exponential,
    /// It stays.
    Fixed,
}

impl Retry {
    /// How long to wait after so many attempts, before chance shortens it.
    #[must_use]
    pub fn wait_after(&self, tries: u32) -> Duration {
        let doublings = match self.backoff {
            Backoff::Exponential => tries.saturating_sub(1).min(31),
            Backoff::Fixed => 0,
        };
        self.initial.saturating_mul(1 << doublings).min(self.max)
    }
}

impl Default for Retry {
    fn default() -> Self {
        let (initial, max) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { attempts: 1, backoff: Backoff::Exponential, initial, max }
    }
}

/// What becomes of a run whose replica died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCrash {
    /// It runs again, at most five times, then it is lost.
    #[default]
    Retry,
    /// It is lost: it may have taken effect already.
    Lost,
}

impl Compiler<'_> {
    pub(super) fn policy(&mut self, key: &str, written: &written::Worker, schedule: &Schedule) -> Policy {
        Policy {
            overlap: match written.overlap {
                written::Overlap::Skip => Overlap::Skip,
                written::Overlap::Queue => Overlap::Queue,
                written::Overlap::Allow => Overlap::Allow,
            },
            catch_up: self.catch_up(&format!("{key}.catch_up"), &written.catch_up),
            retry: self.retry(&format!("{key}.retry"), &written.retry),
            on_crash: match written.on_crash {
                written::OnCrash::Retry => OnCrash::Retry,
                written::OnCrash::Lost => OnCrash::Lost,
            },
            jitter: self.jitter(&format!("{key}.jitter"), &written.jitter, schedule),
        }
    }

    fn catch_up(&mut self, key: &str, written: &written::CatchUp) -> CatchUp {
        let at = format!("{key}.max");
        if written.max == 0 || written.max > MOST_CAUGHT_UP {
            let message = format!("must be 1 to {MOST_CAUGHT_UP}, found {}", written.max);
            self.error_with_hint(&at, message, "policy = \"skip\" catches up with none");
        }
        CatchUp {
            which: match written.policy {
                written::CatchUpPolicy::Skip => Which::Skip,
                written::CatchUpPolicy::Last => Which::Last,
                written::CatchUpPolicy::All => Which::All,
            },
            max: written.max.clamp(1, MOST_CAUGHT_UP),
            within: self.duration(&format!("{key}.within"), &written.within, LEAST_GRACE),
            grace: self.duration(&format!("{key}.grace"), &written.grace, LEAST_GRACE),
        }
    }

    fn retry(&mut self, key: &str, written: &written::Retry) -> Retry {
        let at = format!("{key}.attempts");
        if written.attempts == 0 || written.attempts > MOST_ATTEMPTS {
            self.error(&at, format!("must be 1 to {MOST_ATTEMPTS}, found {}", written.attempts));
        }
        let initial = self.duration(&format!("{key}.initial"), &written.initial, SHORTEST_WAIT);
        let max = self.duration(&format!("{key}.max"), &written.max, SHORTEST_WAIT);
        if max < initial && !self.problems.concern(key) {
            self.error(&format!("{key}.max"), "must be at least as long as `initial`, the first wait");
        }
        Retry {
            attempts: written.attempts.clamp(1, MOST_ATTEMPTS),
            backoff: match written.backoff {
                written::Backoff::Exponential => Backoff::Exponential,
                written::Backoff::Fixed => Backoff::Fixed,
            },
            initial,
            max,
        }
    }

    /// A tick that is moved beyond the next one would come in another order.
    fn jitter(&mut self, key: &str, text: &str, schedule: &Schedule) -> Duration {
        let jitter = self.duration(key, text, Duration::ZERO);
        let first = schedule.next_after(self.now);
        let second = first.and_then(|first| schedule.next_after(first));
        let interval = schedule.period_ms().map(Duration::from_millis);
        let interval = interval.or_else(|| Some(second?.since(first?)));
        if interval.is_some_and(|interval| jitter >= interval) && !self.problems.concern(key) {
            self.error(key, "must be shorter than the time between two ticks");
        }
        jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_or_stays() {
        let retry = Retry { attempts: 9, ..Retry::default() };
        let waits: Vec<u64> = (1..=8).map(|tries| retry.wait_after(tries).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry.wait_after(u32::MAX).as_secs(), 60);
        let fixed = Retry { backoff: Backoff::Fixed, ..retry };
        assert_eq!((fixed.wait_after(1), fixed.wait_after(40)), (retry.initial, retry.initial));
    }

    #[test]
    fn how_many_are_caught_up_with() {
        let most = |which, max| CatchUp { which, max, ..CatchUp::default() }.most();
        assert_eq!([most(Which::Skip, 9), most(Which::Last, 9), most(Which::All, 9)], [0, 1, 9]);
    }
}
