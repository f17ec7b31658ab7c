//! What happens when work overlaps, was missed, fails or crashes. The default is what a worker gets that says nothing.
//! Applying a policy to what is due or done is `crate::work`.

use std::time::Duration;

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
}

/// What becomes of an on-time tick while a run of the worker is in progress; a run between two attempts counts as in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is recorded as skipped.
    #[default]
    Skip,
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
    /// The newest one that is due.
    #[default]
    Last,
}

impl Default for CatchUp {
    fn default() -> Self {
        Self { which: Which::Last, max: 100, within: Duration::from_secs(86_400), grace: Duration::from_secs(30) }
    }
}

/// How often a run that failed by itself is tried, in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts that ended by themselves; crashes and shutdowns do not count.
    pub attempts: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 1 }
    }
}

/// What becomes of a run whose replica died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCrash {
    /// It runs again, at most five times, then it is lost.
    #[default]
    Retry,
}
