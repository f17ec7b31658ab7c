//! Keeps the index complete: loads every key once, then follows the events in the order of their commits.
//! Nothing here spawns or waits: `runtime` says when to look, and whatever hears of a change early only makes that sooner.

use super::table::{Hold, Row};
use super::{Keys, Record, table};
use crate::audit::Head;
use crate::name::Kid;
use crate::store::StoreError;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A change of a key that this replica took in, its own or another's.
#[derive(Debug, Clone)]
pub struct Happened {
    /// The number of its event.
    pub seq: i64,
    /// What happened, such as `key.revoked`.
    pub kind: String,
    /// The key.
    pub kid: Kid,
    /// By whom.
    pub actor: String,
    /// The key as it is now; `None` where its row was taken away meanwhile.
    pub record: Option<Arc<Record>>,
    /// For a revocation that this replica did not know of: the time from its commit to now, by the database's clock.
    pub lag: Option<Duration>,
}

/// What the events after the last known one brought.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) events: Vec<Told>,
    pub(super) records: Vec<Row>,
    /// The last of them.
    pub(super) head: Head,
    /// Whether there were no more.
    pub(super) are_all: bool,
}

impl Changes {
    /// Nothing happened after this event.
    pub(super) const fn none(head: Head) -> Self {
        Self { events: Vec::new(), records: Vec::new(), head, are_all: true }
    }
}

/// An event, as the follower reads it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) seq: i64,
    pub(super) kind: String,
    /// The key; `None`: the event is about something else, which is chained here, too.
    pub(super) kid: Option<Kid>,
    pub(super) actor: String,
    /// How long ago it was written, by the database's clock, in milliseconds.
    pub(super) age_ms: Option<i64>,
    /// The hash of the event before it.
    pub(super) prev_hash: [u8; 32],
    pub(super) hash: [u8; 32],
}

/// Wakes whoever follows, and whoever tells others how far that came.
#[derive(Debug, Default)]
pub(super) struct Bells {
    /// Something may have changed.
    follow: Notify,
    /// The index has come further.
    further: Notify,
    /// A change was made here, which others should hear of.
    made: Notify,
    /// The database was away.
    suspected: Notify,
}

impl Keys {
    /// Fills the index from the database, whose tables exist.
    ///
    /// # Errors
    /// Any [`StoreError`]; what was read before it is kept, and nothing is proved.
    pub async fn load(&self) -> Result<(), StoreError> {
        self.index.reserve(table::count(&self.database()).await?);
        let asked = Instant::now();
        let mut take = |row| drop(self.index.put_row(row));
        self.index.came_to(table::load(&self.database(), Hold::Nothing, &mut take).await?);
        self.index.proved(asked);
        self.bells.further.notify_one();
        Ok(())
    }

    /// Takes in what changed since the last look, and so proves that the index is fresh. `told` hears of each change. Where
    /// the last known event is none of the database's, as after the restore of a backup or a fail-over to a stand-by that
    /// lacked the end, versions and numbers of before mean nothing: every row is taken over as it is.
    ///
    /// # Errors
    /// Any [`StoreError`]; the index ages.
    pub async fn follow(&self, told: impl Fn(Happened)) -> Result<(), StoreError> {
        let follower = self.follower();
        loop {
            let following = self.following.lock().await;
            let (asked, before) = (Instant::now(), self.index.head());
            let changes = table::changed_since(&follower, before).await.inspect_err(|_| self.was_away())?;
            let Some(changes) = changes else {
                tracing::warn!(
                    "the database of the keys is not as far as it was, as after a restore: every key is read again"
                );
                // Until then it is told to nobody how far this replica has come.
                self.was_away();
                self.start_again(following).await?;
                self.bells.further.notify_one();
                if self.index.head() == before {
                    let why = "the events of the keys do not follow upon the end of their chain";
                    return Err(StoreError::Unexpected(why.into()));
                }
                continue;
            };
            let read = Instant::now();
            let (head, are_all, came) = (changes.head, changes.are_all, self.take_in(changes, read));
            self.index.came_to(head);
            // Of those that are left out for now, nobody knows yet what they say.
            if are_all {
                self.index.proved(asked);
            }
            drop(following);
            if head == before {
                self.is_back();
                return Ok(());
            }
            self.bells.further.notify_one();
            came.into_iter().for_each(&told);
        }
    }

    /// Puts what changed into the index; what happened, in order.
    fn take_in(&self, changes: Changes, read: Instant) -> Vec<Happened> {
        let mut newly_revoked = HashSet::new();
        for row in changes.records {
            let (kid, is_revoked) = (row.record.kid.clone(), row.record.rare.revoked_at.is_some());
            let before = self.index.put_row(row);
            if is_revoked && before.is_none_or(|before| before.rare.revoked_at.is_none()) {
                newly_revoked.insert(kid);
            }
        }
        let happened = |told: Told| {
            let kid = told.kid?;
            let news = told.kind == "key.revoked" && newly_revoked.contains(&kid);
            let age = told.age_ms.and_then(|ms| u64::try_from(ms).ok()).filter(|_| news);
            let record = self.index.get(kid.as_str());
            let lag = age.map(|ms| Duration::from_millis(ms) + read.elapsed());
            Some(Happened { seq: told.seq, kind: told.kind, kid, actor: told.actor, record, lag })
        };
        changes.events.into_iter().filter_map(happened).collect()
    }

    fn was_away(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    /// The number of the last event that answers reflect; zero while nobody can tell whether it still is one: what comes back
    /// may be a backup, whose next events have numbers of before.
    pub(super) fn acked(&self) -> i64 {
        if self.away.load(Ordering::Relaxed) { 0 } else { self.index.seq() }
    }

    /// What was away may have come back as something else: restored from a backup, or edited meanwhile.
    fn is_back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            self.bells.suspected.notify_one();
        }
    }

    /// Returns when there is reason to compare the index with the database.
    pub async fn suspected(&self) {
        self.bells.suspected.notified().await;
    }

    /// Says that something may have changed, so that the next look is taken now.
    pub fn look_now(&self) {
        self.bells.follow.notify_one();
    }

    /// Returns when the next look should be taken now.
    pub async fn wanted(&self) {
        self.bells.follow.notified().await;
    }

    /// Returns when the index has come further, which others wait to read.
    pub async fn further(&self) {
        self.bells.further.notified().await;
    }

    /// Returns when a change was made here, of which others should hear.
    pub async fn made(&self) {
        self.bells.made.notified().await;
    }

    /// A change was made here: others should hear of it, and the next look tells it to whoever listens.
    pub(super) fn tell_of_change(&self) {
        self.bells.made.notify_one();
        self.bells.follow.notify_one();
    }
}
