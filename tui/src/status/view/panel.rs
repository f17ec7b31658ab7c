//! A titled box around a table whose columns are as wide as what they hold, the last one taking the rest.
//! It knows nothing of what it shows.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Padding, Row, Table, Widget};

use super::cut;

/// The two borders.
const FRAME: u16 = 2;
/// What the last column has at least, where it needs so much.
const LAST_MIN: u16 = 16;
/// Between two columns.
const SPACING: u16 = 2;

pub(super) struct Panel<'a> {
    title: String,
    header: &'static [&'static str],
    rows: Vec<Vec<Span<'a>>>,
}

impl<'a> Panel<'a> {
    /// A panel that holds one remark.
    pub(super) fn note(title: impl Into<String>, note: Span<'a>) -> Self {
        Self::table(title, &[], vec![vec![note]])
    }

    /// A panel that holds a table; without column names it is a list of facts.
    pub(super) fn table(title: impl Into<String>, header: &'static [&'static str], rows: Vec<Vec<Span<'a>>>) -> Self {
        Self { title: title.into(), header, rows }
    }

    pub(super) fn height(&self) -> u16 {
        let rows = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        rows.saturating_add(FRAME + u16::from(!self.header.is_empty()))
    }

    fn widths(&self) -> Vec<Constraint> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0).max(self.header.len());
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(Span::width);
            let name = self.header.get(column).map_or(0, |name| name.len());
            u16::try_from(cells.fold(name, usize::max)).unwrap_or(u16::MAX)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let Some((last, others)) = widths.split_last() else { return Vec::new() };
        // The last one says most: where room is short, the others are cut before it is gone.
        let last = Constraint::Min((*last).min(LAST_MIN));
        others.iter().copied().map(Constraint::Length).chain([last]).collect()
    }
}

impl<'a> Widget for Panel<'a> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let widths = self.widths();
        let inside = area.width.saturating_sub(2 * FRAME);
        // The same that the table makes of them, to know what it would cut.
        let columns = Layout::horizontal(widths.clone()).flex(Flex::Start).spacing(SPACING);
        let columns = columns.split(Rect { width: inside, ..area });
        let row = |cells: Vec<Span<'a>>| -> Row<'a> {
            let cells = cells.into_iter().zip(columns.iter());
            cells.map(|(cell, column)| cut(Line::from(cell), usize::from(column.width))).collect()
        };
        let title = Line::styled(format!(" {} ", self.title), Style::new().bold());
        let block = Block::bordered().border_style(Style::new().dim()).title(title).padding(Padding::horizontal(1));
        let names = (!self.header.is_empty())
            .then(|| row(self.header.iter().copied().map(Span::raw).collect()).style(Style::new().dim()));
        let table = Table::new(self.rows.into_iter().map(row), widths).column_spacing(SPACING).block(block);
        let table = match names {
            Some(names) => table.header(names),
            None => table,
        };
        table.render(area, buffer);
    }
}
