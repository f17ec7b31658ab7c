//! Draws what was learnt: a head line, then one panel for each part, worst things first.
//! It is pure: the same status and width are always the same cells, on a screen or in a file.

/// A titled table that knows how high it is.
mod panel;

use std::collections::BTreeMap;

use monolith_client::wire::{ProcessRole, Run, RunState, Store, Worker, WorkerState};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::metrics::Traffic;
use crate::status::{KeyCount, Part, Status, Tone};
use crate::words::{clock, size, span};
use panel::Panel;

/// Lines above the panels.
const HEAD: u16 = 3;
/// Characters of a hash that tell it from every other one that is about.
const HASH: usize = 12;

/// The whole status, as high as it needs to be.
pub(crate) fn draw(status: &Status, width: u16) -> Buffer {
    let view = View::new(status);
    let area = Rect::new(0, 0, width, view.height());
    let mut buffer = Buffer::empty(area);
    view.render(area, &mut buffer);
    buffer
}

/// A status that is ready to be drawn; a frame renders it like any other widget.
struct View<'a> {
    head: Vec<Line<'a>>,
    panels: Vec<Panel<'a>>,
}

impl<'a> View<'a> {
    fn new(status: &'a Status) -> Self {
        let panels = vec![findings(status), stores(status), workers(status), keys(status), traffic(&status.traffic)];
        Self { head: head(status), panels }
    }

    fn height(&self) -> u16 {
        self.panels.iter().map(Panel::height).fold(HEAD, u16::saturating_add)
    }
}

impl Widget for View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let mut rest = area;
        for line in self.head {
            let area = take(&mut rest, 1);
            cut(line, usize::from(area.width)).render(area, buffer);
        }
        take(&mut rest, 1);
        for panel in self.panels {
            let height = panel.height();
            panel.render(take(&mut rest, height), buffer);
        }
    }
}

/// A line in so many cells; where it is cut, a sign says so.
fn cut(mut line: Line<'_>, room: usize) -> Line<'_> {
    let mut left = room;
    let whole = line.width() <= room;
    for (place, span) in line.spans.iter_mut().enumerate() {
        let width = span.width();
        if whole || width < left {
            left -= width.min(left);
            continue;
        }
        *span = Span::styled(shortened(&span.content, left), span.style);
        line.spans.truncate(place + 1);
        break;
    }
    line
}

/// The beginning of a text, and a sign that there is more.
fn shortened(text: &str, room: usize) -> String {
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if Span::raw(kept.as_str()).width() >= room {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

/// Cuts rows off the top of what is left.
fn take(rest: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(rest.height);
    let top = Rect { height: rows, ..*rest };
    *rest = Rect { y: rest.y + rows, height: rest.height - rows, ..*rest };
    top
}

fn head(status: &Status) -> Vec<Line<'_>> {
    let health = &status.health;
    let word = format!(" {} ", health.status.as_str().to_uppercase());
    let disk = match health.config.disk_matches_running {
        Some(true) => quiet("disk matches"),
        Some(false) => toned(Tone::Doubtful, "disk differs from what runs"),
        None => quiet("disk not compared yet"),
    };
    let hash: String = health.config.hash.as_deref().unwrap_or("none yet").chars().take(HASH).collect();
    let dot = || quiet(" · ");
    let ready = if health.ready { quiet("ready") } else { toned(Tone::Doubtful, "not ready") };
    vec![
        Line::from(vec![
            // The one word that has to be seen from across the room.
            toned(health.status.into(), word).reversed().bold(),
            Span::raw(format!(" {}", status.target)).bold(),
            dot(),
            Span::raw(format!("monolith {} ", health.version)),
            quiet(format!("at {}", status.server)),
            dot(),
            ready,
            dot(),
            quiet(format!("up {}", span(health.uptime_s))),
        ]),
        Line::from(vec![
            Span::raw(format!(" profile {}", health.profile)),
            dot(),
            Span::raw(format!("generation {}", health.generation)),
            dot(),
            Span::raw(format!("config {hash}")),
            dot(),
            disk,
        ]),
    ]
}

fn findings(status: &Status) -> Panel<'_> {
    let Some(findings) = status.findings() else {
        return Panel::note("Findings", quiet("shown with a token"));
    };
    if findings.is_empty() {
        return Panel::note("Findings", quiet("nothing to report"));
    }
    let title = format!("Findings {}", findings.len());
    let rows = findings.into_iter().map(|finding| {
        vec![
            toned(finding.severity.into(), finding.severity.as_str()),
            Span::raw(&finding.code),
            Span::raw(&finding.subject),
            quiet(clock(&finding.since)),
            Span::raw(&finding.message),
        ]
    });
    Panel::table(title, &["SEVERITY", "CODE", "ABOUT", "SINCE (UTC)", "WHAT"], rows.collect())
}

fn stores(status: &Status) -> Panel<'_> {
    let rows = status.store_rows();
    if rows.is_empty() {
        return Panel::note("Stores", quiet("none declared"));
    }
    let title = match unknown(&status.stores) {
        Some(why) => format!("Stores {}, details {why}", rows.len()),
        None => format!("Stores {}", rows.len()),
    };
    let rows = rows.into_iter().map(|(name, state, store)| {
        let mut row = vec![Span::raw(name), toned(state.into(), state.as_str())];
        row.extend(store.map(store_cells).unwrap_or_default());
        row
    });
    Panel::table(title, &["NAME", "STATE", "KIND", "LATENCY", "POOL", "SINCE (UTC)", "ERROR"], rows.collect())
}

