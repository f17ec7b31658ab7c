//! The one place where the console's state changes: a message comes in, effects go out.
//! It is pure: no input or output, no clock, no randomness; a session can be replayed.

/// What the keys of the table do.
mod act;
/// Takes what pollers bring.
mod answer;
/// Sends commands, and takes what became of them.
mod command;

/// Everything about one row.
mod detail;
/// Keys inside dialogs.
mod dialog;
/// What the pollers should ask for.
mod interest;
/// The line at the bottom: filters and the palette.
pub(crate) mod prompt;
/// Order and selection of lists.
pub(crate) mod select;

pub(crate) use command::problem;
use crossterm::event::{KeyEvent, KeyEventKind};

use crate::clock::Now;
use crate::keymap::{Act, Chord};
use crate::message::{Effect, Msg};
use crate::model::Model;

/// Takes a message.
pub(crate) fn update(model: &mut Model, msg: Msg, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    match msg {
        Msg::Written => return effects,
        Msg::Key(key) => self::key(model, key, now, &mut effects),
        Msg::Paste(text) => paste(model, &text, now),
        Msg::Wheel(rows) if model.dialog.is_some() => dialog::wheel(model, isize::from(rows)),
        Msg::Wheel(rows) => select::step(model, isize::from(rows), now),
        Msg::Resize(width, height) => {
            model.size = (width, height);
            effects.push(Effect::Repaint);
        }
        Msg::Answer(answer) => answer::take(model, *answer, now, &mut effects),
        Msg::Token { target, found } => answer::token(model, target, found, now),
        Msg::Event { target, name } => answer::event(model, target, &name),
        Msg::Done(done) => command::done(model, *done, now),
        Msg::Tick => {}
        Msg::Continued => {
            effects.push(Effect::Repaint);
            interest::nudge_all(model);
        }
        Msg::Note(text) => model.note(true, "console", text, now),
        Msg::Terminate => effects.push(Effect::Quit),
    }
    settle(model, now, &mut effects);
    effects
}

/// What has to be true after every message.
fn settle(model: &mut Model, now: Now, effects: &mut Vec<Effect>) {
    answer::judge(model, now);
    if model.toast.as_ref().is_some_and(|(_, until)| now.at >= *until) {
        model.toast = None;
    }
    if model.unlocked.is_some_and(|(target, until)| now.at >= until || target >= model.targets.len()) {
        model.unlocked = None;
        model.toast("changes are locked again", now);
    }
    dialog::open_waiting(model, now);
    dialog::check(model);
    select::settle(model, now);
    interest::tell(model, effects);
}

fn key(model: &mut Model, key: KeyEvent, now: Now, effects: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    // From any state, also in the middle of a dialog.
    if model.keymap.act(Chord::from(key), model.screen) == Some(Act::Die) {
        effects.push(Effect::Quit);
        return;
    }
    if model.dialog.is_some() {
        if now.at >= model.deaf_until {
            dialog::key(model, key, now, effects);
        }
        return;
    }
    if model.prompt.is_some() {
        prompt::key(model, key, now, effects);
        return;
    }
    if let Some(act) = model.keymap.act(Chord::from(key), model.screen) {
        act::act(model, act, now, effects);
    }
}

/// A pasted text is for a line that is being typed, never for keys.
fn paste(model: &mut Model, text: &str, now: Now) {
    match (&mut model.dialog, &mut model.prompt) {
        (Some(_), _) if now.at < model.deaf_until => {}
        (Some(dialog), _) => dialog::paste(dialog, text),
        (None, Some(prompt)) => {
            prompt.line.insert(text);
            prompt::typed(model);
        }
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests;
