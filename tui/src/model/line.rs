//! A line that is being typed: text, a cursor, and the keys that change them.
//! It knows nothing of what it is typed for, and it never holds more than its limit.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The longest line; names and filters are far shorter, and a pasted file is none.
const LIMIT: usize = 1_024;

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    text: Vec<char>,
    cursor: usize,
}

impl Line {
    pub(crate) fn new(text: &str) -> Self {
        let mut line = Self::default();
        line.insert(text);
        line
    }

    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What stands before the cursor and what after it.
    pub(crate) fn halves(&self) -> (String, String) {
        let (before, after) = self.text.split_at(self.cursor.min(self.text.len()));
        (before.iter().collect(), after.iter().collect())
    }

    /// Puts a text at the cursor; the ends of its lines become spaces.
    pub(crate) fn insert(&mut self, text: &str) {
        for letter in text.chars() {
            let letter = if letter.is_control() { ' ' } else { letter };
            if self.text.len() < LIMIT {
                self.text.insert(self.cursor, letter);
                self.cursor += 1;
            }
        }
    }

    /// Takes a key; `false` where it means nothing to a line.
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Char('u'), true) => self.clear(),
            (KeyCode::Char(letter), false) => self.insert(letter.encode_utf8(&mut [0; 4])),
            (KeyCode::Backspace, _) if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            (KeyCode::Delete, _) if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            (KeyCode::Left, _) => self.cursor = self.cursor.saturating_sub(1),
            (KeyCode::Right, _) => self.cursor = (self.cursor + 1).min(self.text.len()),
            (KeyCode::Home, _) => self.cursor = 0,
            (KeyCode::End, _) => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, code: KeyCode) {
        line.key(KeyEvent::new(code, KeyModifiers::NONE));
    }

    #[test]
    fn letters_of_any_width_come_and_go() {
        let mut line = Line::new("aé日");
        press(&mut line, KeyCode::Left);
        press(&mut line, KeyCode::Backspace);
        press(&mut line, KeyCode::Char('x'));
        assert_eq!((line.text(), line.halves()), ("ax日".into(), ("ax".into(), "日".into())));
        press(&mut line, KeyCode::Delete);
        press(&mut line, KeyCode::Delete);
        assert_eq!(line.text(), "ax");
    }

    #[test]
    fn a_pasted_file_is_cut_and_has_no_control_characters() {
        let line = Line::new(&"a\n\u{1b}b".repeat(1_000));
        assert_eq!((line.text().chars().count(), line.text().contains('\u{1b}')), (LIMIT, false));
    }
}
