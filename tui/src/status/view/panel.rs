//! A titled box around a table whose columns are as wide as what they hold, the last one taking the rest.
//! It knows nothing of what it shows.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Padding, Row, Table, Widget};

/// The two borders.
const FRAME: u16 = 2;

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
            Constraint::Length(u16::try_from(cells.fold(name, usize::max)).unwrap_or(u16::MAX))
        };
        let mut widths: Vec<_> = (0..columns).map(width).collect();
        if let Some(last) = widths.last_mut() {
            *last = Constraint::Fill(1);
        }
        widths
    }
}

impl Widget for Panel<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let widths = self.widths();
        let title = Line::styled(format!(" {} ", self.title), Style::new().bold());
        let block = Block::bordered().border_style(Style::new().dim()).title(title).padding(Padding::horizontal(1));
        let table = Table::new(self.rows.into_iter().map(Row::new), widths).column_spacing(2).block(block);
        let table = match self.header {
            [] => table,
            names => table.header(Row::new(names.iter().copied()).style(Style::new().dim())),
        };
        table.render(area, buffer);
    }
}
