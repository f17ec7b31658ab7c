//! Keys inside dialogs. A change is sent only from here, and only for what the dialog was opened for.
//! A command is sent once; whatever becomes of it, no key sends it again.

use crossterm::event::{KeyCode, KeyEvent};
use monolith_client::wire::{KeyState, PauseWorker};

use super::{command, detail};
use crate::clock::Now;
use crate::keymap::{Act, Chord};
use crate::message::{Command, Effect};
use crate::model::dialog::{Dialog, Form, Revoke, STORED, Secret};
use crate::model::line::Line;
use crate::model::sheet::Sheet;
use crate::model::{Model, UNLOCKED};

/// What becomes of a dialog after a key.
enum Then {
    Stay(Dialog),
    Close,
    Send(usize, Command),
}

/// Takes a key.
pub(super) fn key(model: &mut Model, key: KeyEvent, now: Now, effects: &mut Vec<Effect>) {
    let Some(dialog) = model.dialog.take() else { return };
    // What was typed is not lost where nothing may be sent.
    let before = (key.code == KeyCode::Enter).then(|| dialog.clone());
    let then = match dialog {
        Dialog::Help | Dialog::Detail { .. } => read(model, dialog, key),
        Dialog::PickTarget { chosen } => pick(model, chosen, key),
        Dialog::Unlock { target, line, .. } => unlock(model, target, line, key, now),
        Dialog::Revoke(revoke) => self::revoke(revoke, key),
        Dialog::Create { target, form } => create(target, form, key),
        Dialog::Secret(secret) => self::secret(secret, key, effects),
        Dialog::Confirm { target, command, question, facts, yes } => match key.code {
            KeyCode::Esc => Then::Close,
            KeyCode::Enter if yes => Then::Send(target, command),
            KeyCode::Enter => Then::Close,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => {
                Then::Stay(Dialog::Confirm { target, command, question, facts, yes: !yes })
            }
            _ => Then::Stay(Dialog::Confirm { target, command, question, facts, yes }),
        },
        Dialog::Pause { target, worker, line } => pause(target, worker, line, key),
        Dialog::Quit => match key.code {
            // A new key that came in the meantime is shown first.
            KeyCode::Char('y') if model.keys_waiting() == 0 => {
                effects.push(Effect::Quit);
                Then::Close
            }
            _ => Then::Close,
        },
    };
    match then {
        Then::Stay(dialog) => model.dialog = Some(dialog),
        Then::Close => {}
        Then::Send(target, command) => match locked(model, target, now) {
            None => command::send(model, target, command, now, effects),
            Some(why) => {
                model.dialog = before;
                // That it is locked is said here, once.
                model.unlocked = model.unlocked.filter(|(_, until)| now.at < *until);
                model.toast(why, now);
            }
        },
    }
}

/// Why nothing may be sent to a target at this moment, whatever was allowed when the dialog was opened.
fn locked(model: &Model, target: usize, now: Now) -> Option<String> {
    let unlocked = model.unlocked.is_some_and(|(of, until)| of == target && now.at < until);
    match () {
        () if model.frozen.is_some() => Some("frozen: nothing was sent".to_owned()),
        () if !unlocked => {
            let key = model.keymap.key(Act::Unlock);
            Some(format!("read-only again, nothing was sent: Esc, then {key} allows changes"))
        }
        () => None,
    }
}

/// Opens what waits, where nothing else is open and nothing is typed.
pub(super) fn open_waiting(model: &mut Model, now: Now) {
    if model.dialog.is_none()
        && model.prompt.is_none()
        && let Some(dialog) = model.waiting.pop_front()
    {
        model.ask(dialog, now);
    }
}

/// A new key closes by a word that is typed for nothing else; whoever types something else is told so.
fn secret(mut secret: Secret, key: KeyEvent, effects: &mut Vec<Effect>) -> Then {
    match key.code {
        KeyCode::Enter if secret.line.text() == STORED => return Then::Close,
        KeyCode::Char('y') => {
            effects.push(Effect::Copy(secret.text.expose().to_owned()));
            (secret.copied, secret.leaving) = (true, false);
        }
        KeyCode::Enter | KeyCode::Esc => {
            secret.line.clear();
            secret.leaving = true;
        }
        _ => {
            secret.line.key(key);
            secret.leaving = !STORED.starts_with(&secret.line.text());
        }
    }
    Then::Stay(Dialog::Secret(secret))
}

/// A text that is only read: it scrolls, and everything else closes it.
fn read(model: &mut Model, dialog: Dialog, key: KeyEvent) -> Then {
    let page = isize::try_from(model.size.1 / 2).unwrap_or(1).max(1);
    let rows = match model.keymap.act(Chord::from(key), model.screen) {
        Some(Act::Down) => 1,
        Some(Act::Up) => -1,
        Some(Act::PageDown) => page,
        Some(Act::PageUp) => -page,
        Some(Act::Top) => isize::MIN,
        Some(Act::Bottom) => isize::MAX,
        _ => return Then::Close,
    };
    scroll(model, &dialog, rows);
    Then::Stay(dialog)
}

