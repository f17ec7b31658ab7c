//! Every key in memory: records by id, and how fresh they are. Verifying reads here and nowhere else.
//! It holds records, never verdicts: a verdict that outlives its question is how revoked keys get in.

use super::format;
use super::hash::Covers;
use super::record::{KeyState, Record};
use crate::clock::Timestamp;
use crate::name::Kid;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Readers of different keys rarely meet.
const SHARDS: usize = 64;

/// The shortest and the longest text of a key that was issued elsewhere.
const FOREIGN: std::ops::RangeInclusive<usize> = 16..=512;

type Shard = RwLock<HashMap<Kid, Arc<Record>>>;

/// The keys of this process.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Shard>,
    /// The ids of keys that were issued elsewhere, by the hash of their whole text.
    foreign: RwLock<HashMap<[u8; 32], Kid>>,
    hasher: RandomState,
    /// The number of the last event that was taken in.
    seq: AtomicI64,
    /// When it was last proved complete, in microseconds since `began`; zero: never.
    fresh: AtomicU64,
    began: Instant,
}

/// How many keys there are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; KeyState::ALL.len()]);

impl Counts {
    /// The count of each state, by its name.
    pub fn by_state(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KeyState::ALL.iter().zip(self.0).map(|(state, count)| (state.as_str(), count))
    }

    /// All keys, whatever their state.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Index {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        let began = Instant::now();
        let foreign = RwLock::default();
        Self { shards, foreign, hasher: RandomState::new(), seq: AtomicI64::new(0), fresh: AtomicU64::new(0), began }
    }

    pub(super) fn get(&self, kid: &str) -> Option<Arc<Record>> {
        self.shard(kid)?.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    /// Takes a record in, unless a newer one is here already: a late reading must never bring a dead key back. Answers
    /// what was here before.
    pub(super) fn put(&self, mut record: Record) -> Option<Arc<Record>> {
        if let Some(hash) = record.hash.as_ref().filter(|hash| hash.covers == Covers::Whole) {
            let mut foreign = self.foreign.write().unwrap_or_else(PoisonError::into_inner);
            foreign.insert(hash.bytes, record.kid.clone());
        }
        let mut shard = self.shard(record.kid.as_str())?.write().unwrap_or_else(PoisonError::into_inner);
        let known = shard.get(&record.kid).cloned();
        if known.as_ref().is_some_and(|known| known.version > record.version) {
            return known;
        }
        // Uses are written in batches, so that a row may know less of them.
        record.last_used_at = record.last_used_at.max(known.as_ref().and_then(|known| known.last_used_at));
        shard.insert(record.kid.clone(), Arc::new(record));
        known
    }

    /// Says that a key was used at an instant.
    pub(super) fn used(&self, kid: &Kid, at: Timestamp) {
        let Some(shard) = self.shard(kid.as_str()) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = shard.get_mut(kid).filter(|record| record.last_used_at < Some(at)) {
            Arc::make_mut(record).last_used_at = Some(at);
        }
    }

    pub(super) fn seq(&self) -> i64 {
        self.seq.load(Ordering::Acquire)
    }

    /// Says that everything up to an event was taken in, as of the instant at which the question was asked.
    pub(super) fn proved(&self, seq: i64, asked: Instant) {
        self.seq.fetch_max(seq, Ordering::AcqRel);
        let micros = u64::try_from(asked.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX);
        self.fresh.fetch_max(micros.max(1), Ordering::AcqRel);
    }

    /// Since when nothing was proved; `None` where nothing ever was.
    pub(super) fn age(&self) -> Option<Duration> {
        match self.fresh.load(Ordering::Acquire) {
            0 => None,
            micros => Some(self.began.elapsed().saturating_sub(Duration::from_micros(micros))),
        }
    }

    /// A key that was issued elsewhere, by the hash of its whole text.
    pub(super) fn by_hash(&self, hash: &[u8; 32]) -> Option<Arc<Record>> {
        let kid = self.foreign.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()?;
        let own = |record: &Arc<Record>| record.hash.as_ref().is_some_and(|known| known.is_whole(hash));
        self.get(kid.as_str()).filter(own)
    }

    /// Whether a text that is no key of ours may be one of elsewhere. A key of ours that was mistyped never is, so that it
    /// is refused without a look-up.
    pub(super) fn may_be_foreign(&self, text: &str) -> bool {
        FOREIGN.contains(&text.len())
            && !text.starts_with(format::BEGINNING)
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !self.foreign.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Shows each record to somebody.
    pub(super) fn each(&self, mut look: impl FnMut(&Record)) {
        for shard in &self.shards {
            shard.read().unwrap_or_else(PoisonError::into_inner).values().for_each(|record| look(record));
        }
    }

    pub(super) fn counts(&self, now: Timestamp) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.shards {
            for record in shard.read().unwrap_or_else(PoisonError::into_inner).values() {
                let state = record.state(now);
                if let Some(position) = KeyState::ALL.iter().position(|known| *known == state)
                    && let Some(count) = counts.0.get_mut(position)
                {
                    *count += 1;
                }
            }
        }
        counts
    }

    /// The records that a test lets through.
    pub(super) fn matching(&self, test: impl Fn(&Record) -> bool) -> Vec<Arc<Record>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.values().filter(|record| test(record)).cloned());
        }
        found
    }

    fn shard(&self, kid: &str) -> Option<&Shard> {
        let position = usize::try_from(self.hasher.hash_one(kid) % SHARDS as u64).unwrap_or(0);
        self.shards.get(position)
    }
}
