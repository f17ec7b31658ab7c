//! What Enter does on a row: everything about it, or the list behind it.
//! Nothing is asked of a server here but what a poller or a question brings anyway.

use serde_json::Value;

use super::{act, command, interest, select};
use crate::clock::Now;
use crate::feed::Source;
use crate::keymap::Screen;
use crate::message::{Command, Effect, TargetId};
use crate::model::dialog::Dialog;
use crate::model::rows::List;
use crate::model::{Model, WorkPane};
use crate::words;

/// Opens the chosen row.
pub(super) fn open(model: &mut Model, now: Now, effects: &mut Vec<Effect>) {
    let (Some(list), Some(id)) = (model.list(), select::selected(model).map(str::to_owned)) else { return };
    match list {
        List::Findings => jump(model, &id, now),
        List::Workers => {
            model.target_mut().runs.clear();
            model.pane.work = WorkPane::Runs { worker: id };
            interest::nudge(model, model.current, Source::Runs);
        }
        List::Runs => {
            let WorkPane::Runs { worker } = model.pane.work.clone() else { return };
            model.target_mut().output.clear();
            model.pane.work = WorkPane::Output { worker, run: id };
            (model.scroll, model.follow) = (0, true);
            interest::nudge(model, model.current, Source::Output);
        }
        List::Values => command::send(model, model.current, Command::Explain { key: id }, now, effects),
        List::Targets => {
            let place = model.targets.iter().position(|target| target.name == id);
            pick(model, place.unwrap_or(model.current));
            model.screen = Screen::Overview;
        }
        _ => detail(model, &id),
    }
}

/// Looks at another target from now on; nothing that was allowed on the one before is allowed on it.
pub(super) fn pick(model: &mut Model, target: TargetId) {
    if target == model.current || target >= model.targets.len() {
        return;
    }
    model.current = target;
    model.unlocked = None;
    model.frozen = None;
    model.logs_of = None;
    model.pane = crate::model::Pane::default();
    model.scroll = 0;
    model.lists.clear();
    interest::nudge_target(model, target);
}

/// Shows the cause of a finding.
fn jump(model: &mut Model, id: &str, now: Now) {
    let finding = model.shown().findings.iter().find(|finding| format!("{} {}", finding.code, finding.subject) == id);
    let Some(finding) = finding else { return };
    let (screen, subject) = (finding.screen(), finding.subject.clone());
    act::show(model, screen);
    // What a filter hides, or another list of the screen, is no place to be led to.
    model.pane = crate::model::Pane::default();
    let Some(list) = model.list() else { return };
    if let Some(state) = model.lists.get_mut(&list) {
        state.filter.clear();
        state.stamp = None;
    }
    select::settle(model, now);
    let row = select::about(model, list, &subject);
    if let Some(state) = model.lists.get_mut(&list) {
        state.selected = row.or(state.selected.take());
    }
}

fn detail(model: &mut Model, id: &str) {
    let Some(json) = select::json(model) else { return };
    let mut lines = Vec::new();
    flatten(&json, "", &mut lines);
    let title = format!("{} {}", model.screen.name(), words::clean(id));
    // Only to be read: keys that were pressed for the list do no harm here.
    model.ask(Dialog::Detail { title, lines }, Now::default());
}

/// Everything about a thing, by name.
pub(super) fn flatten(value: &Value, name: &str, lines: &mut Vec<(String, String)>) {
    let join = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                flatten(member, &join(key), lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, &join(&(index + 1).to_string()), lines);
            }
        }
        Value::Array(items) => {
            let words: Vec<_> = items.iter().map(text).collect();
            lines.push((name.to_owned(), if words.is_empty() { "-".to_owned() } else { words.join(" ") }));
        }
        other => lines.push((name.to_owned(), text(other))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => words::clean(text).into_owned(),
        other => other.to_string(),
    }
}
