//! A text in a window over the screen: how it is broken into lines, and how far it can be scrolled.
//! What is scrolled and what is drawn have to agree on both; neither is done here.

use unicode_width::UnicodeWidthStr;

/// The widest window.
const WIDTH: u16 = 88;
/// Rows of a window besides its text: the frame, and the keys with a blank line before them.
const AROUND: u16 = 5;

/// A text by lines of a name and a value.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) lines: Vec<(String, String)>,
    /// How wide the names are.
    pub(crate) names: u16,
    /// How high its window is.
    pub(crate) height: u16,
    /// How many lines are seen at a time.
    pub(crate) visible: usize,
}

impl Sheet {
    /// A text on a screen of so many columns and rows.
    pub(crate) fn of(lines: &[(String, String)], (columns, rows): (u16, u16)) -> Self {
        let names = lines.iter().map(|(name, _)| width(name)).max().unwrap_or(0).min(30);
        let room = usize::from(inside(columns).saturating_sub(names + 2).max(10));
        let lines: Vec<_> = lines.iter().flat_map(|line| wrap(line, room)).collect();
        let needed = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(AROUND);
        let height = needed.min(rows.saturating_sub(2)).max(AROUND + 1);
        let visible = usize::from(height.min(rows).saturating_sub(AROUND));
        Self { lines, names, height, visible }
    }

    /// The line that stands first when the last one is seen.
    pub(crate) fn last(&self) -> usize {
        self.lines.len().saturating_sub(self.visible)
    }
}

/// How wide a window is on a screen of so many columns.
pub(crate) fn outside(columns: u16) -> u16 {
    columns.saturating_sub(4).min(WIDTH).max(columns.min(20))
}

/// How wide a text inside of its frame may be.
pub(crate) fn inside(columns: u16) -> u16 {
    outside(columns).saturating_sub(6)
}

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// A value on as many lines as it needs.
fn wrap((name, value): &(String, String), room: usize) -> Vec<(String, String)> {
    let lines = broken(value, room).into_iter().enumerate();
    lines.map(|(n, line)| (if n == 0 { name.clone() } else { String::new() }, line)).collect()
}

/// A text in lines of so many cells, broken between words, and within one only where it is longer than a line.
pub(crate) fn broken(text: &str, room: usize) -> Vec<String> {
    let room = u16::try_from(room).unwrap_or(u16::MAX).max(1);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && width(&line).saturating_add(width(word.trim_end())) > room {
            lines.push(std::mem::take(&mut line));
        }
        for letter in word.chars() {
            line.push(letter);
            if letter != ' ' && width(&line) > room {
                line.pop();
                lines.push(std::mem::replace(&mut line, letter.to_string()));
            }
        }
    }
    lines.push(line);
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}
