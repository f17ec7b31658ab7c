//! What happened, as it was noted, and what was recorded, as it was exported: files of comma-separated values in one folder, which can be
//! judged again at any time. Nothing is judged here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One storm.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// In milliseconds, as all times.
    pub(super) lease: i64,
    /// On SQLite a frozen process may hold the one lock that there is: then the store is away for the others.
    pub(super) sqlite: bool,
    pub(super) events: Vec<Event>,
    pub(super) runs: Vec<Run>,
    pub(super) attempts: Vec<Attempt>,
    /// Each worker's next tick.
    pub(super) next: Vec<(String, i64)>,
    /// Effects in one transaction with the record of their run.
    pub(super) hits: Vec<Effect>,
    /// Effects outside of it.
    pub(super) marks: Vec<Effect>,
}

/// What was done to whom.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at: i64,
    pub(super) what: What,
    /// Empty where it is the store.
    pub(super) replica: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Started,
    Killed,
    Frozen,
    Thawed,
    Stopped,
    StoreDown,
    StoreUp,
}

/// A run of the ledger, or a stretch of ticks without one.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) worker: String,
    pub(super) tick: i64,
    pub(super) due: i64,
    pub(super) state: String,
    pub(super) count: i64,
}

/// An attempt of the ledger.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) run: String,
    pub(super) n: i64,
    pub(super) replica: String,
    pub(super) started: i64,
    pub(super) finished: Option<i64>,
    pub(super) outcome: String,
}

/// A row that a worker's own statement wrote.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) worker: String,
    pub(super) tick: i64,
    pub(super) run: String,
    pub(super) attempt: i64,
}

impl What {
    const ALL: [(Self, &str); 7] = [
        (Self::Started, "started"),
        (Self::Killed, "killed"),
        (Self::Frozen, "frozen"),
        (Self::Thawed, "thawed"),
        (Self::Stopped, "stopped"),
        (Self::StoreDown, "store-down"),
        (Self::StoreUp, "store-up"),
    ];

    pub(super) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(what, _)| *what == self).map_or("?", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(what, _)| *what)
    }
}

impl History {
    /// Reads the folder of a storm.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let about = rows(folder, "about", |[lease, sqlite]| Ok((number(lease)?, sqlite == "1")))?;
        let (lease, sqlite) = about.first().copied().context("about.csv is empty")?;
        Ok(Self {
            lease,
            sqlite,
            events: rows(folder, "events", |[at, what, replica]| {
                let what = What::parse(what).with_context(|| format!("unknown event `{what}`"))?;
                Ok(Event { at: number(at)?, what, replica: replica.into() })
            })?,
            runs: rows(folder, "runs", |[id, worker, tick, due, state, count]| {
                let (tick, due, count) = (number(tick)?, number(due)?, number(count)?);
                Ok(Run { id: id.into(), worker: worker.into(), tick, due, state: state.into(), count })
            })?,
            attempts: rows(folder, "attempts", |[run, n, replica, started, finished, outcome]| {
                let finished = (!finished.is_empty()).then(|| number(finished)).transpose()?;
                let (n, started) = (number(n)?, number(started)?);
                Ok(Attempt { run: run.into(), n, replica: replica.into(), started, finished, outcome: outcome.into() })
            })?,
            next: rows(folder, "schedules", |[worker, next]| Ok((worker.to_owned(), number(next)?)))?,
            hits: rows(folder, "hits", effect)?,
            marks: rows(folder, "marks", effect)?,
        })
    }
}

fn effect([worker, tick, run, attempt]: [&str; 4]) -> Result<Effect> {
    Ok(Effect { worker: worker.into(), tick: number(tick)?, run: run.into(), attempt: number(attempt)? })
}

/// None of the values holds a comma or a quote.
fn rows<const N: usize, T>(folder: &Path, name: &str, row: impl Fn([&str; N]) -> Result<T>) -> Result<Vec<T>> {
    let file = folder.join(format!("{name}.csv"));
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let parse = |(line, text): (usize, &str)| {
        let values: Vec<&str> = text.trim_end_matches('\r').split(',').collect();
        let Ok(values) = <[&str; N]>::try_from(values) else { bail!("not {N} values") };
        row(values).with_context(|| format!("{}:{}: `{text}`", file.display(), line + 1))
    };
    text.lines().enumerate().map(parse).collect()
}

fn number(text: &str) -> Result<i64> {
    text.parse().with_context(|| format!("`{text}` is no number"))
}
