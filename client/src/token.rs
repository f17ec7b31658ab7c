//! The bearer token of a caller: read, held and sent, but never shown.
//! Whether it is genuine only the server can say.

use std::fmt;

use reqwest::header::{HeaderValue, InvalidHeaderValue};

/// A token. Its `Debug` says `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

/// Why a text cannot be a token. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but white space.
    #[error("the token is empty")]
    Empty,
    /// Something no header can carry.
    #[error("the token holds characters that no token has")]
    Characters,
}

impl Token {
    /// Takes the content of a file or a variable for a token; white space around it is dropped.
    ///
    /// # Errors
    /// Where nothing is left, or a character is that a header cannot carry.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_: InvalidHeaderValue| TokenError::Characters)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The value of the `authorization` header, marked as sensitive.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
