//! What became of each expected tick, and running those of the past that did not.
//! Nothing here runs anything: what is backfilled is queued.

use super::book::{Answer, Book, NewTick, TickRow};
use super::rows::unexpected;
use super::takeover::{span, whole_stretch};
use crate::clock::Timestamp;
use crate::settings::schedule::Schedule;
use crate::settings::workers::Worker;
use crate::work::due;
use crate::work::run::{RunId, RunState};
use crate::work::view::{TickOutcome, TickSpan, Ticks};
use std::collections::HashMap;

/// The most spans of one answer.
const MAX_PAGE: u32 = 500;
/// The most records that one backfill looks through.
const MAX_RECORDS: i64 = 100_000;
/// Why a tick of a paused worker is not recorded yet.
const PAUSED: &str = "paused";

/// Which ticks are asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) from: Timestamp,
    /// Excluded.
    pub(crate) to: Timestamp,
    /// Where the page before ended.
    pub(crate) after: Option<Timestamp>,
    pub(crate) limit: u32,
}

pub(super) async fn ticks(book: &mut impl Book, worker: &Worker, asked: Asked) -> Answer<Ticks> {
    let name = worker.name.as_str();
    let row = book.schedule(name).await?;
    let periods = periods(book, name).await?;
    // What is no longer kept is not told about, neither as expected nor as recorded.
    let kept = book.forgotten(name).await?.map_or(asked.from, |until| Timestamp::from_millis(until + 1));
    let from = asked.from.max(kept);
    let expected = expected(book, name, &periods, from, asked.to).await?;
    let limit = asked.limit.clamp(1, MAX_PAGE);
    let start = asked.after.map_or(from, |after| Timestamp::from_millis(after.millis() + 1)).max(from);
    let mut items = Vec::new();
    if asked.after.is_none() {
        items.extend(reaching_in(book, worker, from, asked.to).await?);
    }
    let mut rows = book.ticks(name, start, asked.to, i64::from(limit) + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| Timestamp::from_millis(row.at));
    for row in rows {
        items.push(clipped(&worker.schedule, row, from, asked.to)?);
    }
    if next.is_none() {
        let paused = row.as_ref().is_some_and(|row| row.paused_at.is_some());
        let next_at = row.and_then(|row| row.next_at).map(Timestamp::from_millis);
        items.extend(next_at.and_then(|next_at| pending(&worker.schedule, next_at.max(from), asked.to, paused)));
    }
    Ok(Ticks { expected, items, next })
}

/// The schedule of each period, and from when (excluded) to when (included) it held.
type Periods = Vec<(i64, i64, Option<Schedule>)>;

async fn periods(book: &mut impl Book, worker: &str) -> Answer<Periods> {
    let rows = book.periods(worker).await?;
    let ends = rows.iter().skip(1).map(|(since, _)| *since).chain([i64::MAX]).collect::<Vec<_>>();
    let period = |((since, schedule), end): ((i64, Option<String>), i64)| {
        let schedule = schedule
            .map(|text| Schedule::from_description(&text).ok_or_else(|| unexpected("schedule", &text)))
            .transpose()?;
        Ok((since, end, schedule))
    };
    rows.into_iter().zip(ends).map(period).collect()
}

/// How many ticks the schedules of their times had, and how many were added to that by hand.
async fn expected(
    book: &mut impl Book,
    worker: &str,
    periods: &Periods,
    from: Timestamp,
    to: Timestamp,
) -> Answer<u64> {
    let mut expected = 0;
    for (since, end, schedule) in periods {
        let Some(schedule) = schedule else { continue };
        let first = (*since + 1).max(from.millis());
        let last = (*end).min(to.millis() - 1);
        expected += count_between(schedule, first, last);
    }
    let first = periods.first().map_or(to, |(since, ..)| Timestamp::from_millis(*since + 1));
    let before = book.backfilled(worker, from, first.min(to)).await?;
    Ok(expected + u64::try_from(before).unwrap_or(0))
}

/// How many ticks there are from one instant to another, both included.
fn count_between(schedule: &Schedule, first: i64, last: i64) -> u64 {
    let last = Timestamp::from_millis(last);
    match schedule.next_after(Timestamp::from_millis(first - 1)).filter(|tick| *tick <= last) {
        Some(tick) => whole_stretch(schedule, tick, last).1,
        None => 0,
    }
}

