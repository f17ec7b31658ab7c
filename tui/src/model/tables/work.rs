//! Stores, workers and runs as rows.
//! Texts of strangers are made harmless here, before anything draws them.

use std::borrow::Cow;
use std::time::Duration;

use monolith_client::wire::{Run, RunState, Store, StoreState, Worker, WorkerState};
use serde_json::Value;

use super::{Tone, ago, ago_cell, ahead, clean, json, number, time_rank};
use crate::model::rows::{Cell, Column, Cx, Rank, Row};
use crate::words;

impl Row for Store {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME", 12, 1, 0),
        Column::new("STATE", 9, 0, 0),
        Column::new("KIND", 8, 0, 3),
        Column::new("SINCE", 8, 0, 1).past(),
        Column::number("LATENCY", 8, 2),
        Column::new("POOL", 13, 0, 5),
        Column::new("NEEDED", 8, 0, 6),
        Column::new("LAST ERROR", 16, 3, 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::plain(clean(&self.name)),
            1 => Cell::state(store_tone(self.state), self.state.as_str()),
            2 => Cell::plain(self.kind.as_str()),
            3 => ago_cell(self.since.as_ref(), cx),
            4 => Cell::or_dash(self.latency_ms.map(words::millis)),
            5 => Cell::or_dash(
                self.pool.as_ref().map(|pool| format!("{}/{} busy", pool.size.saturating_sub(pool.idle), pool.size)),
            ),
            6 => Cell::quiet(if self.required { "required" } else { "optional" }),
            _ => Cell::new(Tone::Bad, clean(self.error.as_deref().unwrap_or_default())),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match column {
            3 => time_rank(self.since.as_ref()),
            4 => number(self.latency_ms),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

const fn store_tone(state: StoreState) -> Tone {
    match state {
        StoreState::Up => Tone::Good,
        StoreState::Down => Tone::Bad,
        StoreState::Unknown => Tone::Doubtful,
    }
}

impl Row for Worker {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME", 16, 2, 0),
        Column::new("STATE", 10, 0, 0),
        Column::new("SCHEDULE", 12, 1, 4).from(110),
        Column::new("NEXT", 8, 0, 2).ahead(),
        Column::new("LAST RUN", 11, 0, 0),
        Column::new("ENDED", 8, 0, 3).past().from(100),
        Column::number("TOOK", 8, 6).from(140),
        Column::number("LATE", 7, 7).from(140),
        Column::number("24H", 9, 5).from(90),
        Column::new("NOTE", 14, 6, 1),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        let last = self.last_run.as_ref();
        match column {
            0 => Cell::plain(clean(&self.name)),
            1 => worker_state(self),
            2 => Cell::quiet(self.schedule.clone().map_or_else(|| every(self.every_ms), |cron| clean(&cron))),
            3 => Cell::or_dash(self.next.first().map(|time| ahead(time, cx))),
            4 => last.map_or_else(|| Cell::quiet("-"), |run| Cell::state(run_tone(run.state), run.state.as_str())),
            5 => ago_cell(last.and_then(|run| run.finished_at.as_ref()), cx),
            6 => Cell::or_dash(last.and_then(|run| run.duration_ms).map(words::millis)),
            7 => Cell::or_dash(self.lateness_ms.map(words::millis)),
            8 => counts(self),
            _ => note(self, cx),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        let last = self.last_run.as_ref();
        match column {
            3 => time_rank(self.next.first()),
            5 => time_rank(last.and_then(|run| run.finished_at.as_ref())),
            6 => number(last.and_then(|run| run.duration_ms)),
            7 => number(self.lateness_ms),
            8 => number(Some(self.counts_24h.failed + self.counts_24h.missed + self.counts_24h.lost)),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

fn every(every_ms: Option<u64>) -> String {
    every_ms.map_or_else(String::new, |ms| format!("every {}", words::limit(Duration::from_millis(ms))))
}

/// What is wrong with it, where something is; else what it is doing.
fn worker_state(worker: &Worker) -> Cell {
    match worker.state {
        _ if worker.overdue_since.is_some() => Cell::state(Tone::Bad, "overdue"),
        WorkerState::Idle if worker.consecutive_failures > 0 => Cell::state(Tone::Bad, "failing"),
        WorkerState::Idle | WorkerState::Running => Cell::state(Tone::Good, worker.state.as_str()),
        WorkerState::Paused | WorkerState::ConfigSplit => Cell::state(Tone::Doubtful, worker.state.as_str()),
        WorkerState::Disabled => Cell::state(Tone::Quiet, worker.state.as_str()),
    }
}

fn counts(worker: &Worker) -> Cell {
    let counts = &worker.counts_24h;
    let bad = counts.failed + counts.missed + counts.lost;
    match bad {
        0 => Cell::quiet(format!("{} ok", counts.succeeded)),
        bad => Cell::new(Tone::Bad, format!("{bad} bad")),
    }
}

/// What is odd about a worker, worst first.
fn note(worker: &Worker, cx: &Cx) -> Cell {
    if let Some(since) = &worker.overdue_since {
        return Cell::new(Tone::Bad, format!("overdue {}", ago(since, cx)));
    }
    if worker.consecutive_failures > 0 {
        let error = worker.last_run.as_ref().and_then(|run| run.error.as_deref()).unwrap_or_default();
        let failures = words::count(usize::try_from(worker.consecutive_failures).unwrap_or(usize::MAX), "failure");
        return Cell::new(Tone::Bad, format!("{failures} in a row: {}", clean(error)));
    }
    match &worker.paused {
        Some(pause) => Cell::new(Tone::Doubtful, format!("{}: {}", clean(&pause.by), clean(&pause.reason))),
        None => Cell::plain(""),
    }
}

pub(crate) const fn run_tone(state: RunState) -> Tone {
    match state {
        RunState::Failed | RunState::TimedOut | RunState::Lost | RunState::Missed => Tone::Bad,
        RunState::Succeeded => Tone::Good,
        RunState::Cancelled | RunState::Retrying => Tone::Doubtful,
        RunState::Queued | RunState::Claimed | RunState::Running | RunState::Skipped => Tone::Quiet,
    }
}

impl Row for Run {
    const COLUMNS: &'static [Column] = &[
        Column::new("DUE", 8, 0, 0).past(),
        Column::new("STATE", 11, 0, 0),
        Column::new("KIND", 8, 0, 3),
        Column::number("TOOK", 8, 1),
        Column::number("LATE", 8, 4),
        Column::number("TRY", 3, 5),
        Column::new("REPLICA", 10, 0, 6),
        Column::new("WHY", 16, 3, 0),
        Column::new("ID", 13, 0, 2),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::quiet(ago(&self.due_at, cx)),
            1 => Cell::state(run_tone(self.state), self.state.as_str()),
            2 => Cell::quiet(self.kind.as_str()),
            3 => Cell::or_dash(self.duration_ms.map(words::millis)),
            4 => Cell::or_dash(self.lateness_ms.map(words::millis)),
            5 => Cell::plain(self.attempt.to_string()),
            6 => Cell::quiet(clean(self.replica.as_deref().unwrap_or("-"))),
            7 => {
                let why = self.error.as_deref().or(self.reason.as_deref()).unwrap_or_default();
                Cell::new(if self.error.is_some() { Tone::Bad } else { Tone::Quiet }, clean(why))
            }
            _ => Cell::quiet(clean(&self.id)),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match column {
            0 => time_rank(Some(&self.due_at)),
            3 => number(self.duration_ms),
            4 => number(self.lateness_ms),
            5 => number(Some(self.attempt.into())),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}
