//! Who changed what: the actor of a change, and the entries that record it, each chained to the one before by its hash.
//! Pure; storing entries is the business of whoever makes the change, in the same transaction.

use crate::clock::Timestamp;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// The hash before the first entry.
pub const GENESIS: [u8; 32] = [0; 32];

/// Who makes a change, and by which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The subject of the token.
    pub subject: String,
    /// What the token allows.
    pub role: &'static str,
    /// From where.
    pub ip: Option<IpAddr>,
    /// The request's id.
    pub request_id: String,
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
    pub fn next(head: (i64, [u8; 32]), at: Timestamp, actor: &Actor, kind: &str, subject: &str, body: String) -> Self {
        let mut entry = Self {
            seq: head.0.saturating_add(1),
            at,
            subject: subject.to_owned(),
            kind: kind.to_owned(),
            actor: actor.subject.clone(),
            role: actor.role.to_owned(),
            ip: actor.ip.map(|ip| ip.to_string()),
            request_id: actor.request_id.clone(),
            body,
            prev_hash: head.1,
            hash: GENESIS,
        };
        entry.hash = entry.computed_hash();
        entry
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

/// The first entry that does not follow from the one before it, as its number and why; `None` where the chain holds.
#[must_use]
pub fn first_break<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<(i64, &'static str)> {
    let mut head = (0, GENESIS);
    for entry in entries {
        if entry.seq != head.0 + 1 {
            return Some((head.0 + 1, "the entry is missing"));
        }
        if entry.prev_hash != head.1 {
            return Some((entry.seq, "the entry does not follow the one before it"));
        }
        if entry.hash != entry.computed_hash() {
            return Some((entry.seq, "the entry was changed"));
        }
        head = (entry.seq, entry.hash);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(n: usize) -> Vec<Entry> {
        let actor = Actor { subject: "ann".into(), role: "operator", ip: None, request_id: "r".into() };
        let mut head = (0, GENESIS);
        let mut entries = Vec::new();
        for k in 0..n {
            let entry = Entry::next(head, Timestamp::EPOCH, &actor, "key.created", &format!("kid{k}"), "{}".into());
            head = (entry.seq, entry.hash);
            entries.push(entry);
        }
        entries
    }

    #[test]
    fn a_chain_that_was_not_touched_holds() {
        assert_eq!(first_break(&chain(5)), None);
    }

    #[test]
    fn an_edit_a_deletion_and_a_swap_are_named() {
        let mut edited = chain(5);
        edited[2].actor = "eve".into();
        assert_eq!(first_break(&edited), Some((3, "the entry was changed")));
        let mut deleted = chain(5);
        deleted.remove(1);
        assert_eq!(first_break(&deleted), Some((2, "the entry is missing")));
        let mut rehashed = chain(5);
        rehashed[1].body = "{\"x\":1}".into();
        rehashed[1].hash = rehashed[1].computed_hash();
        assert_eq!(first_break(&rehashed), Some((3, "the entry does not follow the one before it")));
    }
}
