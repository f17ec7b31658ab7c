//! One server: what each of its sources said, how old that is, and what it adds up to.
//! What is judged here is judged at a moment that is given.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use monolith_client::wire::{
    AuditEntry, Config, Health, HealthStatus, LogEntry, Replica, Revision, Run, Severity, Store, Whoami, Worker,
};
use serde::Serialize;

use super::findings::Finding;
use super::history::History;
use super::tables::ValueRow;
use crate::clock::{At, Now, unix_ms};
use crate::feed::{Condition, Feed, Source, Trouble};
use crate::message::Keys;
use crate::metrics::Reading;
use crate::theme::Tone;
use crate::token::TokenSource;
use crate::words;

/// Output that is kept of one run; the server keeps less.
const OUTPUT_LIMIT: usize = 4 * 1024 * 1024;
/// Clocks of two machines that differ by less do not matter.
const SKEW_MAX_MS: i64 = 2_000;

/// A server and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) url: String,
    /// A production server is told by more than its name.
    pub(crate) danger: bool,
    pub(crate) token: TokenState,
    /// Where another token has to go.
    pub(crate) token_advice: String,
    /// The sources whose trouble was told, and whose end of it has to be told.
    pub(crate) told: BTreeSet<Source>,
    /// When it was heard again after it was lost, and for how long it had not been.
    pub(crate) silent: Option<(At, Duration)>,
    pub(crate) health: Feed<Health>,
    pub(crate) metrics: Feed<Reading>,
    pub(crate) whoami: Feed<Whoami>,
    pub(crate) stores: Feed<Vec<Store>>,
    pub(crate) workers: Feed<Vec<Worker>>,
    pub(crate) runs: Feed<Runs>,
    pub(crate) output: Feed<Output>,
    pub(crate) keys: Feed<Arc<Keys>>,
    pub(crate) config: Feed<Config>,
    pub(crate) revisions: Feed<Vec<Revision>>,
    pub(crate) replicas: Feed<Vec<Replica>>,
    pub(crate) audit: Feed<Vec<AuditEntry>>,
    pub(crate) logs: Feed<Logs>,
    pub(crate) events: Feed<()>,
    pub(crate) history: History,
    pub(crate) findings: Vec<Finding>,
    /// The configuration, one row a value.
    pub(crate) values: Vec<ValueRow>,
    pub(crate) standing: Standing,
    pub(crate) standing_since: At,
    /// By how much the server's clock is ahead of ours, where that matters.
    pub(crate) skew_ms: i64,
}

/// Whether there is a token to ask with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "token", content = "why", rename_all = "snake_case")]
pub(crate) enum TokenState {
    /// Not looked for yet.
    #[default]
    Unknown,
    /// None was named.
    None,
    Found,
    Missing(String),
}

/// Runs, and whose they are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Runs {
    pub(crate) worker: String,
    pub(crate) items: Vec<Run>,
}

/// Lines of the log, and of which request they are, or of all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Logs {
    pub(crate) request: Option<String>,
    pub(crate) items: Vec<LogEntry>,
}

/// What is known of one run's output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) run: Run,
    pub(crate) text: String,
    /// The byte that comes next.
    pub(crate) next: u64,
    pub(crate) done: bool,
}

impl Output {
    /// Adds what follows; a piece that was seen already is not taken twice.
    pub(crate) fn add(&mut self, after: u64, data: &str, next: u64, done: bool) {
        if after == self.next && self.text.len() + data.len() <= OUTPUT_LIMIT {
            self.text += data;
            self.next = next;
            self.done = done;
        }
    }
}

/// What a server adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    Healthy,
    Connecting,
    Degraded,
    /// It answers and says that it is down.
    Down,
    /// The last question failed; what is known is still young.
    NotAnswering,
    Stale,
    Unreachable,
    Unreadable,
}

