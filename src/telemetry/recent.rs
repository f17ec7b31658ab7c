//! The last warnings and errors of this process, in a bounded ring, for whoever looks at three in the morning.
//! It is no log store: what stands here stands in the log, too, and what looks like a secret is masked once more.

use crate::clock::Timestamp;
use crate::config::mask::{MASK, masked};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How many lines are kept: two pages of the API.
const MAX_LINES: usize = 1000;
/// The longest text that is kept of a message or a field, in characters.
const MAX_TEXT: usize = 1000;
/// The most fields that are kept of a line.
const MAX_FIELDS: usize = 16;

/// How bad a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number in this process.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// How bad.
    pub level: Level,
    /// The module that wrote it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// The request it belongs to.
    pub request_id: Option<String>,
    /// What it says besides, by name.
    pub fields: BTreeMap<String, Value>,
}

/// The last lines.
#[derive(Debug, Clone, Default)]
pub struct Recent(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Line>,
    written: u64,
}

impl Recent {
    /// The newest lines that a test lets through, newest first.
    #[must_use]
    pub fn newest(&self, count: usize, wanted: impl Fn(&Line) -> bool) -> Vec<Line> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.lines.iter().rev().filter(|line| wanted(line)).take(count).cloned().collect()
    }

    fn keep(&self, mut line: Line) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.written += 1;
        line.n = ring.written;
        if ring.lines.len() >= MAX_LINES {
            ring.lines.pop_front();
        }
        ring.lines.push_back(line);
    }
}

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            _ => return,
        };
        let mut said = Said::default();
        event.record(&mut said);
        self.keep(Line {
            n: 0,
            at: Timestamp::now(),
            level,
            target: event.metadata().target().to_owned(),
            message: said.message,
            request_id: said.request_id,
            fields: said.fields,
        });
    }
}

#[derive(Default)]
struct Said {
    message: String,
    request_id: Option<String>,
    fields: BTreeMap<String, Value>,
}

impl Said {
    fn text(&mut self, field: &Field, text: &str) {
        let text: String = shown(text).chars().take(MAX_TEXT).collect();
        match field.name() {
            "message" => self.message = text,
            "request_id" => self.request_id = Some(text),
            _ => self.value(field, text.into()),
        }
    }

    fn value(&mut self, field: &Field, value: Value) {
        if self.fields.len() < MAX_FIELDS {
            self.fields.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value.into());
    }
}

/// A text without what looks like a secret: a key, a token, the password of a URL. No secret should come this far.
fn shown(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || "\"'`,;()[]{}<>=".contains(c);
    text.split_inclusive(is_end)
        .map(|piece| {
            let word = piece.trim_end_matches(is_end);
            let rest = piece.strip_prefix(word).unwrap_or_default();
            let is_key = (word.contains("mono_test_") || word.contains("mono_live_")) && word.len() > 30;
            let is_token = word.contains("eyJ") && word.matches('.').count() >= 2;
            if is_key || is_token {
                format!("{MASK}{rest}")
            } else if word.contains("://") {
                format!("{}{rest}", masked(word))
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    fn told(tell: impl FnOnce()) -> Vec<Line> {
        let recent = Recent::default();
        let subscriber = tracing_subscriber::Registry::default().with(recent.clone());
        tracing::subscriber::with_default(subscriber, tell);
        recent.newest(usize::MAX, |_| true)
    }

    #[test]
    fn warnings_and_errors_are_kept_with_what_they_say_and_nothing_else_is() {
        let lines = told(|| {
            tracing::info!("nobody asks");
            tracing::warn!(request_id = "r1", store = %"main", tries = 3, "slow: {}", "x");
            tracing::error!("broken");
        });
        assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["broken", "slow: x"]);
        let slow = &lines[1];
        assert_eq!((slow.level, slow.request_id.as_deref()), (Level::Warn, Some("r1")));
        assert_eq!(slow.fields, BTreeMap::from([("store".into(), "main".into()), ("tries".into(), 3.into())]));
    }

    #[test]
    fn the_ring_is_bounded_and_so_is_a_line() {
        let lines = told(|| {
            for n in 0..MAX_LINES + 10 {
                tracing::warn!("{n} {}", "x".repeat(MAX_TEXT * 2));
            }
        });
        assert_eq!(lines.len(), MAX_LINES);
        assert!(lines.iter().all(|line| line.message.len() <= MAX_TEXT));
        assert!(lines[0].message.starts_with("1009 "));
    }

    #[test]
    fn what_looks_like_a_secret_is_masked_once_more() {
        let key = "mono_test_0123456789AB_0123456789abcdefghijklmnopqrstuv000000";
        for (text, expected) in [
            (format!("refused key={key}, sorry"), "refused key=[redacted], sorry".to_owned()),
            ("Bearer eyJh.eyJz.sig".to_owned(), "Bearer [redacted]".to_owned()),
            ("to postgres://a:b@h/d now".to_owned(), "to postgres://a:***@h/d now".to_owned()),
            ("a mono_test_ key".to_owned(), "a mono_test_ key".to_owned()),
        ] {
            assert_eq!(shown(&text), expected);
        }
    }
}
