//! One look at a server as values: what is known, what is not served, and what could not be read.
//! It is made from the model of the console, so that a script and a screen never disagree.

/// A drawn buffer as text, with colours or without.
pub(crate) mod paint;
/// Draws a status as high as it needs to be.
pub(crate) mod view;

use std::collections::BTreeMap;

use monolith_client::wire::{Finding, Health, HealthStatus, KeyState, Severity, Store, StoreState, Worker};
use serde::Serialize;

use crate::feed::{Feed, Trouble};
use crate::message::Keys;
use crate::metrics::Traffic;
use crate::model::target::Target;

/// The exit code of a token that was refused.
const UNAUTHORIZED: u8 = 5;

/// Everything that one round of questions taught.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Status {
    /// What the operator calls it.
    pub(crate) target: String,
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
    /// Why a question was not answered, for whoever sits at a shell.
    pub(crate) fn new(trouble: &Trouble, server: &str) -> Self {
        let (why, hint, exit_code) = match trouble {
            Trouble::Silent(why) => {
                let hint = "start it with `monolith`, or name another with --server URL";
                (format!("cannot reach {server}: {why}"), Some(hint), 4)
            }
            Trouble::Unauthorized(why) => {
                let hint = "make a fresh token with `monolith token create`";
                (format!("not authorized: {why}"), Some(hint), UNAUTHORIZED)
            }
            Trouble::Unreadable(why) => {
                let hint = "check that the address is Monolith's, and that no gateway answers for it";
                (why.clone(), Some(hint), 6)
            }
            other => (format!("refused: {}", other.why()), None, 1),
        };
        Self { why, hint: hint.map(str::to_owned), exit_code }
    }

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

impl From<&Keys> for KeyCount {
    fn from(keys: &Keys) -> Self {
        let mut count = Self { seen: keys.items.len(), more: keys.more, states: BTreeMap::new() };
        for key in &keys.items {
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
    /// What is known of a target, or why its health is not.
    pub(crate) fn of(target: &Target) -> Result<Self, Failed> {
        let failed = |trouble: &Trouble| Failed::new(trouble, &target.url);
        let Some(health) = target.health.value() else {
            let silent = Trouble::Silent("no answer".to_owned());
            return Err(failed(target.health.trouble.as_ref().unwrap_or(&silent)));
        };
        Ok(Self {
            target: target.name.clone(),
            server: target.url.clone(),
            health: health.clone(),
            stores: part(&target.stores, target, Vec::clone),
            keys: part(&target.keys, target, |keys| KeyCount::from(&**keys)),
            workers: part(&target.workers, target, Vec::clone),
            traffic: part(&target.metrics, target, |reading| reading.traffic.clone()),
        })
    }

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

fn part<T, U>(feed: &Feed<T>, target: &Target, take: impl FnOnce(&T) -> U) -> Part<U> {
    match (&feed.trouble, feed.value()) {
        (Some(Trouble::NotServed), _) => Part::NotServed,
        (Some(Trouble::NeedsToken), _) => Part::NeedsToken,
        (Some(trouble), _) => Part::Failed(Failed::new(trouble, &target.url)),
        (None, Some(value)) => Part::Known(take(value)),
        (None, None) => Part::NotServed,
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

#[cfg(test)]
pub(crate) mod tests;
