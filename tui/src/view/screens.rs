//! All screens but the first: a list each, with what belongs above it.
//! What stands in the lists is decided elsewhere.

use ratatui::layout::Rect;

use super::list::{self, Look};
use super::pen::{Pen, take};
use super::{overview, source_words};
use crate::clock::Now;
use crate::feed::Source;
use crate::keymap::{Act, Screen};
use crate::model::rows::{Cx, List};
use crate::model::{ConfigPane, Model, WorkPane, tables};
use crate::theme::Tone;
use crate::update::problem;
use crate::words;

pub(super) fn draw(pen: &mut Pen<'_>, mut area: Rect, model: &Model, screen: Screen, cx: Cx, now: Now) {
    let table = |pen: &mut Pen<'_>, area: Rect, list, title: &str, source, empty: &str| {
        let empty = if model.is_other(list) { not_known(model) } else { empty };
        list::draw(pen, area, model, list, &Look { title, source, empty, active: true }, cx);
    };
    match screen {
        Screen::Overview => {}
        Screen::Traffic => {
            if area.height >= 16 {
                overview::traffic(pen, take(&mut area, 6), model, 4, now);
            }
            table(pen, area, List::Routes, "Routes", Some(Source::Metrics), "no request was counted yet");
        }
        Screen::Stores => table(pen, area, List::Stores, "Stores", Some(Source::Stores), "the file declares no store"),
        Screen::Workers => match &model.pane.work {
            WorkPane::Workers => {
                table(pen, area, List::Workers, "Workers", Some(Source::Workers), "the file declares no worker");
            }
            WorkPane::Runs { worker } => {
                let title = format!("Runs of {}", words::clean(worker));
                table(pen, area, List::Runs, &title, Some(Source::Runs), "it has not run yet");
            }
            WorkPane::Output { worker, run } => output(pen, area, model, worker, run, cx),
        },
        Screen::Config => {
            config(pen, &mut area, model, cx, now);
            match model.pane.config {
                ConfigPane::Values => table(pen, area, List::Values, "Values", Some(Source::Config), "none"),
                ConfigPane::Revisions => {
                    table(pen, area, List::Revisions, "Revisions", Some(Source::Revisions), "no reload yet");
                }
                ConfigPane::Replicas => {
                    table(pen, area, List::Replicas, "Replicas", Some(Source::Replicas), "none known")
                }
            }
        }
        Screen::Audit if model.pane.logs => {
            let title = match &model.logs_of {
                Some(request) => format!("Warnings and errors of request {}", words::clean(request)),
                None => "Recent warnings and errors".to_owned(),
            };
            table(pen, area, List::Logs, &title, Some(Source::Logs), "none that the server remembers");
        }
        Screen::Audit => table(pen, area, List::Audit, "Audit", Some(Source::Audit), "nothing was done yet"),
        Screen::Keys => {
            let empty = format!("no key yet; {} makes one", model.keymap.key(Act::CreateKey));
            table(pen, area, List::Keys, "Keys", Some(Source::Keys), &empty);
        }
        Screen::Targets => table(pen, area, List::Targets, "Targets", None, ""),
        Screen::Messages => table(pen, area, List::Messages, "Messages", None, "this console had nothing to say"),
    }
}

/// Why there is nothing of what the title names.
const fn not_known(model: &Model) -> &'static str {
    if model.frozen.is_some() { "not in the frozen picture" } else { "loading" }
}

