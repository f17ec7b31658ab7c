//! Draws a list: columns as room allows, the rows around the chosen one, and why there is nothing where there is nothing.
//! Only what can be seen is made, however many rows there are.

use std::collections::VecDeque;

use ratatui::layout::Rect;

use super::pen::{Pen, take, width, without_brackets};
use super::{chart, source_words};
use crate::feed::{Condition, Source};
use crate::model::rows::{Cell, Column, Cx, Filter, List, ListState, Row, Visit};
use crate::model::target::SourceView;
use crate::model::{Model, tables};
use crate::theme::Tone;
use crate::update::select;
use crate::words;

/// Between two columns.
const GAP: u16 = 2;

/// How a list is drawn.
pub(super) struct Look<'a> {
    pub(super) title: &'a str,
    /// Where its rows come from; `None` where the console made them.
    pub(super) source: Option<Source>,
    /// What is said where there are none.
    pub(super) empty: &'a str,
    /// Whether keys act on it.
    pub(super) active: bool,
}

/// Draws a list with its title.
pub(super) fn draw(pen: &mut Pen<'_>, mut area: Rect, model: &Model, list: List, look: &Look<'_>, cx: Cx) {
    let state = model.list_state(list);
    let view = look.source.map(|source| model.shown().source(source, cx.at));
    let title = title(model, list, look.title, state, view.as_ref());
    // Where nothing is known yet, why stands in the place of the rows.
    let source = view.as_ref().filter(|view| view.age.is_some()).map_or((Tone::Quiet, String::new()), source_words);
    pen.title(take(&mut area, 1), &title, (source.0, &source.1));
    let old = view.as_ref().is_some_and(is_old);
    if state.order.is_empty() {
        nothing(pen, area, (look, state), view.as_ref(), select::columns(model, list));
        return;
    }
    let here = (list == List::Targets).then(|| model.target().name.as_str());
    tables::visit(model, list, Draw { pen, area, state, cx, old, here, active: look.active });
}

fn title(model: &Model, list: List, name: &str, state: &ListState, view: Option<&SourceView<'_>>) -> String {
    let known = view.is_none_or(|view| view.age.is_some());
    let all = tables::visit(model, list, Count);
    let shown = state.order.len();
    let mut title = match (known, shown == all) {
        (false, _) => name.to_owned(),
        (true, true) => format!("{name} {all}"),
        (true, false) => format!("{name} {shown} of {all}"),
    };
    if list == List::Keys && model.shown().keys.value().is_some_and(|keys| keys.more) {
        title += "+";
    }
    if !state.filter.is_empty() {
        title += &format!("  /{}", words::clean(&state.filter));
    }
    title
}

/// Why there is no row.
fn nothing(
    pen: &mut Pen<'_>,
    area: Rect,
    (look, state): (&Look<'_>, &ListState),
    view: Option<&SourceView<'_>>,
    columns: &[Column],
) {
    let y = area.y + u16::from(area.height > 2);
    if area.height == 0 {
        return;
    }
    let (tone, text) = match view {
        Some(view) if is_old(view) && view.age.is_none() => source_words(view),
        _ if !state.filter.is_empty() => (Tone::Quiet, unfit(&state.filter, columns)),
        // That there was nothing is no news of now; the title says why.
        Some(view) if is_old(view) => (Tone::Old, format!("{} {}", pen.glyphs().old, look.empty)),
        _ => (Tone::Quiet, look.empty.to_owned()),
    };
    let room = area.width.saturating_sub(3);
    pen.put(area.x + 2, y, room, tone, without_brackets(&text, room));
}

/// Why a filter leaves no row.
fn unfit(filter: &str, columns: &[Column]) -> String {
    let Some(stranger) = Filter::stranger(filter, columns) else {
        return "nothing fits the filter; Esc clears it".to_owned();
    };
    let known: Vec<_> = columns.iter().map(Column::word).collect();
    format!("no column is called {}; there are {}", words::clean(stranger), known.join(", "))
}

/// Whether what is known is not known to be true now.
pub(super) fn is_old(view: &SourceView<'_>) -> bool {
    view.age.is_none() || !matches!(view.condition, Condition::Fresh | Condition::Failing)
}

struct Count;

impl Visit for Count {
    type Out = usize;

    fn rows<R: Row>(self, rows: &[R]) -> usize {
        rows.len()
    }
}

struct Draw<'p, 'b, 's> {
    pen: &'p mut Pen<'b>,
    area: Rect,
    state: &'s ListState,
    cx: Cx,
    old: bool,
    /// The id of the row that is marked.
    here: Option<&'s str>,
    active: bool,
}

