//! Order and selection of the list that is looked at: the chosen row is an id, not a place.
//! When the row is gone, its neighbour is chosen; nothing else ever moves the selection by itself.

use serde_json::Value;

use crate::clock::Now;
use crate::keymap::Screen;
use crate::model::Model;
use crate::model::rows::{Column, Cx, List, Row, Visit, order};
use crate::model::tables;

/// The moment that rows are compared in.
pub(crate) fn cx(model: &Model, now: Now) -> Cx {
    if model.screen == Screen::Targets {
        // The others are not frozen, and each has a clock of its own.
        return Cx { server_ms: now.unix_ms, at: now.at };
    }
    let now = model.shown_at(now);
    Cx { server_ms: model.shown().server_ms(now), at: now.at }
}

/// Makes the order anew where rows, filter or sorting changed, and finds the chosen row in it.
pub(super) fn settle(model: &mut Model, now: Now) {
    let Some(list) = model.list() else { return };
    let cx = cx(model, now);
    let mut state = model.lists.remove(&list).unwrap_or(crate::model::rows::ListState::EMPTY);
    let stamp = tables::stamp(model, list);
    if stamp.is_none() || state.stamp != stamp {
        state.order = tables::visit(model, list, Order { filter: &state.filter, sort: state.sort, cx });
        state.stamp = stamp;
    }
    let found = match &state.selected {
        Some(id) => tables::visit(model, list, Find { id, order: &state.order, at: state.at }),
        None => None,
    };
    state.at = found.unwrap_or(state.at).min(state.order.len().saturating_sub(1));
    if found.is_none() {
        state.selected = tables::visit(model, list, Id { index: state.order.get(state.at).copied() });
    }
    model.lists.insert(list, state);
}

/// Moves the selection by so many rows, or a text by so many lines.
pub(super) fn step(model: &mut Model, rows: isize, now: Now) {
    let Some(list) = model.list() else {
        return scroll(model, rows);
    };
    settle(model, now);
    let state = model.list_state(list);
    let at = state.at.saturating_add_signed(rows).min(state.order.len().saturating_sub(1));
    choose(model, list, at);
}

/// Moves an output from where it is seen, and never beyond what is known of it.
fn scroll(model: &mut Model, rows: isize) {
    let last = model.output_last();
    let at = if model.follow { last } else { model.scroll.min(last) };
    model.scroll = at.saturating_add_signed(rows).min(last);
    // Whoever looks at what was before stays there, whatever comes.
    model.follow &= model.scroll >= at;
}

/// Follows the end of an output, or stays with the lines that are seen.
pub(super) fn follow(model: &mut Model) {
    if model.follow {
        model.scroll = model.output_last();
    }
    model.follow = !model.follow;
}

/// Chooses the row at a place.
pub(super) fn choose(model: &mut Model, list: List, at: usize) {
    let index = model.list_state(list).order.get(at).copied();
    let selected = tables::visit(model, list, Id { index });
    if let Some(state) = model.lists.get_mut(&list) {
        state.at = at;
        state.selected = selected;
    }
}

/// The chosen row of the list that is looked at, by its id.
pub(crate) fn selected(model: &Model) -> Option<&str> {
    let state = model.list_state(model.list()?);
    if state.order.is_empty() { None } else { state.selected.as_deref() }
}

/// The row that a subject names: by its id, as `stores.main` names a store, or as `server.tls` names what is set under it.
pub(super) fn about(model: &Model, list: List, subject: &str) -> Option<String> {
    tables::visit(model, list, About { subject })
}

/// Forgets how the list was ordered.
pub(super) fn reorder(model: &mut Model, list: List) {
    if let Some(state) = model.lists.get_mut(&list) {
        state.stamp = None;
    }
}

/// The chosen row as JSON.
pub(super) fn json(model: &Model) -> Option<Value> {
    let list = model.list()?;
    let state = model.list_state(list);
    tables::visit(model, list, Json { index: *state.order.get(state.at)? })
}

/// The columns of a list.
pub(crate) fn columns(model: &Model, list: List) -> &'static [Column] {
    tables::visit(model, list, Columns)
}

struct Order<'a> {
    filter: &'a str,
    sort: Option<(usize, bool)>,
    cx: Cx,
}

impl Visit for Order<'_> {
    type Out = Vec<u32>;

    fn rows<R: Row>(self, rows: &[R]) -> Vec<u32> {
        order(rows, self.filter, self.sort, &self.cx)
    }
}

struct Find<'a> {
    id: &'a str,
    order: &'a [u32],
    at: usize,
}

impl Visit for Find<'_> {
    type Out = Option<usize>;

    fn rows<R: Row>(self, rows: &[R]) -> Option<usize> {
        let is = |index: &u32| rows.get(*index as usize).is_some_and(|row| row.id() == self.id);
        // It rarely moves.
        if self.order.get(self.at).is_some_and(is) {
            return Some(self.at);
        }
        self.order.iter().position(is)
    }
}

struct Id {
    index: Option<u32>,
}

impl Visit for Id {
    type Out = Option<String>;

    fn rows<R: Row>(self, rows: &[R]) -> Option<String> {
        Some(rows.get(self.index? as usize)?.id().into_owned())
    }
}

struct About<'a> {
    subject: &'a str,
}

impl Visit for About<'_> {
    type Out = Option<String>;

    fn rows<R: Row>(self, rows: &[R]) -> Option<String> {
        let find = |is: &dyn Fn(&str) -> bool| rows.iter().find(|row| is(&row.id())).map(|row| row.id().into_owned());
        let name = self.subject.split_once('.').map_or(self.subject, |(_, name)| name);
        let under = format!("{}.", self.subject);
        find(&|id| id == self.subject).or_else(|| find(&|id| id == name)).or_else(|| find(&|id| id.starts_with(&under)))
    }
}

struct Json {
    index: u32,
}

impl Visit for Json {
    type Out = Option<Value>;

    fn rows<R: Row>(self, rows: &[R]) -> Option<Value> {
        rows.get(self.index as usize).map(Row::json)
    }
}

struct Columns;

impl Visit for Columns {
    type Out = &'static [Column];

    fn rows<R: Row>(self, _: &[R]) -> &'static [Column] {
        R::COLUMNS
    }
}
