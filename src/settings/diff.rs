//! What changes from one settings to the next, node by node, and how much each change costs. Pure.
//! Carrying it out is `runtime`.

use super::stores::{Store, StoreKind};
use super::{Home, Settings};
use crate::config::compare::{KeyChange, Said, node_of};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

/// What a change of a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing: it means the same.
    Unchanged,
    /// The new value is used from now on.
    Hot,
    /// Something is opened anew beside the old one, and the old one retires.
    Rebuild,
    /// It cannot be done while running.
    Restart,
}

impl Effect {
    /// As it stands in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Hot => "hot",
            Self::Rebuild => "rebuild",
            Self::Restart => "restart",
        }
    }
}

/// One node that says something else, and what that takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Such as `server` or `stores.main`.
    pub node: String,
    /// What it takes.
    pub effect: Effect,
    /// The keys that say something else.
    pub keys: Vec<KeyChange>,
    /// The keys among them that cannot change while running.
    pub restarts: Vec<&'static str>,
}

/// Settings, and the text that they were read from.
#[derive(Debug, Clone, Copy)]
pub struct Meant<'a> {
    /// What was meant.
    pub settings: &'a Settings,
    /// What was said.
    pub said: Said<'a>,
}

/// The nodes that differ; from nothing, everything is built.
#[must_use]
pub fn diff(running: Option<Meant<'_>>, candidate: Meant<'_>) -> Vec<Change> {
    let Some(running) = running else { return from_nothing(candidate.settings) };
    let mut keys: BTreeMap<String, Vec<KeyChange>> = BTreeMap::new();
    for change in running.said.differences(&candidate.said) {
        keys.entry(node_of(&change.key).to_owned()).or_default().push(change);
    }
    let mut changes = effects(running.settings, candidate.settings);
    for secret in running.said.rotated(&candidate.said) {
        let uses = |change: &&mut Change| {
            let by_name = matches!(node_of(&change.node), "admin" | "keys" | "forward_auth") || !is_table(&change.node);
            change.effect != Effect::Unchanged && candidate.said.mentions(&change.node, secret, by_name)
        };
        let users: Vec<&mut Change> = changes.iter_mut().filter(uses).collect();
        if users.is_empty() {
            keys.entry(format!("secrets.{secret}")).or_default().push(KeyChange::of_secret(secret));
        }
        users.into_iter().for_each(|change| change.keys.push(KeyChange::of_secret(secret)));
    }
    for change in &mut changes {
        change.keys.splice(0..0, keys.remove(&change.node).unwrap_or_default());
    }
    // What no settings stand behind, such as where a secret comes from, is used from the next reading on.
    changes.extend(keys.into_iter().map(|(node, keys)| Change {
        node,
        effect: Effect::Hot,
        keys,
        restarts: Vec::new(),
    }));
    changes.retain(|change| change.effect != Effect::Unchanged || !change.keys.is_empty());
    changes
}

fn is_table(node: &str) -> bool {
    node.starts_with("stores.") || node.starts_with("workers.")
}

fn from_nothing(candidate: &Settings) -> Vec<Change> {
    let fixed = ["server", "admin", "keys", "scheduler", "telemetry"].map(str::to_owned);
    let stores = candidate.stores.keys().map(|name| format!("stores.{name}"));
    let workers = candidate.workers.keys().map(|name| format!("workers.{name}"));
    fixed.into_iter().chain(stores).chain(workers).map(|node| Change::new(node, Effect::Rebuild)).collect()
}

impl Change {
    const fn new(node: String, effect: Effect) -> Self {
        Self { node, effect, keys: Vec::new(), restarts: Vec::new() }
    }
}

/// All nodes of both settings and what each takes.
fn effects(running: &Settings, candidate: &Settings) -> Vec<Change> {
    let (old, new) = (running, candidate);
    let mut changes = vec![
        server(running, candidate),
        one("admin", &old.admin, &new.admin),
        home(one("keys", &old.keys, &new.keys), "keys.store", (&old.keys.store, &new.keys.store)),
        home(
            one("scheduler", &old.scheduler, &new.scheduler),
            "scheduler.store",
            (&old.scheduler.store, &new.scheduler.store),
        ),
        one("forward_auth", &old.forward_auth, &new.forward_auth),
        one("telemetry", &old.telemetry, &new.telemetry),
    ];
    changes.extend(named("stores", &old.stores, &new.stores, store));
    changes.extend(named("policies", &old.policies, &new.policies, |_, _| Effect::Hot));
    changes.extend(named("alerts", &old.alerts, &new.alerts, |_, _| Effect::Hot));
    changes.extend(named("workers", &old.workers, &new.workers, |_, _| Effect::Hot));
    changes
}

fn one<T: PartialEq>(node: &str, running: &T, candidate: &T) -> Change {
    Change::new(node.to_owned(), if running == candidate { Effect::Unchanged } else { Effect::Hot })
}

/// Keys and ledger cannot move while they are in use.
fn home(mut change: Change, key: &'static str, (old, new): (&Home, &Home)) -> Change {
    if old != new {
        change.effect = Effect::Restart;
        change.restarts.push(key);
    }
    change
}

fn server(running: &Settings, candidate: &Settings) -> Change {
    let (old, new) = (&running.server, &candidate.server);
    let mut change = one("server", old, new);
    if old.moves(new) {
        change.effect = Effect::Rebuild;
    }
    change.restarts = old.restarts(new);
    if !change.restarts.is_empty() {
        change.effect = Effect::Restart;
    }
    change
}

fn named<K: Ord + Display + Clone, T: PartialEq>(
    section: &str,
    running: &BTreeMap<K, Arc<T>>,
    candidate: &BTreeMap<K, Arc<T>>,
    changed: impl Fn(&T, &T) -> Effect,
) -> Vec<Change> {
    let names: BTreeSet<&K> = running.keys().chain(candidate.keys()).collect();
    let effect = |name: &K| match (running.get(name), candidate.get(name)) {
        (Some(old), Some(new)) if old == new => Effect::Unchanged,
        (Some(old), Some(new)) => changed(old, new),
        // What comes is opened, what goes is closed; a worker is neither.
        _ if section == "stores" => Effect::Rebuild,
        _ => Effect::Hot,
    };
    names.into_iter().map(|name| Change::new(format!("{section}.{name}"), effect(name))).collect()
}

fn store(old: &Store, new: &Store) -> Effect {
    if keeps_connections(old, new) { Effect::Hot } else { Effect::Rebuild }
}

/// Whether the connections of one store serve as well for what another says: then only the rules around them change.
#[must_use]
pub fn keeps_connections(old: &Store, new: &Store) -> bool {
    let pool = |store: &Store| (store.max_connections, store.connect_timeout);
    let same_limit = old.operation_timeout == new.operation_timeout;
    let same_place = match (&old.kind, &new.kind) {
        // The limit of a statement stands around the pool, not in it.
        (StoreKind::Postgres { url: a, pooler: p, .. }, StoreKind::Postgres { url: b, pooler: q, .. }) => {
            a == b && p == q
        }
        // These hold the limit inside: a busy time-out, a driver's own.
        (StoreKind::Sqlite { file: a, .. }, StoreKind::Sqlite { file: b, .. }) => a == b && same_limit,
        (StoreKind::Redis { url: a }, StoreKind::Redis { url: b })
        | (StoreKind::Mongodb { url: a }, StoreKind::Mongodb { url: b }) => a == b && same_limit,
        _ => false,
    };
    same_place && pool(old) == pool(new)
}

#[cfg(test)]
mod tests;
