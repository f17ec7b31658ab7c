//! The lines around every screen: which server, how it is, how old that is, who is asking, where one is, what one can do.
//! A state is never told by a colour alone.

use ratatui::layout::Rect;

use super::pen::{Pen, width};
use crate::clock::{At, Now};
use crate::feed::{Condition, Source};
use crate::keymap::{Act, Screen};
use crate::model::target::{Standing, Target};
use crate::model::{Model, PromptKind, WorkPane, tables};
use crate::theme::Tone;
use crate::update::prompt;
use crate::words;
use monolith_client::wire::Severity;

/// Where the first line has no room for everything that may have to be in it.
const NARROW: u16 = 60;

/// One line for a terminal that has room for no more, down to one sign.
pub(super) fn tiny(pen: &mut Pen<'_>, area: Rect, model: &Model, now: Now) {
    let target = model.target();
    let (tone, word) = target.state();
    let sign = if target.is_only_refused() { pen.glyphs().ask } else { pen.glyphs().of(tone) };
    let (name, since) = (target.label(), since(target, model, now));
    let texts = [format!("{name} {word} {since}"), format!("{name} {word}"), word.to_owned()];
    let text = texts.iter().find(|text| width(text) <= area.width);
    pen.put(area.x, area.y, area.width, tone, text.map_or(sign, String::as_str));
}

/// How long it has been so. In a frozen picture a server that is well does not grow older either: nothing is written
/// then, and what moves is a change.
fn since(target: &Target, model: &Model, now: Now) -> String {
    match target.standing {
        Standing::Healthy => format!("up {}", words::steps(target.standing_for(model.shown_at(now)))),
        _ => words::counted(target.standing_for(now)),
    }
}

/// Which server, how it is, who asks, and how old what is known is.
pub(super) fn header(pen: &mut Pen<'_>, area: Rect, model: &Model, now: Now) {
    let target = model.target();
    let room = |x: u16| area.right().saturating_sub(x);
    let tone = if target.danger { Tone::Bad } else { Tone::Strong };
    let mut x = pen.put(area.x + 1, area.y, area.width / 3, tone, &target.label());
    x = pen.state(x + 2, area.y, room(x + 2), target.standing.tone(), target.standing.word());
    // Where room is short, a refused token is said rather than for how long all is well.
    if area.width >= NARROW || target.standing != Standing::Healthy || target.token_trouble().is_none() {
        x = pen.put(x + 1, area.y, room(x + 1), target.standing.tone(), &since(target, model, now));
    }
    let ages = ages(target, now.at);
    let ages_room = width(&ages);
    let who = who(target, model, now);
    if area.width >= 110 {
        let url = words::clean(&target.url);
        x = pen.put(x + 2, area.y, room(x + 2).saturating_sub(ages_room + 40), Tone::Quiet, &url);
    }
    for (tone, text) in who {
        if room(x + 2) > width(&text) + ages_room + 2 || tone != Tone::Quiet && room(x + 2) > width(&text) {
            x = pen.put(x + 2, area.y, room(x + 2), tone, &text);
        }
    }
    let left = room(x + 2);
    if left > ages_room {
        pen.put_right(area.right().saturating_sub(1), area.y, ages_room, Tone::Quiet, &ages);
    }
    if target.danger {
        let style = pen.style(Tone::Selected);
        pen.frame.set_style(Rect { width: width(&target.label()) + 2, ..area }, style);
    }
}

fn who(target: &Target, model: &Model, now: Now) -> Vec<(Tone, String)> {
    let glyph = model.look.glyphs();
    let mut parts = Vec::new();
    match (target.token_trouble(), target.whoami.shown(now.at).any()) {
        (Some(_), _) => parts.push((Tone::Doubtful, format!("{} TOKEN REFUSED", glyph.ask))),
        (None, Some(whoami)) => {
            parts.push((Tone::Plain, format!("{} {}", words::clean(&whoami.sub), whoami.role)));
            let left = target.until(&whoami.expires_at, now).and_then(|left| u64::try_from(left).ok());
            let left =
                left.map_or_else(|| "over".to_owned(), |left| words::about(std::time::Duration::from_millis(left)));
            parts.push((Tone::Quiet, format!("token {left}")));
        }
        (None, None) => parts.push((Tone::Quiet, "no token".to_owned())),
    }
    match model.unlocked {
        Some((id, until)) if id == model.current && until > now.at => {
            let left = words::left(until.saturating_sub(now.at));
            parts.insert(1, (Tone::Doubtful, format!("UNLOCKED {left}")));
        }
        _ => parts.insert(1, (Tone::Quiet, "read-only".to_owned())),
    }
    parts
}

