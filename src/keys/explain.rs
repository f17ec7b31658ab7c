//! Why a key is good or is not, step by step in the order in which it is judged, for whoever operates it.
//! Pure, and without effect: nothing is counted, and nothing is told of a secret.

use super::format::parse;
use super::hash::{Covers, KeyHash};
use super::index::Index;
use super::limit::Standing;
use super::record::{KeyState, Record};
use super::verify::{Need, Verdict, rate_for};
use crate::clock::{Timestamp, write_duration};
use crate::name::Kid;
use crate::settings::keys::{Keys as Rules, OnStale};
use std::sync::Arc;

/// Which key is asked about.
#[derive(Debug, Clone, Copy)]
pub enum WhichKey<'a> {
    /// A whole key.
    Text(&'a str),
    /// A key by its id; then its text is not judged.
    Kid(&'a Kid),
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `format`, `record`, `secret`, `freshness`, `state`, `ip`, `scope` or `rate`.
    pub name: &'static str,
    /// What came of it.
    pub outcome: StepOutcome,
    /// Why.
    pub detail: String,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// It speaks for the key.
    Passed,
    /// It is why the key is refused.
    Refused,
    /// It was not asked: a step before it refused, or it does not apply.
    Skipped,
}

/// Why a key is good or is not.
#[derive(Debug)]
pub struct Explanation {
    /// What a use of it would be answered.
    pub verdict: Verdict,
    /// Every step.
    pub steps: Vec<Step>,
}

/// What a key is judged by.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) index: &'a Index,
    pub(super) rules: &'a Rules,
    pub(super) need: Need<'a>,
    pub(super) now: Timestamp,
}

/// Tells every step; `standing` is where the key stands with its limit, if it came so far.
pub(super) fn told(which: WhichKey<'_>, standing: Option<Standing>, ground: Ground<'_>) -> Vec<Step> {
    let mut story = Story(Vec::new());
    let record = match which {
        WhichKey::Text(text) => story.text(text, ground),
        WhichKey::Kid(kid) => story.kid(kid, ground),
    };
    let Some(record) = record else {
        ["freshness", "state", "ip", "scope", "rate"].into_iter().for_each(|name| story.unasked(name));
        return story.0;
    };
    story.freshness(ground);
    story.state(&record, ground.now);
    story.ip(&record, ground.need);
    story.scope(&record, ground.need);
    story.rate(&record, ground.need, standing);
    story.0
}

struct Story(Vec<Step>);

impl Story {
    fn is_over(&self) -> bool {
        self.0.iter().any(|step| step.outcome == StepOutcome::Refused)
    }

    /// Adds a step, unless one before it has refused already.
    fn step(&mut self, name: &'static str, judged: Result<String, String>) {
        let (outcome, detail) = match judged {
            _ if self.is_over() => return self.unasked(name),
            Ok(detail) => (StepOutcome::Passed, detail),
            Err(detail) => (StepOutcome::Refused, detail),
        };
        self.0.push(Step { name, outcome, detail });
    }

    fn skip(&mut self, name: &'static str, detail: &str) {
        self.0.push(Step { name, outcome: StepOutcome::Skipped, detail: detail.to_owned() });
    }

    fn unasked(&mut self, name: &'static str) {
        self.skip(name, "a step before it refused");
    }

    fn kid(&mut self, kid: &Kid, ground: Ground<'_>) -> Option<Arc<Record>> {
        self.skip("format", "asked by id: the text of the key is not known here");
        let record = ground.index.get(kid.as_str());
        self.step("record", record.as_ref().map(|_| found(kid)).ok_or_else(|| unknown(ground)));
        self.skip("secret", "asked by id");
        record
    }

    fn text(&mut self, text: &str, ground: Ground<'_>) -> Option<Arc<Record>> {
        let Ok(key) = parse(text) else { return self.foreign(text, ground) };
        self.step("format", Ok(format!("a key of the environment {}", key.environment.as_str())));
        let record = ground.index.get(key.kid);
        self.step("record", record.as_ref().map(|record| found(&record.kid)).ok_or_else(|| unknown(ground)));
        let secret = record.as_ref().map_or_else(
            || Err(String::new()),
            |record| {
                let rules = ground.rules;
                match &record.hash {
                    None => Err("the key was not issued here: it has no hash of ours".into()),
                    Some(hash) if !hash.matches(Covers::Secret, key.secret, &rules.peppers) => {
                        Err(match &hash.pepper {
                            Some(id) if !rules.peppers.iter().any(|pepper| pepper.id == *id) => {
                                format!(
                                    "its hash was made with the pepper `{id}`, which keys.pepper does not name any more"
                                )
                            }
                            _ => "the secret is another one".into(),
                        })
                    }
                    Some(_)
                        if key.environment != rules.environment || record.environment != Some(rules.environment) =>
                    {
                        Err(format!("this is a key of another environment; here is {}", rules.environment.as_str()))
                    }
                    Some(_) => Ok("the secret is right".into()),
                }
            },
        );
        self.step("secret", secret);
        record.filter(|_| !self.is_over())
    }

