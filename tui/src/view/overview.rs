//! The screen at three in the morning: what is wrong, since when, what changed, and whether the figures are true now.
//! Findings come first and get the room they need; everything else shares what is left.

use monolith_client::wire::{AuditEntry, ProcessRole, ReloadOutcome};
use ratatui::layout::Rect;

use super::list::{self, Look};
use super::pen::{Pen, take, width, without_brackets};
use super::{chart, short_words, source_words};
use crate::clock::Now;
use crate::feed::{Condition, Shown, Source};
use crate::model::Model;
use crate::model::history::{History, Rates};
use crate::model::rows::{Cell, Cx, List, Row};
use crate::theme::Tone;
use crate::words;

/// Where there is room for two columns of panels.
const WIDE: u16 = 100;
/// Where there is room for more than findings and a line of figures.
const TALL: u16 = 14;
/// Where the last run of a worker has room for a word before it.
const LABELLED: u16 = 60;
/// A panel that had room for its title alone would only look broken.
const PANEL_MIN: u16 = 2;

pub(super) fn draw(pen: &mut Pen<'_>, mut area: Rect, model: &Model, cx: Cx, now: Now) {
    let findings = u16::try_from(model.shown().findings.len()).unwrap_or(u16::MAX);
    let most = if area.height < TALL { area.height.saturating_sub(4) } else { area.height / 3 };
    let height = if findings == 0 { 3 } else { findings.saturating_add(3).min(most.max(4)) };
    let look = Look { title: "Findings", source: None, empty: quiet_words(model, now), active: true };
    list::draw(pen, take(&mut area, height), model, List::Findings, &look, cx);
    let chart_rows = if area.height >= 18 { 4 } else { 1 };
    traffic(pen, take(&mut area, 2 + chart_rows), model, chart_rows, now);
    config(pen, take(&mut area, 2), model, now);
    if area.width >= WIDE {
        let rows = if area.height >= 12 { area.height.saturating_sub(6) } else { area.height };
        let mut both = take(&mut area, rows);
        both.width /= 2;
        stores(pen, both, model, cx);
        both.x += both.width;
        both.width = pen.frame.area.right().saturating_sub(both.x);
        workers(pen, both, model, cx);
    } else {
        let third = (area.height / 3).max(3);
        stores(pen, take(&mut area, third), model, cx);
        workers(pen, take(&mut area, third), model, cx);
    }
    audit(pen, area, model, cx);
}

fn quiet_words(model: &Model, now: Now) -> &'static str {
    let target = model.shown();
    match target.health.value() {
        Some(_) if target.source(Source::Health, model.shown_at(now).at).condition == Condition::Failing => {
            "the last question failed; what is known is a moment old"
        }
        None => "nothing is known yet",
        Some(health) if health.findings.is_none() => "none that everyone may see; a token shows the rest",
        Some(_) => "nothing to report",
    }
}

/// Rates now, and how they went; reloads are marked.
pub(super) fn traffic(pen: &mut Pen<'_>, mut area: Rect, model: &Model, rows: u16, now: Now) {
    let now = model.shown_at(now);
    let target = model.shown();
    let view = target.source(Source::Metrics, now.at);
    let source = source_words(&view);
    pen.title(take(&mut area, 1), "Traffic", (source.0, &source.1));
    let line = take(&mut area, 1);
    let history = &target.history;
    match (target.metrics.shown(now.at), &history.rates) {
        (Shown::Nothing, _) => {}
        (Shown::Fresh(_), Some(rates)) => figures(pen, line, rates, Tone::Plain),
        (Shown::Fresh(_), None) => {
            pen.put(line.x + 2, line.y, line.width, Tone::Quiet, "rates come with the next look");
        }
        (Shown::Old(_, _), Some(rates)) => figures(pen, line, rates, Tone::Old),
        (_, None) => {}
        (Shown::Withdrawn(_, age), Some(rates)) => {
            let text = format!("- (was {} req/s, {} ago)", words::rate(rates.requests), words::steps(age));
            pen.put(line.x + 2, line.y, line.width.saturating_sub(2), Tone::Old, &text);
        }
    }
    area.height = area.height.min(rows);
    draw_chart(pen, area, history, model.earlier, target.metrics.shown(now.at).is_fresh());
}

