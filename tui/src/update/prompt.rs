//! The line at the bottom: a filter that works as it is typed, and the palette that does anything by its name.
//! What the palette offers is made from the key table and from the targets; it has no list of its own to go stale.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{act, command, detail, interest, select};
use crate::clock::Now;
use crate::feed::Source;
use crate::keymap::{ACTS, Act, Scope, Screen};
use crate::message::{Command, Effect, TargetId};
use crate::model::line::Line;
use crate::model::rows::is_fuzzy;
use crate::model::{Model, Prompt, PromptKind};
use crate::theme::Theme;

/// Something the palette offers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) help: String,
    act: Offered,
}

#[derive(Debug, Clone, PartialEq)]
enum Offered {
    Act(Act),
    /// An act of another screen.
    Elsewhere(Act, Screen),
    Login,
    Target(TargetId),
    Theme(Theme),
    Ascii,
    Request(String),
    Explain(String),
    Plan(String),
    /// It needs a word more.
    Begin(&'static str),
}

pub(super) fn open(model: &mut Model, kind: PromptKind) {
    model.prompt = Some(Prompt { kind, line: Line::default(), chosen: 0 });
}

/// Goes on typing the filter of the list that is looked at.
pub(super) fn filter(model: &mut Model) {
    let Some(list) = model.list() else { return };
    let line = Line::new(&model.list_state(list).filter);
    model.prompt = Some(Prompt { kind: PromptKind::Filter, line, chosen: 0 });
}

/// Takes a key.
pub(super) fn key(model: &mut Model, key: KeyEvent, now: Now, effects: &mut Vec<Effect>) {
    let Some(prompt) = &mut model.prompt else { return };
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Esc => {
            let kind = prompt.kind;
            prompt.line.clear();
            if kind == PromptKind::Filter {
                typed(model);
            }
            model.prompt = None;
        }
        KeyCode::Enter => enter(model, now, effects),
        KeyCode::Backspace if prompt.line.is_empty() => model.prompt = None,
        KeyCode::Down | KeyCode::Tab => prompt.chosen = prompt.chosen.saturating_add(1),
        KeyCode::Up | KeyCode::BackTab => prompt.chosen = prompt.chosen.saturating_sub(1),
        _ if ctrl && key.code != KeyCode::Char('u') => {}
        _ => {
            if prompt.line.key(key) {
                typed(model);
            }
        }
    }
    let count = offers(model).len();
    if let Some(prompt) = &mut model.prompt {
        prompt.chosen = prompt.chosen.min(count.saturating_sub(1));
    }
}

/// What was typed takes effect.
pub(super) fn typed(model: &mut Model) {
    let Some(prompt) = &mut model.prompt else { return };
    prompt.chosen = 0;
    let text = prompt.line.text();
    if prompt.kind == PromptKind::Filter
        && let Some(list) = model.list()
        && let Some(state) = model.lists.get_mut(&list)
    {
        state.filter = text;
        state.stamp = None;
    }
}

fn enter(model: &mut Model, now: Now, effects: &mut Vec<Effect>) {
    let chosen = offers(model).into_iter().nth(model.prompt.as_ref().map_or(0, |prompt| prompt.chosen));
    let Some(prompt) = model.prompt.take() else { return };
    let text = prompt.line.text().trim().to_owned();
    match prompt.kind {
        PromptKind::Filter => {}
        PromptKind::Explain if !text.is_empty() => {
            command::send(model, model.current, Command::Explain { key: text }, now, effects);
        }
        PromptKind::Plan if !text.is_empty() => {
            command::send(model, model.current, Command::Plan { file: text }, now, effects);
        }
        PromptKind::Explain | PromptKind::Plan => {}
        PromptKind::Palette => match chosen {
            Some(offer) => take(model, offer.act, now, effects),
            None if text.is_empty() => {}
            None => model.toast(format!("nothing is called {text:?}"), now),
        },
    }
}

fn take(model: &mut Model, offered: Offered, now: Now, effects: &mut Vec<Effect>) {
    match offered {
        Offered::Act(act) => act::act(model, act, now, effects),
        Offered::Elsewhere(act, screen) => elsewhere(model, (act, screen), now, effects),
        Offered::Login => {
            effects.push(Effect::Login(model.current));
            model.toast("looking for the token again", now);
        }
        Offered::Target(id) => detail::pick(model, id),
        Offered::Theme(theme) => model.look.theme = theme,
        Offered::Ascii => model.look.ascii = !model.look.ascii,
        Offered::Request(id) => request(model, id),
        Offered::Explain(key) => command::send(model, model.current, Command::Explain { key }, now, effects),
        Offered::Plan(file) => command::send(model, model.current, Command::Plan { file }, now, effects),
        Offered::Begin(name) => {
            open(model, PromptKind::Palette);
            if let Some(prompt) = &mut model.prompt {
                prompt.line.insert(&format!("{name} "));
            }
        }
    }
}

