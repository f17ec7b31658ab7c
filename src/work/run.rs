//! The identity, the state and the end of a run.
//! How they are kept is `ledger`; how a run comes to its end is `action`.

use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The id of a run: a version 7 UUID, so that ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl RunId {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads an id, or `None` where the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::from_str(text).ok().map(Self)
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// As it stands in the ledger, the API and the metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads the word, or `None` where it is another one.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Why there is a run.
    RunKind {
        /// Its worker was due.
        Tick = "tick",
        /// Somebody asked for it.
        Manual = "manual",
        /// Somebody asked for a stretch of past ticks.
        Backfill = "backfill",
    }
}

words! {
    /// Where a run stands.
    RunState {
        /// It waits for its time or for a free slot.
        Queued = "queued",
        /// A replica holds it and has not started it yet.
        Claimed = "claimed",
        /// It is being done.
        Running = "running",
        /// It was started before and waits for the next attempt.
        Retrying = "retrying",
        /// It ended well.
        Succeeded = "succeeded",
        /// It ended by itself, not well.
        Failed = "failed",
        /// It took longer than its worker's time-out and was stopped.
        TimedOut = "timed_out",
        /// Somebody stopped it.
        Cancelled = "cancelled",
        /// It never began, by a rule: `overlap`, `withdrawn`.
        Skipped = "skipped",
        /// Nobody was there when it was due.
        Missed = "missed",
        /// Its replicas died again and again.
        Lost = "lost",
    }
}

impl RunState {
    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Claimed | Self::Running | Self::Retrying)
    }

    /// Whether it ended in a way that counts as a failure of its worker.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Lost)
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    Failed,
    TimedOut,
    /// Somebody stopped it.
    Cancelled,
    /// It was stopped because this replica stops; it goes back without costing an attempt.
    Released,
}

impl Verdict {
    /// As it stands in the ledger's list of attempts.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
        }
    }
}

/// What one attempt left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) verdict: Verdict,
    pub(crate) exit_code: Option<i32>,
    pub(crate) result: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) output: Output,
}

/// What a run wrote, cut to its end where it was too long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Output {
    pub(crate) text: String,
    /// How much it wrote in all.
    pub(crate) bytes: u64,
    pub(crate) truncated: bool,
}

impl Done {
    pub(crate) fn succeeded(result: Option<String>) -> Self {
        Self { verdict: Verdict::Succeeded, exit_code: None, result, error: None, output: Output::default() }
    }

    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Failed,
            exit_code: None,
            result: None,
            error: Some(error.into()),
            output: Output::default(),
        }
    }

    pub(crate) fn timed_out(limit: std::time::Duration) -> Self {
        let error = format!("took longer than {}", crate::clock::write_duration(limit));
        Self { verdict: Verdict::TimedOut, ..Self::failed(error) }
    }

    pub(crate) fn cancelled(by: &str) -> Self {
        Self { verdict: Verdict::Cancelled, ..Self::failed(format!("cancelled by {by}")) }
    }

    pub(crate) fn released() -> Self {
        Self { verdict: Verdict::Released, ..Self::failed("stopped, because its replica stops") }
    }
}