fn figures(pen: &mut Pen<'_>, line: Rect, rates: &Rates, tone: Tone) {
    let mark = if tone == Tone::Old { "~" } else { "" };
    let latency = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), words::latency);
    let share = 100.0 * rates.failed / rates.requests;
    let failed = if share > 0.0 { format!("{share:.1} %") } else { "0 %".to_owned() };
    let bad = if share > 0.0 && tone == Tone::Plain { Tone::Bad } else { tone };
    let quantiles = rates.quantiles;
    let figures = [
        ("req/s", words::rate(rates.requests), tone),
        ("5xx", failed, bad),
        ("verify/s", words::rate(rates.verifications), tone),
        ("p50", latency(quantiles.p50), tone),
        ("p95", latency(quantiles.p95), tone),
        ("p99", latency(quantiles.p99), tone),
    ];
    let mut x = line.x + 2;
    for (name, value, tone) in figures {
        let value = format!("{mark}{value}");
        if x + width(&value) + width(name) + 1 > line.right() {
            return;
        }
        x = pen.put(x, line.y, line.right() - x, tone, &value);
        x = pen.put(x + 1, line.y, line.right().saturating_sub(x + 1), Tone::Quiet, name) + 3;
    }
}

/// Requests a second, failed ones in red, a mark where a new configuration took effect.
fn draw_chart(pen: &mut Pen<'_>, mut area: Rect, history: &History, earlier: usize, fresh: bool) {
    if area.height == 0 || area.width < 12 || history.points.is_empty() {
        return;
    }
    area.x += 2;
    area.width = area.width.saturating_sub(12);
    let end = history.points.len().saturating_sub(earlier).max(1);
    let points = || history.points.iter().take(end);
    let tone = if fresh { Tone::Accent } else { Tone::Old };
    let most = chart::spark(pen, area, points().map(|point| point.requests), tone);
    let text = format!(" {}/s", words::rate(most));
    pen.put(area.right(), area.y, 10, Tone::Quiet, &text);
    let shown: Vec<_> = points().rev().take(usize::from(area.width)).collect();
    for (back, point) in (1_u16..).zip(&shown) {
        let x = area.right().saturating_sub(back);
        let before = shown.get(usize::from(back)).map(|point| point.at);
        let marked = history.marks.iter().any(|mark| *mark <= point.at && before.is_some_and(|before| *mark > before));
        if marked {
            for y in area.top()..area.bottom() {
                let sign = pen.glyphs().mark;
                pen.put(x, y, 1, Tone::Doubtful, sign);
            }
        }
        if point.failed > 0.0 {
            let style = pen.style(Tone::Bad);
            pen.frame.set_style(Rect::new(x, area.y, 1, area.height), style);
        }
    }
    if earlier > 0 && area.height > 1 {
        let ago = history.points.back().zip(shown.first()).map(|(last, first)| last.at.saturating_sub(first.at));
        let text = format!(" -{}", ago.map(words::steps).unwrap_or_default());
        pen.put(area.right(), area.bottom() - 1, 10, Tone::Doubtful, &text);
    }
}

