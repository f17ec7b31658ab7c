//! Every key in memory: records by id, and how fresh they are. Verifying reads here and nowhere else.
//! It holds records, never verdicts: a verdict that outlives its question is how revoked keys get in.

use super::format;
use super::hash::Covers;
use super::record::{KeyState, Record};
use super::shared::Shared;
use super::table::Row;
use crate::audit::Head;
use crate::clock::Timestamp;
use crate::name::Kid;
use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Readers of different keys rarely meet.
const SHARDS: usize = 64;

/// The shortest and the longest text of a key that was issued elsewhere.
const FOREIGN: std::ops::RangeInclusive<usize> = 16..=512;

/// The keys of this process.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<RwLock<HashSet<Entry>>>,
    /// The ids of keys that were issued elsewhere, by the hash of their whole text.
    foreign: RwLock<HashMap<[u8; 32], Kid>>,
    hasher: RandomState,
    shared: Shared,
    /// The fingerprints of all rows, added up.
    sum: AtomicI64,
    /// The last event that was taken in.
    head: Mutex<Head>,
    /// When it was last proved complete, in microseconds since `began`; zero: never.
    fresh: AtomicU64,
    began: Instant,
}

/// A record, found by the id that stands in it: a million ids are not kept twice.
#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    /// Of the row that it was read from; zero where it was made here and not read since.
    fingerprint: i64,
}

impl Borrow<str> for Entry {
    fn borrow(&self) -> &str {
        self.record.kid.as_str()
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.record.kid.as_str().hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.record.kid == other.record.kid
    }
}

impl Eq for Entry {}

/// How many keys there are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; KeyState::ALL.len()]);

impl Counts {
    /// The count of each state, by its name.
    pub fn by_state(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KeyState::ALL.iter().zip(self.0).map(|(state, count)| (state.as_str(), count))
    }
}

/// How a row of the database compares with what is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// It is the same.
    Known,
    /// It has the version that is here, and says something else.
    Differs,
    /// It is older than what is here, which has this version.
    Behind(i64),
    /// It is newer than what is here, or not here at all.
    Ahead,
}

impl Index {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self {
            shards,
            foreign: RwLock::default(),
            hasher: RandomState::new(),
            shared: Shared::default(),
            sum: AtomicI64::new(0),
            head: Mutex::new(Head::GENESIS),
            fresh: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// Makes room for so many keys at once: a set that grows looks at every key that it has, wherever that lies.
    pub(super) fn reserve(&self, keys: usize) {
        for shard in &self.shards {
            // Chance fills some a little more than others.
            shard.write().unwrap_or_else(PoisonError::into_inner).reserve(keys / SHARDS + keys / SHARDS / 16);
        }
    }

    pub(super) fn get(&self, kid: &str) -> Option<Arc<Record>> {
        let shard = self.shard(kid)?.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(kid).map(|entry| Arc::clone(&entry.record))
    }

    /// Takes in a record that was made here, unless a newer one is here already.
    pub(super) fn put(&self, record: Record) -> Option<Arc<Record>> {
        self.put_row(Row { record, fingerprint: 0 })
    }

    /// Takes a row in, unless a newer one is here already: a late reading must never bring a dead key back. Answers what
    /// was here before.
    pub(super) fn put_row(&self, row: Row) -> Option<Arc<Record>> {
        let (version, fingerprint) = (row.record.version, row.fingerprint);
        self.replace(row, |before| before.version < version || (before.version == version && fingerprint != 0))
    }

    /// Takes a row in that nobody can have changed since it was read, whatever is here.
    pub(super) fn take_over(&self, row: Row) {
        drop(self.replace(row, |_| true));
    }