impl Visit for Draw<'_, '_, '_> {
    type Out = ();

    fn rows<R: Row>(mut self, rows: &[R]) {
        let mut columns = fit(R::COLUMNS, self.area.width.saturating_sub(2));
        let head = take(&mut self.area, 1);
        let height = usize::from(self.area.height);
        let count = self.state.order.len();
        let first = self.state.at.saturating_sub(height / 2).min(count.saturating_sub(height));
        let seen = self.state.order.iter().enumerate().skip(first).take(height);
        let seen = seen.filter_map(|(place, index)| Some((place, rows.get(*index as usize)?)));
        let seen: Vec<(usize, &R, Vec<Cell>)> = seen
            .map(|(place, row)| {
                let cells = columns.iter().map(|(column, ..)| row.cell(*column, &self.cx));
                (place, row, cells.collect())
            })
            .collect();
        let needs = needs::<R>(&columns, &seen);
        even_out(&mut columns, R::COLUMNS, &needs);
        self.head(head, R::COLUMNS, &columns);
        for (place, row, cells) in seen {
            let area = take(&mut self.area, 1);
            if self.old {
                // Not every column has a sign of its own; the margin says it for all of them.
                let sign = self.pen.glyphs().old;
                self.pen.put(area.x, area.y, 1, Tone::Old, sign);
            }
            if self.here.is_some_and(|id| id == row.id()) {
                let sign = self.pen.glyphs().here;
                self.pen.put(area.x, area.y, 1, Tone::Strong, sign);
            }
            for ((column, x, room), cell) in columns.iter().zip(&cells) {
                let right = R::COLUMNS.get(*column).is_some_and(|column| column.right);
                self.cell(area.x + 1 + x, area.y, *room, right, cell);
                if let Some(points) = row.chart().filter(|_| *column + 1 == R::COLUMNS.len()) {
                    self.chart(area.x + 1 + x, area.y, *room, points);
                }
            }
            if self.active && place == self.state.at {
                let style = self.pen.style(Tone::Selected);
                self.pen.frame.set_style(area, style);
            }
        }
    }
}

impl Draw<'_, '_, '_> {
    fn head(&mut self, area: Rect, names: &[Column], columns: &[(usize, u16, u16)]) {
        for (column, x, room) in columns {
            let Some(known) = names.get(*column) else { continue };
            let glyphs = self.pen.glyphs();
            let sign = match self.state.sort {
                Some((sorted, down)) if sorted == *column => {
                    if down {
                        glyphs.down
                    } else {
                        glyphs.up
                    }
                }
                _ => "",
            };
            let name = format!("{}{sign}", known.name);
            match known.right {
                true => self.pen.put_right(area.x + 1 + x + room, area.y, *room, Tone::Accent, &name),
                false => drop(self.pen.put(area.x + 1 + x, area.y, *room, Tone::Accent, &name)),
            }
        }
    }

    fn cell(&mut self, x: u16, y: u16, room: u16, right: bool, cell: &Cell) {
        let tone = if self.old { Tone::Old } else { cell.tone };
        match (cell.sign, right) {
            (true, _) => drop(self.pen.state(x, y, room, tone, &cell.text)),
            (false, true) => self.pen.put_right(x + room, y, room, tone, &cell.text),
            (false, false) => drop(self.pen.put(x, y, room, tone, &cell.text)),
        }
    }

    fn chart(&mut self, x: u16, y: u16, room: u16, points: &VecDeque<f64>) {
        let tone = if self.old { Tone::Old } else { Tone::Accent };
        chart::spark(self.pen, Rect::new(x, y, room, 1), points.iter().copied(), tone);
    }
}