/// What runs, whether it is what the files say, and what changed last.
fn config(pen: &mut Pen<'_>, mut area: Rect, model: &Model, now: Now) {
    let now = model.shown_at(now);
    let target = model.shown();
    let health = target.health.shown(now.at);
    let view = target.source(Source::Health, now.at);
    let source = source_words(&view);
    if area.height < PANEL_MIN {
        return;
    }
    pen.title(take(&mut area, 1), "Running", (source.0, &source.1));
    let Some(known) = health.any() else { return };
    let tone = |tone| if health.is_fresh() { tone } else { Tone::Old };
    let hash: String = known.config.hash.as_deref().unwrap_or("-").chars().take(8).collect();
    let rejected = known.config.last_reload.as_ref().is_some_and(|last| last.outcome == ReloadOutcome::Rejected);
    let disk = match known.config.disk_matches_running {
        Some(true) => (Tone::Quiet, "disk matches".to_owned()),
        Some(false) if rejected => (Tone::Bad, "DISK BROKEN".to_owned()),
        Some(false) => (Tone::Doubtful, "DISK DIFFERS".to_owned()),
        None => (Tone::Quiet, "disk not compared".to_owned()),
    };
    let reload = known.config.last_reload.as_ref().map(|reload| {
        let ago = target.since(&reload.at, now).map(words::steps).unwrap_or_default();
        (
            crate::model::tables::reload_tone(reload.outcome),
            format!("reload {} {ago} ago by {}", reload.outcome, reload.trigger),
        )
    });
    let keys = &known.keys;
    let kept = match (keys.fresh, keys.persistent) {
        _ if known.role == ProcessRole::Worker => (Tone::Quiet, "only runs workers".to_owned()),
        (false, _) => (Tone::Bad, format!("{} STALE INDEX", words::count(keys.count as usize, "key"))),
        (true, false) => (Tone::Quiet, format!("{} in memory", words::count(keys.count as usize, "key"))),
        (true, true) => {
            (Tone::Quiet, format!("{} in {}", words::count(keys.count as usize, "key"), words::clean(&keys.store)))
        }
    };
    let parts = [
        Some((Tone::Plain, format!("{} {}", words::clean(&known.profile), words::clean(&known.version)))),
        Some((Tone::Quiet, format!("generation {} {hash}", known.generation))),
        Some(disk),
        Some(kept),
        reload,
    ];
    // What is wrong comes first: the line may be cut.
    let mut parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.sort_by_key(|(tone, _)| !matches!(tone, Tone::Bad | Tone::Doubtful));
    let line = take(&mut area, 1);
    let dot = format!(" {} ", pen.glyphs().dot);
    let mut x = line.x + 2;
    if !health.is_fresh() {
        let sign = pen.glyphs().old;
        x = pen.put(x, line.y, 1, Tone::Old, sign) + 1;
    }
    for (index, (own, text)) in parts.into_iter().enumerate() {
        if index > 0 {
            x = pen.put(x, line.y, line.right().saturating_sub(x), Tone::Quiet, &dot);
        }
        x = pen.put(x, line.y, line.right().saturating_sub(x), tone(own), &text);
    }
}

/// Places of a row: each shows the first of its columns that holds something, in so much room, after a word that says
/// what it is.
type Columns<'a> = &'a [&'a [(usize, u16, &'a str)]];

/// A few columns of the first rows of a list; the whole has a screen of its own.
fn short<R: Row>(pen: &mut Pen<'_>, area: Rect, rows: &[&R], columns: Columns<'_>, old: bool, cx: &Cx) {
    for (y, row) in (area.y..area.bottom()).zip(rows) {
        let mut x = area.x + 2;
        for place in columns {
            let cells = place.iter().map(|(column, room, word)| (row.cell(*column, cx), *room, *word));
            let Some((cell, room, word)) = cells.into_iter().find(|(cell, ..)| !cell.text.is_empty()) else {
                continue;
            };
            let Cell { text, tone, sign } = cell;
            let right = area.right().saturating_sub(1);
            if !word.is_empty() && x + width(word) + width(after_in(&text)) > right {
                break;
            }
            x = pen.put(x, y, right.saturating_sub(x), Tone::Quiet, word);
            let room = room.min(right.saturating_sub(x));
            let tone = if old { Tone::Old } else { tone };
            match sign {
                true => drop(pen.state(x, y, room, tone, &text)),
                // A time that goes on being counted would look like news.
                false if old && !word.is_empty() => drop(pen.put(x, y, room, tone, &format!("~{}", after_in(&text)))),
                false if !word.is_empty() => drop(pen.put(x, y, room, tone, after_in(&text))),
                false => drop(pen.put(x, y, room, tone, &text)),
            }
            x = x.saturating_add(room + 1);
        }
    }
    let rest = rows.len().saturating_sub(usize::from(area.height));
    if rest > 0 && area.height > 0 {
        let text = format!(" +{rest} more ");
        pen.put_right(area.right().saturating_sub(1), area.bottom() - 1, width(&text), Tone::Quiet, &text);
    }
}

/// The word before a place says already that it is to come.
fn after_in(text: &str) -> &str {
    text.strip_prefix("in ").unwrap_or(text)
}

