//! Why a call failed, in words for whoever sits at the shell and in the exit codes of the command line.
//! No token, no whole key and no login of an address stands in any of these.

use std::time::Duration;

use crate::wire::ProblemBody;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The address or a name in it cannot be asked for.
    #[error("{what} cannot be used: {why}")]
    Address {
        /// The text that was given, or what stands for it.
        what: String,
        /// Why not.
        why: String,
    },
    /// Nobody answered there.
    #[error("cannot reach {url}: {cause}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why, as the operating system or TLS says it.
        cause: String,
        /// Whether the request may have arrived: there was a connection, and it broke.
        sent: bool,
    },
    /// Somebody took the call and did not answer in time.
    #[error("{url} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The address.
        url: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The server wants a token, or a better one.
    #[error("not authorized: {0}")]
    Unauthorized(Box<ProblemBody>),
    /// The server understood and said no.
    #[error("refused: {0}")]
    Refused(Box<ProblemBody>),
    /// The answer is not what the API promises.
    #[error("cannot read {what}: {why}")]
    Unreadable {
        /// Which answer, as in `GET /health`.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// The exit code a program ends with: 1 refused, 2 usage, 4 unreachable, 5 unauthorized, 6 unreadable.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Address { .. } => 2,
            Self::Unreachable { .. } | Self::TimedOut { .. } => 4,
            Self::Unauthorized(_) => 5,
            Self::Unreadable { .. } => 6,
        }
    }

    /// What the server said, where it said anything.
    #[must_use]
    pub fn problem(&self) -> Option<&ProblemBody> {
        match self {
            Self::Unauthorized(problem) | Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the server does not know what was asked for: a route it does not serve, or a thing that is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.problem().is_some_and(|problem| problem.status == 404)
    }

    /// Whether the server does not have the route at all, as one of another version or a gateway; not that a thing it
    /// was asked for is missing.
    #[must_use]
    pub fn is_not_served(&self) -> bool {
        self.problem().is_some_and(|problem| match (problem.status, problem.detail.as_deref()) {
            (404, Some(detail)) => detail == "there is no such path",
            (404, None) | (405, _) => true,
            _ => false,
        })
    }

    /// What to do about it, where that can be told.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Address { .. } => Some("an address looks like http://127.0.0.1:8000"),
            Self::Unreachable { cause, .. } if is_of_certificate(cause) => {
                Some("--ca-file names an authority to trust; the address must be a name that stands in the certificate")
            }
            Self::Unreachable { .. } => Some("check that the server is running, and that the address is its own"),
            Self::TimedOut { .. } => Some("the server is stuck or overloaded; its log says more"),
            Self::Unauthorized(_) => Some("make a fresh token with `monolith token create`"),
            Self::Unreadable { .. } => Some("check that the address is Monolith's, and that no gateway answers for it"),
            Self::Refused(_) => None,
        }
    }
}

/// Whether a connection failed over who is at its other end.
fn is_of_certificate(cause: &str) -> bool {
    cause.contains("certificate")
}
