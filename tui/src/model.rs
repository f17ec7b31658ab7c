//! What was learnt about a server, as values: what is known, what is not served, and what could not be read.
//! No clock, no socket and no screen: the same values always mean the same.

use std::collections::BTreeMap;

use monolith_client::wire::{Finding, Health, HealthStatus, Key, KeyState, List, Severity, Store, StoreState, Worker};
use serde::Serialize;

use crate::metrics::Traffic;

/// The exit code of a token that was refused.
const UNAUTHORIZED: u8 = 5;

/// Everything that one round of questions taught.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Status {
    /// The address that was asked.
    pub(crate) server: String,
    /// What the server says of itself.
    pub(crate) health: Health,
    /// Its stores, with causes.
    pub(crate) stores: Part<Vec<Store>>,
    /// Its keys, counted.
    pub(crate) keys: Part<KeyCount>,
    /// Its workers.
    pub(crate) workers: Part<Vec<Worker>>,
    /// A few numbers of its metrics.
    pub(crate) traffic: Part<Traffic>,
}

/// One thing that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "answer", content = "value", rename_all = "snake_case")]
pub(crate) enum Part<T> {
    /// The server told.
    Known(T),
    /// The server does not have this route.
    NotServed,
    /// It was not asked, for want of a token.
    NeedsToken,
    /// It did not tell.
    Failed(Failed),
}

/// Why a part is not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Failed {
    /// In words.
    pub(crate) why: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// The exit code it leads to.
    pub(crate) exit_code: u8,
}

impl Failed {
    /// Whether telling both would tell one thing twice: a refused token names another request each time.
    fn is_same(&self, other: &Self) -> bool {
        self.why == other.why || (self.exit_code == UNAUTHORIZED && other.exit_code == UNAUTHORIZED)
    }
}

/// Keys by state.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct KeyCount {
    /// How many were seen.
    pub(crate) seen: usize,
    /// Whether there are more than were seen.
    pub(crate) more: bool,
    /// How many of those that were seen are in each state.
    pub(crate) states: BTreeMap<KeyState, usize>,
}

impl From<List<Key>> for KeyCount {
    fn from(list: List<Key>) -> Self {
        let mut count = Self { seen: list.items.len(), more: list.next.is_some(), states: BTreeMap::new() };
        for key in list.items {
            *count.states.entry(key.state).or_default() += 1;
        }
        count
    }
}

impl<T> Part<T> {
    fn failed(&self) -> Option<&Failed> {
        match self {
            Self::Failed(failed) => Some(failed),
            _ => None,
        }
    }
}

impl Status {
    /// 0 healthy, 1 degraded or down, else the code of the worst question that went wrong.
    pub(crate) fn exit_code(&self) -> u8 {
        let own = u8::from(self.health.status != HealthStatus::Ok);
        self.failures().iter().map(|failed| failed.exit_code).fold(own, u8::max)
    }

    /// The questions that went wrong, each reason once.
    pub(crate) fn failures(&self) -> Vec<&Failed> {
        let parts = [self.stores.failed(), self.keys.failed(), self.workers.failed(), self.traffic.failed()];
        let mut told: Vec<&Failed> = Vec::new();
        for failed in parts.into_iter().flatten() {
            if !told.iter().any(|other| other.is_same(failed)) {
                told.push(failed);
            }
        }
        told
    }

    /// What an operator should look at, worst first and oldest first; `None` where only a token would tell.
    pub(crate) fn findings(&self) -> Option<Vec<&Finding>> {
        let mut findings: Vec<_> = self.health.findings.as_ref()?.iter().collect();
        findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.since.cmp(&b.since)));
        Some(findings)
    }

    /// The stores with all that is known of them: the route, else the causes in the health, else the bare states.
    pub(crate) fn store_rows(&self) -> Vec<StoreRow> {
        if let Part::Known(stores) = &self.stores {
            return stores.iter().cloned().map(|store| (store.name.clone(), store.state, Some(store))).collect();
        }
        let details = self.health.store_details.as_ref();
        let row = |(name, &state): (&String, &StoreState)| {
            let store = details.and_then(|all| all.get(name)).cloned().map(|own| Store::new(name, state, own));
            (name.clone(), state, store)
        };
        self.health.stores.iter().map(row).collect()
    }
}

/// A store's name, its state, and the rest where it is known.
pub(crate) type StoreRow = (String, StoreState, Option<Store>);

/// How good or bad something is, for whoever draws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Doubtful,
    Bad,
    Quiet,
}

impl From<HealthStatus> for Tone {
    fn from(status: HealthStatus) -> Self {
        match status {
            HealthStatus::Ok => Self::Good,
            HealthStatus::Degraded => Self::Doubtful,
            HealthStatus::Down => Self::Bad,
        }
    }
}

impl From<StoreState> for Tone {
    fn from(state: StoreState) -> Self {
        match state {
            StoreState::Up => Self::Good,
            StoreState::Down => Self::Bad,
            StoreState::Unknown => Self::Doubtful,
        }
    }
}

impl From<Severity> for Tone {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Quiet,
            Severity::Warning => Self::Doubtful,
            Severity::Error => Self::Bad,
        }
    }
}

/// An instant without its date's `T` and its fraction: `2026-01-31 08:15:00`.
pub(crate) fn clock(time: &str) -> String {
    let whole = time.split_once('.').map_or(time.trim_end_matches('Z'), |(whole, _)| whole);
    whole.replacen('T', " ", 1)
}

/// Seconds in the two largest units: `3h 12m`.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Bytes in the unit that people read: `23.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..MIB => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / MIB as f64),
    }
}

#[cfg(test)]
pub(crate) mod tests;