    /// Puts a row in the place of what is here, where that gives way; answers what was here.
    fn replace(&self, row: Row, gives_way: impl FnOnce(&Record) -> bool) -> Option<Arc<Record>> {
        let Row { mut record, fingerprint } = row;
        self.shared.share(&mut record);
        if let Some(hash) = record.hash.as_ref().filter(|hash| hash.covers == Covers::Whole) {
            let mut foreign = self.foreign.write().unwrap_or_else(PoisonError::into_inner);
            foreign.insert(hash.bytes, record.kid.clone());
        }
        let mut shard = self.shard(record.kid.as_str())?.write().unwrap_or_else(PoisonError::into_inner);
        let known = shard.get(record.kid.as_str()).map(|entry| (Arc::clone(&entry.record), entry.fingerprint));
        let (before, its_fingerprint) = known.unzip();
        if before.as_ref().is_some_and(|before| !gives_way(before)) {
            return before;
        }
        // Uses are written in batches, so that a row may know less of them.
        record.last_used_at = record.last_used_at.max(before.as_ref().and_then(|before| before.last_used_at));
        self.sum.fetch_add(fingerprint.wrapping_sub(its_fingerprint.unwrap_or_default()), Ordering::AcqRel);
        shard.replace(Entry { record: Arc::new(record), fingerprint });
        before
    }

    /// Takes a key away, whose row is gone.
    pub(super) fn remove(&self, kid: &Kid) {
        let Some(shard) = self.shard(kid.as_str()) else { return };
        if let Some(entry) = shard.write().unwrap_or_else(PoisonError::into_inner).take(kid.as_str()) {
            self.sum.fetch_sub(entry.fingerprint, Ordering::AcqRel);
        }
    }

    /// Says that a key was used at an instant.
    pub(super) fn used(&self, kid: &Kid, at: Timestamp) {
        let Some(shard) = self.shard(kid.as_str()) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.get(kid.as_str()).is_some_and(|entry| entry.record.last_used_at < Some(at))
            && let Some(mut entry) = shard.take(kid.as_str())
        {
            Arc::make_mut(&mut entry.record).last_used_at = Some(at);
            shard.insert(entry);
        }
    }

    pub(super) fn compare(&self, row: &Row) -> Compared {
        let Some(shard) = self.shard(row.record.kid.as_str()) else { return Compared::Ahead };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        match shard.get(row.record.kid.as_str()) {
            None => Compared::Ahead,
            Some(known) if known.record.version < row.record.version => Compared::Ahead,
            Some(known) if known.record.version > row.record.version => Compared::Behind(known.record.version),
            Some(known) if known.fingerprint == 0 || known.fingerprint == row.fingerprint => Compared::Known,
            Some(_) => Compared::Differs,
        }
    }

    /// The fingerprints of all rows, added up, and how many there are.
    pub(super) fn whole(&self) -> (i64, u64) {
        let lengths = self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len() as u64);
        (self.sum.load(Ordering::Acquire), lengths.sum())
    }

    /// The last event that was taken in.
    pub(super) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its number.
    pub(super) fn seq(&self) -> i64 {
        self.head().seq
    }

    /// Says that everything up to an event was taken in.
    pub(super) fn came_to(&self, head: Head) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }

    /// Says that nothing was missing at the instant at which the question was asked.
    pub(super) fn proved(&self, asked: Instant) {
        let micros = u64::try_from(asked.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX);
        self.fresh.fetch_max(micros.max(1), Ordering::AcqRel);
    }

    /// Since when nothing was proved; `None` where nothing ever was.
    pub(super) fn age(&self) -> Option<Duration> {
        self.age_at(Instant::now())
    }

    /// The same at an instant that is known already.
    pub(super) fn age_at(&self, now: Instant) -> Option<Duration> {
        let proved = Some(self.fresh.load(Ordering::Acquire)).filter(|micros| *micros > 0)?;
        Some(now.duration_since(self.began).saturating_sub(Duration::from_micros(proved)))
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
    pub(super) fn each(&self, mut look: impl FnMut(&Arc<Record>)) {
        for shard in &self.shards {
            shard.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|entry| look(&entry.record));
        }
    }

    pub(super) fn counts(&self, now: Timestamp) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.shards {
            for entry in shard.read().unwrap_or_else(PoisonError::into_inner).iter() {
                let state = entry.record.state(now);
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
            found.extend(shard.iter().filter(|entry| test(&entry.record)).map(|entry| Arc::clone(&entry.record)));
        }
        found
    }

    fn shard(&self, kid: &str) -> Option<&RwLock<HashSet<Entry>>> {
        let position = usize::try_from(self.hasher.hash_one(kid) % SHARDS as u64).unwrap_or(0);
        self.shards.get(position)
    }
}