/// The output of a run as it comes.
fn output(pen: &mut Pen<'_>, mut area: Rect, model: &Model, worker: &str, run: &str, cx: Cx) {
    let target = model.shown();
    let view = target.source(Source::Output, cx.at);
    let source = source_words(&view);
    let tone = |own| if list::is_old(&view) { Tone::Old } else { own };
    let title = format!("Output of {} {}", words::clean(worker), words::clean(run));
    pen.title(take(&mut area, 1), &title, (source.0, &source.1));
    let Some(output) = model.output() else {
        if target.output.value().is_some() || model.frozen.is_some() {
            pen.put(area.x + 2, area.y, area.width.saturating_sub(2), Tone::Quiet, not_known(model));
        }
        return;
    };
    let state = &output.run;
    let head = take(&mut area, 1);
    let took = state.duration_ms.map(words::millis).unwrap_or_default();
    let mut x = pen.state(head.x + 2, head.y, 14, tone(tables::run_tone(state.state)), state.state.as_str());
    for (own, text) in [
        (Tone::Quiet, took),
        (Tone::Quiet, format!("try {}", state.attempt)),
        (Tone::Quiet, state.exit_code.map(|code| format!("exit code {code}")).unwrap_or_default()),
        (Tone::Quiet, words::size(state.output_bytes)),
        (Tone::Doubtful, if state.output_truncated { "a part was dropped".to_owned() } else { String::new() }),
        (
            Tone::Quiet,
            if output.done {
                "whole"
            } else if model.follow {
                "following"
            } else {
                "not following"
            }
            .to_owned(),
        ),
        (Tone::Bad, words::clean(state.error.as_deref().unwrap_or_default()).into_owned()),
    ] {
        if !text.is_empty() {
            x = pen.put(x + 2, head.y, head.right().saturating_sub(x + 2), tone(own), &text);
        }
    }
    take(&mut area, 1);
    let lines: Vec<&str> = output.text.lines().collect();
    if lines.is_empty() {
        let text = if output.done { "it wrote nothing" } else { "it has written nothing yet" };
        pen.put(area.x + 2, area.y, area.width.saturating_sub(2), Tone::Quiet, text);
    }
    let last = lines.len().saturating_sub(usize::from(area.height));
    let first = if model.follow { last } else { model.scroll.min(last) };
    for (y, line) in (area.y..area.bottom()).zip(lines.into_iter().skip(first)) {
        pen.put(area.x + 1, y, area.width.saturating_sub(1), Tone::Plain, &words::clean(&line.replace('\t', "    ")));
    }
}

/// What runs and what the files say, with the mistakes that keep them from being taken.
fn config(pen: &mut Pen<'_>, area: &mut Rect, model: &Model, cx: Cx, now: Now) {
    let target = model.shown();
    let shown = target.config.shown(cx.at);
    let Some(config) = shown.any() else { return };
    let fresh = shown.is_fresh();
    let tone = |own| if fresh { own } else { Tone::Old };
    let hash = |hash: &str| hash.chars().take(12).collect::<String>();
    let now = model.shown_at(now);
    let reload = target.health.value().and_then(|health| health.config.last_reload.as_ref()).map(|reload| {
        let ago = target.since(&reload.at, now).map(words::steps).unwrap_or_default();
        (tables::reload_tone(reload.outcome), format!("reload {} {ago} ago by {}", reload.outcome, reload.trigger))
    });
    let disk = match (config.disk.matches, config.disk.problems.is_empty(), &config.disk.hash) {
        (true, ..) => (Tone::Good, "disk matches what runs".to_owned()),
        (false, true, Some(disk)) => (Tone::Doubtful, format!("DISK DIFFERS: {}", hash(disk))),
        (false, ..) => (Tone::Bad, format!("DISK BROKEN: {}", words::count(config.disk.problems.len(), "mistake"))),
    };
    let head = take(area, 1);
    // Whether the files are what runs comes first: the line may be cut.
    let mut x = pen.state(head.x + 1, head.y, head.width.saturating_sub(1), tone(disk.0), &disk.1);
    if let Some((own, text)) = reload {
        x = pen.put(x + 2, head.y, head.right().saturating_sub(x + 2), tone(own), &text);
    }
    let text =
        format!("profile {}  generation {}  {}", words::clean(&config.profile), config.generation, hash(&config.hash));
    pen.put(x + 2, head.y, head.right().saturating_sub(x + 2), tone(Tone::Plain), &text);
    let layers = take(area, 1);
    let names: Vec<_> = config.layers.iter().map(|layer| layer.source.as_deref().unwrap_or(&layer.name)).collect();
    let text = format!("layers, lowest first: {}", words::clean(&names.join(" < ")));
    pen.put(layers.x + 1, layers.y, layers.width.saturating_sub(1), Tone::Quiet, &text);
    let lines: Vec<_> = config.disk.problems.iter().flat_map(problem).collect();
    let room = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height / 3);
    for (place, text) in lines.iter().take(usize::from(room)) {
        let line = take(area, 1);
        let x = pen.put(line.x + 3, line.y, line.width / 2, tone(Tone::Accent), place);
        pen.put(x + 2, line.y, line.right().saturating_sub(x + 2), tone(Tone::Bad), text);
    }
}