impl Standing {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "OK",
            Self::Connecting => "CONNECTING",
            Self::Degraded => "DEGRADED",
            Self::Down => "DOWN",
            Self::NotAnswering => "NOT ANSWERING",
            Self::Stale => "STALE",
            Self::Unreachable => "UNREACHABLE",
            Self::Unreadable => "UNREADABLE",
        }
    }

    pub(crate) const fn tone(self) -> Tone {
        match self {
            Self::Healthy => Tone::Good,
            Self::Connecting => Tone::Quiet,
            Self::Degraded | Self::NotAnswering | Self::Unreadable => Tone::Doubtful,
            Self::Down | Self::Unreachable => Tone::Bad,
            Self::Stale => Tone::Old,
        }
    }

    /// Whether nothing that was said is known to be true now.
    pub(crate) const fn is_lost(self) -> bool {
        matches!(self, Self::Stale | Self::Unreachable)
    }

    /// Whether it is a reason to wake somebody.
    pub(crate) const fn is_bad(self) -> bool {
        !matches!(self, Self::Healthy | Self::Connecting)
    }
}

impl Target {
    pub(crate) fn new(name: &str, url: &str, poll: Duration) -> Self {
        let every = |source: Source| poll * source.intervals();
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            danger: false,
            token: TokenState::default(),
            token_advice: TokenSource::None.advice(),
            told: BTreeSet::new(),
            silent: None,
            health: Feed::new(every(Source::Health)),
            metrics: Feed::new(every(Source::Metrics)),
            whoami: Feed::new(every(Source::Whoami)),
            stores: Feed::new(every(Source::Stores)),
            workers: Feed::new(every(Source::Workers)),
            runs: Feed::new(every(Source::Runs)),
            output: Feed::new(every(Source::Output)),
            keys: Feed::new(every(Source::Keys)),
            config: Feed::new(every(Source::Config)),
            revisions: Feed::new(every(Source::Revisions)),
            replicas: Feed::new(every(Source::Replicas)),
            audit: Feed::new(every(Source::Audit)),
            logs: Feed::new(every(Source::Logs)),
            events: Feed::new(every(Source::Events)),
            history: History::new(every(Source::Metrics)),
            findings: Vec::new(),
            values: Vec::new(),
            standing: Standing::Connecting,
            standing_since: Duration::ZERO,
            skew_ms: 0,
        }
    }

    /// What it is called on a screen: one that nobody may take for another has a sign before its name.
    pub(crate) fn label(&self) -> String {
        let name = words::clean(&self.name);
        if self.danger { format!("! {name}") } else { name.into_owned() }
    }

    /// What can be said of a source whatever its values are.
    pub(crate) fn source(&self, source: Source, now: At) -> SourceView<'_> {
        match source {
            Source::Health => SourceView::of(&self.health, now),
            Source::Metrics => SourceView::of(&self.metrics, now),
            Source::Whoami => SourceView::of(&self.whoami, now),
            Source::Stores => SourceView::of(&self.stores, now),
            Source::Workers => SourceView::of(&self.workers, now),
            Source::Runs => SourceView::of(&self.runs, now),
            Source::Output => SourceView::of(&self.output, now),
            Source::Keys => SourceView::of(&self.keys, now),
            Source::Config => SourceView::of(&self.config, now),
            Source::Revisions => SourceView::of(&self.revisions, now),
            Source::Replicas => SourceView::of(&self.replicas, now),
            Source::Audit => SourceView::of(&self.audit, now),
            Source::Logs => SourceView::of(&self.logs, now),
            Source::Events => SourceView::of(&self.events, now),
        }
    }

    /// What the server adds up to.
    pub(crate) fn judge(&self, now: At) -> Standing {
        let word = |health: &Health| match health.status {
            HealthStatus::Ok => Standing::Healthy,
            HealthStatus::Degraded => Standing::Degraded,
            HealthStatus::Down => Standing::Down,
        };
        match (self.health.condition(now), self.health.value()) {
            (Condition::Fresh, Some(health)) => word(health),
            (Condition::Failing, Some(_)) => Standing::NotAnswering,
            (Condition::Stale, _) => Standing::Stale,
            (Condition::Unreachable, _) => Standing::Unreachable,
            (Condition::Loading | Condition::Failing | Condition::Fresh, _) => Standing::Connecting,
            _ => Standing::Unreadable,
        }
    }

    /// Keeps that the server is not heard any more, or is again: no source of it then outlives the last sign of life.
    pub(crate) fn lose(&mut self, lost: bool) {
        // The health judges itself: by it the server is found again.
        macro_rules! mark {
            ($($feed:ident),+) => { $( self.$feed.lost = lost; )+ };
        }
        mark!(metrics, whoami, stores, workers, runs, output, keys, config, revisions, replicas, audit, logs, events);
    }

    /// For how long it has been standing so: as the server tells it where that is longer, else as it was seen.
    pub(crate) fn standing_for(&self, now: Now) -> Duration {
        let seen = now.at.saturating_sub(self.standing_since);
        let told = match self.standing {
            Standing::Degraded | Standing::Down => {
                let worst = self.findings.iter().filter(|finding| finding.severity == Severity::Error);
                worst.filter_map(|finding| finding.since).min()
            }
            Standing::Healthy => self.health.value().and_then(|health| unix_ms(&health.started_at)),
            Standing::Stale => return self.health.age(now.at).unwrap_or(seen),
            Standing::NotAnswering | Standing::Unreachable => {
                return self.health.failing_since.map_or(seen, |since| now.at.saturating_sub(since));
            }
            _ => None,
        };
        let told = told.and_then(|since| u64::try_from(self.server_ms(now) - since).ok());
        told.map_or(seen, Duration::from_millis)
    }

    /// The moment in the server's own time, to compare its instants with.
    pub(crate) const fn server_ms(&self, now: Now) -> i64 {
        now.unix_ms + self.skew_ms
    }

    /// How long ago an instant of the server was.
    pub(crate) fn since(&self, time: &str, now: Now) -> Option<Duration> {
        let ago = self.server_ms(now) - unix_ms(time)?;
        Some(Duration::from_millis(u64::try_from(ago).unwrap_or(0)))
    }

    /// Milliseconds until an instant of the server; negative where it is over.
    pub(crate) fn until(&self, time: &str, now: Now) -> Option<i64> {
        Some(unix_ms(time)? - self.server_ms(now))
    }

    /// Learns from a health how far the clocks are apart. The answer was written somewhere between the question and now,
    /// in the second that `uptime_s` names; only what lies outside of both is a difference.
    pub(crate) fn compare_clocks(&mut self, health: &Health, asked_at: At, now: Now) {
        let Some(started) = unix_ms(&health.started_at) else { return };
        let theirs = started + i64::try_from(health.uptime_s).unwrap_or(0) * 1000;
        let asked = now.unix_ms - super::ms(now.at.saturating_sub(asked_at));
        let ahead = (theirs - now.unix_ms).max(0) + (theirs + 1000 - asked).min(0);
        self.skew_ms = if ahead.abs() > SKEW_MAX_MS { ahead } else { 0 };
    }

    /// Whether nothing is wrong but the token.
    pub(crate) fn is_only_refused(&self) -> bool {
        self.standing == Standing::Healthy && self.token_trouble().is_some()
    }

    /// What it is in one word, where there is room for one: a refused token is worse than to be well.
    pub(crate) fn state(&self) -> (Tone, &'static str) {
        match self.is_only_refused() {
            true => (Tone::Doubtful, "TOKEN REFUSED"),
            false => (self.standing.tone(), self.standing.word()),
        }
    }

    /// Why the token is no good, in words.
    pub(crate) fn token_trouble(&self) -> Option<&str> {
        match (&self.token, &self.whoami.trouble) {
            (TokenState::Missing(why), _) | (_, Some(Trouble::Unauthorized(why))) => Some(why),
            _ => None,
        }
    }
}

/// How a source is, for whoever shows it.
#[derive(Debug, Clone)]
pub(crate) struct SourceView<'a> {
    pub(crate) condition: Condition,
    pub(crate) trouble: Option<&'a Trouble>,
    pub(crate) age: Option<Duration>,
    pub(crate) every: Duration,
    pub(crate) failures: u32,
    /// In how long it is asked again.
    pub(crate) next_in: Duration,
    pub(crate) failing_for: Option<Duration>,
}

impl<'a> SourceView<'a> {
    fn of<T>(feed: &'a Feed<T>, now: At) -> Self {
        Self {
            condition: feed.condition(now),
            trouble: feed.trouble.as_ref(),
            age: feed.age(now),
            every: feed.every,
            failures: feed.failures,
            next_in: feed.next_at.saturating_sub(now),
            failing_for: feed.failing_since.map(|since| now.saturating_sub(since)),
        }
    }
}