/// A stretch that began before what is asked about and reaches into it.
async fn reaching_in(
    book: &mut impl Book,
    worker: &Worker,
    from: Timestamp,
    to: Timestamp,
) -> Answer<Option<TickSpan>> {
    match book.tick_before(worker.name.as_str(), from).await? {
        Some(row) if row.to >= from.millis() => Ok(Some(clipped(&worker.schedule, row, from, to)?)),
        _ => Ok(None),
    }
}

/// A record, without what of it lies outside of what is asked about.
fn clipped(schedule: &Schedule, row: TickRow, from: Timestamp, to: Timestamp) -> Answer<TickSpan> {
    let state = RunState::parse(&row.state).ok_or_else(|| unexpected("state", &row.state))?;
    let outcome = match state {
        RunState::Skipped | RunState::Cancelled => TickOutcome::Skipped,
        RunState::Missed => TickOutcome::Missed,
        RunState::Lost => TickOutcome::Lost,
        RunState::Succeeded | RunState::Failed | RunState::TimedOut => TickOutcome::Ran,
        RunState::Queued | RunState::Claimed | RunState::Running | RunState::Retrying => TickOutcome::Pending,
    };
    let single = row.n == 1;
    let (mut first, mut last) = (Timestamp::from_millis(row.at), Timestamp::from_millis(row.to));
    let mut count = u64::try_from(row.n).unwrap_or(0);
    if first < from || last >= to {
        let inside = |tick: Timestamp| tick < to;
        let start =
            if first < from { schedule.next_after(Timestamp::from_millis(from.millis() - 1)) } else { Some(first) };
        if let Some(start) = start.filter(|start| *start <= last && inside(*start)) {
            let end = last.min(Timestamp::from_millis(to.millis() - 1));
            (last, count) = whole_stretch(schedule, start, end);
            first = start;
        }
    }
    Ok(TickSpan { from: first, to: last, count, outcome, reason: row.reason, run: single.then_some(row.id) })
}

/// Ticks that nobody has recorded yet.
fn pending(schedule: &Schedule, from: Timestamp, to: Timestamp, paused: bool) -> Option<TickSpan> {
    let first = schedule.next_after(Timestamp::from_millis(from.millis() - 1))?;
    let last = Timestamp::from_millis(to.millis() - 1);
    if first > last {
        return None;
    }
    let (last, count) = whole_stretch(schedule, first, last);
    let reason = paused.then(|| PAUSED.to_owned());
    Some(TickSpan { from: first, to: last, count, outcome: TickOutcome::Pending, reason, run: None })
}

/// Queues at most `max` ticks of the past that did not run, oldest first; `None`: nobody runs this worker.
pub(super) async fn backfill(
    book: &mut impl Book,
    worker: &Worker,
    (from, to): (Timestamp, Timestamp),
    max: u32,
    by: &str,
) -> Answer<Option<u64>> {
    let name = worker.name.as_str();
    let now = book.lock_workers(&[name]).await?;
    let Some(row) = book.schedule(name).await? else {
        return Ok(None);
    };
    // What is due from `next_at` on has a run coming.
    let to = row.next_at.map_or(to, |next_at| to.min(Timestamp::from_millis(next_at))).min(now);
    let records = records(book, name, from, to).await?;
    let wanted = Wanted::of(worker, &records, &periods(book, name).await?, (from, to), max);
    for row in records.iter().filter(|row| row.n > 1 || row.at != row.to) {
        cut_out(book, worker, row, &wanted.new, now).await?;
    }
    let again = book.requeue(&wanted.again, &worker.spec_hash, by, now).await?;
    let ticks: Vec<NewTick> = wanted.new.iter().map(|tick| new_tick(worker, *tick)).collect();
    Ok(Some(again + book.insert_backfill(&ticks, by, now).await?))
}

async fn records(book: &mut impl Book, worker: &str, from: Timestamp, to: Timestamp) -> Answer<Vec<TickRow>> {
    let mut records: Vec<TickRow> = book.tick_before(worker, from).await?.into_iter().collect();
    records.retain(|row| row.to >= from.millis());
    records.extend(book.ticks(worker, from, to, MAX_RECORDS).await?);
    Ok(records)
}

