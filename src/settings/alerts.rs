//! Who is told of trouble, of which, and how: the meaning of `[alerts.*]` and of a worker's `alert`.
//! Noticing trouble and telling of it is `crate::alerts` and `crate::runtime`.

use super::compile::Compiler;
use super::request::Address;
use crate::config::written;
use crate::name::AlertName;
use crate::secret::Secret;
use http::{HeaderName, HeaderValue};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// After how many failures in a row a worker is told of where its `alert` does not say.
pub const AFTER_FAILURES: u32 = 3;
/// How long after a tick should have succeeded a worker is told of where its `alert` does not say.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(15 * 60);
/// Shorter than this, the ordinary lateness of a busy fleet would be an alarm.
const LEAST_OVERDUE: Duration = Duration::from_secs(1);
/// The header with the signature.
pub const SIGNATURE: &str = "x-monolith-signature";

/// One receiver, and what it is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: AlertName,
    /// Where to post.
    pub address: Address,
    /// The headers of the file, each marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What signs the body.
    pub signing_secret: Option<Secret>,
    /// What it is told of, beside the workers that name it.
    pub on: BTreeSet<Topic>,
}

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A worker fails or is overdue.
    Worker,
    /// A store is down.
    Store,
    /// A reload was rejected.
    Config,
    /// The key index is stale.
    Keys,
}

impl Topic {
    const ALL: [Self; 4] = [Self::Worker, Self::Store, Self::Config, Self::Keys];

    /// As it stands in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Store => "store",
            Self::Config => "config",
            Self::Keys => "keys",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == text)
    }
}

/// Whom a worker tells, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerAlert {
    /// The receiver.
    pub to: AlertName,
    /// After how many failures in a row.
    pub after_failures: u32,
    /// How long after a tick should have succeeded.
    pub overdue_after: Duration,
}

impl Compiler<'_> {
    pub(super) fn alerts(&mut self, declared: &BTreeMap<String, written::Alert>) -> BTreeMap<AlertName, Arc<Alert>> {
        let mut alerts = BTreeMap::new();
        for (text, written) in declared {
            let key = format!("alerts.{text}");
            match AlertName::parse(text) {
                Err(error) => self.error(&key, error.to_string()),
                Ok(name) => {
                    let alert = self.receiver(&key, name.clone(), written);
                    alerts.extend(alert.map(|alert| (name, Arc::new(alert))));
                }
            }
        }
        alerts
    }

    fn receiver(&mut self, key: &str, name: AlertName, written: &written::Alert) -> Option<Alert> {
        let on = self.topics(&format!("{key}.on"), &written.on);
        // That it is missing was told while reading.
        let webhook = written.webhook.as_ref()?;
        let at = format!("{key}.webhook");
        let signing_secret =
            webhook.signing_secret.as_deref().map(|name| self.secret(&format!("{at}.signing_secret"), name));
        let headers = self.headers(&format!("{at}.headers"), &webhook.headers, &mut Vec::new());
        let address = self.web_address(&format!("{at}.url"), webhook.url.as_ref()?)?;
        Some(Alert { name, address, headers, signing_secret: signing_secret.flatten(), on })
    }

    fn topics(&mut self, key: &str, words: &[String]) -> BTreeSet<Topic> {
        let mut topics = BTreeSet::new();
        for (n, word) in words.iter().enumerate() {
            match Topic::parse(word) {
                Some(topic) => drop(topics.insert(topic)),
                None => {
                    let known = Topic::ALL.map(Topic::as_str);
                    let message = format!("must be \"worker\", \"store\", \"config\" or \"keys\", found \"{word}\"");
                    self.error_with_nearest(&format!("{key}[{n}]"), message, word, &known);
                }
            }
        }
        topics
    }

    pub(super) fn worker_alert(&mut self, key: &str, written: Option<&written::WorkerAlert>) -> Option<WorkerAlert> {
        let written = written?;
        let alerts = &self.loaded.written.as_ref()?.alerts;
        let after_failures = written.after_failures.unwrap_or(AFTER_FAILURES);
        let overdue_after = written
            .overdue_after
            .as_deref()
            .map_or(OVERDUE_AFTER, |text| self.duration(&format!("{key}.overdue_after"), text, LEAST_OVERDUE));
        let after_failures = self.positive(&format!("{key}.after_failures"), after_failures);
        let to = written.to.as_deref()?;
        if !alerts.contains_key(to) {
            let known: Vec<&str> = alerts.keys().map(String::as_str).collect();
            let message = format!("no alert `{to}` is declared under [alerts]");
            self.error_with_nearest(&format!("{key}.to"), message, to, &known);
        }
        Some(WorkerAlert { to: AlertName::parse(to).ok()?, after_failures, overdue_after })
    }

    /// A receiver that is told of nothing was hardly meant so.
    pub(super) fn alerts_without_cause(&mut self, written: &written::Written) {
        for (name, alert) in &written.alerts {
            let named = written.workers.values().filter_map(|worker| worker.alert.as_ref()?.to.as_ref());
            if alert.on.is_empty() && !named.into_iter().any(|to| to == name) {
                let key = format!("alerts.{name}");
                let hint = "add on = [\"worker\", \"store\", \"config\", \"keys\"], or name it in a worker's alert";
                self.warn_with_hint(&key, "is told of nothing", hint);
            }
        }
    }
}
