//! Draws texts into cells: cut where room ends, never beyond the area, in the style of the look.
//! It knows no model.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::Look;
pub(super) use crate::model::sheet::width;
use crate::theme::{Glyphs, Tone};

/// A pen over a frame.
pub(super) struct Pen<'a> {
    pub(super) frame: &'a mut Buffer,
    look: Look,
}

impl<'a> Pen<'a> {
    pub(super) const fn new(frame: &'a mut Buffer, look: Look) -> Self {
        Self { frame, look }
    }

    pub(super) const fn glyphs(&self) -> &'static Glyphs {
        self.look.glyphs()
    }

    pub(super) fn style(&self, tone: Tone) -> Style {
        self.look.theme.style(tone)
    }

    /// Fills an area with the ground of the look.
    pub(super) fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.frame.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.frame.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
        self.frame.set_style(area, self.look.theme.base());
    }

    /// Writes at a place, at most so many cells, and says where it ended. What is cut ends in a sign that says so.
    pub(super) fn put(&mut self, x: u16, y: u16, room: u16, tone: Tone, text: &str) -> u16 {
        let room = room.min(self.frame.area.right().saturating_sub(x));
        if room == 0 || y >= self.frame.area.bottom() {
            return x;
        }
        if width(text) <= room {
            return self.write(x, y, room, tone, text);
        }
        let end = self.write(x, y, room - 1, tone, text);
        self.write(end, y, 1, tone, self.glyphs().more)
    }

    /// Nothing of what stood there shines through: an alarm on a quiet line would be a quiet alarm.
    fn write(&mut self, x: u16, y: u16, room: u16, tone: Tone, text: &str) -> u16 {
        let (end, _) = self.frame.set_stringn(x, y, text, usize::from(room), Style::reset());
        let style = self.look.theme.base().patch(self.style(tone));
        self.frame.set_style(Rect::new(x, y, end - x, 1), style);
        end
    }

    /// Writes so that the text ends at a place.
    pub(super) fn put_right(&mut self, right: u16, y: u16, room: u16, tone: Tone, text: &str) {
        let taken = width(text).min(room);
        self.put(right.saturating_sub(taken), y, taken, tone, text);
    }

    /// Writes several texts one after the other.
    pub(super) fn line(&mut self, area: Rect, parts: &[(Tone, &str)]) -> u16 {
        let mut x = area.x;
        for (tone, text) in parts {
            x = self.put(x, area.y, area.right().saturating_sub(x), *tone, text);
        }
        x
    }

    /// A line across, with a title in it, and a word at its end; what that says in brackets goes first where room is short.
    pub(super) fn title(&mut self, area: Rect, title: &str, state: (Tone, &str)) {
        if area.height == 0 {
            return;
        }
        let line = self.glyphs().line;
        for x in area.left()..area.right() {
            self.put(x, area.y, 1, Tone::Quiet, line);
        }
        let room = area.width.saturating_sub(2);
        let end = self.put(area.x + 1, area.y, room, Tone::Strong, &format!(" {title} "));
        let left = area.right().saturating_sub(end + 2);
        let words = without_brackets(state.1, left.saturating_sub(2));
        if !words.is_empty() && left > 3 {
            self.put_right(area.right().saturating_sub(1), area.y, left, state.0, &format!(" {words} "));
        }
    }

    /// A sign and a word.
    pub(super) fn state(&mut self, x: u16, y: u16, room: u16, tone: Tone, word: &str) -> u16 {
        let sign = self.glyphs().of(tone);
        let x = self.put(x, y, room, tone, sign);
        self.put(x + 1, y, room.saturating_sub(width(sign) + 1), tone, word)
    }

    /// A frame around an area, which is cleared.
    pub(super) fn frame(&mut self, area: Rect, tone: Tone, title: &str) {
        self.clear(area);
        if area.width < 2 || area.height < 2 {
            return;
        }
        let [left_top, right_top, left_low, right_low, across, down] = self.glyphs().frame;
        let (right, low) = (area.right() - 1, area.bottom() - 1);
        for x in area.left()..=right {
            self.put(x, area.y, 1, tone, across);
            self.put(x, low, 1, tone, across);
        }
        for y in area.top()..=low {
            self.put(area.x, y, 1, tone, down);
            self.put(right, y, 1, tone, down);
        }
        for (x, y, corner) in
            [(area.x, area.y, left_top), (right, area.y, right_top), (area.x, low, left_low), (right, low, right_low)]
        {
            self.put(x, y, 1, tone, corner);
        }
        self.put(area.x + 2, area.y, area.width.saturating_sub(4), tone, &format!(" {title} "));
    }
}

/// A text without what it says in brackets, where there is no room for that.
pub(super) fn without_brackets(text: &str, room: u16) -> &str {
    match text.split_once(" (") {
        Some((short, _)) if width(text) > room => short,
        _ => text,
    }
}

/// Cuts rows off the top of what is left.
pub(super) fn take(rest: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(rest.height);
    let top = Rect { height: rows, ..*rest };
    *rest = Rect { y: rest.y + rows, height: rest.height - rows, ..*rest };
    top
}
