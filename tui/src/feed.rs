//! What is known of one source, how old it is and why there is nothing newer: the answer to "is this number true now?".
//! It must never let a figure look fresh that is older than its limit.

use std::time::Duration;

use monolith_client::Error;
use serde::Serialize;

use crate::clock::At;
use crate::words;

/// No figure is called stale earlier, however often it is asked for.
pub(crate) const STALE_MIN: Duration = Duration::from_secs(3);
/// How many intervals a figure may miss before it is stale.
const STALE_INTERVALS: u32 = 3;
/// A figure that is older is not shown as a figure any more.
pub(crate) const WITHDRAWN: Duration = Duration::from_secs(60);
/// One failure may be a restart in between; two are an outage.
const UNREACHABLE_FAILURES: u32 = 2;

/// What is asked for so often is stale after so long.
pub(crate) fn stale_after(every: Duration) -> Duration {
    (every * STALE_INTERVALS).max(STALE_MIN)
}

/// Something a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    Health,
    Metrics,
    Whoami,
    Stores,
    Workers,
    Runs,
    Output,
    Keys,
    Config,
    Revisions,
    Replicas,
    Audit,
    Logs,
    Events,
}

impl Source {
    pub(crate) const ALL: [Self; 14] = [
        Self::Health,
        Self::Metrics,
        Self::Whoami,
        Self::Stores,
        Self::Workers,
        Self::Runs,
        Self::Output,
        Self::Keys,
        Self::Config,
        Self::Revisions,
        Self::Replicas,
        Self::Audit,
        Self::Logs,
        Self::Events,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Metrics => "metrics",
            Self::Whoami => "whoami",
            Self::Stores => "stores",
            Self::Workers => "workers",
            Self::Runs => "runs",
            Self::Output => "output",
            Self::Keys => "keys",
            Self::Config => "config",
            Self::Revisions => "revisions",
            Self::Replicas => "replicas",
            Self::Audit => "audit",
            Self::Logs => "logs",
            Self::Events => "events",
        }
    }

    /// Whether only the holder of a token is told.
    pub(crate) const fn needs_token(self) -> bool {
        !matches!(self, Self::Health | Self::Metrics)
    }

    /// Between two questions, in units of the interval that the operator chose.
    pub(crate) const fn intervals(self) -> u32 {
        match self {
            Self::Health | Self::Output => 1,
            Self::Metrics | Self::Stores | Self::Workers | Self::Runs => 2,
            Self::Audit | Self::Logs | Self::Events => 3,
            Self::Keys | Self::Config | Self::Revisions | Self::Replicas => 5,
            Self::Whoami => 10,
        }
    }
}

/// Why a question was not answered as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "trouble", content = "why", rename_all = "snake_case")]
pub(crate) enum Trouble {
    /// Nobody answered, or not in time.
    Silent(String),
    /// The token was refused.
    Unauthorized(String),
    /// The token is good and does not allow it.
    Forbidden(String),
    /// There is no token to ask with.
    NeedsToken,
    /// The server does not have this route.
    NotServed,
    /// The server said no for another reason.
    Refused(String),
    /// What came is not what the API promises.
    Unreadable(String),
}

impl Trouble {
    /// In words, without the name of the trouble.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Silent(why)
            | Self::Unauthorized(why)
            | Self::Forbidden(why)
            | Self::Refused(why)
            | Self::Unreadable(why) => why,
            Self::NeedsToken => "shown with a token",
            Self::NotServed => "not served by this server",
        }
    }

    /// The same without the number of a request, which changes each time; the messages keep it.
    pub(crate) fn gist(&self) -> &str {
        gist(self.why())
    }

    /// Whether both are the same trouble.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.gist() == other.gist()
    }
}

/// A reason without the number of a request.
pub(crate) fn gist(why: &str) -> &str {
    why.split(" (request ").next().unwrap_or(why)
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        match error {
            // The number of an error says nothing to somebody who reads its words.
            Error::Unreachable { cause, .. } => {
                Self::Silent(cause.split(" (os error").next().unwrap_or_default().to_lowercase())
            }
            Error::TimedOut { limit, .. } => Self::Silent(format!("no answer within {}", words::limit(*limit))),
            Error::Unauthorized(problem) => Self::Unauthorized(problem.to_string()),
            error if error.is_not_served() => Self::NotServed,
            Error::Refused(problem) if problem.status == 403 => Self::Forbidden(problem.to_string()),
            Error::Refused(problem) => Self::Refused(problem.to_string()),
            Error::Unreadable { .. } | Error::Address { .. } => Self::Unreadable(error.to_string()),
        }
    }
}

/// How a source is, judged at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    /// Not asked, or not answered yet.
    Loading,
    /// Known, and young enough.
    Fresh,
    /// Known and young enough, but the last question failed.
    Failing,
    /// Known, and too old.
    Stale,
    /// Nobody answers any more.
    Unreachable,
    /// The token was refused.
    Unauthorized,
    /// The token does not allow it.
    Forbidden,
    /// There is no token.
    NeedsToken,
    /// The server does not have it.
    NotServed,
    /// The server refused for another reason.
    Refused,
    /// What came cannot be read.
    Unreadable,
}

