//! How often each key is used, by what came of it, and when it was used last: counted in memory, written in batches.
//! Verifying never waits for this; what cannot be kept is counted as lost, and what cannot be written is tried again.

use super::{Keys, Record, Verdict, table};
use crate::clock::Timestamp;
use crate::name::Kid;
use crate::store::StoreError;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The outcomes of using a key that exists, as they stand in the API and in `key_usage`.
pub(super) const OUTCOMES: [&str; 7] =
    ["valid", "revoked", "disabled", "expired", "ip_denied", "scope_missing", "rate_limited"];
/// For how many days the counts are kept: a quarter, and the look-back of whoever asks which keys nobody uses.
const KEPT_DAYS: u32 = 92;

/// The most keys whose uses wait to be written, about 16 MB: a store that is away must not fill the memory.
const MAX_WAITING: usize = 100_000;
/// How many keys are written in one transaction.
const PART: usize = 1_000;
/// Verifiers of different keys rarely meet.
const SHARDS: usize = 64;
const DAY_MS: i64 = 86_400_000;

/// What one key was used for on one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Days since the epoch, in UTC.
    pub(super) day: i64,
    /// How often, in the order of [`OUTCOMES`].
    pub(super) counts: [u32; OUTCOMES.len()],
    /// When it was good last.
    pub(super) last_valid: Option<Timestamp>,
}

impl Tally {
    fn on(day: i64) -> Self {
        Self { day, ..Self::default() }
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.last_valid = self.last_valid.max(other.last_valid);
    }

    fn total(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }
}

/// How a key was used on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Midnight of that day, in UTC.
    pub day: Timestamp,
    /// What came of it, as the code of a verdict.
    pub outcome: String,
    /// How often.
    pub times: i64,
}

/// What was counted and not written yet.
#[derive(Debug)]
pub(super) struct Usage {
    shards: [Mutex<Waiting>; SHARDS],
    waiting: AtomicUsize,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    today: HashMap<Kid, Tally>,
    /// What was counted on a day that is over, or could not be written.
    before: Vec<(Kid, Tally)>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        }
    }
}

impl Usage {
    /// Counts a use. Only whoever knows the secret is counted, so that nobody can fill this with noise.
    pub(super) fn note(&self, verdict: &Verdict, now: Timestamp) {
        let Some((record, outcome)) = counted(verdict) else { return };
        let day = now.millis().div_euclid(DAY_MS);
        let mut shard = self.shard(&record.kid);
        if let Some(tally) = shard.today.get_mut(record.kid.as_str()).filter(|tally| tally.day == day) {
            return tally.count(outcome, now);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut tally = Tally::on(day);
        tally.count(outcome, now);
        if let Some(over) = shard.today.insert(record.kid.clone(), tally) {
            shard.before.push((record.kid.clone(), over));
        }
    }

    /// Everything that waits; the caller writes it or gives it back.
    fn take(&self) -> Vec<(Kid, Tally)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.append(&mut shard.before);
            all.extend(shard.today.drain());
        }
        self.waiting.fetch_sub(all.len(), Ordering::Relaxed);
        all
    }

    /// Keeps what could not be written, as far as there is room.
    fn give_back(&self, tallies: Vec<(Kid, Tally)>) {
        for (kid, tally) in tallies {
            let mut shard = self.shard(&kid);
            if let Some(newer) = shard.today.get_mut(kid.as_str()).filter(|newer| newer.day == tally.day) {
                newer.add(&tally);
            } else if self.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
                shard.before.push((kid, tally));
            } else {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.lost.fetch_add(tally.total(), Ordering::Relaxed);
            }
        }
    }

    /// The ids of our keys are random: their last characters spread them well enough.
    fn shard(&self, kid: &Kid) -> MutexGuard<'_, Waiting> {
        let tail = kid.as_str().bytes().rev().take(2).fold(0usize, |sum, byte| sum * 62 + usize::from(byte));
        let shard = &self.shards[tail % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was taken to be written: whatever of it was not, for an error or because nobody waits any more, waits again.
struct Taken<'a> {
    from: &'a Usage,
    waiting: Vec<(Kid, Tally)>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.from.give_back(std::mem::take(&mut self.waiting));
    }
}

impl Tally {
    fn count(&mut self, outcome: usize, now: Timestamp) {
        if let Some(count) = self.counts.get_mut(outcome) {
            *count = count.saturating_add(1);
        }
        if outcome == 0 {
            self.last_valid = self.last_valid.max(Some(now));
        }
    }
}

/// In the order of their rows, in which whoever writes at the same time locks them; each row once. What could not be written and what
/// came since may be of one key and one day, and Postgres changes no row twice in one statement.
fn together(mut tallies: Vec<(Kid, Tally)>) -> Vec<(Kid, Tally)> {
    tallies.sort_by(|(a, ours), (b, theirs)| (a, ours.day).cmp(&(b, theirs.day)));
    tallies.dedup_by(|(kid, more), (known, tally)| {
        let is_same = kid == known && more.day == tally.day;
        if is_same {
            tally.add(more);
        }
        is_same
    });
    tallies
}

