//! The difference of two frames as bytes for a terminal, between the two marks that make it appear at once.
//! Two equal frames are no bytes at all.

use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// How the backend ends each frame, and the one code that means the same: an idle console writes little else.
const LONG_RESET: &[u8] = b"\x1b[39m\x1b[49m\x1b[59m\x1b[0m";
const RESET: &[u8] = b"\x1b[0m";

/// What the terminal shows.
pub(crate) struct Screen {
    shown: Buffer,
    /// Whether nobody knows what it shows.
    unknown: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { shown: Buffer::empty(Rect::ZERO), unknown: true }
    }

    /// Everything is drawn with the next frame.
    pub(crate) const fn forget(&mut self) {
        self.unknown = true;
    }

    /// What has to be written to show a frame.
    pub(crate) fn bytes(&mut self, frame: Buffer) -> Vec<u8> {
        let mut bytes = Vec::new();
        let anew = self.unknown || self.shown.area != frame.area;
        if anew {
            self.shown = Buffer::empty(frame.area);
        }
        let changed = self.shown.diff(&frame);
        if anew || !changed.is_empty() {
            // Writing into memory does not fail.
            drop(queue!(bytes, BeginSynchronizedUpdate));
            if anew {
                drop(queue!(bytes, Clear(ClearType::All)));
            }
            drop(CrosstermBackend::new(&mut bytes).draw(changed.into_iter()));
            if bytes.ends_with(LONG_RESET) {
                bytes.truncate(bytes.len() - LONG_RESET.len());
                bytes.extend_from_slice(RESET);
            }
            drop(queue!(bytes, EndSynchronizedUpdate));
        }
        self.shown = frame;
        self.unknown = false;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn frame(text: &str) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
        buffer.set_string(0, 0, text, Style::new());
        buffer
    }

    #[test]
    fn an_unchanged_frame_is_no_bytes() {
        let mut screen = Screen::new();
        assert!(!screen.bytes(frame("a")).is_empty());
        assert!(screen.bytes(frame("a")).is_empty());
        screen.forget();
        assert!(!screen.bytes(frame("a")).is_empty());
    }

    #[test]
    fn a_frame_appears_at_once() {
        let mut screen = Screen::new();
        screen.bytes(frame("a"));
        let text = String::from_utf8(screen.bytes(frame("b"))).unwrap();
        assert_eq!(text, "\u{1b}[?2026h\u{1b}[1;1Hb\u{1b}[0m\u{1b}[?2026l");
    }
}
