//! Who changed what: the actor of a change, and the entries that record it, each chained to the one before by its hash.
//! What is an entry and whether a chain holds is pure; `chain` keeps it, and whoever changes a key appends in the same transaction.

pub mod chain; // the entries at rest
mod recorder; // changes that are not made where the chain is kept
mod spool; // entries that wait on this machine's disk

pub use recorder::{Recorder, Spooling};

use crate::clock::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// The hash before the first entry.
pub const GENESIS: [u8; 32] = [0; 32];

/// The name under which an entry's body says how a change ended that was not made.
const OUTCOME: &str = "outcome";

/// Who makes a change, and by which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The subject of the token.
    pub subject: String,
    /// What the token allows; empty for the program itself.
    pub role: &'static str,
    /// From where.
    pub ip: Option<IpAddr>,
    /// The request's id.
    pub request_id: String,
}

impl Actor {
    /// The program itself, as when it takes up a file that was edited.
    #[must_use]
    pub fn program() -> Self {
        Self { subject: "monolith".into(), role: "", ip: None, request_id: String::new() }
    }
}

/// How an attempted change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Ok,
    /// The caller may not.
    Denied,
    /// It went wrong.
    Failed,
}

impl Outcome {
    /// As it stands in an entry and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Ok, Self::Denied, Self::Failed].into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// A change that is to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What was done, such as `worker.pause`.
    pub action: String,
    /// To what, such as the name of a worker.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What exactly; never a secret.
    pub changes: Map<String, Value>,
}

impl Change {
    /// What an entry says of it beside who and when.
    fn body(&self) -> String {
        let mut body = self.changes.clone();
        if self.outcome != Outcome::Ok {
            body.insert(OUTCOME.into(), self.outcome.as_str().into());
        }
        Value::Object(body).to_string()
    }
}

/// One recorded change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number; without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What was changed: a key's id.
    pub subject: String,
    /// What was done, such as `key.created`.
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// With which role.
    pub role: String,
    /// From where.
    pub ip: Option<String>,
    /// By which request.
    pub request_id: String,
    /// What exactly, as JSON; never a secret.
    pub body: String,
    /// The hash of the entry before.
    pub prev_hash: [u8; 32],
    /// SHA-256 over all of the above.
    pub hash: [u8; 32],
}

impl Entry {
    /// The next entry of a chain.
    #[must_use]
    pub fn next(head: Head, at: Timestamp, actor: &Actor, kind: &str, subject: &str, body: String) -> Self {
        let mut entry = Self {
            seq: head.seq.saturating_add(1),
            at,
            subject: subject.to_owned(),
            kind: kind.to_owned(),
            actor: actor.subject.clone(),
            role: actor.role.to_owned(),
            ip: actor.ip.map(|ip| ip.to_string()),
            request_id: actor.request_id.clone(),
            body,
            prev_hash: head.hash,
            hash: GENESIS,
        };
        entry.hash = entry.computed_hash();
        entry
    }

    /// How the change ended, and what exactly changed.
    #[must_use]
    pub fn outcome(&self) -> (Outcome, Map<String, Value>) {
        let mut body: Map<String, Value> = serde_json::from_str(&self.body).unwrap_or_default();
        let outcome = body.get(OUTCOME).and_then(Value::as_str).and_then(Outcome::parse);
        if outcome.is_some() {
            body.remove(OUTCOME);
        }
        (outcome.unwrap_or(Outcome::Ok), body)
    }

    /// SHA-256 over the fields, each with its length before it, so that no two entries read the same.
    fn computed_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let (seq, at) = (self.seq.to_string(), self.at.millis().to_string());
        let ip = self.ip.as_deref().unwrap_or_default();
        for field in [&seq, &at, &self.subject, &self.kind, &self.actor, &self.role, ip, &self.request_id, &self.body] {
            hasher.update((field.len() as u64).to_be_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.update(self.prev_hash);
        hasher.finalize().into()
    }
}

/// The end of a chain: the number and the hash of its last entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number; 0: there is no entry yet.
    pub seq: i64,
    /// The hash.
    pub hash: [u8; 32],
}

impl Head {
    /// The end of a chain without entries.
    pub const GENESIS: Self = Self { seq: 0, hash: GENESIS };
}

/// Where a chain does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {why}")]
pub struct Break {
    /// The number of the first entry that does not follow from the one before.
    pub seq: i64,
    /// Why not.
    pub why: &'static str,
}

impl Head {
    /// Goes on along a chain from here, to the end of what is given.
    ///
    /// # Errors
    /// The first [`Break`].
    pub fn along<'a>(mut self, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Break> {
        for entry in entries {
            let broken = |seq, why| Err(Break { seq, why });
            if entry.seq != self.seq + 1 {
                return broken(self.seq + 1, "it is missing");
            }
            if entry.prev_hash != self.hash {
                return broken(entry.seq, "it does not follow the one before it");
            }
            if entry.hash != entry.computed_hash() {
                return broken(entry.seq, "it was changed");
            }
            self = Self { seq: entry.seq, hash: entry.hash };
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(n: usize) -> Vec<Entry> {
        let actor = Actor { subject: "ann".into(), role: "operator", ip: None, request_id: "r".into() };
        let mut head = Head::GENESIS;
        let mut entries = Vec::new();
        for k in 0..n {
            let entry = Entry::next(head, Timestamp::EPOCH, &actor, "key.created", &format!("kid{k}"), "{}".into());
            head = Head { seq: entry.seq, hash: entry.hash };
            entries.push(entry);
        }
        entries
    }

    fn first_break(entries: &[Entry]) -> Option<(i64, &'static str)> {
        Head::GENESIS.along(entries).err().map(|broken| (broken.seq, broken.why))
    }

    #[test]
    fn a_chain_that_was_not_touched_holds() {
        let chain = chain(5);
        assert_eq!(Head::GENESIS.along(&chain), Ok(Head { seq: 5, hash: chain[4].hash }));
    }

    #[test]
    fn an_edit_a_deletion_and_a_swap_are_named() {
        let mut edited = chain(5);
        edited[2].actor = "eve".into();
        assert_eq!(first_break(&edited), Some((3, "it was changed")));
        let mut deleted = chain(5);
        deleted.remove(1);
        assert_eq!(first_break(&deleted), Some((2, "it is missing")));
        let mut rehashed = chain(5);
        rehashed[1].body = "{\"x\":1}".into();
        rehashed[1].hash = rehashed[1].computed_hash();
        assert_eq!(first_break(&rehashed), Some((3, "it does not follow the one before it")));
        let mut swapped = chain(5);
        swapped.swap(2, 3);
        assert_eq!(first_break(&swapped), Some((3, "it is missing")));
    }

    #[test]
    fn how_a_change_ended_is_part_of_what_is_sealed() {
        let denied = Change {
            at: Timestamp::EPOCH,
            actor: Actor::program(),
            action: "config.reload".into(),
            subject: "config".into(),
            outcome: Outcome::Denied,
            changes: Map::from_iter([("reason".to_owned(), Value::from("x"))]),
        };
        let mut entry = Entry::next(Head::GENESIS, denied.at, &denied.actor, &denied.action, "config", denied.body());
        assert_eq!(entry.outcome(), (Outcome::Denied, denied.changes.clone()));
        entry.body = Change { outcome: Outcome::Ok, ..denied }.body();
        assert_eq!(entry.outcome().0, Outcome::Ok);
        assert_eq!(first_break(&[entry]), Some((1, "it was changed")));
    }
}
