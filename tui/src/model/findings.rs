//! What an operator should look at: what the server finds itself, and what only somebody outside can see.
//! Each has a "since", and a place where its cause is shown.

use monolith_client::wire::{Health, ReloadOutcome, Severity, StoreState};
use serde::Serialize;

use super::ms;
use super::target::{Standing, Target, TokenState};
use crate::clock::{At, Now, rfc3339, unix_ms};
use crate::feed::{Condition, Feed, gist};
use crate::keymap::Screen;
use crate::words;

/// A token that ends sooner is worth a word.
const TOKEN_ENDS_SOON_MS: i64 = 10 * 60 * 1000;
/// How long a restart is news, and that a server was lost.
const RESTART_IS_NEWS: std::time::Duration = std::time::Duration::from_secs(5 * 60);
/// A share of failed requests that somebody should know about, where there are enough of them.
const FAILED_SHARE: f64 = 0.01;
const FAILED_SHARE_BAD: f64 = 0.05;
/// Below so many failed requests a second, a share says little.
const FAILED_MIN: f64 = 0.1;

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: String,
    pub(crate) severity: Severity,
    pub(crate) subject: String,
    /// Since when, in milliseconds since 1970 of the server's clock; for programs an instant like every other.
    #[serde(serialize_with = "as_instant")]
    pub(crate) since: Option<i64>,
    pub(crate) message: String,
}

fn as_instant<S: serde::Serializer>(since: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    since.map(rfc3339).serialize(serializer)
}

impl Finding {
    fn new(severity: Severity, code: &str, subject: &str, since: Option<i64>, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), severity, subject: subject.to_owned(), since, message: message.into() }
    }

    /// Where its cause is shown.
    pub(crate) fn screen(&self) -> Screen {
        let code = self.code.as_str();
        // A code begins with what it is about: `audit_spooled` is not about a pool.
        let is = |words: &[&str]| words.iter().any(|word| code.starts_with(word));
        match () {
            () if is(&["token"]) => Screen::Targets,
            () if is(&["route", "traffic", "metrics"]) => Screen::Traffic,
            () if is(&["reload", "config", "disk", "replica", "revision", "secret", "profile"]) => Screen::Config,
            // What is wrong with them stands in the finding; where they are set is among the values.
            () if is(&["certificate", "alert"]) => Screen::Config,
            () if is(&["worker", "run", "tick", "overdue", "ledger"]) => Screen::Workers,
            () if is(&["store", "pool", "database", "migration"]) => Screen::Stores,
            () if is(&["key", "revocation"]) => Screen::Keys,
            () if is(&["audit"]) => Screen::Audit,
            () => Screen::Messages,
        }
    }
}

/// All findings of a target, worst first and oldest first.
pub(crate) fn find(target: &Target, now: Now) -> Vec<Finding> {
    let mut found = Vec::new();
    let since = |at: At| Some(target.server_ms(now) - ms(now.at.saturating_sub(at)));
    reach(target, now, since(target.standing_since), &mut found);
    token(target, now, &mut found);
    if let Some(health) = target.health.shown(now.at).any() {
        of_health(health, &mut found);
    }
    traffic(target, now, &mut found);
    if target.skew_ms != 0 {
        let way = if target.skew_ms > 0 { "ahead of" } else { "behind" };
        let span = words::millis(target.skew_ms.unsigned_abs());
        let text = format!("the server's clock is {span} {way} this machine's");
        found.push(Finding::new(Severity::Warning, "clock_skew", "clock", None, text));
    }
    if let Some(at) = target.history.restarted_at.filter(|at| now.at.saturating_sub(*at) < RESTART_IS_NEWS) {
        found.push(Finding::new(Severity::Info, "restarted", "server", since(at), "the server started anew"));
    }
    if let Some((at, span)) = target.silent.filter(|(at, _)| now.at.saturating_sub(*at) < RESTART_IS_NEWS) {
        let text = format!("it was not heard for {}", words::counted(span));
        found.push(Finding::new(Severity::Info, "was_silent", "server", since(at), text));
    }
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.since.cmp(&b.since)));
    found
}

