//! Dialogs: a frame over the screen that says what is asked, about what, and with which keys it is answered.
//! A change is never one key away, and what is shown once says so.

use ratatui::layout::Rect;

use super::head::typed;
use super::pen::{Pen, take, width};
use crate::model::Model;
use crate::model::dialog::{Dialog, FIELDS, Form, Revoke, Secret};
use crate::model::line::Line;
use crate::model::sheet::{self, Sheet, broken, inside};
use crate::theme::Tone;
use crate::words;

pub(super) fn draw(pen: &mut Pen<'_>, screen: Rect, model: &Model, dialog: &Dialog) {
    match dialog {
        Dialog::Help => help(pen, screen, model),
        Dialog::Detail { title, lines } => detail(pen, screen, model, title, lines),
        Dialog::PickTarget { chosen } => pick(pen, screen, model, *chosen),
        Dialog::Unlock { target, line, mistaken } => unlock(pen, screen, model, *target, (line, *mistaken)),
        Dialog::Revoke(revoke) => self::revoke(pen, screen, model, revoke),
        Dialog::Create { target, form } => create(pen, screen, model, *target, form),
        Dialog::Secret(secret) => self::secret(pen, screen, model, secret),
        Dialog::Confirm { target, question, facts, yes, .. } => {
            let rows = u16::try_from(facts.len()).unwrap_or(0);
            let mut area = frame(pen, screen, rows + 9, Tone::Doubtful, &on(model, *target));
            pen.line(take(&mut area, 2), &[(Tone::Strong, &words::clean(question))]);
            self::facts(pen, &mut area, facts);
            take(&mut area, 1);
            let (no, yes) = if *yes { (Tone::Plain, Tone::Selected) } else { (Tone::Selected, Tone::Plain) };
            pen.line(take(&mut area, 2), &[(no, "  no  "), (Tone::Plain, "   "), (yes, "  yes  ")]);
            keys(pen, area, &[("tab", "the other"), ("enter", "take it"), ("esc", "no")]);
        }
        Dialog::Pause { target, worker, line } => {
            let mut area = frame(pen, screen, 8, Tone::Doubtful, &on(model, *target));
            let question = format!("Pause {} until somebody resumes it. Why?", words::clean(worker));
            pen.line(take(&mut area, 2), &[(Tone::Strong, &question)]);
            field(pen, take(&mut area, 2), "reason", line, true);
            keys(pen, area, &[("enter", "pause"), ("esc", "leave it")]);
        }
        Dialog::Quit => {
            let mut area = frame(pen, screen, 7, Tone::Doubtful, "Quit?");
            let text =
                format!("{} under way; nobody would tell how it ends.", words::count(model.under_way(), "command"));
            pen.line(take(&mut area, 2), &[(Tone::Plain, &text)]);
            keys(pen, area, &[("y", "quit"), ("any other", "stay")]);
        }
    }
}

/// A key that nobody can show again: all of it first, then the way out; the rest has the room that is left.
fn secret(pen: &mut Pen<'_>, screen: Rect, model: &Model, secret: &Secret) {
    let Secret { kid, name, text, line, .. } = secret;
    let typed = format!("typed: {}", words::clean(&line.text()));
    let said = match (secret.copied, secret.leaving) {
        (_, true) => (Tone::Doubtful, "type stored, then enter: nobody can show it again"),
        _ if !line.is_empty() => (Tone::Plain, typed.as_str()),
        (true, false) => (Tone::Good, "sent to the terminal's clipboard"),
        (false, false) => (Tone::Quiet, "nobody can show it again, not even the server"),
    };
    let lines = broken(&words::clean(text.expose()), usize::from(inside(screen.width)));
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let title = format!("The key {}, shown this once", on(model, secret.target));
    let mut area = frame(pen, screen, rows.saturating_add(9), Tone::Doubtful, &title);
    if area.height > rows + 2 {
        let (name, kid) = (words::clean(name), words::clean(kid));
        let parts = [(Tone::Quiet, "name "), (Tone::Strong, &*name), (Tone::Quiet, "   id "), (Tone::Plain, &*kid)];
        pen.line(take(&mut area, 1), &parts);
        gap(&mut area, rows + 2);
    }
    for line in &lines {
        pen.line(take(&mut area, 1), &[(Tone::Strong, line)]);
    }
    gap(&mut area, 2);
    if area.height > 1 {
        pen.line(take(&mut area, 1), &[said]);
        gap(&mut area, 1);
    }
    keys(pen, area, &[("y", "copy"), ("stored enter", "close")]);
}