fn counted(verdict: &Verdict) -> Option<(&Record, usize)> {
    let (Verdict::Valid(record) | Verdict::Refused(_, record)) = verdict else { return None };
    let outcome = OUTCOMES.iter().position(|outcome| verdict.code() == Some(*outcome))?;
    Some((record, outcome))
}

impl Keys {
    /// Writes what was counted since the last time; how many keys that was about. What cannot be written waits, within
    /// bounds. A transaction that was cut off may have been written all the same: then some uses count twice.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn write_usage(&self) -> Result<usize, StoreError> {
        let mut taken = Taken { from: &self.usage, waiting: together(self.usage.take()) };
        let mut written = 0;
        while !taken.waiting.is_empty() {
            let part = taken.waiting.len().min(PART);
            let (first, _) = taken.waiting.split_at(part);
            table::usage::write(&self.database(), first).await?;
            written += part;
            for (kid, at) in first.iter().filter_map(|(kid, tally)| Some((kid, tally.last_valid?))) {
                self.index.used(kid, at);
            }
            drop(taken.waiting.drain(..part));
        }
        Ok(written)
    }

    /// Takes in when keys were used last on any replica, of those used since an instant.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn read_last_used(&self, since: Timestamp) -> Result<(), StoreError> {
        let used = table::usage::used_since(&self.database(), since).await?;
        used.iter().for_each(|(kid, at)| self.index.used(kid, *at));
        Ok(())
    }

    /// How a key was used in the last days, today among them, as far as it was written; the oldest first.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn usage(&self, kid: &Kid, days: u32, now: Timestamp) -> Result<Vec<Used>, StoreError> {
        let first = now.millis().div_euclid(DAY_MS) - i64::from(days.min(KEPT_DAYS)) + 1;
        table::usage::of(&self.database(), kid, first).await
    }

    /// Deletes counts that are too old to be kept.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn forget_usage(&self, now: Timestamp) -> Result<(), StoreError> {
        let first = now.millis().div_euclid(DAY_MS) - i64::from(KEPT_DAYS);
        table::usage::forget_before(&self.database(), first).await
    }

    /// How many uses were not counted, because too much waited to be written.
    #[must_use]
    pub fn usage_lost(&self) -> u64 {
        self.usage.lost.load(Ordering::Relaxed)
    }
}

/// Midnight of a day, in UTC.
pub(super) fn midnight(day: i64) -> Timestamp {
    Timestamp::from_millis(day.saturating_mul(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(day: i64, valid: u32) -> Tally {
        let mut tally = Tally::on(day);
        (0..valid).for_each(|n| tally.count(0, Timestamp::from_millis(i64::from(n))));
        tally
    }

    fn kid(n: usize) -> Kid {
        Kid::parse(&format!("kid{n}")).unwrap()
    }

    #[test]
    fn what_could_not_be_written_is_added_to_what_was_counted_meanwhile() {
        let usage = Usage::default();
        usage.shard(&kid(1)).today.insert(kid(1), tally(5, 2));
        usage.waiting.fetch_add(1, Ordering::Relaxed);
        usage.give_back(vec![(kid(1), tally(5, 3)), (kid(1), tally(4, 7))]);
        let mut all = usage.take();
        all.sort_by_key(|(_, tally)| tally.day);
        let counts: Vec<(i64, u64)> = all.iter().map(|(_, tally)| (tally.day, tally.total())).collect();
        assert_eq!(counts, [(4, 7), (5, 5)]);
        assert_eq!(usage.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_waits_and_what_came_since_is_one_row() {
        let usage = Usage::default();
        usage.give_back(vec![(kid(1), tally(5, 3)), (kid(1), tally(4, 7)), (kid(2), tally(5, 1))]);
        usage.shard(&kid(1)).today.insert(kid(1), tally(5, 2));
        usage.waiting.fetch_add(1, Ordering::Relaxed);
        let rows: Vec<_> = together(usage.take()).into_iter().map(|(kid, t)| (kid, t.day, t.total())).collect();
        assert_eq!(rows, [(kid(1), 4, 7), (kid(1), 5, 5), (kid(2), 5, 1)]);
    }

    #[test]
    fn what_was_taken_and_not_written_waits_again() {
        let usage = Usage::default();
        usage.give_back(vec![(kid(1), tally(5, 3)), (kid(2), tally(5, 1))]);
        let mut taken = Taken { from: &usage, waiting: together(usage.take()) };
        drop(taken.waiting.drain(..1));
        drop(taken);
        assert_eq!(usage.take(), [(kid(2), tally(5, 1))]);
    }

    #[test]
    fn what_finds_no_room_is_counted_as_lost() {
        let usage = Usage::default();
        usage.give_back((0..MAX_WAITING + 10).map(|n| (kid(n), tally(5, 3))).collect());
        assert_eq!((usage.take().len(), usage.lost.load(Ordering::Relaxed)), (MAX_WAITING, 30));
    }
}
