//! What changes from one settings to the next, node by node, and how much each change costs. Pure.
//! Carrying it out is `runtime`.

use super::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

/// What a change of a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing: it says the same.
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

/// One node and what its change takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as `server` or `stores.main`.
    pub node: String,
    /// What it takes.
    pub effect: Effect,
}

/// The nodes of both settings, with what each takes; from nothing, everything is built.
#[must_use]
pub fn diff(running: Option<&Settings>, candidate: &Settings) -> Vec<Change> {
    let Some(running) = running else { return from_nothing(candidate) };
    let mut changes = vec![
        Change { node: "server".into(), effect: server(running, candidate) },
        one("admin", &running.admin, &candidate.admin),
        home("keys", &running.keys.store, &candidate.keys.store, running.keys == candidate.keys),
        home(
            "scheduler",
            &running.scheduler.store,
            &candidate.scheduler.store,
            running.scheduler == candidate.scheduler,
        ),
        one("telemetry", &running.telemetry, &candidate.telemetry),
    ];
    changes.extend(named("stores", &running.stores, &candidate.stores, Effect::Rebuild));
    changes.extend(named("workers", &running.workers, &candidate.workers, Effect::Hot));
    changes
}

fn from_nothing(candidate: &Settings) -> Vec<Change> {
    let fixed = ["server", "admin", "keys", "scheduler", "telemetry"].map(str::to_owned);
    let stores = candidate.stores.keys().map(|name| format!("stores.{name}"));
    let workers = candidate.workers.keys().map(|name| format!("workers.{name}"));
    fixed.into_iter().chain(stores).chain(workers).map(|node| Change { node, effect: Effect::Rebuild }).collect()
}

fn one<T: PartialEq>(node: &str, running: &T, candidate: &T) -> Change {
    let effect = if running == candidate { Effect::Unchanged } else { Effect::Hot };
    Change { node: node.to_owned(), effect }
}

/// Keys and ledger cannot move while they are in use.
fn home<T: PartialEq>(node: &str, running: &T, candidate: &T, same: bool) -> Change {
    let effect = match (running == candidate, same) {
        (false, _) => Effect::Restart,
        (true, false) => Effect::Hot,
        (true, true) => Effect::Unchanged,
    };
    Change { node: node.to_owned(), effect }
}

fn server(running: &Settings, candidate: &Settings) -> Effect {
    let (old, new) = (&running.server, &candidate.server);
    if old == new {
        Effect::Unchanged
    } else if old.data_dir != new.data_dir || overlaps(old.bind, new.bind) {
        Effect::Restart
    } else if old.bind != new.bind {
        Effect::Rebuild
    } else {
        Effect::Hot
    }
}

/// Another address on the same port where one of them covers the other: the new socket cannot be bound beside the old.
fn overlaps(old: std::net::SocketAddr, new: std::net::SocketAddr) -> bool {
    let covers = old.ip().is_unspecified() || new.ip().is_unspecified();
    old != new && old.port() == new.port() && old.port() != 0 && covers
}

fn named<K: Ord + Display + Clone, T: PartialEq>(
    section: &str,
    running: &BTreeMap<K, Arc<T>>,
    candidate: &BTreeMap<K, Arc<T>>,
    changed: Effect,
) -> Vec<Change> {
    let names: BTreeSet<&K> = running.keys().chain(candidate.keys()).collect();
    let effect = |name: &K| match (running.get(name), candidate.get(name)) {
        (Some(old), Some(new)) if old == new => Effect::Unchanged,
        _ => changed,
    };
    names.into_iter().map(|name| Change { node: format!("{section}.{name}"), effect: effect(name) }).collect()
}
