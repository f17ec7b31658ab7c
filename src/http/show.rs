//! From the program's own types to the wire types, and nothing else.
//! Whatever goes out here was masked before.

use crate::clock::Timestamp;
use crate::config::compare::KeyChange;
use crate::keys::Standing;
use crate::problem::{Place, Problem};
use crate::runtime::report::{Ending, Report, Trigger};
use crate::settings::diff::Effect;
use crate::settings::keys::Environment;
use crate::store::{Store, health::State};
use monolith_client::wire;
use std::time::Duration;

pub(super) fn time(instant: Timestamp) -> String {
    instant.to_string()
}

pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn problem(problem: &Problem) -> wire::Problem {
    let mut shown = wire::Problem::new(problem.key.clone(), problem.message.clone());
    shown.hint.clone_from(&problem.hint);
    match &problem.place {
        Place::File { path, line, column } => {
            shown.file = Some(path.clone());
            shown.line = u32::try_from(*line).ok();
            shown.column = u32::try_from(*column).ok();
        }
        Place::Env(name) => shown.env = Some(name.clone()),
        Place::Flag(flag) => shown.file = Some(flag.clone()),
        Place::Nowhere => {}
    }
    shown
}

pub(super) fn outcome(report: &Report) -> wire::Outcome {
    wire::Outcome {
        attempt: report.attempt,
        outcome: ending(report.ending),
        generation: report.generation,
        hash: report.hash.clone(),
        trigger: trigger(report.trigger),
        actor: report.actor.clone(),
        at: time(report.at),
        duration_ms: millis(report.took),
        nodes: report
            .nodes
            .iter()
            .map(|node| wire::NodeOutcome {
                node: node.node.clone(),
                effect: effect(node.effect),
                error: node.error.clone(),
            })
            .collect(),
        problems: report.problems.iter().map(problem).collect(),
    }
}

pub(super) const fn ending(ending: Ending) -> wire::ReloadOutcome {
    match ending {
        Ending::Applied => wire::ReloadOutcome::Applied,
        Ending::Unchanged => wire::ReloadOutcome::Unchanged,
        Ending::Rejected => wire::ReloadOutcome::Rejected,
    }
}

pub(super) const fn trigger(trigger: Trigger) -> wire::Trigger {
    match trigger {
        Trigger::Start => wire::Trigger::Start,
        Trigger::File => wire::Trigger::File,
        Trigger::Secret => wire::Trigger::Secret,
        Trigger::Signal => wire::Trigger::Signal,
        Trigger::Api => wire::Trigger::Api,
    }
}

pub(super) fn change(node: &str, effect: Effect, keys: &[KeyChange]) -> wire::Change {
    let value = |change: &KeyChange| wire::ValueChange {
        key: change.key.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        secret: change.secret,
    };
    wire::Change {
        node: node.to_owned(),
        effect: self::effect(effect),
        keys: keys.iter().map(|change| change.key.clone()).collect(),
        values: keys.iter().map(value).collect(),
    }
}

const fn effect(effect: Effect) -> wire::NodeEffect {
    match effect {
        Effect::Unchanged => wire::NodeEffect::Unchanged,
        Effect::Hot => wire::NodeEffect::Hot,
        Effect::Rebuild => wire::NodeEffect::Rebuild,
        Effect::Restart => wire::NodeEffect::Restart,
    }
}

pub(super) const fn store_state(state: State) -> wire::StoreState {
    match state {
        State::Up => wire::StoreState::Up,
        State::Down => wire::StoreState::Down,
        State::Unknown => wire::StoreState::Unknown,
    }
}

pub(super) fn store(store: &Store) -> wire::StoreDetails {
    use crate::settings::stores::StoreKind;
    let (settings, health) = (store.settings(), store.health());
    wire::StoreDetails {
        kind: match settings.kind {
            StoreKind::Postgres { .. } => wire::StoreKind::Postgres,
            StoreKind::Sqlite { .. } => wire::StoreKind::Sqlite,
            StoreKind::Redis { .. } => wire::StoreKind::Redis,
            StoreKind::Mongodb { .. } => wire::StoreKind::Mongodb,
        },
        required: settings.required,
        since: Some(time(health.since)),
        latency_ms: health.latency.map(millis),
        error: health.error,
        pool: store.pool_size().map(|(size, idle)| wire::Pool { size: u64::from(size), idle: u64::from(idle) }),
    }
}

pub(super) const fn environment(environment: Environment) -> wire::Environment {
    match environment {
        Environment::Test => wire::Environment::Test,
        Environment::Live => wire::Environment::Live,
    }
}

/// Where a key stands with its limit.
pub(super) fn standing(standing: Standing) -> wire::RateLimit {
    wire::RateLimit {
        limit: u64::from(standing.limit),
        remaining: u64::from(standing.remaining),
        reset_ms: millis(standing.reset),
    }
}
