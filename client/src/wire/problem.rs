//! Why a request was refused (RFC 9457), and what is wrong in a configuration.
//! `code` is for programs, the rest for people; no secret stands in any field.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Outcome;

/// The body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProblemBody {
    /// A URI for the kind of problem, or `about:blank`.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The kind in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The kind in one word that does not change.
    #[serde(default)]
    pub code: String,
    /// What happened this time.
    pub detail: Option<String>,
    /// The request, to find it in logs and audit.
    pub request_id: Option<String>,
    /// Each single mistake.
    #[serde(default)]
    pub errors: Vec<Problem>,
    /// What a rejected reload did; absent everywhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Box<Outcome>>,
}

impl fmt::Display for ProblemBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.detail, self.title.is_empty()) {
            (Some(detail), _) => f.write_str(detail)?,
            (None, false) => f.write_str(&self.title)?,
            (None, true) => write!(f, "status {}", self.status)?,
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// One mistake in a body or in the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The field or key it is about; empty where the whole is at fault.
    pub key: String,
    /// What was found and what is allowed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The file it stands in.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1, in characters.
    pub column: Option<u32>,
    /// The environment variable it stands in.
    pub env: Option<String>,
}

impl Problem {
    /// A problem of a request, which has no place in a file.
    #[must_use]
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        let (key, message) = (key.into(), message.into());
        Self { key, message, hint: None, file: None, line: None, column: None, env: None }
    }
}

fn about_blank() -> String {
    "about:blank".to_owned()
}
