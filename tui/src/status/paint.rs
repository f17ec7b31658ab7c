//! A drawn buffer as text: with the colours of a terminal, or as nothing but words.
//! It moves no cursor and clears nothing, so its text can go anywhere.

use crossterm::style::{Attribute, Color as Ink, ContentStyle, StyledContent};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

/// The words alone.
pub(crate) fn plain(buffer: &Buffer) -> String {
    lines(buffer, |line, _, symbol| line.push_str(symbol))
}

/// The words alone, without the lines around them: for whoever has the screen read aloud.
pub(crate) fn linear(buffer: &Buffer) -> String {
    let frames = ['┌', '┐', '└', '┘', '─', '│'];
    let lines = plain(buffer);
    let bare = lines.lines().map(|line| line.trim_matches(|c: char| c == ' ' || frames.contains(&c)));
    bare.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

/// The words in their colours.
pub(crate) fn coloured(buffer: &Buffer) -> String {
    lines(buffer, |line, style, symbol| {
        // A cell that looks like the terminal's own needs no codes around it.
        match style == ContentStyle::default() {
            true => line.push_str(symbol),
            false => line.push_str(&StyledContent::new(style, symbol).to_string()),
        }
    })
}

fn lines(buffer: &Buffer, write: impl Fn(&mut String, ContentStyle, &str)) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let mut line = String::new();
        for (style, symbols) in runs(row) {
            write(&mut line, style, &symbols);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Neighbours of one style together; the cell behind a wide character is a part of it.
fn runs(row: &[Cell]) -> Vec<(ContentStyle, String)> {
    let mut runs: Vec<(ContentStyle, String)> = Vec::new();
    let mut covered = 0;
    for cell in row {
        if covered > 0 {
            covered -= 1;
            continue;
        }
        covered = Span::raw(cell.symbol()).width().saturating_sub(1);
        match (runs.last_mut(), style(cell)) {
            (Some((last, symbols)), style) if *last == style => symbols.push_str(cell.symbol()),
            (_, style) => runs.push((style, cell.symbol().to_owned())),
        }
    }
    runs
}

fn style(cell: &Cell) -> ContentStyle {
    let mut style = ContentStyle { foreground_color: ink(cell.fg), ..ContentStyle::default() };
    let attributes =
        [(Modifier::BOLD, Attribute::Bold), (Modifier::DIM, Attribute::Dim), (Modifier::REVERSED, Attribute::Reverse)];
    for (modifier, attribute) in attributes {
        if cell.modifier.contains(modifier) {
            style.attributes.set(attribute);
        }
    }
    style
}

/// The colours that the view uses; any other one is the terminal's own.
const fn ink(colour: Color) -> Option<Ink> {
    match colour {
        Color::Green => Some(Ink::DarkGreen),
        Color::Yellow => Some(Ink::DarkYellow),
        Color::Red => Some(Ink::DarkRed),
        Color::Cyan => Some(Ink::DarkCyan),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn buffer() -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(0, 0, "a", Style::new());
        buffer.set_string(2, 0, "down", Style::new().red().bold());
        buffer.set_string(0, 1, "日本 x", Style::new());
        buffer
    }

    #[test]
    fn plain_text_has_no_codes_and_no_spaces_at_the_end() {
        assert_eq!(plain(&buffer()), "a down\n日本 x\n");
    }

    #[test]
    fn colours_stand_around_their_words_only() {
        crossterm::style::force_color_output(true);
        let text = coloured(&buffer()).replace('\u{1b}', "^");
        assert_eq!(text.lines().next(), Some("a ^[38;5;1m^[1mdown^[0m"));
        assert_eq!(text.lines().nth(1), Some("日本 x"));
    }
}