fn reach(target: &Target, now: Now, since: Option<i64>, found: &mut Vec<Finding>) {
    let why = target.health.trouble.as_ref().map_or("no answer", |trouble| trouble.why());
    match target.standing {
        Standing::Unreachable => {
            let since = feed_since(&target.health, target, now).or(since);
            found.push(Finding::new(Severity::Error, "unreachable", "server", since, why));
        }
        Standing::Unreadable => found.push(Finding::new(Severity::Error, "unreadable", "server", since, why)),
        Standing::Stale => {
            let age = target.health.age(now.at).map(words::counted).unwrap_or_default();
            let text = format!("nothing was heard for {age}; every figure is old");
            let heard = target.health.age(now.at).map(|age| target.server_ms(now) - ms(age));
            found.push(Finding::new(Severity::Error, "stale", "server", heard, text));
        }
        _ => {}
    }
    if target.metrics.condition(now.at) == Condition::Unreadable {
        let why = target.metrics.trouble.as_ref().map_or("", |trouble| trouble.why());
        let failing = feed_since(&target.metrics, target, now);
        found.push(Finding::new(Severity::Warning, "metrics_unreadable", "metrics", failing, why));
    }
}

fn feed_since<T>(feed: &Feed<T>, target: &Target, now: Now) -> Option<i64> {
    feed.failing_since.map(|at| target.server_ms(now) - ms(now.at.saturating_sub(at)))
}

fn token(target: &Target, now: Now, found: &mut Vec<Finding>) {
    if let Some(why) = target.token_trouble() {
        let since = feed_since(&target.whoami, target, now);
        let text = match &target.token {
            // Why there is none names the place already.
            TokenState::Missing(_) => format!("{}; `:login` looks for it again", gist(why)),
            // What comes after the reason is how a program would show one.
            _ => format!("{}: {}", gist(why).split(": ").next().unwrap_or_default(), target.token_advice),
        };
        found.push(Finding::new(Severity::Error, "token", "token", since, text));
        return;
    }
    let Some(whoami) = target.whoami.shown(now.at).any() else { return };
    match target.until(&whoami.expires_at, now) {
        Some(left) if left < TOKEN_ENDS_SOON_MS => {
            let span = words::counted(std::time::Duration::from_millis(left.unsigned_abs()));
            let text = match left {
                0.. => format!("your token ends in {span}"),
                // Servers are lenient for as long as clocks may differ.
                _ => format!("your token ended {span} ago"),
            };
            found.push(Finding::new(Severity::Warning, "token_ends", "token", None, text));
        }
        _ => {}
    }
}

/// What a health says, in full with a token and in short without.
fn of_health(health: &Health, found: &mut Vec<Finding>) {
    if let Some(findings) = &health.findings {
        found.extend(findings.iter().map(|finding| {
            Finding::new(finding.severity, &finding.code, &finding.subject, unix_ms(&finding.since), &finding.message)
        }));
        return;
    }
    for (name, state) in health.stores.iter().filter(|(_, state)| **state == StoreState::Down) {
        found.push(Finding::new(Severity::Error, "store_down", name, None, format!("the store is {state}")));
    }
    if health.config.disk_matches_running == Some(false) {
        let text = "the files on disk are not what runs";
        found.push(Finding::new(Severity::Warning, "config_disk_differs", "config", None, text));
    }
    let rejected = health.config.last_reload.as_ref().filter(|reload| reload.outcome == ReloadOutcome::Rejected);
    if let Some(reload) = rejected {
        let text = "the last reload was rejected";
        found.push(Finding::new(Severity::Error, "reload_rejected", "config", unix_ms(&reload.at), text));
    }
    for (count, code, text) in [
        (health.workers.failing, "worker_failing", "failed at its last run"),
        (health.workers.overdue, "worker_overdue", "is overdue"),
    ] {
        if count > 0 {
            let text = format!("{} {text}", words::count(usize::try_from(count).unwrap_or(usize::MAX), "worker"));
            found.push(Finding::new(Severity::Error, code, "workers", None, text));
        }
    }
}

fn traffic(target: &Target, now: Now, found: &mut Vec<Finding>) {
    if !target.metrics.shown(now.at).is_fresh() {
        return;
    }
    for route in target.history.routes.iter().filter(|route| route.failed >= FAILED_MIN) {
        let share = route.failed / route.requests;
        if share >= FAILED_SHARE {
            let severity = if share >= FAILED_SHARE_BAD { Severity::Error } else { Severity::Warning };
            let subject = format!("{} {}", route.method, route.route);
            let text = format!("{:.1} % of its requests are answered with 5xx", share * 100.0);
            let since = route.failing_since.map(|at| target.server_ms(now) - ms(now.at.saturating_sub(at)));
            found.push(Finding::new(severity, "route_failing", &subject, since, text));
        }
    }
}

#[cfg(test)]
mod tests;