/// How old the two sources are that every screen rests on.
fn ages(target: &Target, now: At) -> String {
    let age = |source: Source| {
        let view = target.source(source, now);
        let age = match (view.age, view.condition) {
            (None, _) => "-".to_owned(),
            (Some(_), Condition::Fresh) => format!("<{}", words::steps(view.every * 2)),
            (Some(age), _) => format!("~{}", words::counted(age)),
        };
        format!("{} {age}", source.name())
    };
    format!("{}  {}", age(Source::Health), age(Source::Metrics))
}

/// The screens, in as many letters as there is room for.
pub(super) fn tabs(pen: &mut Pen<'_>, area: Rect, model: &Model) {
    let unseen = model.messages_total.saturating_sub(model.messages_seen);
    let names: Vec<(String, String, bool)> = Screen::ALL
        .iter()
        .map(|screen| {
            let act = crate::keymap::ACTS.iter().find(|entry| entry.act.screen() == Some(*screen));
            let key = act.map(|entry| model.keymap.key(entry.act)).unwrap_or_default();
            let badge = if *screen == Screen::Messages && unseen > 0 { format!(" {unseen}") } else { String::new() };
            (key, format!("{}{badge}", screen.name()), *screen == model.screen)
        })
        .collect();
    let needed: u16 = names.iter().map(|(key, name, _)| width(key) + width(name) + 3).sum();
    let short: u16 = names.iter().map(|(key, name, _)| width(key) + width(name) + 1).sum();
    let mut x = area.x;
    for (key, name, active) in names {
        let text = match (needed < area.width, short <= area.width) {
            (true, _) => format!(" {key} {name} "),
            (_, true) => format!("{key}{name} "),
            _ if active => format!(" {key} {name} "),
            _ => format!("{key} "),
        };
        let tone = if active { Tone::Selected } else { Tone::Quiet };
        x = pen.put(x, area.y, area.right().saturating_sub(x), tone, &text);
    }
}

/// The worst finding, on every screen that does not list them.
pub(super) fn strip(pen: &mut Pen<'_>, area: Rect, model: &Model) {
    let findings = &model.target().findings;
    let Some(worst) = findings.first().filter(|finding| finding.severity > Severity::Info) else { return };
    let others = match findings.iter().filter(|finding| finding.severity > Severity::Info).count() {
        1 => String::new(),
        count => format!("  +{} more", count - 1),
    };
    let text = format!("{}: {}", words::clean(&worst.subject), words::clean(&worst.message));
    let room = area.width.saturating_sub(width(&others) + 2);
    let x = pen.state(area.x + 1, area.y, room, tables::severity_tone(worst.severity), &text);
    pen.put(x, area.y, area.right().saturating_sub(x), Tone::Quiet, &others);
}

/// What nobody may miss, at the end of the last line; where the room before it ends.
fn badges(pen: &mut Pen<'_>, area: Rect, model: &Model, now: Now) -> u16 {
    let mut right = area.right().saturating_sub(1);
    let unknown = model.pending.iter().filter(|pending| pending.unknown.is_some()).count();
    let frozen = model.frozen.as_ref().map(|_| {
        let when = crate::clock::rfc3339(model.shown_at(now).unix_ms);
        (Tone::Doubtful, format!(" FROZEN at {} UTC ", words::time_of_day(&when)))
    });
    let keys = model.keys_waiting();
    let badges = [
        (keys > 0).then(|| (Tone::Doubtful, format!(" {} shown next ", words::count(keys, "new key")))),
        frozen,
        (unknown > 0).then(|| (Tone::Bad, format!(" {unknown} UNKNOWN "))),
        (model.pending.len() > unknown).then(|| (Tone::Quiet, " sending ".to_owned())),
    ];
    for (tone, text) in badges.into_iter().flatten() {
        let room = width(&text);
        let style = pen.style(Tone::Selected);
        pen.put_right(right, area.y, room, tone, &text);
        pen.frame.set_style(Rect::new(right.saturating_sub(room), area.y, room, 1), style);
        right = right.saturating_sub(room + 1);
    }
    right
}

/// What one can do here, or what was just said.
pub(super) fn footer(pen: &mut Pen<'_>, area: Rect, model: &Model, now: Now) {
    let right = badges(pen, area, model, now);
    if let Some((text, _)) = &model.toast {
        pen.put(area.x + 1, area.y, right.saturating_sub(area.x + 1), Tone::Strong, &words::clean(text));
        return;
    }
    let mut x = area.x + 1;
    for (act, word) in hints(model) {
        let key = model.keymap.key(act);
        if x + width(&key) + width(word) + 1 > right {
            break;
        }
        x = pen.put(x, area.y, right - x, Tone::Accent, &key);
        x = pen.put(x + 1, area.y, right.saturating_sub(x + 1), Tone::Quiet, word) + 2;
    }
}

