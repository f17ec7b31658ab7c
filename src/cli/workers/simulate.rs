//! `workers simulate`: the ticks of a worker over any period, through daylight saving and an outage, from the file alone.
//! No server is asked; the rules are the ledger's own.

use crate::cli::at::{Output, json, or_dash};
use crate::cli::report::{self, Failure};
use crate::cli::wall::{Moment, clock_change, local};
use crate::clock::Timestamp;
use crate::config::{self, Sources};
use crate::settings;
use crate::settings::workers::Worker;
use crate::work::{Fate, Foretold, Outage, foretell};
use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  monolith workers simulate nightly_report --from 2026-03-07 --to 2026-03-10\n  \
                        monolith workers simulate sync --from now --to +6h --outage +1h..+3h\n\n\
                        JSON: a list of {from, to, count, local, starts_at, outcome, note}; outcome is on_time, late, \
                        caught_up or missed.")]
pub(in crate::cli) struct Simulate {
    /// The worker.
    name: String,
    /// The first instant, included: RFC 3339, a date in the worker's zone, now, or +6h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Moment,
    /// The last instant, excluded.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Moment,
    /// A time in which no process runs workers.
    #[arg(long, value_name = "FROM..TO", value_parser = range, allow_hyphen_values = true)]
    outage: Option<(Moment, Moment)>,
    /// The zone in which local times are told [default: the worker's].
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    tz: Option<TimeZone>,
    /// How many lines at most.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line {
    from: String,
    to: String,
    count: u64,
    local: String,
    starts_at: Option<String>,
    outcome: &'static str,
    note: Option<String>,
}

impl Simulate {
    pub(in crate::cli) fn run(self, sources: &Sources, output: Output) -> Result<ExitCode, Failure> {
        let worker = self.worker(sources)?;
        let own = worker.schedule.timezone().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        let (from, to) = ordered("--to", (self.from.in_zone(&own), self.to.in_zone(&own)))?;
        let outage = self.outage.map(|(from, to)| ordered("--outage", (from.in_zone(&own), to.in_zone(&own))));
        let outage = outage.transpose()?.map(|(from, to)| Outage { from, to });
        // One more than is printed tells whether there are more.
        let mut told = foretell(&worker, (from, to), outage, self.limit.saturating_add(1));
        if told.len() > self.limit {
            told.truncate(self.limit);
            report::words("note: there are more; raise --limit\n");
        }
        if !worker.enabled {
            report::words(format_args!(
                "note: {} is switched off (enabled = false): none of this happens\n",
                self.name
            ));
        }
        let zone = self.tz.as_ref().unwrap_or(&own);
        let lines: Vec<Line> = told.iter().map(|tick| line(tick, zone)).collect();
        match output {
            Output::Json => json(&lines)?,
            Output::Text => print(&lines, zone),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn worker(&self, sources: &Sources) -> Result<Arc<Worker>, Failure> {
        let loaded = config::load(sources);
        let (settings, _) =
            settings::compile(&loaded, Timestamp::now()).map_err(|problems| Failure::configuration(&problems))?;
        let found = settings.workers.iter().find(|(name, _)| name.as_str() == self.name).map(|(_, worker)| worker);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = settings.workers.keys().map(crate::name::WorkerName::as_str).collect();
            let failure = Failure::failed(format!("there is no worker `{}` in the configuration", self.name));
            if known.is_empty() { failure } else { failure.hint(format!("declared are: {}", known.join(", "))) }
        })
    }
}

fn line(tick: &Foretold, zone: &TimeZone) -> Line {
    let (outcome, starts) = match tick.fate {
        Fate::OnTime(at) => ("on_time", Some(at)),
        Fate::Late(at) => ("late", Some(at)),
        Fate::CaughtUp(at) => ("caught_up", Some(at)),
        Fate::Missed => ("missed", None),
    };
    Line {
        from: tick.from.to_string(),
        to: tick.to.to_string(),
        count: tick.count,
        local: local(tick.from, zone),
        starts_at: starts.map(|at| at.to_string()),
        outcome,
        note: clock_change(tick.from, zone),
    }
}

fn print(lines: &[Line], zone: &TimeZone) {
    let rows = lines.iter().map(|line| {
        let outcome = if line.count == 1 {
            line.outcome.to_owned()
        } else {
            format!("{} {} to {}", line.count, line.outcome, line.to)
        };
        let note = line.note.clone().unwrap_or_default();
        [line.from.clone(), line.local.clone(), or_dash(line.starts_at.as_deref()), outcome, note]
    });
    let here = format!("IN {}", zone.iana_name().unwrap_or("UTC"));
    report::table(["TICK", here.as_str(), "STARTS", "OUTCOME", "NOTE"], rows);
}

fn ordered(flag: &str, (from, to): (Timestamp, Timestamp)) -> Result<(Timestamp, Timestamp), Failure> {
    if from < to {
        Ok((from, to))
    } else {
        Err(Failure::usage(format!("{flag} must end after it begins: {from} to {to}")))
    }
}

fn range(text: &str) -> Result<(Moment, Moment), String> {
    let (from, to) = text.split_once("..").ok_or("must be two times with `..` between them")?;
    Ok((from.parse()?, to.parse()?))
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| "is not a time zone: use an IANA name such as UTC or Europe/Berlin".to_owned())
}
