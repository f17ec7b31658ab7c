//! Records changes that are made elsewhere than in the chain's own database: in the chain, or, where that cannot be
//! reached, on this machine's disk and in the log, to be chained later. A change that is made is never undone for it.

use super::spool::{Spool, Waiting};
use super::{Change, chain};
use crate::store::{Database, StoreError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

/// How long whoever made a change waits for the chain before the entry is put on the disk.
const CHAIN_LIMIT: Duration = Duration::from_secs(2);
/// How many entries that waited are chained in one transaction: its end is held for as long as that takes.
const DRAIN_PART: usize = 200;

/// Records changes.
#[derive(Debug)]
pub struct Recorder {
    /// One at a time, so that entries are chained in the order of the changes.
    turn: AsyncMutex<()>,
    spool: Arc<Mutex<Spool>>,
    lost: Mutex<Lost>,
}

#[derive(Debug, Default)]
struct Lost {
    count: u64,
    why: String,
}

/// What is not in the chain yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spooling {
    /// Entries that wait.
    pub waiting: usize,
    /// Entries that stand in the log alone, because the disk would not take them either.
    pub lost: u64,
    /// Why not.
    pub why: String,
}

impl Recorder {
    /// A recorder that keeps what waits in a folder, and goes on with what processes before this one left there.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let spool = Arc::new(Mutex::new(Spool::open(folder)));
        Self { turn: AsyncMutex::new(()), spool, lost: Mutex::default() }
    }

    /// Records a change: on return it is in the chain or on the disk, or at least in the log.
    pub async fn record(&self, database: &Database, change: Change) {
        let id = Uuid::now_v7().to_string();
        let _turn = self.turn.lock().await;
        let why = if self.spooling().waiting > 0 {
            "others wait before it".to_owned()
        } else {
            let entry = [(id.clone(), change.clone())];
            match tokio::time::timeout(CHAIN_LIMIT, chain::append_all(database, &entry)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => format!("the store {error}"),
                Err(_) => "the store does not answer".to_owned(),
            }
        };
        self.keep(id, change, &why).await;
    }

    async fn keep(&self, id: String, change: Change, why: &str) {
        let (actor, action, subject, outcome) =
            (change.actor.subject.clone(), change.action.clone(), change.subject.clone(), change.outcome.as_str());
        let request_id = change.actor.request_id.clone();
        let body = change.body();
        tracing::warn!(%actor, %action, %subject, outcome, %request_id, %body, "the audit of {action} waits to be chained: {why}");
        if let Err(error) = self.on_disk(move |spool| spool.push(id, change)).await {
            tracing::error!(%actor, %action, %subject, outcome, %request_id, "the audit of {action} stands in the log alone: {error}");
            let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            lost.count += 1;
            lost.why = error;
        }
    }

    /// Chains what waits, oldest first, until nothing does.
    ///
    /// # Errors
    /// Any [`StoreError`]; what is not chained waits on.
    pub async fn drain(&self, database: &Database) -> Result<(), StoreError> {
        while self.spooling().waiting > 0 {
            let _turn = self.turn.lock().await;
            let part: Vec<Waiting> = self.lock().oldest(DRAIN_PART);
            chain::append_all(database, &part).await?;
            let count = part.len();
            if let Err(error) = self.on_disk(move |spool| spool.done(count)).await {
                tracing::error!(error, "the audit's spool cannot be emptied; what is in it is chained already");
            }
            tracing::info!("{count} entries of the audit that waited are chained");
        }
        Ok(())
    }

    /// What is not in the chain yet.
    #[must_use]
    pub fn spooling(&self) -> Spooling {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        Spooling { waiting: self.lock().len(), lost: lost.count, why: lost.why.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn on_disk<F>(&self, work: F) -> Result<(), String>
    where
        F: FnOnce(&mut Spool) -> std::io::Result<()> + Send + 'static,
    {
        let spool = Arc::clone(&self.spool);
        let working =
            tokio::task::spawn_blocking(move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)));
        match working.await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}
