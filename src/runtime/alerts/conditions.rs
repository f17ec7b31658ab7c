//! From what is known of stores, keys, settings and workers to what is wrong, and to whom it is told.
//! It waits for nothing and asks nobody; the limits of a worker are those of its `alert`.

use super::super::report::Ending;
use super::super::{App, Part};
use crate::alerts::incident::{Incident, Trouble, What};
use crate::clock::{Timestamp, write_duration};
use crate::name::{AlertName, WorkerName};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::settings::alerts::{AFTER_FAILURES, OVERDUE_AFTER, Topic};
use crate::settings::schedule::Schedule;
use crate::settings::workers::Worker;
use crate::store::health::State;
use crate::work::{WorkerState, WorkerView};
use std::collections::HashMap;
use std::time::Duration;

/// How old the key index gets before somebody is told: ten times what a replica takes without any accelerator.
const STALE_AFTER: Duration = Duration::from_secs(20);

/// Looks for trouble, and remembers what the ledger does not tell.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// Until when a worker was seen paused, or held by another declaration: its ticks up to then were not to succeed.
    excused: HashMap<WorkerName, Timestamp>,
}

impl Watcher {
    /// What is wrong now, once for each receiver that wants to know.
    pub(super) fn look(&mut self, app: &App, settings: &Settings, workers: &[WorkerView]) -> Vec<Incident> {
        let now = Timestamp::now();
        let mut incidents = Vec::new();
        for (topic, trouble) in stores(app).chain(config(app)).chain(keys(app, now)) {
            let told = settings.alerts.values().filter(|alert| alert.on.contains(&topic));
            incidents.extend(told.map(|alert| Incident { alert: alert.name.clone(), trouble: trouble.clone() }));
        }
        self.excused.retain(|name, _| settings.workers.contains_key(name));
        for view in workers {
            let Some(worker) = settings.workers.get(&view.name) else { continue };
            if !matches!(view.state, WorkerState::Idle | WorkerState::Running) {
                self.excused.insert(view.name.clone(), now);
                continue;
            }
            let troubles = wrong_with(worker, view, self.excused.get(&view.name).copied(), now);
            incidents.extend(troubles.into_iter().flat_map(|trouble| addressed(settings, worker, &trouble)));
        }
        incidents
    }
}

/// A worker's trouble is told to whom it names and to everybody who wants to know of workers.
fn addressed(settings: &Settings, worker: &Worker, trouble: &Trouble) -> Vec<Incident> {
    let named = |name: &AlertName| worker.alert.as_ref().is_some_and(|alert| alert.to == *name);
    let told = settings.alerts.values().filter(|alert| alert.on.contains(&Topic::Worker) || named(&alert.name));
    told.map(|alert| Incident { alert: alert.name.clone(), trouble: trouble.clone() }).collect()
}

fn wrong_with(worker: &Worker, view: &WorkerView, excused: Option<Timestamp>, now: Timestamp) -> Vec<Trouble> {
    let (failures, late) = worker
        .alert
        .as_ref()
        .map_or((AFTER_FAILURES, OVERDUE_AFTER), |alert| (alert.after_failures, alert.overdue_after));
    let subject = format!("workers.{}", worker.name);
    let mut troubles = Vec::new();
    if view.consecutive_failures >= failures {
        let last = view.last_run.as_ref();
        let why = last.and_then(|run| run.error.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("{} failed {} times in a row{why}", worker.name, view.consecutive_failures);
        let since = last.and_then(|run| run.finished_at).unwrap_or(now);
        troubles.push(Trouble { what: What::WorkerFailing, subject: subject.clone(), since, message });
    }
    let since = [view.last_success_at, view.scheduled_since, excused].into_iter().flatten().max();
    if let Some(tick) = overdue(&worker.schedule, since, late + worker.policy.jitter, now) {
        let message = format!("{} should have succeeded for its tick of {tick}, and has not", worker.name);
        troubles.push(Trouble { what: What::WorkerOverdue, subject, since: tick, message });
    }
    troubles
}

/// The first tick after an instant up to which all was well, where no success came in time. Up to then a worker had succeeded,
/// had another schedule, or was not to run.
fn overdue(schedule: &Schedule, since: Option<Timestamp>, late: Duration, now: Timestamp) -> Option<Timestamp> {
    let tick = schedule.next_after(since?)?;
    (tick.after(late) < now).then_some(tick)
}

fn stores(app: &App) -> impl Iterator<Item = (Topic, Trouble)> {
    let snapshot = app.snapshot.load_full();
    let down: Vec<_> = snapshot
        .stores
        .iter()
        .map(|(name, store)| (name, store.health()))
        .filter(|(_, health)| health.state == State::Down)
        .map(|(name, health)| {
            let message = format!("{name} is down: {}", health.error.unwrap_or_default());
            let subject = format!("stores.{name}");
            (Topic::Store, Trouble { what: What::StoreDown, subject, since: health.since, message })
        })
        .collect();
    down.into_iter()
}

fn config(app: &App) -> impl Iterator<Item = (Topic, Trouble)> {
    let rejected = app.last_reload().filter(|report| report.ending == Ending::Rejected);
    rejected.into_iter().map(|report| {
        let first = report.problems.first().map(Problem::to_string).unwrap_or_default();
        let message = format!("the last reload was rejected, generation {} keeps running: {first}", report.generation);
        (
            Topic::Config,
            Trouble { what: What::ConfigRejected, subject: "config".into(), since: app.disk().since, message },
        )
    })
}

fn keys(app: &App, now: Timestamp) -> impl Iterator<Item = (Topic, Trouble)> {
    let age = app.keys.age().filter(|age| app.part == Part::Serve && app.has_keys() && *age >= STALE_AFTER);
    age.into_iter().map(move |age| {
        let message =
            format!("the key index was not proved fresh for {}", write_duration(Duration::from_secs(age.as_secs())));
        let since = now.before(age);
        (Topic::Keys, Trouble { what: What::KeyIndexStale, subject: "keys".into(), since, message })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_that_nobody_answered_in_time_makes_its_worker_overdue() {
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let hourly = Schedule::every(Duration::from_secs(3_600)).unwrap();
        let late = Duration::from_secs(15 * 60);
        let judged = |since, now| overdue(&hourly, since, late, at(now));
        assert_eq!(judged(Some(at(61)), 135), None, "the tick of two o'clock has fifteen minutes");
        assert_eq!(judged(Some(at(61)), 136), Some(at(120)));
        assert_eq!(judged(Some(at(61)), 6_000), Some(at(120)), "told since the first, however long it lasts");
        assert_eq!(judged(Some(at(119)), 134), None);
        assert_eq!(judged(None, 6_000), None, "nobody has ever stood for it");
    }
}