/// The acts that matter most on a screen; their keys come from the table.
fn hints(model: &Model) -> Vec<(Act, &'static str)> {
    let own: &[(Act, &str)] = match (model.screen, &model.pane.work) {
        (Screen::Overview, _) => &[(Act::Open, "cause")],
        (Screen::Workers, WorkPane::Workers) => {
            &[(Act::Open, "runs"), (Act::RunNow, "run now"), (Act::Pause, "pause or resume")]
        }
        (Screen::Workers, WorkPane::Runs { .. }) => {
            &[(Act::Open, "output"), (Act::CancelRun, "cancel"), (Act::Back, "back")]
        }
        (Screen::Workers, WorkPane::Output { .. }) => {
            &[(Act::Follow, "follow"), (Act::CancelRun, "cancel"), (Act::Back, "back")]
        }
        (Screen::Keys, _) => &[(Act::Open, "all of it"), (Act::CreateKey, "new"), (Act::RevokeKey, "revoke")],
        (Screen::Config, _) => {
            &[(Act::Pane, "more"), (Act::Open, "explain"), (Act::Plan, "plan a file"), (Act::Reload, "reload")]
        }
        (Screen::Audit, _) => &[(Act::Pane, "logs"), (Act::Open, "all of it")],
        (Screen::Targets, _) => &[(Act::Open, "go there")],
        _ => &[(Act::Open, "all of it")],
    };
    let always = [
        (Act::Help, "help"),
        (Act::Filter, "filter"),
        (Act::Palette, "anything"),
        (Act::Unlock, if model.unlocked.is_some() { "lock" } else { "unlock" }),
        (Act::Quit, "quit"),
    ];
    // There is nothing to filter where there is no list.
    let always = always.into_iter().filter(|(act, _)| *act != Act::Filter || model.list().is_some());
    own.iter().copied().chain(always).collect()
}

/// The line that is being typed, and above it what the palette offers.
pub(super) fn prompt(pen: &mut Pen<'_>, area: Rect, screen: Rect, model: &Model, now: Now) {
    let Some(prompt) = &model.prompt else { return };
    pen.clear(area);
    let right = if model.keys_waiting() > 0 { badges(pen, area, model, now) } else { area.right() };
    let sign = match prompt.kind {
        PromptKind::Filter => "/",
        PromptKind::Palette => ":",
        PromptKind::Explain => "explain key: ",
        PromptKind::Plan => "plan file: ",
    };
    let x = pen.put(area.x + 1, area.y, area.width, Tone::Accent, sign);
    typed(pen, x, area.y, right.saturating_sub(x), &prompt.line);
    if prompt.kind != PromptKind::Palette {
        return;
    }
    let offers = prompt::offers(model);
    let rows = u16::try_from(offers.len()).unwrap_or(u16::MAX).min(screen.height / 2).max(1);
    let frame = Rect::new(area.x, area.y.saturating_sub(rows + 2), area.width.min(90), rows + 2);
    pen.frame(frame, Tone::Quiet, "do");
    let visible = usize::from(rows);
    let first = prompt.chosen.saturating_sub(visible / 2).min(offers.len().saturating_sub(visible));
    for (row, (place, offer)) in (0_u16..).zip(offers.iter().enumerate().skip(first).take(visible)) {
        let line = Rect::new(frame.x + 1, frame.y + 1 + row, frame.width.saturating_sub(2), 1);
        let x = pen.put(line.x + 1, line.y, 22, Tone::Strong, &words::clean(&offer.name)).max(line.x + 24);
        let x = pen.put(x, line.y, 10, Tone::Accent, &offer.key).max(x + 11);
        pen.put(x, line.y, line.right().saturating_sub(x + 1), Tone::Quiet, &words::clean(&offer.help));
        if place == prompt.chosen {
            let style = pen.style(Tone::Selected);
            pen.frame.set_style(line, style);
        }
    }
}

/// A line with its cursor; its end is shown where it is too long.
pub(super) fn typed(pen: &mut Pen<'_>, x: u16, y: u16, room: u16, line: &crate::model::line::Line) {
    let (before, after) = line.halves();
    let mut before: Vec<char> = words::clean(&before).chars().collect();
    while width(&before.iter().collect::<String>()) + 1 > room && !before.is_empty() {
        before.remove(0);
    }
    let end = pen.put(x, y, room, Tone::Plain, &before.iter().collect::<String>());
    let under = words::clean(&after).chars().next().unwrap_or(' ').to_string();
    let next = pen.put(end, y, room.saturating_sub(end - x), Tone::Selected, &under);
    let rest: String = words::clean(&after).chars().skip(1).collect();
    pen.put(next, y, room.saturating_sub(next - x), Tone::Plain, &rest);
}
