//! Finds what was changed in the database without an event, with psql or by restoring a backup: the fingerprints of all rows
//! are compared with those of the index, and where they differ every row is read again. It decides nothing about a key.

use super::index::Compared;
use super::table::Hold;
use super::{Keys, table};
use crate::clock::Timestamp;
use crate::name::Kid;
use crate::store::StoreError;
use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::MutexGuard;

/// How often whole and index are compared before every row is read: keys that change just now make them differ, too.
const TRIES: usize = 3;
/// How long the index may take to come as far as the database was.
const CATCH_UP: Duration = Duration::from_secs(2);
/// From one look at whether it has to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Keys that were changed behind this program's back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// When that was found.
    pub at: Timestamp,
    /// How many keys.
    pub keys: usize,
    /// One of them.
    pub example: Kid,
}

/// All rows of the database at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    /// The last event.
    pub(super) seq: i64,
    /// How many rows there are.
    pub(super) count: u64,
    /// Their fingerprints, added up.
    pub(super) sum: i64,
}

impl Keys {
    /// Compares the index with the database, and takes over what was changed there without an event.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn compare(&self) -> Result<Option<Edited>, StoreError> {
        for _ in 0..TRIES {
            let whole = table::check::whole(&self.database()).await?;
            self.catch_up_to(whole.seq).await;
            if self.index.seq() == whole.seq && self.index.whole() == (whole.sum, whole.count) {
                return Ok(None);
            }
        }
        self.read_again().await
    }

    /// What was found last to be changed behind this program's back.
    #[must_use]
    pub fn edited(&self) -> Option<Edited> {
        self.edited.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn catch_up_to(&self, seq: i64) {
        let began = Instant::now();
        while self.index.seq() < seq && began.elapsed() < CATCH_UP {
            self.look_now();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Reads every row and says which of them no event explains. Nobody has to wait for it, but where rows went back to older
    /// versions: only then everything is taken over as it is.
    async fn read_again(&self) -> Result<Option<Edited>, StoreError> {
        let before = self.index.seq();
        let (mut seen, mut ahead, mut behind, mut edited) = (HashSet::new(), Vec::new(), Vec::new(), Vec::new());
        let mut take = |row: table::Row| {
            let kid = row.record.kid.clone();
            match self.index.compare(&row) {
                Compared::Differs => edited.push(kid.clone()),
                Compared::Ahead => ahead.push(kid.clone()),
                Compared::Behind(version) => behind.push((kid.clone(), version)),
                Compared::Known => {}
            }
            drop(self.index.put_row(row));
            seen.insert(kid);
        };
        let seq = table::load(&self.database(), Hold::Nothing, &mut take).await?.seq;
        // Where the index had come as far as what was read, an event would have brought these.
        if before >= seq {
            edited.append(&mut ahead);
        }
        edited.append(&mut self.remove_absent(&seen).await?);
        // A change that was made here meanwhile is newer than what was read, and in the database.
        let behind = table::check::older_than(&self.database(), behind).await?;
        if !behind.is_empty() {
            edited.append(&mut self.take_over(self.following.lock().await).await?);
        }
        Ok(self.tell_of(edited))
    }

    /// Takes keys away whose rows are gone.
    async fn remove_absent(&self, seen: &HashSet<Kid>) -> Result<Vec<Kid>, StoreError> {
        let unseen = self.index.matching(|record| !seen.contains(&record.kid));
        let unseen: Vec<Kid> = unseen.into_iter().map(|record| record.kid.clone()).collect();
        let absent = table::check::absent(&self.database(), unseen).await?;
        absent.iter().for_each(|kid| self.index.remove(kid));
        Ok(absent)
    }

    fn tell_of(&self, edited: Vec<Kid>) -> Option<Edited> {
        let edited = edited.last().map(|example| Edited {
            at: Timestamp::now(),
            keys: edited.len(),
            example: example.clone(),
        })?;
        *self.edited.lock().unwrap_or_else(PoisonError::into_inner) = Some(edited.clone());
        Some(edited)
    }

    /// Takes every row over as it is, whatever is here, and says of which keys no event tells. Nobody else follows
    /// meanwhile, and nothing is changed: else a newer record that was made here could be lost.
    async fn take_over(&self, _following: MutexGuard<'_, ()>) -> Result<Vec<Kid>, StoreError> {
        let (asked, before) = (Instant::now(), self.index.head());
        let (mut seen, mut ahead, mut edited) = (HashSet::new(), Vec::new(), Vec::new());
        let mut take = |row: table::Row| {
            let kid = row.record.kid.clone();
            match self.index.compare(&row) {
                Compared::Differs | Compared::Behind(_) => edited.push(kid.clone()),
                Compared::Ahead => ahead.push(kid.clone()),
                Compared::Known => {}
            }
            self.index.take_over(row);
            seen.insert(kid);
        };
        let head = table::load(&self.database(), Hold::End, &mut take).await?;
        edited.append(&mut self.remove_absent(&seen).await?);
        // Where events are left that nobody followed yet, they tell of these, and are told of in their turn.
        let is_ahead = head.seq > before.seq && table::has(&self.database(), before).await?;
        if !is_ahead {
            edited.append(&mut ahead);
        }
        if !is_ahead && head != before {
            self.index.came_to(head);
            self.restarts.fetch_add(1, Ordering::AcqRel);
            self.index.proved(asked);
        }
        Ok(edited)
    }

    /// The same for the follower, which knows that the database is another one than it followed.
    pub(super) async fn start_again(&self, following: MutexGuard<'_, ()>) -> Result<(), StoreError> {
        let edited = self.take_over(following).await?;
        drop(self.tell_of(edited));
        Ok(())
    }

    /// How often the database turned out to be another one than was followed.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Acquire)
    }
}
