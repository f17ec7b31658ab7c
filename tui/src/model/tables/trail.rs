//! Audit, log lines and routes as rows.
//! Texts of strangers are made harmless here, before anything draws them.

use std::borrow::Cow;

use monolith_client::wire::{AuditEntry, AuditOutcome, LogEntry, LogLevel};
use serde_json::Value;

use super::{Tone, ago, clean, json, number, time_rank};
use crate::model::history::RouteRow;
use crate::model::rows::{Cell, Column, Cx, Rank, Row};
use crate::words;

impl Row for AuditEntry {
    const COLUMNS: &'static [Column] = &[
        Column::new("WHEN", 8, 0, 0).past(),
        Column::new("WHO", 12, 1, 0),
        Column::new("WHAT", 14, 1, 0),
        Column::new("TO WHAT", 16, 2, 1),
        Column::new("OUTCOME", 9, 0, 2),
        Column::new("FROM", 15, 0, 4),
        Column::new("REQUEST", 13, 1, 5),
        Column::number("SEQ", 6, 3),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.seq.to_string())
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::quiet(ago(&self.at, cx)),
            1 => Cell::plain(clean(&self.actor)),
            2 => Cell::plain(clean(&self.action)),
            3 => Cell::plain(clean(&self.subject)),
            4 => match self.outcome {
                AuditOutcome::Ok => Cell::state(Tone::Good, "ok"),
                other => Cell::state(Tone::Bad, other.as_str()),
            },
            5 => Cell::or_dash(self.ip.as_deref().map(clean)),
            6 => Cell::quiet(clean(self.request_id.as_deref().unwrap_or("-"))),
            _ => Cell::quiet(self.seq.to_string()),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match column {
            0 => time_rank(Some(&self.at)),
            7 => number(Some(self.seq)),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

impl Row for LogEntry {
    const COLUMNS: &'static [Column] = &[
        Column::new("WHEN", 8, 0, 0).past(),
        Column::new("LEVEL", 7, 0, 0),
        Column::new("MESSAGE", 24, 4, 0),
        Column::new("WHERE", 16, 1, 2),
        Column::new("REQUEST", 13, 1, 1),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{} {} {}", self.at, self.target, self.message))
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::quiet(ago(&self.at, cx)),
            1 => Cell::state(log_tone(self.level), self.level.as_str()),
            2 => {
                let fields = self.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
                Cell::plain(clean(&format!("{}{fields}", self.message)))
            }
            3 => Cell::quiet(clean(&self.target)),
            _ => Cell::quiet(clean(self.request_id.as_deref().unwrap_or("-"))),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        if column == 0 { time_rank(Some(&self.at)) } else { Rank::text(self.cell(column, cx).text) }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

const fn log_tone(level: LogLevel) -> Tone {
    match level {
        LogLevel::Error => Tone::Bad,
        LogLevel::Warn => Tone::Doubtful,
        _ => Tone::Quiet,
    }
}

impl Row for RouteRow {
    const COLUMNS: &'static [Column] = &[
        Column::new("METHOD", 6, 0, 1),
        Column::new("ROUTE", 20, 3, 0),
        Column::number("REQ/S", 7, 0),
        Column::number("ERR %", 6, 0),
        Column::number("P50", 8, 4),
        Column::number("P95", 8, 3),
        Column::number("P99", 8, 2),
        Column::number("TOTAL", 9, 5),
        Column::new("LAST TWO MINUTES", 20, 1, 6).first("smallest first", "largest first"),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{} {}", self.method, self.route))
    }

    fn cell(&self, column: usize, _: &Cx) -> Cell {
        match column {
            0 => Cell::quiet(clean(&self.method)),
            1 => Cell::plain(clean(&self.route)),
            2 => Cell::plain(words::rate(self.requests)),
            3 => percent(self.failed, self.requests),
            4 => latency(self.quantiles.p50),
            5 => latency(self.quantiles.p95),
            6 => latency(self.quantiles.p99),
            7 => Cell::quiet(format!("{:.0}", self.total)),
            // The view draws the chart.
            _ => Cell::plain(""),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        let some = |value: Option<f64>| value.map_or(Rank::Nothing, Rank::Number);
        match column {
            2 | 8 => Rank::Number(self.requests),
            3 => Rank::Number(self.failed / self.requests.max(f64::MIN_POSITIVE)),
            4 => some(self.quantiles.p50),
            5 => some(self.quantiles.p95),
            6 => some(self.quantiles.p99),
            7 => Rank::Number(self.total),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn chart(&self) -> Option<&std::collections::VecDeque<f64>> {
        Some(&self.points)
    }

    fn json(&self) -> Value {
        serde_json::json!({"method": self.method, "route": self.route, "requests_per_s": self.requests,
            "failed_per_s": self.failed, "p50_s": self.quantiles.p50, "p95_s": self.quantiles.p95,
            "p99_s": self.quantiles.p99, "total": self.total})
    }
}

fn percent(part: f64, whole: f64) -> Cell {
    match 100.0 * part / whole {
        share if !share.is_finite() || share == 0.0 => Cell::quiet("-"),
        share => Cell::new(Tone::Bad, format!("{share:.1}")),
    }
}

fn latency(seconds: Option<f64>) -> Cell {
    seconds.map_or_else(|| Cell::quiet("-"), |seconds| Cell::plain(words::latency(seconds)))
}
