//! An answer as bounded text: what does not fit is left out, and that it was is said.
//! It knows no protocol.

use std::fmt::{self, Write};

/// What is said where something was left out.
const MORE: &str = "\n... (the rest is not shown)";

/// A text that takes no more than so many bytes.
#[derive(Debug)]
pub(super) struct Shown {
    text: String,
    most: usize,
    cut: bool,
}

impl Shown {
    pub(super) const fn new(most: usize) -> Self {
        Self { text: String::new(), most, cut: false }
    }

    /// Anything that can be written, as far as it fits.
    pub(super) fn of(answer: &impl fmt::Display, most: usize) -> String {
        let mut shown = Self::new(most);
        // An error only says that it is full.
        write!(shown, "{answer}").unwrap_or_default();
        shown.finish()
    }

    /// Bytes as text, or how many they are where they are none.
    pub(super) fn of_bytes(bytes: &[u8], most: usize) -> String {
        let cut = bytes.len() > most;
        let bytes = bytes.get(..most).unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { text: text.to_owned(), most, cut }.finish(),
            // Only the last character may be divided.
            Err(error) if cut && error.error_len().is_none() => {
                let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
                Self { text: String::from_utf8_lossy(whole).into_owned(), most, cut }.finish()
            }
            Err(_) => format!("({}{} bytes)", if cut { "more than " } else { "" }, bytes.len()),
        }
    }

    pub(super) fn finish(self) -> String {
        if self.cut { self.text + MORE } else { self.text }
    }
}

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.most.saturating_sub(self.text.len());
        let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.text.push_str(text.get(..end).unwrap_or_default());
        self.cut |= end < text.len();
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_that_is_said() {
        assert_eq!(Shown::of(&"fits", 4), "fits");
        assert_eq!(Shown::of(&"aéé", 4), format!("aé{MORE}"));
        assert_eq!(Shown::of_bytes("aéé".as_bytes(), 4), format!("aé{MORE}"));
        assert_eq!(Shown::of_bytes(b"\xff\xfe", 4), "(2 bytes)");
        assert_eq!(Shown::of_bytes(b"", 4), "");
    }
}
