//! API keys: issued, listed, verified and revoked. Verifying reads memory only; every change is a transaction that
//! records who made it. Nothing here spawns, and nothing here knows HTTP.

mod attention; // which keys somebody should look at
mod check; // finds what was changed without an event
mod edit; // what becomes of a key that exists
mod explain; // why a key is good or is not
mod fleet; // who shares the keys, and how far each has come
mod follow; // keeps the index complete, in the order of commits
pub mod format; // the text of a key
pub mod hash; // what is kept of its secret
mod import; // keys that were issued elsewhere
mod index; // every key in memory
mod limit; // how often a key may be used
mod list; // filtered and sorted, in pages
mod new; // a wish for a key, and what is wrong with it
pub mod record; // what a key is
mod shared; // what keys have in common, kept once
mod table; // the keys at rest
mod usage; // how often each key is used
pub mod verify; // whether a key is good

pub use attention::{Attention, ENDS_SOON, Few, UNUSED};
pub use check::Edited;
pub use edit::{DEFAULT_GRACE, Patch};
pub use explain::{Explanation, Step, StepOutcome, WhichKey};
pub use fleet::{About, REACH_LIMIT, Reach, Replica};
pub use follow::Happened;
pub use format::{BEGINNING as KEY_BEGINNING, KeyText};
pub use import::{Foreign, Imported, MAX_IMPORT, Mode as ImportMode, Unfit};
pub use index::Counts;
pub use limit::Standing;
pub use list::{Filter, Page};
pub use new::NewKey;
pub use record::{Extras, KeyState, Rare, Record};
pub use usage::Used;
pub use verify::{Need, Refused, Verdict};

use crate::audit::Actor;
use crate::clock::Timestamp;
use crate::name::Kid;
use crate::settings::keys::Keys as Rules;
use crate::store::{Database, Store, StoreError};
use arc_swap::ArcSwap;
use explain::Ground;
use fleet::{Myself, Others};
use follow::Bells;
use hash::KeyHash;
use index::Index;
use limit::Asked;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use table::{Change, Inserted, Outcome, Repeat, Revoked};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For how long a creation can be repeated under its idempotency key.
const REPEATABLE: Duration = Duration::from_secs(24 * 3600);
/// The longest idempotency key.
const MAX_IDEMPOTENCY_KEY: usize = 200;
/// The most keys that are revoked by one wish: what one transaction per thousand does within a request's time.
pub const MAX_BULK: usize = 10_000;
/// How many of them are one transaction: the end of the chain is held for as long as it takes.
const BULK_PART: usize = 500;
/// Counting the keys by state takes at most one part of so many of the time.
const COUNT_SHARE: u32 = 20;
/// How long a look at all keys is good for.
const LOOK_AFTER_KEYS: Duration = Duration::from_secs(30);
/// The longest reason of a revocation, in characters.
const MAX_REASON: usize = 500;

/// What is wrong with one field of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as in `scopes[2]`.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why a wish about keys was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no such key.
    #[error("there is no such key")]
    NotFound,
    /// It contradicts what was asked before.
    #[error("{0}")]
    Conflict(String),
    /// It was made for another version of the record than this one.
    #[error("the key has changed meanwhile; its version is {0}")]
    Stale(i64),
    /// Fields do not fit.
    #[error("{}", .0.iter().map(|e| format!("{}: {}", e.key, e.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The store failed; nothing was changed, or nobody knows.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new key.
#[derive(Debug)]
pub struct Created {
    /// What it is.
    pub record: Arc<Record>,
    /// The whole key, told this once; `None` where the same was asked before.
    pub key: Option<KeyText>,
}

/// A key that ended, and how far that has come.
#[derive(Debug)]
pub struct Revocation {
    /// What it is now.
    pub record: Arc<Record>,
    /// Who knows.
    pub reach: Reach,
}

/// The API keys of this process.
#[derive(Debug)]
pub struct Keys {
    myself: Myself,
    index: Index,
    bells: Bells,
    others: Others,
    database: ArcSwap<Database>,
    /// The same database behind a connection of its own, so that nothing can starve the following.
    follower: ArcSwap<Database>,
    rules: ArcSwap<Rules>,
    limits: limit::Limits,
    usage: usage::Usage,
    /// Whether the last look at the events failed.
    away: AtomicBool,
    /// Held by whoever looks through all keys.
    looking: Arc<Semaphore>,
    /// Held by whoever brings the index further.
    following: tokio::sync::Mutex<()>,
    /// How often the database turned out to be another one than was followed.
    restarts: AtomicU64,
    edited: Mutex<Option<Edited>>,
    attention: Mutex<Option<(Instant, Arc<Attention>)>>,
    counted: Mutex<Option<Counted>>,
}