fn store_cells<'a>(store: Store) -> Vec<Span<'a>> {
    let pool = store.pool.map(|pool| format!("{} of {} idle", pool.idle, pool.size));
    vec![
        Span::raw(store.kind.as_str()),
        Span::raw(store.latency_ms.map_or_else(dash, |ms| format!("{ms} ms"))),
        Span::raw(pool.unwrap_or_else(dash)),
        quiet(store.since.as_deref().map_or_else(dash, clock)),
        toned(Tone::Bad, store.error.unwrap_or_default()),
    ]
}

fn workers(status: &Status) -> Panel<'_> {
    let count = &status.health.workers;
    let parts =
        [(count.running, "running"), (count.failing, "failing"), (count.overdue, "overdue"), (count.paused, "paused")];
    let counted: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!(", {n} {word}")).collect();
    let title = format!("Workers {}{counted}", count.total);
    match &status.workers {
        Part::Known(workers) if !workers.is_empty() => {
            let rows = workers.iter().map(worker_row).collect();
            Panel::table(title, &["NAME", "STATE", "KIND", "NEXT TICK (UTC)", "LAST RUN", "NOTE"], rows)
        }
        other => Panel::note(title, quiet(unknown(other).unwrap_or("none declared"))),
    }
}

fn worker_row(worker: &Worker) -> Vec<Span<'_>> {
    let tone = match worker.state {
        WorkerState::Idle | WorkerState::Running => Tone::Good,
        WorkerState::Paused | WorkerState::ConfigSplit => Tone::Doubtful,
        WorkerState::Disabled => Tone::Quiet,
    };
    vec![
        Span::raw(&worker.name),
        toned(tone, worker.state.as_str()),
        Span::raw(worker.kind.as_str()),
        Span::raw(worker.next.first().map_or_else(dash, |time| clock(time))),
        worker.last_run.as_ref().map_or_else(|| Span::raw("-"), last_run),
        toned(Tone::Doubtful, note(worker)),
    ]
}

fn last_run(run: &Run) -> Span<'_> {
    let tone = match run.state {
        RunState::Failed | RunState::TimedOut | RunState::Lost => Tone::Bad,
        RunState::Succeeded => Tone::Good,
        _ => Tone::Quiet,
    };
    toned(tone, run.state.as_str())
}

