//! Who shares these keys: every replica writes down how far it has followed them, and whoever changes a key waits until
//! all of them have it. Nothing here judges a key, and a change that was made is never undone because somebody is slow.

use super::{Keys, table};
use crate::clock::Timestamp;
use crate::settings::Home;
use crate::settings::keys::OnStale;
use crate::store::StoreError;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The longest that a change waits for the replicas: what the slowest of them needs without any accelerator.
pub const REACH_LIMIT: Duration = Duration::from_secs(2);
/// From one look at the replicas' rows to the next. Whoever waits at the same time shares a look.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// For how long a replica that went without a word is listed: an operator asks about it afterwards.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// What a replica says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// `serve` or `worker`.
    pub role: &'static str,
    /// Whether it answers about keys: nobody waits for one that does not.
    pub follows_keys: bool,
    /// When it started.
    pub started_at: Timestamp,
    /// The number of settings committed in it.
    pub generation: u64,
    /// Their identity.
    pub hash: String,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Runs in progress in it.
    pub running: u64,
}

/// A replica, as it last wrote about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub id: String,
    /// `serve` or `worker`.
    pub role: String,
    /// The version of its program.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it wrote this, by the database's clock.
    pub seen_at: Timestamp,
    /// The number of settings committed in it.
    pub generation: i64,
    /// Their identity.
    pub hash: String,
    /// Whether it takes traffic.
    pub ready: bool,
    /// How old its index was then, in milliseconds; `None`: it had none.
    pub index_age_ms: Option<i64>,
    /// The last event that its answers reflect; `None` where it answers nothing about keys.
    pub acked_seq: Option<i64>,
    /// By how many milliseconds its clock is ahead of the database's; `None`: not measured yet.
    pub clock_skew_ms: Option<i64>,
    /// Runs in progress in it.
    pub running: i64,
}

/// What is written about a replica, but for the instant, which the database knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sign<'a> {
    pub(super) id: &'a str,
    pub(super) about: &'a About,
    pub(super) index_age_ms: Option<i64>,
    pub(super) acked_seq: Option<i64>,
    pub(super) clock_skew_ms: Option<i64>,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Replicas seen within `keys.max_staleness`, this one among them.
    pub known: u64,
    /// Those of them that have it.
    pub acked: u64,
    /// From the wish to the last of them; `None` where one has not.
    pub lag: Option<Duration>,
    /// After what time nobody answers from before the change; `None`: the rules set no bound.
    pub bound: Option<Duration>,
}

impl Reach {
    /// Whether every known replica has it.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.lag.is_some()
    }
}

/// What the other replicas have, as somebody saw it a moment ago.
#[derive(Debug, Default)]
pub(super) struct Others(Mutex<Option<(Instant, Vec<i64>)>>);

/// What this replica knows of itself.
#[derive(Debug)]
pub(super) struct Myself {
    pub(super) id: String,
    /// By how many milliseconds its clock is ahead of the database's.
    skew_ms: std::sync::Mutex<Option<i64>>,
}

impl Myself {
    pub(super) const fn called(id: String) -> Self {
        Self { id, skew_ms: std::sync::Mutex::new(None) }
    }
}

impl Keys {
    /// Writes down that this replica lives and what its answers reflect, and forgets those that were not seen for long.
    ///
    /// # Errors
    /// Any [`StoreError`]: then others count it as one that may be behind.
    pub async fn beat(&self, about: &About) -> Result<(), StoreError> {
        let sign = Sign {
            id: &self.myself.id,
            about,
            index_age_ms: self.age().map(millis),
            acked_seq: about.follows_keys.then(|| self.acked()),
            clock_skew_ms: *self.myself.skew_ms.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let (before, began) = (Timestamp::now(), Instant::now());
        let forget_after = FORGET_AFTER.max(self.rules.load().max_staleness);
        let theirs = table::fleet::beat(&self.follower(), sign, forget_after).await?;
        // The database looked at its clock in the middle of that, give or take half of it.
        let ours = before.after(began.elapsed() / 2);
        let skew = ours.millis().saturating_sub(theirs.millis());
        *self.myself.skew_ms.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
        Ok(())
    }

    /// Says that this replica is gone, so that nobody waits for it.
    ///
    /// # Errors
    /// Any [`StoreError`]: then others wait for it until it was not seen for `keys.max_staleness`.
    pub async fn leave(&self) -> Result<(), StoreError> {
        table::fleet::leave(&self.follower(), &self.myself.id).await
    }

    /// Every replica that wrote something about itself lately, the newest first.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        table::fleet::replicas(&self.database()).await
    }

    /// Waits until every known replica has an event, at most [`REACH_LIMIT`]. `began` is when the change was asked for.
    pub(super) async fn reach(&self, seq: i64, began: Instant) -> Reach {
        // Whoever made the change has it; the others are asked for as long as it takes.
        let mut counted = (1, 1);
        let counting = async {
            loop {
                if let Ok(others) = self.others().await {
                    let acked = others.iter().filter(|acked| **acked >= seq).count();
                    counted = (1 + others.len() as u64, 1 + acked as u64);
                    if counted.0 == counted.1 {
                        return;
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let complete = tokio::time::timeout(REACH_LIMIT, counting).await.is_ok();
        let (known, acked) = counted;
        Reach { known, acked, lag: complete.then(|| began.elapsed()), bound: self.bound(complete) }
    }

    /// What the other replicas that count have taken in.
    async fn others(&self) -> Result<Vec<i64>, StoreError> {
        if matches!(self.database().home(), Home::Memory) {
            return Ok(Vec::new());
        }
        let mut seen = self.others.0.lock().await;
        if let Some((at, others)) = &*seen
            && at.elapsed() < LOOK_EVERY
        {
            return Ok(others.clone());
        }
        let (asked, within) = (Instant::now(), self.rules.load().max_staleness);
        let others = table::fleet::acked(&self.database(), &self.myself.id, within).await?;
        *seen = Some((asked, others.clone()));
        Ok(others)
    }

    /// DESIGN §6: two seconds while a replica reaches its store, else as long as it may answer without.
    fn bound(&self, complete: bool) -> Option<Duration> {
        let rules = self.rules.load();
        match rules.on_stale {
            OnStale::Allow => None,
            OnStale::Deny if complete => Some(REACH_LIMIT),
            OnStale::Deny => Some(REACH_LIMIT.max(rules.max_staleness)),
        }
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