/// Which columns there is room for: number, place and width of each.
fn fit(columns: &[Column], room: u16) -> Vec<(usize, u16, u16)> {
    let mut kept: Vec<(usize, &Column)> =
        columns.iter().enumerate().filter(|(_, column)| column.from <= room).collect();
    let needed = |kept: &[(usize, &Column)]| -> u16 {
        let gaps = u16::try_from(kept.len().saturating_sub(1)).unwrap_or(0) * GAP;
        kept.iter().map(|(_, column)| column.width.max(width(column.name))).fold(gaps, u16::saturating_add)
    };
    while needed(&kept) > room {
        let last = kept.iter().enumerate().max_by_key(|(_, (_, column))| column.drop);
        match last {
            Some((place, (_, column))) if column.drop > 0 => drop(kept.remove(place)),
            _ => break,
        }
    }
    let spare = room.saturating_sub(needed(&kept));
    let shares: u16 = kept.iter().map(|(_, column)| column.grow).sum();
    let mut x = 0;
    let mut fitted = Vec::new();
    for (number, column) in kept {
        let grown = (spare * column.grow).checked_div(shares).unwrap_or(0);
        let width = (column.width.max(width(column.name)) + grown).min(room.saturating_sub(x));
        fitted.push((number, x, width));
        x = (x + width + GAP).min(room);
    }
    fitted
}

/// How many cells each column would need for what stands in it now.
fn needs<R: Row>(columns: &[(usize, u16, u16)], seen: &[(usize, &R, Vec<Cell>)]) -> Vec<u16> {
    let cell = |cell: &Cell| width(&cell.text) + if cell.sign { 2 } else { 0 };
    let need = |(place, (column, _, room)): (usize, &(usize, u16, u16))| {
        let is_chart = *column + 1 == R::COLUMNS.len() && seen.iter().any(|(_, row, _)| row.chart().is_some());
        // The name may have the sign of an order behind it.
        let name = R::COLUMNS.get(*column).map_or(0, |column| width(column.name) + 1);
        let widest = seen.iter().filter_map(|(.., cells)| cells.get(place)).map(cell).fold(name, u16::max);
        if is_chart { *room } else { widest }
    };
    columns.iter().enumerate().map(need).collect()
}

/// Gives what some columns do not need to those that are cut, first to those that never go. Where none is cut the columns
/// stay where they are, so that a list stands still.
fn even_out(fitted: &mut [(usize, u16, u16)], columns: &[Column], needs: &[u16]) {
    // Where not even the columns that never go have room, there is nothing to give.
    if fitted.iter().any(|(.., width)| *width == 0) {
        return;
    }
    let mut lacking: Vec<usize> = (0..fitted.len()).filter(|place| needs[*place] > fitted[*place].2).collect();
    lacking.sort_by_key(|place| columns[fitted[*place].0].drop);
    for place in lacking {
        for giver in 0..fitted.len() {
            let wanted = needs[place].saturating_sub(fitted[place].2);
            let given = fitted[giver].2.saturating_sub(needs[giver]).min(wanted);
            fitted[giver].2 -= given;
            fitted[place].2 += given;
        }
    }
    let mut x = 0;
    for (_, from, width) in fitted {
        *from = x;
        x += *width + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::new("A", 10, 1, 0), Column::new("B", 10, 0, 2), Column::new("C", 10, 3, 1)];

    #[test]
    fn columns_go_in_the_declared_order_and_share_what_is_left() {
        let seen = [40, 33, 23, 12, 5].map(|room| fit(&COLUMNS, room));
        assert_eq!(seen[0], [(0, 0, 11), (1, 13, 10), (2, 25, 14)]);
        assert_eq!(seen[1].iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(seen[2], [(0, 0, 10), (2, 12, 10)]);
        assert_eq!(seen[3], [(0, 0, 12)]);
        assert_eq!(seen[4], [(0, 0, 5)]);
        let even = |needs: &[u16]| {
            let mut fitted = fit(&COLUMNS, 40);
            even_out(&mut fitted, &COLUMNS, needs);
            fitted
        };
        assert_eq!(even(&[3, 10, 14]), seen[0], "where nothing is cut, nothing moves");
        assert_eq!(even(&[3, 10, 99]), [(0, 0, 3), (1, 5, 10), (2, 17, 22)], "to the last cell it needs");
        assert_eq!(even(&[12, 13, 4]), [(0, 0, 12), (1, 14, 13), (2, 29, 10)]);
        assert_eq!(even(&[99, 99, 99]), seen[0], "there is nothing to give");
        let wide = [Column::new("A", 10, 1, 0), Column::new("B", 10, 0, 0).from(40)];
        assert_eq!([fit(&wide, 39).len(), fit(&wide, 40).len()], [1, 2]);
    }
}