/// What is odd about a worker, worst first.
fn note(worker: &Worker) -> String {
    let overdue = worker.overdue_since.as_deref().map(|since| format!("overdue since {}", clock(since)));
    let failing = (worker.consecutive_failures > 0).then(|| format!("{} failures", worker.consecutive_failures));
    let paused = worker.paused.as_ref().map(|pause| format!("{}: {}", pause.by, pause.reason));
    [overdue, failing, paused].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn keys(status: &Status) -> Panel<'_> {
    if status.health.role == ProcessRole::Worker {
        return Panel::note("Keys", quiet("none here: this process only runs workers"));
    }
    let keys = &status.health.keys;
    let kept = match keys.persistent {
        true => Span::raw(format!("in {}", keys.store)),
        false => toned(Tone::Doubtful, "in memory, gone at a restart"),
    };
    let fresh = match (keys.fresh, keys.age_ms) {
        (true, _) => quiet("current"),
        (false, Some(age)) => toned(Tone::Bad, format!("{age} ms old")),
        (false, None) => toned(Tone::Bad, "not loaded yet"),
    };
    let states = match &status.keys {
        Part::Known(count) => Span::raw(key_states(count)),
        other => quiet(unknown(other).unwrap_or_default()),
    };
    let rows = vec![vec![Span::raw("kept"), kept], vec![Span::raw("index"), fresh], vec![Span::raw("states"), states]];
    Panel::table(format!("Keys {}", keys.count), &[], rows)
}

fn key_states(count: &KeyCount) -> String {
    let states: Vec<_> = count.states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    match (count.more, states.is_empty()) {
        (_, true) => "no key yet".to_owned(),
        (true, _) => format!("{} of the first {}", states.join(", "), count.seen),
        (false, _) => states.join(", "),
    }
}

fn traffic(part: &Part<Traffic>) -> Panel<'_> {
    let Part::Known(traffic) = part else {
        return Panel::note(
            "Traffic",
            match part {
                Part::Failed(failed) => toned(Tone::Bad, format!("UNREADABLE: {}", failed.why)),
                other => quiet(unknown(other).unwrap_or_default()),
            },
        );
    };
    let counts = |counts: &BTreeMap<String, u64>| match counts.is_empty() {
        true => "none yet".to_owned(),
        false => counts.iter().map(|(word, n)| format!("{n} {word}")).collect::<Vec<_>>().join(", "),
    };
    let shown = |value: Option<u64>, text: fn(u64) -> String| value.map_or_else(dash, text);
    let rows = [
        ("requests", counts(&traffic.requests)),
        ("verifications", counts(&traffic.verifications)),
        ("connections", shown(traffic.connections, |n| n.to_string())),
        ("memory", shown(traffic.memory_bytes, size)),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![Span::raw(name), Span::raw(value)]).collect();
    Panel::table("Traffic since the start", &[], rows)
}

/// Why a part is not shown.
fn unknown<T>(part: &Part<T>) -> Option<&str> {
    match part {
        Part::Known(_) => None,
        Part::NotServed => Some("not served by this server"),
        Part::NeedsToken => Some("shown with a token"),
        Part::Failed(failed) => Some(&failed.why),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn quiet<'a>(text: impl Into<std::borrow::Cow<'a, str>>) -> Span<'a> {
    toned(Tone::Quiet, text)
}

fn toned<'a>(tone: Tone, text: impl Into<std::borrow::Cow<'a, str>>) -> Span<'a> {
    Span::styled(
        text,
        match tone {
            Tone::Good => Style::new().fg(Color::Green),
            Tone::Doubtful => Style::new().fg(Color::Yellow),
            Tone::Bad => Style::new().fg(Color::Red),
            Tone::Quiet => Style::new().dim(),
        },
    )
}

#[cfg(test)]
mod tests;