/// The same in a window that holds nothing else.
pub(super) fn bare_secret(pen: &mut Pen<'_>, mut area: Rect, text: &str) {
    let lines = broken(&words::clean(text), usize::from(area.width));
    if lines.len() >= usize::from(area.height) {
        pen.line(area, &[(Tone::Doubtful, "enlarge this window")]);
        return;
    }
    for line in &lines {
        pen.line(take(&mut area, 1), &[(Tone::Strong, line)]);
    }
    keys(pen, area, &[("y", "copy"), ("stored", "enter")]);
}

/// Which server it is about: the first thing that is read.
fn on(model: &Model, target: usize) -> String {
    let name = model.targets.get(target).map(crate::model::target::Target::label);
    format!("on {}", name.unwrap_or_default())
}

/// A frame in the middle, and the area inside.
fn frame(pen: &mut Pen<'_>, screen: Rect, height: u16, tone: Tone, title: &str) -> Rect {
    let width = sheet::outside(screen.width);
    let height = height.min(screen.height);
    let x = screen.x + (screen.width - width) / 2;
    let y = screen.y + (screen.height - height) / 2;
    let area = Rect::new(x, y, width, height);
    pen.frame(area, tone, title);
    Rect::new(x + 3, y + 2, width.saturating_sub(6), height.saturating_sub(3))
}

fn keys(pen: &mut Pen<'_>, area: Rect, keys: &[(&str, &str)]) {
    if area.height == 0 {
        return;
    }
    // The last one is the way out: the others are cut before it is.
    let way_out = keys.last().map_or(0, |(key, word)| width(key) + width(word) + 4);
    let mut x = area.x;
    for (number, (key, word)) in keys.iter().enumerate() {
        let right = if number + 1 == keys.len() { area.right() } else { area.right().saturating_sub(way_out) };
        let end = pen.put(x, area.y, right.saturating_sub(x), Tone::Accent, key);
        if end > x {
            x = pen.put(end + 1, area.y, right.saturating_sub(end + 1), Tone::Quiet, word).min(right) + 3;
        }
    }
}

/// A blank line, where so many lines are left besides.
fn gap(area: &mut Rect, needed: u16) {
    if area.height > needed {
        take(area, 1);
    }
}

fn facts(pen: &mut Pen<'_>, area: &mut Rect, facts: &[(String, String)]) {
    for (name, value) in facts {
        let line = take(area, 1);
        if line.height == 0 {
            return;
        }
        pen.put(line.x, line.y, 14, Tone::Quiet, name);
        pen.put(line.x + 12, line.y, line.width.saturating_sub(12), Tone::Plain, value);
    }
}

fn field(pen: &mut Pen<'_>, area: Rect, name: &str, line: &Line, active: bool) {
    if area.height == 0 {
        return;
    }
    pen.put(area.x, area.y, 12, if active { Tone::Accent } else { Tone::Quiet }, name);
    let (x, room) = (area.x + 12, area.width.saturating_sub(12));
    match active {
        true => typed(pen, x, area.y, room, line),
        false => drop(pen.put(x, area.y, room, Tone::Plain, &words::clean(&line.text()))),
    }
}

fn unlock(pen: &mut Pen<'_>, screen: Rect, model: &Model, target: usize, (line, mistaken): (&Line, bool)) {
    let name = model.targets.get(target).map(|target| words::clean(&target.name).into_owned()).unwrap_or_default();
    let mut area = frame(pen, screen, 9, Tone::Doubtful, "Allow changes for five minutes");
    pen.line(take(&mut area, 1), &[(Tone::Quiet, "server  "), (Tone::Strong, &name)]);
    let url = model.targets.get(target).map(|target| words::clean(&target.url).into_owned()).unwrap_or_default();
    pen.line(take(&mut area, 2), &[(Tone::Quiet, "        "), (Tone::Quiet, &url)]);
    field(pen, take(&mut area, 1), "its name", line, true);
    let said = if mistaken { "that is not its name" } else { "" };
    pen.line(take(&mut area, 1), &[(Tone::Bad, said)]);
    keys(pen, area, &[("enter", "allow, when its name is typed"), ("esc", "stay read-only")]);
}

