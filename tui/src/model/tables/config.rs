//! The configuration, its revisions and the replicas as rows.
//! Values come masked; nothing here unmasks them.

use std::borrow::Cow;

use monolith_client::wire::{ReloadOutcome, Replica, Revision};
use serde_json::Value;

use super::{Tone, ValueRow, ago, clean, json, number, time_rank};
use crate::clock::unix_ms;
use crate::model::rows::{Cell, Column, Cx, Rank, Row};
use crate::words;

impl Row for ValueRow {
    const COLUMNS: &'static [Column] = &[Column::new("KEY", 18, 1, 0), Column::new("VALUE", 16, 2, 0)];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.key)
    }

    fn cell(&self, column: usize, _: &Cx) -> Cell {
        Cell::plain(clean(if column == 0 { &self.key } else { &self.value }))
    }

    fn json(&self) -> Value {
        json(self)
    }
}

impl Row for Revision {
    const COLUMNS: &'static [Column] = &[
        Column::number("REV", 4, 0),
        Column::new("WHEN", 8, 0, 0).past(),
        Column::new("OUTCOME", 11, 0, 0),
        Column::number("GEN", 4, 2),
        Column::new("BY", 12, 1, 1),
        Column::new("TRIGGER", 8, 0, 3),
        Column::number("TOOK", 8, 4),
        Column::new("WHAT", 16, 4, 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.revision.to_string())
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        let outcome = &self.outcome;
        match column {
            0 => Cell::plain(self.revision.to_string()),
            1 => Cell::quiet(ago(&outcome.at, cx)),
            2 => Cell::state(reload_tone(outcome.outcome), outcome.outcome.as_str()),
            3 => Cell::plain(outcome.generation.to_string()),
            4 => Cell::or_dash(outcome.actor.as_deref().map(clean)),
            5 => Cell::quiet(outcome.trigger.as_str()),
            6 => Cell::plain(words::millis(outcome.duration_ms)),
            _ => match outcome.problems.first() {
                Some(problem) => Cell::new(Tone::Bad, clean(&format!("{}: {}", problem.key, problem.message))),
                None => Cell::plain(clean(
                    &self.diff.iter().map(|change| change.node.as_str()).collect::<Vec<_>>().join(", "),
                )),
            },
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match column {
            0 => number(Some(self.revision)),
            1 => time_rank(Some(&self.outcome.at)),
            3 => number(Some(self.outcome.generation)),
            6 => number(Some(self.outcome.duration_ms)),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

pub(crate) const fn reload_tone(outcome: ReloadOutcome) -> Tone {
    match outcome {
        ReloadOutcome::Applied => Tone::Good,
        ReloadOutcome::Unchanged => Tone::Quiet,
        ReloadOutcome::Rejected => Tone::Bad,
    }
}

/// A replica writes each second that it is there.
const SILENT_MS: i64 = 30_000;
/// Whoever is away for so long was ended, or is told of elsewhere: the list is no alarm for ever.
const GONE_MS: i64 = 5 * 60_000;

/// Whether a replica serves; nothing that it said counts where it is not heard any more.
fn readiness(replica: &Replica, cx: &Cx) -> Cell {
    match unix_ms(&replica.seen_at).map_or(i64::MAX, |seen| cx.server_ms - seen) {
        away if away > GONE_MS => Cell::state(Tone::Quiet, "gone"),
        away if away > SILENT_MS => Cell::state(Tone::Doubtful, "silent"),
        _ if replica.ready => Cell::state(Tone::Good, "ready"),
        _ => Cell::state(Tone::Doubtful, "not ready"),
    }
}

impl Row for Replica {
    const COLUMNS: &'static [Column] = &[
        Column::new("ID", 14, 1, 0),
        Column::new("ROLE", 7, 0, 2),
        Column::new("READY", 10, 0, 0),
        Column::new("SEEN", 8, 0, 0).past(),
        Column::number("GEN", 4, 1),
        Column::new("HASH", 12, 0, 3),
        Column::new("VERSION", 9, 0, 4),
        Column::number("RUNNING", 7, 5),
        Column::number("KEYS AGE", 8, 6),
        Column::number("CLOCK", 8, 7),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::plain(clean(&self.id)),
            1 => Cell::quiet(self.role.as_str()),
            2 => readiness(self, cx),
            3 => Cell::quiet(ago(&self.seen_at, cx)),
            4 => Cell::plain(self.generation.to_string()),
            5 => Cell::quiet(self.hash.chars().take(12).collect::<String>()),
            6 => Cell::quiet(clean(&self.version)),
            7 => Cell::plain(self.running.to_string()),
            8 => Cell::or_dash(self.index_age_ms.map(words::millis)),
            _ => Cell::or_dash(self.clock_skew_ms.map(|skew| format!("{skew:+} ms"))),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}
