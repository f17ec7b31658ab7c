//! What the keys of the table do. Moving about is done at once; a change only opens a dialog, and only unlocked.
//! No act of its own ever changes a server.

use monolith_client::wire::{KeyState, Role, RotateKey};

use super::{command, detail, interest, prompt, select};
use crate::clock::Now;
use crate::keymap::{Act, Screen};
use crate::message::{Command, Effect};
use crate::model::dialog::{Dialog, Form, Revoke};
use crate::model::line::Line;
use crate::model::rows::{List, ListState};
use crate::model::{ConfigPane, Model, PromptKind, WorkPane};
use crate::words;

/// Rows above and below a list on the screen.
const AROUND: u16 = 9;
/// How far the charts move at a time.
const CHART_STEP: usize = 15;

/// Does what a key stands for.
pub(super) fn act(model: &mut Model, act: Act, now: Now, effects: &mut Vec<Effect>) {
    if let Some(screen) = act.screen() {
        return show(model, screen);
    }
    let page = isize::try_from(model.size.1.saturating_sub(AROUND).max(1)).unwrap_or(1);
    match act {
        Act::NextScreen | Act::PreviousScreen => show(model, model.screen.step(act == Act::NextScreen)),
        Act::Down => select::step(model, 1, now),
        Act::Up => select::step(model, -1, now),
        Act::PageDown => select::step(model, page, now),
        Act::PageUp => select::step(model, -page, now),
        Act::Top => select::step(model, isize::MIN, now),
        Act::Bottom => bottom(model, now),
        Act::Open => detail::open(model, now, effects),
        Act::Back => back(model),
        Act::Filter => prompt::filter(model),
        Act::Palette => prompt::open(model, PromptKind::Palette),
        Act::Help => model.ask(Dialog::Help, Now::default()),
        Act::Sort | Act::Reverse => sort(model, act == Act::Reverse, now),
        Act::Pane => pane(model),
        Act::Earlier => model.earlier = model.earlier.saturating_add(CHART_STEP).min(crate::model::history::POINTS),
        Act::Later => model.earlier = model.earlier.saturating_sub(CHART_STEP),
        Act::Freeze => freeze(model, now),
        Act::Poll => {
            interest::nudge_target(model, model.current);
            model.toast("asking now", now);
        }
        Act::CopyCell | Act::CopyRow => copy(model, act == Act::CopyRow, now, effects),
        Act::PickTarget => model.ask(Dialog::PickTarget { chosen: model.current }, Now::default()),
        Act::Mouse => mouse(model, now, effects),
        Act::Repaint => effects.push(Effect::Repaint),
        Act::Suspend => effects.push(Effect::Suspend),
        Act::Quit if model.under_way() == 0 => effects.push(Effect::Quit),
        Act::Quit => model.ask(Dialog::Quit, now),
        Act::Die => effects.push(Effect::Quit),
        Act::Follow => select::follow(model),
        Act::Explain => explain(model, now, effects),
        Act::Plan => prompt::open(model, PromptKind::Plan),
        Act::Unlock => unlock(model, now),
        other => change(model, other, now),
    }
}

/// Those acts that end in a change.
fn change(model: &mut Model, act: Act, now: Now) {
    if !may_change(model, now) {
        return;
    }
    match act {
        Act::CreateKey => {
            let target = model.current;
            model.ask(Dialog::Create { target, form: Form::default() }, now);
        }
        Act::RevokeKey => revoke(model, now),
        Act::RotateKey => rotate(model, now),
        Act::RunNow => run_now(model, now),
        Act::Pause => pause(model, now),
        Act::CancelRun => cancel(model, now),
        Act::Reload => {
            confirm(model, Command::Reload, "Reload the configuration from the server's disk?", Vec::new(), now)
        }
        _ => {}
    }
}

/// Shows a screen; a screen that is shown already goes back to its first list.
pub(super) fn show(model: &mut Model, screen: Screen) {
    if model.screen == screen && screen == Screen::Workers {
        model.pane.work = WorkPane::Workers;
    }
    if screen == Screen::Targets && model.screen != screen {
        // Enter at once goes nowhere else than where one is.
        let here = Some(model.target().name.clone());
        model.lists.entry(List::Targets).or_insert(ListState::EMPTY).selected = here;
    }
    model.screen = screen;
    if screen == Screen::Messages {
        model.messages_seen = model.messages_total;
    }
}

fn bottom(model: &mut Model, now: Now) {
    match model.list() {
        Some(_) => select::step(model, isize::MAX, now),
        None => model.follow = true,
    }
}