fn revoke(pen: &mut Pen<'_>, screen: Rect, model: &Model, revoke: &Revoke) {
    let rows = u16::try_from(revoke.facts.len()).unwrap_or(0);
    let mut area = frame(pen, screen, rows + 10, Tone::Bad, &format!("Revoke a key {}", on(model, revoke.target)));
    pen.line(take(&mut area, 1), &[(Tone::Quiet, "name        "), (Tone::Strong, &revoke.name)]);
    // What is typed and what it does has to be seen; where room is short, facts are left out.
    let shown = revoke.facts.len().min(usize::from(area.height.saturating_sub(3)));
    facts(pen, &mut area, revoke.facts.get(..shown).unwrap_or_default());
    gap(&mut area, 3);
    if let Some(gone) = &revoke.gone {
        pen.line(take(&mut area, 1), &[(Tone::Bad, gone)]);
        gap(&mut area, 1);
        keys(pen, area, &[("esc", "close")]);
        return;
    }
    field(pen, take(&mut area, 1), "its name", &revoke.line, !revoke.at_reason);
    field(pen, take(&mut area, 1), "reason", &revoke.reason, revoke.at_reason);
    gap(&mut area, 1);
    let enter = match (revoke.is_confirmed(), revoke.at_reason) {
        (true, _) => "REVOKE, for good",
        (false, true) => "back to its name",
        (false, false) => "nothing, until its name is typed",
    };
    keys(pen, area, &[("enter", enter), ("tab", "reason"), ("esc", "leave it")]);
}

fn create(pen: &mut Pen<'_>, screen: Rect, model: &Model, target: usize, form: &Form) {
    let mut area = frame(pen, screen, 12, Tone::Accent, &format!("A new key {}", on(model, target)));
    for (number, ((name, _), line)) in FIELDS.iter().zip(&form.lines).enumerate() {
        field(pen, take(&mut area, 1), name, line, number == form.at);
    }
    gap(&mut area, 2);
    let (name, help) = FIELDS.get(form.at).copied().unwrap_or_default();
    let values = model.targets.get(target).map(|target| target.values.as_slice()).unwrap_or_default();
    let default = values.iter().find(|row| name == "ttl" && row.key == "keys.default_ttl");
    let help = default.map_or_else(|| help.to_owned(), |row| format!("{help}, {}", words::clean(&row.value)));
    let said = match &form.mistake {
        Some(mistake) => (Tone::Bad, mistake.as_str()),
        None => (Tone::Quiet, help.as_str()),
    };
    pen.line(take(&mut area, 1), &[said]);
    gap(&mut area, 1);
    keys(pen, area, &[("tab", "next"), ("enter", "create"), ("esc", "leave it")]);
}

fn pick(pen: &mut Pen<'_>, screen: Rect, model: &Model, chosen: usize) {
    let rows = u16::try_from(model.targets.len()).unwrap_or(u16::MAX);
    let mut area = frame(pen, screen, rows.saturating_add(6), Tone::Accent, "Which server?");
    let visible = usize::from(area.height.saturating_sub(2)).max(1);
    let first = chosen.saturating_sub(visible / 2).min(model.targets.len().saturating_sub(visible));
    for (id, target) in model.targets.iter().enumerate().skip(first).take(visible) {
        let line = take(&mut area, 1);
        pen.put(line.x, line.y, 20, Tone::Strong, &target.label());
        let (tone, word) = target.state();
        pen.state(line.x + 21, line.y, 16, tone, word);
        pen.put(line.x + 38, line.y, line.width.saturating_sub(38), Tone::Quiet, &words::clean(&target.url));
        if id == chosen {
            let style = pen.style(Tone::Selected);
            pen.frame.set_style(line, style);
        }
    }
    take(&mut area, 1);
    keys(pen, area, &[("enter", "go there"), ("esc", "stay")]);
}

fn detail(pen: &mut Pen<'_>, screen: Rect, model: &Model, title: &str, lines: &[(String, String)]) {
    let sheet = Sheet::of(lines, (screen.width, screen.height));
    let (names, last) = (sheet.names, sheet.last());
    let mut area = frame(pen, screen, sheet.height, Tone::Accent, title);
    for (name, value) in sheet.lines.iter().skip(model.dialog_scroll.min(last)).take(sheet.visible) {
        let line = take(&mut area, 1);
        pen.put(line.x, line.y, names, Tone::Quiet, name);
        pen.put(line.x + names + 2, line.y, line.width.saturating_sub(names + 2), Tone::Plain, value);
    }
    take(&mut area, 1);
    let known = [("j k", "more below and above"), ("esc", "close")];
    keys(pen, area, if last > 0 { &known } else { &known[1..] });
}

/// The keys of this screen.
fn help(pen: &mut Pen<'_>, screen: Rect, model: &Model) {
    detail(pen, screen, model, &format!("Help for {}", model.screen.name()), &model.keymap.help(model.screen));
}
