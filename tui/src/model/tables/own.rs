//! Rows that the console makes itself: findings, targets and messages.
//! They are few; nothing here is made for thousands.

use std::borrow::Cow;
use std::time::Duration;

use monolith_client::wire::Severity;
use serde_json::Value;

use super::{Tone, clean, json};
use crate::clock::Now;
use crate::feed::{Condition, Source};
use crate::model::Message;
use crate::model::findings::Finding;
use crate::model::rows::{Cell, Column, Cx, Rank, Row};
use crate::model::target::{Standing, Target};
use crate::words;

pub(crate) const fn severity_tone(severity: Severity) -> Tone {
    match severity {
        Severity::Info => Tone::Quiet,
        Severity::Warning => Tone::Doubtful,
        Severity::Error => Tone::Bad,
    }
}

impl Row for Finding {
    const COLUMNS: &'static [Column] = &[
        Column::new("SEVERITY", 9, 0, 0).first("mildest first", "worst first"),
        Column::new("SINCE", 7, 0, 1).past(),
        Column::new("ABOUT", 12, 1, 0),
        Column::new("WHAT", 13, 3, 0),
        Column::new("CODE", 16, 0, 2).from(100),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{} {}", self.code, self.subject))
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::state(severity_tone(self.severity), self.severity.as_str()),
            1 => Cell::quiet(self.since.map_or_else(|| "-".to_owned(), |since| span(cx.server_ms - since))),
            2 => Cell::new(Tone::Strong, clean(&self.subject)),
            3 => Cell::plain(clean(&self.message)),
            _ => Cell::quiet(clean(&self.code)),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match column {
            0 => Rank::Number(f64::from(self.severity as u8)),
            #[expect(clippy::cast_precision_loss, reason = "rows are sorted by it")]
            1 => self.since.map_or(Rank::Nothing, |since| Rank::Number(since as f64)),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

fn span(ms: i64) -> String {
    words::counted(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

impl Row for Message {
    const COLUMNS: &'static [Column] =
        &[Column::new("WHEN", 8, 0, 0).past(), Column::new("FROM", 16, 1, 1), Column::new("WHAT", 24, 4, 0)];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.number.to_string())
    }

    fn cell(&self, column: usize, _: &Cx) -> Cell {
        match column {
            0 => Cell::quiet(words::time_of_day(&self.at)),
            1 => Cell::quiet(clean(&self.from)),
            _ if self.bad => Cell::state(Tone::Bad, clean(&self.text)),
            _ => Cell::plain(clean(&self.text)),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

impl Row for Target {
    const COLUMNS: &'static [Column] = &[
        Column::new("TARGET", 12, 1, 0),
        Column::new("STATE", 15, 0, 0).first("best first", "worst first"),
        Column::new("SINCE", 7, 0, 2).first("shortest first", "longest first"),
        Column::new("AGE", 5, 0, 0).first("youngest first", "oldest first"),
        Column::new("FINDINGS", 12, 0, 3).from(100),
        Column::new("STORES", 8, 0, 5).from(110),
        Column::new("WORKERS", 12, 0, 6).from(130),
        Column::new("GEN", 4, 0, 7).from(110),
        Column::new("VERSION", 9, 0, 8).from(110),
        Column::new("WHO", 14, 0, 4).from(100),
        Column::new("WHAT IS WRONG", 16, 4, 1),
    ];
    /// The worst first.
    const SORT: Option<(usize, bool)> = Some((1, true));

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        let health = self.health.shown(cx.at);
        // A figure that may not be true any more is not shown beside those that are.
        let value = if health.is_fresh() { health.any() } else { None };
        match column {
            0 => Cell::new(Tone::Strong, self.label()),
            1 => {
                let (tone, word) = self.state();
                Cell::state(tone, word)
            }
            2 => Cell::quiet(words::counted(self.standing_at(cx))),
            3 => age(self, cx),
            4 => findings(self),
            5 => Cell::or_dash(value.map(|health| {
                let up =
                    health.stores.values().filter(|state| **state == monolith_client::wire::StoreState::Up).count();
                format!("{up}/{} up", health.stores.len())
            })),
            6 => Cell::or_dash(value.map(|health| match health.workers.failing + health.workers.overdue {
                0 => health.workers.total.to_string(),
                bad => format!("{} ({bad} bad)", health.workers.total),
            })),
            7 => Cell::or_dash(value.map(|health| health.generation.to_string())),
            8 => Cell::or_dash(value.map(|health| clean(&health.version))),
            9 => who(self, cx),
            _ => wrong(self, cx),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match column {
            // A refused token is worse than to be well, and nothing else is.
            1 => Rank::Number(f64::from(self.standing as u8) + if self.is_only_refused() { 0.5 } else { 0.0 }),
            2 => Rank::Number(self.standing_at(cx).as_secs_f64()),
            3 => self.source(Source::Health, cx.at).age.map_or(Rank::Nothing, |age| Rank::Number(age.as_secs_f64())),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn json(&self) -> Value {
        serde_json::json!({"name": self.name, "url": self.url, "state": self.standing, "findings": self.findings})
    }
}

impl Target {
    /// For how long it has been what its row says.
    fn standing_at(&self, cx: &Cx) -> Duration {
        if let Some(since) = self.whoami.failing_since.filter(|_| self.is_only_refused()) {
            return cx.at.saturating_sub(since);
        }
        self.standing_for(Now { at: cx.at, unix_ms: cx.server_ms })
    }
}

fn age(target: &Target, cx: &Cx) -> Cell {
    let view = target.source(Source::Health, cx.at);
    match (view.age, view.condition) {
        (None, _) => Cell::quiet("-"),
        (Some(_), Condition::Fresh) => Cell::quiet(format!("<{}", words::steps(view.every * 2))),
        (Some(age), _) => Cell::state(Tone::Old, words::counted(age)),
    }
}

fn findings(target: &Target) -> Cell {
    let count = |severity| target.findings.iter().filter(|finding| finding.severity == severity).count();
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => Cell::quiet("none"),
        (0, warnings) => Cell::state(Tone::Doubtful, words::count(warnings, "warning")),
        (errors, _) => Cell::state(Tone::Bad, words::count(errors, "error")),
    }
}

fn who(target: &Target, cx: &Cx) -> Cell {
    match (target.token_trouble(), target.whoami.shown(cx.at).any()) {
        (Some(_), _) => Cell::state(Tone::Doubtful, "token refused"),
        (None, Some(whoami)) => Cell::plain(format!("{} {}", clean(&whoami.sub), whoami.role)),
        (None, None) => Cell::quiet("no token"),
    }
}

/// The worst thing about a target, in words.
fn wrong(target: &Target, cx: &Cx) -> Cell {
    let health = target.source(Source::Health, cx.at);
    if let Some(trouble) = health.trouble {
        return Cell::new(target.standing.tone(), clean(trouble.why()));
    }
    if target.standing == Standing::Stale {
        return Cell::new(Tone::Old, "no answer");
    }
    match target.findings.first() {
        Some(finding) if finding.severity > Severity::Info => {
            Cell::new(severity_tone(finding.severity), clean(&format!("{}: {}", finding.subject, finding.message)))
        }
        _ => Cell::plain(""),
    }
}
