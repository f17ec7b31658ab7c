//! An incident as it is noticed, and the message that a receiver gets.
//! The message is a contract: a field may be added, none changes its meaning.

use crate::clock::Timestamp;
use crate::name::AlertName;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// How many bytes of the digest make an id.
const ID_BYTES: usize = 16;

/// Something that is wrong now and that a receiver wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Who is told.
    pub alert: AlertName,
    /// What is wrong.
    pub trouble: Trouble,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In one word.
    pub what: What,
    /// With what, as a key of the file: `workers.nightly`, `stores.main`, `config`, `keys`.
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
    /// In words.
    pub message: String,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A worker failed so often in a row.
    WorkerFailing,
    /// A worker should have succeeded by now.
    WorkerOverdue,
    /// A store does not answer.
    StoreDown,
    /// The last reload was rejected.
    ConfigRejected,
    /// The key index was not proved fresh for long.
    KeyIndexStale,
}

impl What {
    /// As it stands in the message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkerFailing => "worker_failing",
            Self::WorkerOverdue => "worker_overdue",
            Self::StoreDown => "store_down",
            Self::ConfigRejected => "config_rejected",
            Self::KeyIndexStale => "key_index_stale",
        }
    }

    /// How bad it is: what turns callers away, or will not mend itself, is an error.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            Self::WorkerFailing | Self::StoreDown | Self::ConfigRejected => "error",
            Self::WorkerOverdue | Self::KeyIndexStale => "warning",
        }
    }
}

/// Whether an incident goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on.
    Firing,
    /// It is over.
    Resolved,
}

impl State {
    /// As it stands in the message and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// The body of a message, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The same for every message of one trouble, whichever replica sends it: receivers that know it drop repetitions.
    pub dedup_id: String,
    /// Whether it goes on.
    pub state: State,
    /// What is wrong.
    pub what: String,
    /// With what.
    pub subject: String,
    /// `warning` or `error`.
    pub severity: String,
    /// Since when.
    pub since: String,
    /// Since when it is over; null while it goes on.
    pub resolved_at: Option<String>,
    /// In words.
    pub message: String,
    /// The replica that noticed it first.
    pub replica: String,
    /// The alert's name in the file.
    pub alert: String,
    /// When this message was made.
    pub sent_at: String,
}

/// By what a receiver knows an incident again.
#[must_use]
pub fn dedup_id(alert: &str, what: &str, subject: &str) -> String {
    let digest = Sha256::digest(format!("{alert}\n{what}\n{subject}"));
    digest.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receiver_knows_each_trouble_by_an_id_of_its_own() {
        let id = dedup_id("oncall", "store_down", "stores.main");
        assert_eq!((id.len(), id == dedup_id("oncall", "store_down", "stores.main")), (32, true));
        assert_ne!(id, dedup_id("oncall", "store_down", "stores.other"));
        assert_ne!(id, dedup_id("chat", "store_down", "stores.main"));
    }
}