/// What a panel may show of a value.
#[derive(Debug, PartialEq)]
pub(crate) enum Shown<'a, T> {
    Nothing,
    /// True now, as far as can be known.
    Fresh(&'a T),
    /// Was true so long ago.
    Old(&'a T, Duration),
    /// Was true too long ago to be called a figure.
    Withdrawn(&'a T, Duration),
}

impl<T> Clone for Shown<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shown<'_, T> {}

impl<'a, T> Shown<'a, T> {
    /// The value, however old.
    pub(crate) const fn any(self) -> Option<&'a T> {
        match self {
            Self::Nothing => None,
            Self::Fresh(value) | Self::Old(value, _) | Self::Withdrawn(value, _) => Some(value),
        }
    }

    pub(crate) const fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_))
    }
}

/// One source of one server.
#[derive(Debug, Clone)]
pub(crate) struct Feed<T> {
    value: Option<T>,
    /// When the question was asked that the value answers: it was true then or later.
    asked_at: At,
    /// Why the last question was not answered; `None` after a good answer.
    pub(crate) trouble: Option<Trouble>,
    /// Questions that failed since the last good answer.
    pub(crate) failures: u32,
    /// When the first question was asked that nobody answered well: it was so then, or earlier.
    pub(crate) failing_since: Option<At>,
    /// When the next question is due.
    pub(crate) next_at: At,
    /// Between two questions.
    pub(crate) every: Duration,
    /// Counts values.
    pub(crate) version: u64,
    /// Whether the server itself is not heard any more: then whatever it said is old, however young it is.
    pub(crate) lost: bool,
}

impl<T> Feed<T> {
    pub(crate) const fn new(every: Duration) -> Self {
        Self {
            value: None,
            asked_at: Duration::ZERO,
            trouble: None,
            failures: 0,
            failing_since: None,
            next_at: Duration::ZERO,
            every,
            version: 0,
            lost: false,
        }
    }

    /// Takes an answer, or why there is none. Whether the trouble is another one than before.
    pub(crate) fn take(&mut self, outcome: Result<T, Trouble>, asked_at: At, now: At, next_in: Duration) -> bool {
        self.next_at = now + next_in;
        match outcome {
            Ok(value) => {
                let recovered = self.trouble.take().is_some();
                self.value = Some(value);
                self.asked_at = asked_at;
                self.failures = 0;
                self.failing_since = None;
                self.version += 1;
                recovered
            }
            Err(trouble) => {
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(asked_at);
                let other = self.trouble.as_ref().is_none_or(|known| !known.is_like(&trouble));
                self.trouble = Some(trouble);
                other
            }
        }
    }

    /// Takes one failure for an outage: nobody asks again.
    pub(crate) fn give_up(&mut self) {
        if self.failures > 0 {
            self.failures = self.failures.max(UNREACHABLE_FAILURES);
        }
    }

    /// Forgets everything, as when another run is looked at.
    pub(crate) fn clear(&mut self) {
        let version = self.version + 1;
        *self = Self { version, lost: self.lost, ..Self::new(self.every) };
    }

    /// How old the value is.
    pub(crate) fn age(&self, now: At) -> Option<Duration> {
        self.value.as_ref().map(|_| now.saturating_sub(self.asked_at))
    }

    /// Beyond this age the value is stale.
    pub(crate) fn limit(&self) -> Duration {
        stale_after(self.every)
    }

    fn is_old(&self, age: Duration) -> bool {
        self.lost || age > self.limit()
    }

    /// The value, however old it is.
    pub(crate) const fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub(crate) fn shown(&self, now: At) -> Shown<'_, T> {
        match (&self.value, self.age(now)) {
            (Some(value), Some(age)) if age > WITHDRAWN.max(self.limit()) => Shown::Withdrawn(value, age),
            (Some(value), Some(age)) if self.is_old(age) => Shown::Old(value, age),
            (Some(value), _) => Shown::Fresh(value),
            (None, _) => Shown::Nothing,
        }
    }

    pub(crate) fn condition(&self, now: At) -> Condition {
        let stale = self.age(now).is_some_and(|age| self.is_old(age));
        match (&self.trouble, self.value.is_some()) {
            (Some(Trouble::Unauthorized(_)), _) => Condition::Unauthorized,
            (Some(Trouble::Forbidden(_)), _) => Condition::Forbidden,
            (Some(Trouble::NeedsToken), _) => Condition::NeedsToken,
            (Some(Trouble::NotServed), _) => Condition::NotServed,
            (Some(Trouble::Refused(_)), _) => Condition::Refused,
            (Some(Trouble::Unreadable(_)), _) => Condition::Unreadable,
            (Some(Trouble::Silent(_)), false) if self.failures >= UNREACHABLE_FAILURES => Condition::Unreachable,
            (Some(Trouble::Silent(_)), false) => Condition::Failing,
            (Some(Trouble::Silent(_)), true) if stale && self.failures >= UNREACHABLE_FAILURES => {
                Condition::Unreachable
            }
            (_, true) if stale => Condition::Stale,
            (Some(Trouble::Silent(_)), true) => Condition::Failing,
            (None, true) => Condition::Fresh,
            (None, false) => Condition::Loading,
        }
    }
}

#[cfg(test)]
mod tests;
