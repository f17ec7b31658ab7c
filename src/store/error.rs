//! Why a call to a store failed, in words that hold no URL and no secret, and whether trying again can help.
//! Turning it into an answer or a log line is the caller's business.

use std::time::Duration;

/// A refused login in one word for drivers whose own words say too much.
pub(super) const LOGIN_REFUSED: &str = "authentication failed";

/// Why a call to a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It took longer than its limit; the connection was dropped, not reused.
    #[error("{what} took longer than {}", crate::clock::write_duration(*limit))]
    TimedOut {
        /// What was being done.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// There is no connection, or it broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The server understood and refused: a login, a permission, a constraint.
    #[error("refused: {message}")]
    Refused {
        /// The server's own words.
        message: String,
        /// The SQLSTATE or the like.
        code: Option<String>,
        /// The name of the violated constraint, if it was one.
        constraint: Option<String>,
    },
    /// What came back is not what this program wrote.
    #[error("holds something unexpected: {0}")]
    Unexpected(String),
}

impl StoreError {
    /// Whether the store itself is at fault, so that the same call may succeed later.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unreachable(_))
    }

    /// Whether a table or a column is not there: the migrations are just being applied, or wait for an operator.
    #[must_use]
    pub fn is_schema_behind(&self) -> bool {
        let Self::Refused { message, code, .. } = self else { return false };
        // PostgreSQL, appendix A: undefined_table, undefined_column. SQLite has one code for every mistake in a statement.
        matches!(code.as_deref(), Some("42P01" | "42703"))
            || ["no such table", "no such column"].iter().any(|beginning| message.starts_with(beginning))
    }

    /// Whether the login itself was refused: a user, a password.
    #[must_use]
    pub fn is_login(&self) -> bool {
        // The SQLSTATEs of class 28, and what Redis and this program's own words call it.
        const CODES: [&str; 4] = ["28000", "28P01", "NOAUTH", "WRONGPASS"];
        matches!(self, Self::Refused { code, message, .. }
            if code.as_deref().is_some_and(|code| CODES.contains(&code)) || message == LOGIN_REFUSED)
    }

    /// The name of the violated constraint.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused { constraint, .. } => constraint.as_deref(),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::Refused {
                message: error.message().to_owned(),
                code: error.code().map(Into::into),
                constraint: error.constraint().map(Into::into),
            },
            sqlx::Error::PoolTimedOut => Self::Unreachable("no connection became free in time".into()),
            sqlx::Error::PoolClosed => Self::Unreachable("the pool is closed".into()),
            sqlx::Error::Io(error) => Self::Unreachable(error.to_string()),
            sqlx::Error::Tls(error) => Self::Unreachable(error.to_string()),
            sqlx::Error::WorkerCrashed => Self::Unreachable("the database's thread ended".into()),
            sqlx::Error::Protocol(error) => Self::Unreachable(error),
            other => Self::Unexpected(other.to_string()),
        }
    }
}