    fn foreign(&mut self, text: &str, ground: Ground<'_>) -> Option<Arc<Record>> {
        if !ground.index.may_be_foreign(text) {
            self.step("format", Err("it does not have the form of a key, or was mistyped".into()));
            ["record", "secret"].into_iter().for_each(|name| self.unasked(name));
            return None;
        }
        self.step("format", Ok("not one of ours; keys that were issued elsewhere are looked for".into()));
        let record = KeyHash::of_whole(text, &ground.rules.peppers).find_map(|hash| ground.index.by_hash(&hash));
        self.step("record", record.as_ref().map(|record| found(&record.kid)).ok_or_else(|| unknown(ground)));
        let ours = record.as_ref().is_some_and(|record| record.environment == Some(ground.rules.environment));
        self.step(
            "secret",
            if ours { Ok("found by its hash".into()) } else { Err("a key of another environment".into()) },
        );
        record.filter(|_| !self.is_over())
    }

    fn freshness(&mut self, ground: Ground<'_>) {
        let longest = write_duration(ground.rules.max_staleness);
        let judged = match (ground.index.age(), ground.rules.on_stale) {
            (None, _) => Err("the index was never loaded".into()),
            (Some(age), _) if age <= ground.rules.max_staleness => {
                Ok(format!("the index was proved {} ms ago", age.as_millis()))
            }
            (Some(_), OnStale::Allow) => {
                Ok(format!("the index is older than {longest}, and keys.on_stale is \"allow\""))
            }
            (Some(_), OnStale::Deny) => Err(format!("the index is older than {longest} (keys.max_staleness)")),
        };
        self.step("freshness", judged);
    }

    fn state(&mut self, record: &Record, now: Timestamp) {
        let since = |at: Option<Timestamp>| at.map_or_else(String::new, |at| format!(" at {at}"));
        let until = |at: Option<Timestamp>| at.map_or_else(String::new, |at| format!(" until {at}"));
        let judged = match record.state(now) {
            KeyState::Active => Ok(format!("it is active{}", until(record.expires_at))),
            KeyState::Retiring => Ok(format!("it was rotated, and is good{}", until(record.rare.grace_until))),
            KeyState::Revoked => {
                let why = record.rare.revoke_reason.as_deref().map_or_else(String::new, |why| format!(": {why}"));
                Err(format!("it was revoked{}{why}", since(record.rare.revoked_at)))
            }
            KeyState::Disabled => Err(format!("it was switched off{}", since(record.rare.disabled_at))),
            KeyState::Expired => {
                let end = record.rare.grace_until.into_iter().chain(record.expires_at).min();
                Err(format!("its time was over{}", since(end)))
            }
        };
        self.step("state", judged);
    }

    fn ip(&mut self, record: &Record, need: Need<'_>) {
        if record.rare.ip_allow.is_empty() {
            return self.step("ip", Ok("it may be used from anywhere".into()));
        }
        let networks: Vec<String> = record.rare.ip_allow.iter().map(ToString::to_string).collect();
        let networks = networks.join(", ");
        self.step(
            "ip",
            match need.ip {
                None => Err(format!("it may be used from {networks}, and nobody said from where it is used")),
                Some(ip) if record.allows_from(ip) => Ok(format!("{ip} is among {networks}")),
                Some(ip) => Err(format!("{ip} is not among {networks}")),
            },
        );
    }

    fn scope(&mut self, record: &Record, need: Need<'_>) {
        let by_policy = need.policy.map(|policy| policy.scopes.as_slice()).unwrap_or_default();
        let wanted: Vec<&String> = need.scopes.iter().chain(by_policy).collect();
        let missing: Vec<&str> =
            wanted.iter().filter(|scope| !record.has_scopes(&[scope])).map(|scope| scope.as_str()).collect();
        self.step(
            "scope",
            match (wanted.is_empty(), missing.is_empty()) {
                (true, _) => Ok("none is asked for".into()),
                (false, true) => Ok("it has all that are asked for".into()),
                (false, false) => Err(format!("it lacks {}", missing.join(", "))),
            },
        );
    }

    fn rate(&mut self, record: &Record, need: Need<'_>, standing: Option<Standing>) {
        let Some((rate, by_policy)) = rate_for(record, need.policy) else {
            return self.step("rate", Ok("it has no limit".into()));
        };
        let whose = if by_policy { "of the policy" } else { "of the key" };
        self.step(
            "rate",
            match standing {
                Some(standing) if !standing.allowed => {
                    let wait = standing.retry_after.as_millis();
                    Err(format!("the limit {whose}, {rate}, is used up; the next use is allowed in {wait} ms"))
                }
                Some(standing) => Ok(format!("{} uses are left within the limit {whose}, {rate}", standing.remaining)),
                None => Ok(format!("limited by {rate}, {whose}")),
            },
        );
    }
}

fn found(kid: &Kid) -> String {
    format!("the key {kid} is known")
}

fn unknown(ground: Ground<'_>) -> String {
    match ground.index.age() {
        Some(age) if age <= super::verify::FRESH => "nobody knows such a key".into(),
        _ => "this replica does not know such a key, but its index is not fresh: another one may".into(),
    }
}