/// The last count of the keys by state.
#[derive(Debug)]
struct Counted {
    at: Instant,
    took: Duration,
    counts: Counts,
}

impl Keys {
    /// The keys of a replica, which know nothing yet: every answer is undecidable until [`Keys::load`].
    #[must_use]
    pub fn new(replica: String, database: Database, follower: Database, rules: Arc<Rules>) -> Self {
        Self {
            myself: Myself::called(replica),
            index: Index::new(),
            bells: Bells::default(),
            others: Others::default(),
            database: ArcSwap::from_pointee(database),
            follower: ArcSwap::from_pointee(follower),
            rules: ArcSwap::new(rules),
            limits: limit::Limits::default(),
            usage: usage::Usage::default(),
            away: AtomicBool::new(false),
            looking: Arc::new(Semaphore::new(1)),
            following: tokio::sync::Mutex::default(),
            restarts: AtomicU64::new(0),
            edited: Mutex::default(),
            attention: Mutex::default(),
            counted: Mutex::default(),
        }
    }

    /// Judges a use of a key, and counts it where everything else is right: a refusal costs nothing.
    pub async fn verify(&self, text: &str, need: Need<'_>, now: Timestamp) -> (Verdict, Option<Standing>) {
        let (verdict, standing) = self.limited(self.judge(text, need, now), need, Asked::Use).await;
        self.usage.note(&verdict, now);
        (verdict, standing)
    }

    /// The verdict, once the limit of a key that is good was asked.
    async fn limited(&self, verdict: Verdict, need: Need<'_>, asked: Asked) -> (Verdict, Option<Standing>) {
        let Verdict::Valid(record) = verdict else { return (verdict, None) };
        let Some((rate, by_policy)) = verify::rate_for(&record, need.policy) else {
            return (Verdict::Valid(record), None);
        };
        let policy = need.policy.filter(|_| by_policy).map(|policy| policy.name.clone());
        let standing = self.limits.ask(rate, (policy, record.kid.clone()), asked).await;
        let verdict =
            if standing.allowed { Verdict::Valid(record) } else { Verdict::Refused(Refused::RateLimited, record) };
        (verdict, Some(standing))
    }

    /// Why a key is good or is not, step by step; nothing is counted.
    pub async fn explain(&self, which: WhichKey<'_>, need: Need<'_>, now: Timestamp) -> Explanation {
        let rules = self.rules.load_full();
        let judged = match which {
            WhichKey::Text(text) => verify::judge(text, need, &rules, &self.index, now),
            WhichKey::Kid(kid) => match self.index.get(kid.as_str()) {
                Some(record) => verify::judge_record(record, need, &rules, &self.index, now),
                None => verify::unknown(&self.index),
            },
        };
        let (verdict, standing) = self.limited(judged, need, Asked::Look).await;
        let ground = Ground { index: &self.index, rules: &rules, need, now };
        Explanation { steps: explain::told(which, standing, ground), verdict }
    }

