//! The homes of keys and ledger, each behind connections of its own: what is asked of the declared pool, by requests and by workers'
//! statements, must hold up neither the following of revocations nor the renewing of leases.

use super::InMemory;
use super::snapshot::Snapshot;
use crate::name::StoreName;
use crate::settings::{Home, stores};
use crate::store::{Database, Store};
use std::sync::Arc;
use std::time::Duration;

/// The longest that the follower waits for an answer before it asks again on a new connection: the bound on a revocation
/// where the old connection is dead and nobody said so.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(2);

/// For the loop, for the ends of runs, for what runs write, and for who asks.
const LEDGER_CONNECTIONS: u32 = 4;

/// The database of the ledger, behind connections that no statement of a worker can occupy: a lease is renewed however long those take.
pub(super) fn ledger_home(snapshot: &Snapshot, in_memory: &InMemory) -> Result<Database, String> {
    match &snapshot.settings.scheduler.store {
        Home::Memory => home(snapshot, &Home::Memory, in_memory.ledger.as_ref()),
        Home::Store(store) => apart(snapshot, store, |declared| stores::Store {
            max_connections: declared.max_connections.min(LEDGER_CONNECTIONS),
            ..stores::Store::clone(declared)
        }),
    }
}

/// The database of the keys, and the same behind connections of their own for the follower.
pub(super) fn keys_home(snapshot: &Snapshot, in_memory: &InMemory) -> Result<(Database, Database), String> {
    let name = &snapshot.settings.keys.store;
    let database = home(snapshot, name, in_memory.keys.as_ref())?;
    let follower = match name {
        Home::Memory => database.clone(),
        Home::Store(store) => follower(snapshot, store)?,
    };
    Ok((database, follower))
}

fn home(snapshot: &Snapshot, home: &Home, in_memory: Option<&Database>) -> Result<Database, String> {
    match home {
        Home::Memory => in_memory.cloned().ok_or_else(|| "the database in memory is gone".to_owned()),
        Home::Store(name) => {
            let store = snapshot.stores.get(name).and_then(|store| store.database());
            store.ok_or_else(|| format!("the store {name} cannot be a home"))
        }
    }
}

/// Two connections that nobody else uses, one to follow and one to tell how far that came: a pool that is busy must not
/// make the key index old, and an answer that does not come must not hold up the next question.
fn follower(snapshot: &Snapshot, name: &StoreName) -> Result<Database, String> {
    apart(snapshot, name, |declared| stores::Store {
        max_connections: 2,
        operation_timeout: declared.operation_timeout.min(FOLLOW_TIMEOUT),
        ..stores::Store::clone(declared)
    })
}

/// A declared store as a home, behind connections of its own under limits of its own.
fn apart(
    snapshot: &Snapshot,
    name: &StoreName,
    limits: impl FnOnce(&stores::Store) -> stores::Store,
) -> Result<Database, String> {
    let declared = snapshot.settings.stores.get(name).ok_or_else(|| format!("the store {name} is not declared"))?;
    let store = Store::open(Arc::new(limits(declared))).map_err(|error| error.to_string())?;
    store.database().ok_or_else(|| format!("the store {name} cannot be a home"))
}

/// Whether a store of both settings has new connections.
pub(super) fn is_rebuilt(old: &Snapshot, new: &Snapshot, name: &StoreName) -> bool {
    matches!((old.stores.get(name), new.stores.get(name)), (Some(before), Some(now)) if !Arc::ptr_eq(before, now))
}