/// Scrolls a text that is read, never beyond its end.
fn scroll(model: &mut Model, dialog: &Dialog, rows: isize) {
    let last = match dialog {
        Dialog::Detail { lines, .. } => Sheet::of(lines, model.size).last(),
        Dialog::Help => Sheet::of(&model.keymap.help(model.screen), model.size).last(),
        _ => 0,
    };
    model.dialog_scroll = model.dialog_scroll.min(last).saturating_add_signed(rows).min(last);
}

/// Takes the wheel: what stands behind a dialog does not move.
pub(super) fn wheel(model: &mut Model, rows: isize) {
    if let Some(dialog) = model.dialog.take() {
        scroll(model, &dialog, rows);
        model.dialog = Some(dialog);
    }
}

fn pick(model: &mut Model, chosen: usize, key: KeyEvent) -> Then {
    let count = model.targets.len().max(1);
    match (model.keymap.act(Chord::from(key), model.screen), key.code) {
        (_, KeyCode::Enter) => {
            detail::pick(model, chosen);
            Then::Close
        }
        (Some(Act::Down), _) => Then::Stay(Dialog::PickTarget { chosen: (chosen + 1) % count }),
        (Some(Act::Up), _) => Then::Stay(Dialog::PickTarget { chosen: (chosen + count - 1) % count }),
        _ => Then::Close,
    }
}

fn unlock(model: &mut Model, target: usize, mut line: Line, key: KeyEvent, now: Now) -> Then {
    let name = model.targets.get(target).map(|target| target.name.clone()).unwrap_or_default();
    let mistaken = key.code == KeyCode::Enter;
    match key.code {
        KeyCode::Esc => return Then::Close,
        KeyCode::Enter if line.text().trim() == name => {
            model.unlocked = Some((target, now.at + UNLOCKED));
            model.say(target, false, format!("changes of {name} are allowed for five minutes"), now);
            return Then::Close;
        }
        _ => line.key(key),
    };
    Then::Stay(Dialog::Unlock { target, line, mistaken })
}

fn revoke(mut revoke: Revoke, key: KeyEvent) -> Then {
    match key.code {
        KeyCode::Esc => return Then::Close,
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => revoke.at_reason = !revoke.at_reason,
        KeyCode::Enter if revoke.is_confirmed() => {
            let Revoke { target, kid, name, reason, .. } = revoke;
            return Then::Send(target, Command::Revoke { kid, name, reason: reason.text().trim().to_owned() });
        }
        // Whatever is typed next is still for the name.
        KeyCode::Enter => revoke.at_reason = false,
        _ if revoke.at_reason => {
            revoke.reason.key(key);
        }
        _ => {
            revoke.line.key(key);
        }
    }
    Then::Stay(Dialog::Revoke(revoke))
}

fn create(target: usize, mut form: Form, key: KeyEvent) -> Then {
    match key.code {
        KeyCode::Esc => return Then::Close,
        KeyCode::Tab | KeyCode::Down => form.step(true),
        KeyCode::BackTab | KeyCode::Up => form.step(false),
        KeyCode::Enter => match form.key() {
            Ok(key) => return Then::Send(target, Command::Create { key }),
            Err(mistake) => form.mistake = Some(mistake),
        },
        _ => {
            form.mistake = None;
            form.line().key(key);
        }
    }
    Then::Stay(Dialog::Create { target, form })
}

fn pause(target: usize, worker: String, mut line: Line, key: KeyEvent) -> Then {
    match key.code {
        KeyCode::Esc => return Then::Close,
        KeyCode::Enter if !line.text().trim().is_empty() => {
            let pause = PauseWorker { reason: line.text().trim().to_owned(), until: None };
            return Then::Send(target, Command::Pause { worker, pause });
        }
        _ => line.key(key),
    };
    Then::Stay(Dialog::Pause { target, worker, line })
}

/// Puts a pasted text into the line that is being typed.
pub(super) fn paste(dialog: &mut Dialog, text: &str) {
    match dialog {
        Dialog::Unlock { line, .. } | Dialog::Pause { line, .. } => line.insert(text),
        Dialog::Revoke(revoke) if revoke.at_reason => revoke.reason.insert(text),
        Dialog::Revoke(revoke) => revoke.line.insert(text),
        Dialog::Create { form, .. } => form.line().insert(text),
        _ => {}
    }
}

/// Looks whether the key of a revocation is still what it was when the dialog was opened.
pub(super) fn check(model: &mut Model) {
    let Some(Dialog::Revoke(revoke)) = &mut model.dialog else { return };
    let Some(target) = model.targets.get(revoke.target) else { return };
    let Some(keys) = target.keys.value() else { return };
    revoke.gone = match keys.items.iter().find(|key| key.kid == revoke.kid) {
        None if keys.more => None,
        None => Some("the key is not in the list any more".to_owned()),
        Some(key) if key.state == KeyState::Revoked => Some("somebody revoked it in the meantime".to_owned()),
        Some(key) if key.version != revoke.version => {
            Some("somebody changed it in the meantime; look at it again".to_owned())
        }
        Some(_) => None,
    };
}