    /// Takes over keys that were issued elsewhere, in one transaction; those that cannot be are told.
    ///
    /// # Errors
    /// [`KeysError::Store`]; then none was taken over, or nobody knows.
    pub async fn import(
        &self,
        keys: Vec<Result<Foreign, Vec<FieldError>>>,
        mode: ImportMode,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Imported, KeysError> {
        let rules = self.rules.load_full();
        let (mut fit, mut unfit) = (Vec::new(), Vec::new());
        for (n, key) in keys.into_iter().enumerate() {
            match key.and_then(|key| key.record(&actor.subject, &rules, now)) {
                Ok(record) => fit.push((n, record)),
                Err(errors) => unfit.push(Unfit { n, errors }),
            }
        }
        let mode = if mode == ImportMode::AllOrNothing && !unfit.is_empty() { ImportMode::DryRun } else { mode };
        let records: Vec<&Record> = fit.iter().map(|(_, record)| record).collect();
        let change = Change { kind: "key.imported", actor, at: now };
        let (clashes, made) = table::import(&self.database(), &records, change, mode).await?;
        let mut count = 0;
        for ((n, record), clash) in fit.into_iter().zip(clashes) {
            match clash {
                Some(clash) => unfit.push(Unfit { n, errors: vec![clash.error()] }),
                None => {
                    count += 1;
                    if made {
                        self.index.put(record);
                    }
                }
            }
        }
        if made && count > 0 {
            self.tell_of_change();
        }
        unfit.sort_by_key(|unfit| unfit.n);
        Ok(Imported { count: if made || mode == ImportMode::DryRun { count } else { 0 }, unfit })
    }

    /// Keys that somebody should look at; looked for at most twice a minute, for there may be a million.
    #[must_use]
    pub fn attention(&self, now: Timestamp) -> Arc<Attention> {
        let mut looked = self.attention.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, attention)) = looked.as_ref().filter(|(at, _)| at.elapsed() < LOOK_AFTER_KEYS) {
            return Arc::clone(attention);
        }
        let mut attention = Attention::default();
        self.index.each(|record| attention.take_in(record, now));
        let attention = Arc::new(attention);
        *looked = Some((Instant::now(), Arc::clone(&attention)));
        attention
    }

    /// Lets a Redis count uses for all replicas; `None`: each counts for itself.
    pub fn share_limits_through(&self, store: Option<Arc<Store>>) {
        self.limits.share_through(store);
    }

    /// Counts the replicas that answer about keys: each allows its share of a limit while no Redis counts for all.
    ///
    /// # Errors
    /// Any [`StoreError`]; the last count stays.
    pub async fn count_replicas(&self) -> Result<(), StoreError> {
        let (replicas, longest) = (self.replicas().await?, self.rules.load().max_staleness);
        // All of them by the database's clock, whatever ours says.
        let newest = replicas.iter().map(|replica| replica.seen_at).max();
        let lives = |replica: &&Replica| newest.is_some_and(|newest| newest.since(replica.seen_at) <= longest);
        let count = replicas.iter().filter(|replica| replica.role == "serve").filter(lives).count();
        self.limits.set_replicas(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Judges a key without using it: nothing is counted.
    #[must_use]
    pub fn judge(&self, text: &str, need: Need<'_>, now: Timestamp) -> Verdict {
        verify::judge(text, need, &self.rules.load(), &self.index, now)
    }

    /// Makes a key that the known replicas accept on return, or two seconds later. With an idempotency key, the same wish again makes no second one.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn create(
        &self,
        wish: NewKey,
        actor: &Actor,
        idempotency_key: Option<&str>,
        now: Timestamp,
    ) -> Result<Created, KeysError> {
        let began = Instant::now();
        let rules = self.rules.load_full();
        let expires_at = wish.check(&rules, now)?;
        let repeat = idempotency_key.map(|id| repeat(id, &wish, actor, now)).transpose()?;
        let key = format::generate(rules.environment)
            .map_err(|error| StoreError::Unreachable(format!("the system gives no randomness: {error}")))?;
        let record = new_record(&key, wish, expires_at, &rules, actor, now)?;
        let change = Change { kind: "key.created", actor, at: now };
        match table::insert(&self.database(), &record, change, repeat.as_ref()).await? {
            Inserted::New(seq) => {
                let kid = record.kid.clone();
                self.index.put(record);
                self.spread(seq, began).await;
                let record = self.index.get(kid.as_str()).ok_or(KeysError::NotFound)?;
                Ok(Created { record, key: Some(key) })
            }
            Inserted::Again(kid) => {
                // Another replica may have made it a moment ago.
                let record = match self.index.get(kid.as_str()) {
                    Some(record) => record,
                    None => self.read(&kid, actor, now).await?,
                };
                Ok(Created { record, key: None })
            }
            Inserted::Conflict => Err(KeysError::Conflict("the Idempotency-Key was used for another request".into())),
        }
    }

    /// Changes some fields of a key. Nothing to change: nothing is recorded.
    ///
    /// # Errors
    /// [`KeysError`]; a revoked key stays revoked.
    pub async fn patch(
        &self,
        kid: &Kid,
        patch: &Patch,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Arc<Record>, KeysError> {
        let rules = self.rules.load_full();
        let decide = |record: Record| match patch.apply(&record, &rules, now)? {
            Some(edited) => Ok(Outcome::Edited(Box::new(edited))),
            None => Ok(Outcome::Same(Box::new(record))),
        };
        let (record, _) = table::edit(&self.database(), kid, actor, now, decide).await??.ok_or(KeysError::NotFound)?;
        self.index.put(record.clone());
        self.tell_of_change();
        Ok(Arc::new(record))
    }

    /// A key as the database has it now.
    async fn read(&self, kid: &Kid, actor: &Actor, now: Timestamp) -> Result<Arc<Record>, KeysError> {
        let same = |record| Ok(Outcome::Same(Box::new(record)));
        let (record, _) = table::edit(&self.database(), kid, actor, now, same).await??.ok_or(KeysError::NotFound)?;
        self.index.put(record.clone());
        Ok(Arc::new(record))
    }

    /// Makes a successor with the same rights and lets the old key retire within `grace`.
    ///
    /// # Errors
    /// [`KeysError`]; only an active key can be rotated.
    pub async fn rotate(
        &self,
        kid: &Kid,
        grace: Duration,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Created, KeysError> {
        let began = Instant::now();
        let rules = self.rules.load_full();
        if grace > rules.max_ttl {
            let message = format!("must be at most {} (keys.max_ttl)", crate::clock::write_duration(rules.max_ttl));
            return Err(KeysError::Invalid(vec![FieldError { key: "grace".into(), message }]));
        }
        let key = format::generate(rules.environment)
            .map_err(|error| StoreError::Unreachable(format!("the system gives no randomness: {error}")))?;
        let mut made = None;
        let decide = |record: Record| {
            let end = now.after(edit::life_of(&record, &rules));
            let successor = new_record(&key, edit::wish_of(&record), end, &rules, actor, now)?;
            let edited = edit::retired(&record, &successor, grace, now)?;
            made = Some(successor.clone());
            Ok(Outcome::Replaced(Box::new((edited, successor))))
        };
        let (old, seq) = table::edit(&self.database(), kid, actor, now, decide).await??.ok_or(KeysError::NotFound)?;
        let successor = made.ok_or(KeysError::NotFound)?;
        self.index.put(old);
        self.index.put(successor.clone());
        self.spread(seq, began).await;
        Ok(Created { record: Arc::new(successor), key: Some(key) })
    }

    /// Ends many keys at once, those of them that are not ended yet; the ids of those that it ended.
    ///
    /// # Errors
    /// [`KeysError`]; what was ended before a failure stays so, and is recorded.
    pub async fn revoke_all(
        &self,
        kids: &[Kid],
        reason: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<Kid>, KeysError> {
        check_reason(Some(reason))?;
        let change = Change { kind: "key.revoked", actor, at: now };
        let mut revoked = Vec::new();
        for part in kids.chunks(BULK_PART) {
            for record in table::revoke_all(&self.database(), part, reason, change).await? {
                revoked.push(record.kid.clone());
                self.index.put(record);
            }
            self.tell_of_change();
        }
        Ok(revoked)
    }

    /// The keys that a filter lets through and that are not ended yet.
    #[must_use]
    pub fn to_revoke(&self, filter: &Filter, now: Timestamp) -> Vec<Kid> {
        let alive = |record: &Record| record.rare.revoked_at.is_none() && filter.lets_through(record, now);
        self.index.matching(alive).into_iter().map(|record| record.kid.clone()).collect()
    }

    /// The id in a whole key, ours or of somebody who found it; `None` where it is not the text of one.
    #[must_use]
    pub fn kid_in(text: &str) -> Option<Kid> {
        format::parse(text).ok().and_then(|parsed| Kid::parse(parsed.kid).ok())
    }

    /// Ends a key, for good, and waits until the known replicas know. Again: nothing changes, and the record says since
    /// when and why.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn revoke(
        &self,
        kid: &Kid,
        reason: Option<&str>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Revocation, KeysError> {
        let began = Instant::now();
        check_reason(reason)?;
        let change = Change { kind: "key.revoked", actor, at: now };
        match table::revoke(&self.database(), kid, reason, change).await? {
            Revoked::Unknown => Err(KeysError::NotFound),
            Revoked::Done(record, seq) => {
                self.index.put(Record::clone(&record));
                let reach = self.spread(seq, began).await;
                Ok(Revocation { record: Arc::new(*record), reach })
            }
        }
    }

    /// Tells the others of a change and waits, within bounds, until they have it.
    async fn spread(&self, seq: i64, began: Instant) -> Reach {
        self.tell_of_change();
        self.reach(seq, began).await
    }

    /// A key by its id.
    #[must_use]
    pub fn get(&self, kid: &Kid) -> Option<Arc<Record>> {
        self.index.get(kid.as_str())
    }

    /// Waits for one's turn to look through all keys: a few who do at once would leave no processor to those who verify.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.looking).acquire_owned().await.ok()
    }

    /// A part of the keys, out of all of them: long work, for a thread of its own.
    ///
    /// # Errors
    /// [`KeysError::Invalid`] where `sort` or the cursor is not one.
    pub fn list(&self, filter: &Filter, limit: usize, after: Option<&str>, now: Timestamp) -> Result<Page, KeysError> {
        let mut choice = list::Choice::new(filter, limit, after, now)?;
        self.index.each(|record| choice.look(record));
        Ok(choice.page())
    }

    /// How many keys there are, whatever their state.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.index.whole().1
    }

    /// How many keys there are in each state. Whoever asks all the time is told the last count again: counting a million
    /// takes its time, and takes no more than a small part of it all.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> Counts {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Counted { at, took, counts }) = &*counted
            && at.elapsed() < *took * COUNT_SHARE
        {
            return *counts;
        }
        let at = Instant::now();
        let counts = self.index.counts(now);
        *counted = Some(Counted { at, took: at.elapsed(), counts });
        counts
    }

    /// How long ago the index was proved fresh; `None`: never.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.index.age()
    }

    /// The same as of an instant that the caller knows: reading the clock is a part of the cost of a verification.
    #[must_use]
    pub fn age_at(&self, now: Instant) -> Option<Duration> {
        self.index.age_at(now)
    }

    /// Whether an id that is not known is surely invalid.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.age().is_some_and(|age| age <= verify::FRESH)
    }

    /// Whether known keys are judged: the index is young enough, or the rules let it be old.
    #[must_use]
    pub fn is_decidable(&self) -> bool {
        let rules = self.rules.load();
        let allowed = rules.on_stale == crate::settings::keys::OnStale::Allow;
        self.age().is_some_and(|age| allowed || age <= rules.max_staleness)
    }

    /// Where they live.
    #[must_use]
    pub fn database(&self) -> Database {
        Database::clone(&self.database.load())
    }

    /// The same database behind connections of its own.
    fn follower(&self) -> Database {
        Database::clone(&self.follower.load())
    }

    /// Puts the same database behind new connections, as after a rotated password; the index stays.
    pub fn set_database(&self, database: Database, follower: Database) {
        self.database.store(Arc::new(database));
        self.follower.store(Arc::new(follower));
    }

    /// Forgets uses that no longer count; to be called now and then.
    pub fn tidy(&self) {
        self.limits.tidy();
    }

    /// Changes the rules.
    pub fn set_rules(&self, rules: Arc<Rules>) {
        self.rules.store(rules);
    }
}