/// Goes to the screen of an act, and does it there; what is done to a row waits until the row was seen and chosen.
fn elsewhere(model: &mut Model, (act, screen): (Act, Screen), now: Now, effects: &mut Vec<Effect>) {
    act::show(model, screen);
    select::settle(model, now);
    match act {
        Act::RevokeKey | Act::RotateKey | Act::RunNow | Act::Pause | Act::CancelRun | Act::Follow => {
            let (name, key) = (act.entry().name, model.keymap.key(act));
            model.toast(format!("choose a row, then {key} ({name})"), now);
        }
        _ => act::act(model, act, now, effects),
    }
}

/// Shows the warnings and errors of one request.
fn request(model: &mut Model, id: String) {
    model.screen = Screen::Audit;
    model.pane.logs = true;
    model.logs_of = Some(id);
    model.target_mut().logs.clear();
    interest::nudge(model, model.current, Source::Logs);
}

/// What the palette offers for what was typed, best first.
pub(crate) fn offers(model: &Model) -> Vec<Offer> {
    let Some(prompt) = model.prompt.as_ref().filter(|prompt| prompt.kind == PromptKind::Palette) else {
        return Vec::new();
    };
    let text = prompt.line.text().to_lowercase();
    let text = text.trim();
    if let Some(offer) = with_word(prompt.line.text().trim_start()) {
        return vec![offer];
    }
    let mut offers: Vec<(u8, Offer)> =
        all(model).into_iter().filter_map(|offer| Some((fit(text, &offer.name.to_lowercase())?, offer))).collect();
    offers.sort_by_key(|(fit, offer)| (*fit, matches!(offer.act, Offered::Elsewhere(..))));
    offers.into_iter().map(|(_, offer)| offer).collect()
}

/// How well a name fits what was typed, both in small letters: as a whole, from its beginning, somewhere in it, letter by
/// letter.
fn fit(text: &str, name: &str) -> Option<u8> {
    match () {
        () if name == text => Some(0),
        () if name.starts_with(text) => Some(1),
        () if name.contains(text) => Some(2),
        () if is_fuzzy(text, name) => Some(3),
        () => None,
    }
}

/// A command with its word.
fn with_word(text: &str) -> Option<Offer> {
    let (name, word) = text.split_once(' ')?;
    let word = word.trim().to_owned();
    if word.is_empty() {
        return None;
    }
    let (act, help) = match name.to_lowercase().as_str() {
        "explain" => (Offered::Explain(word.clone()), "where its value comes from"),
        "plan" => (Offered::Plan(word.clone()), "what this file would change"),
        "request" => (Offered::Request(word.clone()), "its warnings and errors"),
        _ => return None,
    };
    Some(Offer { name: format!("{name} {word}"), key: String::new(), help: help.to_owned(), act })
}

fn all(model: &Model) -> Vec<Offer> {
    let offer = |name: String, help: &str, act| Offer { name, key: String::new(), help: help.to_owned(), act };
    let mut offers: Vec<Offer> = ACTS
        .iter()
        .filter(|entry| !matches!(entry.act, Act::Explain | Act::Plan | Act::Palette))
        .map(|entry| {
            let name = entry.name.to_owned();
            match entry.scope {
                // Its key means something else here.
                Scope::On([screen, ..]) if !entry.scope.holds(model.screen) => offer(
                    name,
                    &format!("on {}: {}", screen.name(), entry.help),
                    Offered::Elsewhere(entry.act, *screen),
                ),
                _ => Offer { key: model.keymap.key(entry.act), ..offer(name, entry.help, Offered::Act(entry.act)) },
            }
        })
        .collect();
    offers.push(offer("login".into(), "look for the token again", Offered::Login));
    offers.push(offer(
        "explain".into(),
        "KEY: where a value of the configuration comes from",
        Offered::Begin("explain"),
    ));
    offers.push(offer("plan".into(), "FILE: what a file on this machine would change", Offered::Begin("plan")));
    offers.push(offer("request".into(), "ID: the warnings and errors of one request", Offered::Begin("request")));
    if let Some(id) = request_of_row(model) {
        offers.push(offer(format!("request {id}"), "the request of the chosen row", Offered::Request(id)));
    }
    for (id, target) in model.targets.iter().enumerate() {
        offers.push(offer(format!("target {}", target.name), &target.url, Offered::Target(id)));
    }
    for (theme, name) in Theme::ALL {
        offers.push(offer(format!("theme {name}"), "how things look", Offered::Theme(theme)));
    }
    offers.push(offer("ascii".into(), "signs and frames in ASCII, or not", Offered::Ascii));
    offers
}

fn request_of_row(model: &Model) -> Option<String> {
    let id = if model.screen == Screen::Audit {
        select::json(model)?.get("request_id")?.as_str()?.to_owned()
    } else {
        return None;
    };
    Some(id).filter(|id| !id.is_empty())
}