/// Which ticks get a run.
#[derive(Default)]
struct Wanted {
    /// Those that have a record of their own: they came to their end without running.
    again: Vec<RunId>,
    /// Those that have none, or are part of a stretch.
    new: Vec<Timestamp>,
}

impl Wanted {
    fn of(
        worker: &Worker,
        records: &[TickRow],
        periods: &Periods,
        (from, to): (Timestamp, Timestamp),
        max: u32,
    ) -> Self {
        let single: HashMap<i64, &TickRow> =
            records.iter().filter(|row| row.n == 1 && row.at == row.to).map(|row| (row.at, row)).collect();
        let mut wanted = Self::default();
        let mut next = worker.schedule.next_after(Timestamp::from_millis(from.millis() - 1));
        while let Some(tick) = next.filter(|tick| *tick < to && wanted.count() < max as usize) {
            match single.get(&tick.millis()) {
                None if same_schedule(worker, periods, tick) => wanted.new.push(tick),
                Some(row) if did_not_run(&row.state) => wanted.again.push(row.id),
                _ => {}
            }
            next = worker.schedule.next_after(tick);
        }
        wanted
    }

    fn count(&self) -> usize {
        self.again.len() + self.new.len()
    }
}

/// Ticks of a time in which the worker had another schedule are not this one's to run.
fn same_schedule(worker: &Worker, periods: &Periods, tick: Timestamp) -> bool {
    let period = periods.iter().find(|(since, end, _)| (since + 1..=*end).contains(&tick.millis()));
    period.is_none_or(|(_, _, schedule)| schedule.as_ref() == Some(&worker.schedule))
}

fn did_not_run(state: &str) -> bool {
    matches!(RunState::parse(state), Some(RunState::Missed | RunState::Skipped | RunState::Lost | RunState::Cancelled))
}

fn new_tick(worker: &Worker, tick: Timestamp) -> NewTick {
    let due_at = due::start_of(&worker.name, tick, worker.policy.jitter);
    NewTick {
        id: RunId::new().to_string(),
        worker: worker.name.to_string(),
        spec_hash: worker.spec_hash.clone(),
        tick_at: tick.millis(),
        due_at: due_at.millis(),
        late: true,
    }
}

/// What of a stretch is run after all is cut out of its record: each tick is accounted for once.
async fn cut_out(
    book: &mut impl Book,
    worker: &Worker,
    row: &TickRow,
    ticks: &[Timestamp],
    now: Timestamp,
) -> Answer<()> {
    let inside: Vec<i64> = ticks.iter().map(|tick| tick.millis()).filter(|at| (row.at..=row.to).contains(at)).collect();
    let (Some(first), Some(last)) = (inside.first().copied(), inside.last().copied()) else {
        return Ok(());
    };
    let all = u64::try_from(row.n).unwrap_or(0);
    let before = count_between(&worker.schedule, row.at, first - 1);
    let after = all.saturating_sub(before).saturating_sub(inside.len() as u64);
    let right = worker.schedule.next_after(Timestamp::from_millis(last)).filter(|_| after > 0);
    if before > 0 {
        let end = whole_stretch(&worker.schedule, Timestamp::from_millis(row.at), Timestamp::from_millis(first - 1)).0;
        book.change_span(row.id, row.at, end.millis(), before).await?;
    }
    match (before > 0, right) {
        (false, None) => book.delete_span(row.id).await,
        (false, Some(right)) => book.change_span(row.id, right.millis(), row.to, after).await,
        (true, None) => Ok(()),
        (true, Some(right)) => {
            let state = RunState::parse(&row.state).unwrap_or(RunState::Missed);
            let reason = known_reason(row.reason.as_deref());
            let to = Timestamp::from_millis(row.to);
            let rest = span(worker.name.as_str(), &row.spec_hash, (state, reason), (right, to, after));
            book.insert_spans(&[rest], now).await
        }
    }
}

/// The reason of a stretch, as this program writes it.
fn known_reason(reason: Option<&str>) -> &'static str {
    const KNOWN: [&str; 3] = ["catch_up", "withdrawn", PAUSED];
    KNOWN.into_iter().find(|known| Some(*known) == reason).unwrap_or("catch_up")
}