/// What cannot be shown is said where the rows would stand.
fn missing(pen: &mut Pen<'_>, area: Rect, model: &Model, source: Source, empty: &str, cx: &Cx) {
    let view = model.shown().source(source, cx.at);
    let (tone, text) = match (list::is_old(&view), view.age) {
        (false, _) => (Tone::Quiet, empty.to_owned()),
        (true, None) => source_words(&view),
        // The title says why.
        (true, Some(_)) => (Tone::Old, format!("{} {empty}", pen.glyphs().old)),
    };
    let room = area.width.saturating_sub(3);
    pen.put(area.x + 2, area.y, room, tone, without_brackets(&text, room));
}

fn stores(pen: &mut Pen<'_>, mut area: Rect, model: &Model, cx: Cx) {
    let target = model.shown();
    let view = target.source(Source::Stores, cx.at);
    let source = short_words(&view);
    let end = if view.age.is_some() { (source.0, source.1.as_str()) } else { (Tone::Quiet, "") };
    if area.height < PANEL_MIN {
        return;
    }
    pen.title(take(&mut area, 1), "Stores", end);
    let shown = target.stores.shown(cx.at);
    let mut rows: Vec<_> = shown.any().into_iter().flatten().collect();
    if rows.is_empty() {
        return missing(pen, area, model, Source::Stores, "none declared", &cx);
    }
    rows.sort_by_key(|store| store.state == monolith_client::wire::StoreState::Up);
    let rest = area.width.saturating_sub(35);
    short(
        pen,
        area,
        &rows,
        &[&[(0, 16, "")], &[(1, 9, "")], &[(3, 5, "")], &[(7, rest, ""), (4, rest, "")]],
        list::is_old(&view),
        &cx,
    );
}

fn workers(pen: &mut Pen<'_>, mut area: Rect, model: &Model, cx: Cx) {
    let target = model.shown();
    let view = target.source(Source::Workers, cx.at);
    let source = short_words(&view);
    let end = if view.age.is_some() { (source.0, source.1.as_str()) } else { (Tone::Quiet, "") };
    if area.height < PANEL_MIN {
        return;
    }
    pen.title(take(&mut area, 1), "Workers", end);
    let shown = target.workers.shown(cx.at);
    let mut rows: Vec<_> = shown.any().into_iter().flatten().collect();
    if rows.is_empty() {
        return missing(pen, area, model, Source::Workers, "none declared", &cx);
    }
    rows.sort_by_key(|worker| {
        (worker.overdue_since.is_none() && worker.consecutive_failures == 0, worker.paused.is_none())
    });
    // What is odd about a worker needs the room of its last run and of its next.
    let (name, last, last_room) = if area.width < LABELLED { (14, "", 11) } else { (16, "last ", 12) };
    let rest = area.width.saturating_sub(name + 15);
    let columns: Columns<'_> =
        &[&[(0, name, "")], &[(1, 10, "")], &[(9, rest, ""), (4, last_room, last)], &[(3, rest, "next ")]];
    short(pen, area, &rows, columns, list::is_old(&view), &cx);
}

fn audit(pen: &mut Pen<'_>, mut area: Rect, model: &Model, cx: Cx) {
    let target = model.shown();
    let view = target.source(Source::Audit, cx.at);
    let source = short_words(&view);
    let end = if view.age.is_some() { (source.0, source.1.as_str()) } else { (Tone::Quiet, "") };
    if area.height < PANEL_MIN {
        return;
    }
    pen.title(take(&mut area, 1), "What changed", end);
    let shown = target.audit.shown(cx.at);
    let mut rows: Vec<&AuditEntry> = shown.any().into_iter().flatten().collect();
    if rows.is_empty() {
        return missing(pen, area, model, Source::Audit, "nothing yet", &cx);
    }
    rows.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
    let rest = area.width.saturating_sub(56);
    let columns: Columns<'_> = &[&[(0, 6, "")], &[(1, 18, "")], &[(2, 18, "")], &[(4, 9, "")], &[(3, rest, "")]];
    short(pen, area, &rows, columns, list::is_old(&view), &cx);
}