fn check_reason(reason: Option<&str>) -> Result<(), KeysError> {
    if reason.is_some_and(|text| text.chars().count() > MAX_REASON || text.chars().any(char::is_control)) {
        let message = format!("must be at most {MAX_REASON} printable characters");
        return Err(KeysError::Invalid(vec![FieldError { key: "reason".into(), message }]));
    }
    Ok(())
}

fn repeat(id: &str, wish: &NewKey, actor: &Actor, now: Timestamp) -> Result<Repeat, KeysError> {
    let fits = (1..=MAX_IDEMPOTENCY_KEY).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        let message = format!("must be 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters");
        return Err(KeysError::Invalid(vec![FieldError { key: "Idempotency-Key".into(), message }]));
    }
    // Somebody else's key of the same name is another one.
    let id_hash = Sha256::digest(format!("{}\n{id}", actor.subject)).into();
    let body_hash = Sha256::digest(format!("{wish:?}")).into();
    Ok(Repeat { id_hash, body_hash, expires_at: now.after(REPEATABLE) })
}

fn new_record(
    key: &KeyText,
    wish: NewKey,
    expires_at: Timestamp,
    rules: &Rules,
    actor: &Actor,
    now: Timestamp,
) -> Result<Record, KeysError> {
    let unexpected = || KeysError::Store(StoreError::Unexpected("a new key does not have the form of one".into()));
    let parts = format::parse(key.expose()).map_err(|_| unexpected())?;
    Ok(Record {
        kid: Kid::parse(parts.kid).map_err(|_| unexpected())?,
        name: Some(wish.name.into()),
        owner: wish.owner.map(Into::into),
        environment: Some(rules.environment),
        scopes: wish.scopes.into_iter().map(Into::into).collect(),
        created_at: now,
        created_by: Some(actor.subject.as_str().into()),
        expires_at: Some(expires_at),
        last_used_at: None,
        rare: Rare::of(Extras {
            ip_allow: wish.ip_allow,
            rate_limit: wish.rate_limit.map(Into::into),
            metadata: wish.metadata,
            ..Extras::default()
        }),
        version: 1,
        hash: Some(KeyHash::of(parts.secret, &rules.peppers)),
    })
}

#[cfg(test)]
mod tests;
