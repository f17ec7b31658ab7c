//! Reads an answer: whole, within the limit, and as what it claims to be.
//! It must never take a page of a gateway or half a body for an answer of the server.

use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::BODY_LIMIT;
use crate::Error;
use crate::wire::{Health, ProblemBody};

/// A whole answer.
pub(super) struct Answer {
    what: String,
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// Reads the body piece by piece, and not beyond the limit.
    pub(super) async fn read(
        what: String,
        mut response: Response,
        timed_out: impl Fn(&reqwest::Error) -> Error,
    ) -> Result<Self, Error> {
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() > BODY_LIMIT => {
                    return Err(Error::Unreadable { what, why: format!("it is larger than {BODY_LIMIT} bytes") });
                }
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return Ok(Self { what, status, body }),
                Err(error) if error.is_timeout() => return Err(timed_out(&error)),
                Err(_) => {
                    return Err(Error::Unreadable { what, why: format!("it ended early, after {} bytes", body.len()) });
                }
            }
        }
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// The body of a success as a `T`.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        if self.status.is_success() { self.parse() } else { Err(self.into_error()) }
    }

    /// A health, which is the body of a 503 as well.
    pub(super) fn health(self) -> Result<Health, Error> {
        if self.status != StatusCode::SERVICE_UNAVAILABLE {
            return self.json();
        }
        self.parse().map_err(|_: Error| self.into_error())
    }

    /// The body of a success as text.
    pub(super) fn text(self) -> Result<String, Error> {
        if !self.status.is_success() {
            return Err(self.into_error());
        }
        if self.is_page() {
            return Err(self.unreadable("it is an HTML page".into()));
        }
        let what = self.what;
        String::from_utf8(self.body).map_err(|_| Error::Unreadable { what, why: "it is not UTF-8".into() })
    }

    /// Why an answer that is not a success is none.
    pub(super) fn into_error(self) -> Error {
        if self.status.is_redirection() {
            return self.unreadable(format!("it leads elsewhere (status {})", self.status.as_u16()));
        }
        let problem = serde_json::from_slice::<ProblemBody>(&self.body).ok();
        match (self.status, problem) {
            (StatusCode::UNAUTHORIZED, problem) => {
                Error::Unauthorized(Box::new(problem.unwrap_or_else(|| self.bare_problem())))
            }
            (_, Some(problem)) => Error::Refused(Box::new(problem)),
            (_, None) if self.body.is_empty() => Error::Refused(Box::new(self.bare_problem())),
            (status, None) => {
                let why = format!("status {} with {} instead of a problem", status.as_u16(), self.describe());
                self.unreadable(why)
            }
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let why = match error.classify() {
                serde_json::error::Category::Eof => format!("its JSON ends early, after {} bytes", self.body.len()),
                serde_json::error::Category::Data => shape(&error),
                _ => format!("it is {} instead of JSON", self.describe()),
            };
            self.unreadable(why)
        })
    }

    fn unreadable(&self, why: String) -> Error {
        Error::Unreadable { what: self.what.clone(), why }
    }

    fn is_page(&self) -> bool {
        self.body.trim_ascii_start().first() == Some(&b'<')
    }

    /// What the body looks like, without repeating any of it.
    fn describe(&self) -> &'static str {
        match (self.body.is_empty(), self.is_page()) {
            (true, _) => "nothing",
            (_, true) => "an HTML page",
            _ => "some other text",
        }
    }

    fn bare_problem(&self) -> ProblemBody {
        let status = self.status.as_u16();
        ProblemBody {
            kind: "about:blank".into(),
            title: self.status.canonical_reason().unwrap_or("unknown status").to_lowercase(),
            status,
            code: format!("http_{status}"),
            detail: None,
            request_id: None,
            errors: Vec::new(),
            outcome: None,
        }
    }
}

/// What does not fit: the name of a missing field is worth telling, a value is not, for it may be anything.
fn shape(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.starts_with("missing field") {
        true => format!("it is not the shape that was expected: {text}"),
        false => {
            format!("it is not the shape that was expected, at line {} column {}", error.line(), error.column())
        }
    }
}