/// One step back: a filter, then a list that was opened from another, then the screen that everything starts from.
fn back(model: &mut Model) {
    if let Some(list) = model.list()
        && let Some(state) = model.lists.get_mut(&list).filter(|state| !state.filter.is_empty())
    {
        state.filter.clear();
        state.stamp = None;
        return;
    }
    match (model.screen, std::mem::take(&mut model.pane.work)) {
        (Screen::Workers, WorkPane::Output { worker, .. }) => model.pane.work = WorkPane::Runs { worker },
        (Screen::Workers, WorkPane::Runs { .. }) => {}
        (Screen::Audit, work) if model.logs_of.is_some() => {
            model.pane.work = work;
            model.logs_of = None;
            model.target_mut().logs.clear();
        }
        (_, work) => {
            model.pane.work = work;
            model.earlier = 0;
            if model.frozen.is_none() {
                model.screen = Screen::Overview;
            }
        }
    }
}

fn sort(model: &mut Model, reverse: bool, now: Now) {
    let Some(list) = model.list() else { return };
    let columns = select::columns(model, list);
    let Some(state) = model.lists.get_mut(&list) else { return };
    state.sort = match (state.sort, reverse) {
        (None, true) => Some((0, true)),
        (None, false) => Some((0, false)),
        (Some((column, order)), true) => Some((column, !order)),
        // After the last column comes the order in which the server tells.
        (Some((column, order)), false) => Some((column + 1, order)).filter(|(column, _)| *column < columns.len()),
    };
    let sort = state.sort;
    select::reorder(model, list);
    let said = sort.and_then(|(column, down)| {
        let column = columns.get(column)?;
        let first = if down { column.first.1 } else { column.first.0 };
        Some(format!("sorted by {}, {first}", column.name.to_lowercase()))
    });
    let unsorted = if list == List::Targets { "the worst first" } else { "in the order of the server" };
    model.toast(said.unwrap_or_else(|| unsorted.to_owned()), now);
}

fn pane(model: &mut Model) {
    match model.screen {
        Screen::Config => {
            model.pane.config = match model.pane.config {
                ConfigPane::Values => ConfigPane::Revisions,
                ConfigPane::Revisions => ConfigPane::Replicas,
                ConfigPane::Replicas => ConfigPane::Values,
            };
        }
        Screen::Audit => model.pane.logs = !model.pane.logs,
        _ => {}
    }
}

fn freeze(model: &mut Model, now: Now) {
    model.frozen = match model.frozen.take() {
        Some(_) => None,
        None => Some((Box::new(model.target().clone()), now.at)),
    };
    if let Some(list) = model.list() {
        select::reorder(model, list);
    }
}

fn copy(model: &mut Model, row: bool, now: Now, effects: &mut Vec<Effect>) {
    let text = match row {
        true => select::json(model).map(|json| json.to_string()),
        false => select::selected(model).map(str::to_owned),
    };
    match text {
        Some(text) => {
            let size = text.len();
            effects.push(Effect::Copy(text));
            model.toast(format!("{size} bytes sent to the terminal's clipboard"), now);
        }
        None => model.toast("no row is chosen", now),
    }
}

fn mouse(model: &mut Model, now: Now, effects: &mut Vec<Effect>) {
    model.mouse = !model.mouse;
    effects.push(Effect::Mouse(model.mouse));
    let said = if model.mouse { "the wheel moves; hold shift to select text" } else { "the mouse is the terminal's" };
    model.toast(said, now);
}

fn unlock(model: &mut Model, now: Now) {
    if model.is_unlocked(now.at) {
        model.unlocked = None;
        model.say(model.current, false, "changes are locked again", now);
        return;
    }
    let target = model.current;
    model.ask(Dialog::Unlock { target, line: Line::default(), mistaken: false }, now);
}

/// Whether a change may be begun, and if not, why.
fn may_change(model: &mut Model, now: Now) -> bool {
    let whoami = model.target().whoami.value();
    let viewer = whoami.is_some_and(|whoami| whoami.role == Role::Viewer);
    let why = match () {
        () if model.frozen.is_some() => format!("frozen: {} goes on", model.keymap.key(Act::Freeze)),
        () if viewer => "your role, viewer, changes nothing".to_owned(),
        () if !model.is_unlocked(now.at) => {
            format!("read-only: {} allows changes for five minutes", model.keymap.key(Act::Unlock))
        }
        () => return true,
    };
    model.toast(why, now);
    false
}

fn confirm(model: &mut Model, command: Command, question: &str, facts: Vec<(String, String)>, now: Now) {
    let target = model.current;
    model.ask(Dialog::Confirm { target, command, question: question.to_owned(), facts, yes: false }, now);
}

