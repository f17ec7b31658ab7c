//! Which databases the keys and the ledger live in, as found when each was opened: the home stays for the process' life.
//! It compares nothing; that a reload would move a home is found by `prepare`.

use crate::name::StoreName;
use crate::settings::{Home, Settings};
use crate::store::{Database, StoreError, identity::identity};
use std::sync::OnceLock;

/// The ids of the homes that were opened; those in memory have none.
#[derive(Debug, Default)]
pub(super) struct Homes {
    keys: OnceLock<String>,
    ledger: OnceLock<String>,
}

impl Homes {
    /// Remembers where the keys live.
    pub(super) async fn opened_keys(&self, database: &Database) -> Result<(), StoreError> {
        remember(&self.keys, database).await
    }

    /// Remembers where the ledger lives.
    pub(super) async fn opened_ledger(&self, database: &Database) -> Result<(), StoreError> {
        remember(&self.ledger, database).await
    }

    /// What lives in a store, in words, and the id of that store's database.
    pub(super) fn inside(&self, settings: &Settings, store: &StoreName) -> Option<(&'static str, &str)> {
        let is = |home: &Home| matches!(home, Home::Store(name) if name == store);
        let keys = self.keys.get().filter(|_| is(&settings.keys.store)).map(|id| ("the API keys", id));
        let ledger = self.ledger.get().filter(|_| is(&settings.scheduler.store)).map(|id| ("the run ledger", id));
        keys.or(ledger).map(|(what, id)| (what, id.as_str()))
    }
}

async fn remember(known: &OnceLock<String>, database: &Database) -> Result<(), StoreError> {
    if database.is_persistent()
        && known.get().is_none()
        && let Some(id) = identity(database).await?
    {
        known.get_or_init(|| id);
    }
    Ok(())
}
