//! When each worker is due next, in UTC and on the wall clock of its zone: what a cron expression means is seen here before
//! it is deployed. The ticks are the scheduler's own.

use crate::cli::report;
use crate::cli::wall::local;
use crate::clock::Timestamp;
use crate::settings::Settings;
use crate::settings::workers::Worker;
use crate::work::TICKS_FORETOLD;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

/// One tick and how the worker's own clock shows it; `None` where that is UTC.
type Tick = (Timestamp, Option<String>);

/// The next ticks of the enabled workers, as a table on standard output.
pub(super) fn print(settings: &Settings, now: Timestamp) {
    let mut rows = Vec::new();
    for worker in enabled(settings) {
        let mut begins = [worker.name.to_string(), worker.schedule.describe()];
        for (tick, wall) in next(worker, now) {
            let [name, schedule] = std::mem::take(&mut begins);
            rows.push([name, schedule, tick.to_string(), wall.unwrap_or_else(|| "-".to_owned())]);
        }
    }
    if !rows.is_empty() {
        report::table(["WORKER", "SCHEDULE", "NEXT", "LOCAL"], rows.into_iter());
    }
}

/// The same for programs: by worker.
pub(super) fn document(settings: &Settings, now: Timestamp) -> Map<String, Value> {
    let shown = |worker: &Worker| {
        let ticks = next(worker, now).into_iter().map(|(at, local)| json!({ "at": at.to_string(), "local": local }));
        let next = ticks.collect::<Vec<_>>();
        json!({ "schedule": worker.schedule.describe(), "timezone": worker.schedule.timezone(), "next": next })
    };
    enabled(settings).map(|worker| (worker.name.to_string(), shown(worker))).collect()
}

fn enabled(settings: &Settings) -> impl Iterator<Item = &Worker> {
    settings.workers.values().map(AsRef::as_ref).filter(|worker| worker.enabled)
}

fn next(worker: &Worker, now: Timestamp) -> Vec<Tick> {
    let zone = worker.schedule.timezone().filter(|name| *name != "UTC").and_then(|name| TimeZone::get(name).ok());
    let ticks = worker.schedule.next_n(now, TICKS_FORETOLD).into_iter();
    ticks.map(|tick| (tick, zone.as_ref().map(|zone| local(tick, zone)))).collect()
}