/// What a dialog about a key says of it.
fn key_facts(key: &monolith_client::wire::Key) -> Vec<(String, String)> {
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { words::clean(text).into_owned() };
    vec![
        ("id".to_owned(), words::clean(&key.kid).into_owned()),
        ("owner".to_owned(), or_none(key.owner.as_deref().unwrap_or_default())),
        ("scopes".to_owned(), or_none(&key.scopes.join(" "))),
        ("last used".to_owned(), key.last_used_at.as_deref().map_or_else(|| "never".to_owned(), words::clock)),
        ("created".to_owned(), words::clock(&key.created_at)),
    ]
}

fn chosen_key(model: &mut Model, now: Now) -> Option<monolith_client::wire::Key> {
    let kid = select::selected(model).map(str::to_owned);
    let keys = model.target().keys.value();
    let key = kid.and_then(|kid| keys?.items.iter().find(|key| key.kid == kid).map(|row| (**row).clone()));
    match key {
        Some(key) if key.state != KeyState::Revoked => Some(key),
        Some(_) => {
            model.toast("the key is revoked already", now);
            None
        }
        None => {
            model.toast("no key is chosen", now);
            None
        }
    }
}

fn revoke(model: &mut Model, now: Now) {
    let Some(key) = chosen_key(model, now) else { return };
    let name = key.name.clone().map(|name| words::clean(&name).trim().to_owned()).filter(|name| !name.is_empty());
    let dialog = Revoke {
        target: model.current,
        name: name.unwrap_or_else(|| key.kid.clone()),
        facts: key_facts(&key),
        version: key.version,
        kid: key.kid,
        line: Line::default(),
        reason: Line::default(),
        at_reason: false,
        gone: None,
    };
    model.ask(Dialog::Revoke(dialog), now);
}

fn rotate(model: &mut Model, now: Now) {
    let Some(key) = chosen_key(model, now) else { return };
    let name = key.name.clone().unwrap_or_else(|| key.kid.clone());
    let mut facts = key_facts(&key);
    facts.insert(0, ("name".to_owned(), words::clean(&name).into_owned()));
    let rotate = RotateKey { grace: None };
    let question = "Rotate this key? A new one is made; the old one ends after the grace period.";
    confirm(model, Command::Rotate { kid: key.kid, name, rotate }, question, facts, now);
}

/// The worker that is chosen, or whose runs are looked at.
fn chosen_worker(model: &Model) -> Option<String> {
    match &model.pane.work {
        WorkPane::Workers => select::selected(model).map(str::to_owned),
        WorkPane::Runs { worker } | WorkPane::Output { worker, .. } => Some(worker.clone()),
    }
}

fn run_now(model: &mut Model, now: Now) {
    let Some(worker) = chosen_worker(model) else { return model.toast("no worker is chosen", now) };
    let question = format!("Run {worker} now?");
    confirm(model, Command::Run { worker }, &question, Vec::new(), now);
}

fn pause(model: &mut Model, now: Now) {
    let Some(worker) = chosen_worker(model) else { return model.toast("no worker is chosen", now) };
    let workers = model.target().workers.value();
    let paused = workers.and_then(|all| all.iter().find(|one| one.name == worker)?.paused.clone());
    let target = model.current;
    match paused {
        Some(pause) => {
            let facts = vec![
                ("paused by".to_owned(), words::clean(&pause.by).into_owned()),
                ("since".to_owned(), words::clock(&pause.at)),
                ("reason".to_owned(), words::clean(&pause.reason).into_owned()),
            ];
            let question = format!("Resume {worker}?");
            confirm(model, Command::Resume { worker }, &question, facts, now);
        }
        None => model.ask(Dialog::Pause { target, worker, line: Line::default() }, now),
    }
}

fn cancel(model: &mut Model, now: Now) {
    let (run, worker) = match &model.pane.work {
        WorkPane::Output { run, worker } => (Some(run.clone()), worker.clone()),
        WorkPane::Runs { worker } => (select::selected(model).map(str::to_owned), worker.clone()),
        WorkPane::Workers => (None, String::new()),
    };
    let Some(run) = run else { return model.toast("choose a run: Enter on a worker shows its runs", now) };
    let question = format!("Cancel this run of {worker}?");
    let facts = vec![("run".to_owned(), run.clone())];
    confirm(model, Command::Cancel { run, worker }, &question, facts, now);
}

fn explain(model: &mut Model, now: Now, effects: &mut Vec<Effect>) {
    match select::selected(model).filter(|_| model.pane.config == ConfigPane::Values).map(str::to_owned) {
        Some(key) => command::send(model, model.current, Command::Explain { key }, now, effects),
        None => prompt::open(model, PromptKind::Explain),
    }
}
