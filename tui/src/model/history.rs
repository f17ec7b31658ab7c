//! What the counters of a server say when they are looked at again and again: rates, quantiles and how they went.
//! A counter that falls is a restart; no rate is ever negative or a spike because of one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::At;
use crate::feed::stale_after;
use crate::metrics::{Reading, RouteCount};

/// Rates are taken over this long, so that a quiet server has quantiles too.
const WINDOW: Duration = Duration::from_secs(30);
/// What one point of the chart stands for. A chart that moved with every look would be most of what an idle console
/// writes, and would show the last two minutes of an incident.
const COLUMN: Duration = Duration::from_secs(10);
/// Points of the chart: a hundred minutes.
pub(crate) const POINTS: usize = 600;
/// Points of the small chart of a route.
const ROUTE_POINTS: usize = 60;
/// A look that comes sooner after the one before says little: a rate over it would be a spike.
const STEP_MIN: Duration = Duration::from_millis(500);
/// Routes that get a small chart; a server that is scanned has many.
const ROUTES_MAX: usize = 2_000;

/// What was going on between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: At,
    /// Requests a second.
    pub(crate) requests: f64,
    /// Those of them that were answered with 5xx.
    pub(crate) failed: f64,
}

/// What goes on now, over the window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) requests: f64,
    pub(crate) failed: f64,
    pub(crate) verifications: f64,
    pub(crate) quantiles: Quantiles,
}

/// Half, 95 and 99 of a hundred requests took at most so many seconds; `None` where there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Quantiles {
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// One route, as a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RouteRow {
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) requests: f64,
    pub(crate) failed: f64,
    pub(crate) total: f64,
    pub(crate) quantiles: Quantiles,
    /// Requests a second, oldest first.
    pub(crate) points: VecDeque<f64>,
    /// Since when some of its requests fail.
    pub(crate) failing_since: Option<At>,
}

/// What was seen of the metrics of one server.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// Between two looks, where nothing is wrong.
    every: Duration,
    looks: VecDeque<(At, Reading)>,
    /// The last look, and the requests and failures counted by then; a restart does not forget when it was.
    last: Option<(At, (f64, f64))>,
    pub(crate) points: VecDeque<Point>,
    /// The look that the last point ends with: when, and the requests and failures counted by then.
    charted: Option<(At, (f64, f64))>,
    pub(crate) rates: Option<Rates>,
    pub(crate) routes: Vec<RouteRow>,
    /// When a new configuration took effect.
    pub(crate) marks: VecDeque<At>,
    /// When the server was seen to have started anew.
    pub(crate) restarted_at: Option<At>,
}

impl History {
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            every,
            looks: VecDeque::new(),
            last: None,
            points: VecDeque::new(),
            charted: None,
            rates: None,
            routes: Vec::new(),
            marks: VecDeque::new(),
            restarted_at: None,
        }
    }

    /// Takes a look at the counters.
    pub(crate) fn look(&mut self, at: At, reading: Reading) {
        if self.looks.back().is_some_and(|(_, before)| fell(before, &reading)) {
            self.restart(at);
        }
        if let Some((then, _)) = self.last.filter(|(then, _)| at.saturating_sub(*then) > stale_after(self.every)) {
            self.leave_a_hole(then, at);
        }
        if self.looks.back().is_some_and(|(then, _)| at.saturating_sub(*then) < STEP_MIN) {
            return;
        }
        while self.looks.len() > 1 && self.looks.get(1).is_some_and(|(first, _)| at.saturating_sub(*first) > WINDOW) {
            self.looks.pop_front();
        }
        let rows = std::mem::take(&mut self.routes).into_iter();
        let mut known: Known = rows.map(|row| ((row.method, row.route), (row.points, row.failing_since))).collect();
        let before = self.looks.back();
        let step = before.map(|(then, _)| seconds(at, *then)).filter(|seconds| *seconds > 0.0);
        let oldest = self.looks.front().filter(|(then, _)| at > *then);
        self.rates = oldest.map(|(then, old)| rates(old, &reading, seconds(at, *then)));
        self.routes = route_rows(&reading, oldest, before.zip(step), at, &mut known);
        self.chart(at, totals(&reading));
        self.last = Some((at, totals(&reading)));
        self.looks.push_back((at, reading));
    }

    /// Adds a point where the last one is long enough ago; the first comes at once, so that there is one.
    fn chart(&mut self, at: At, counted: (f64, f64)) {
        let due = |then: At| self.points.is_empty() || at.saturating_sub(then) >= COLUMN;
        match self.charted {
            Some((then, _)) if !due(then) => return,
            Some((then, _)) if at > then => self.point(at, counted),
            _ => {}
        }
        self.charted = Some((at, counted));
    }

    /// What was not measured is not drawn: neither as nothing nor as if it had gone on evenly.
    fn leave_a_hole(&mut self, from: At, to: At) {
        self.end_point();
        let missed = |every: Duration| (to.saturating_sub(from).as_secs_f64() / every.as_secs_f64()).round();
        for number in 1..=count(missed(COLUMN).max(1.0), POINTS) {
            let at = from + COLUMN * number;
            push(&mut self.points, Point { at, requests: f64::NAN, failed: 0.0 }, POINTS);
        }
        for row in &mut self.routes {
            (1..count(missed(self.every), ROUTE_POINTS)).for_each(|_| push(&mut row.points, f64::NAN, ROUTE_POINTS));
        }
    }

    /// Ends the point that is being counted where the last look was; one of too short a while says nothing.
    fn end_point(&mut self) {
        if let (Some((then, _)), Some((at, counted))) = (self.charted, self.last)
            && at.saturating_sub(then) >= COLUMN / 2
        {
            self.point(at, counted);
        }
        self.charted = None;
    }

    /// Adds what was counted since the last point.
    fn point(&mut self, at: At, (requests, failed): (f64, f64)) {
        let Some((then, (old_requests, old_failed))) = self.charted else { return };
        let span = seconds(at, then);
        let per_second = |now: f64, then: f64| (now - then) / span;
        let (requests, failed) = (per_second(requests, old_requests), per_second(failed, old_failed));
        push(&mut self.points, Point { at, requests, failed }, POINTS);
    }

    /// Forgets the counters of the process that is gone; what was drawn stays.
    pub(crate) fn restart(&mut self, at: At) {
        self.looks.clear();
        self.end_point();
        self.rates = None;
        self.restarted_at = Some(at);
    }

    pub(crate) fn mark(&mut self, at: At) {
        push(&mut self.marks, at, POINTS);
    }
}

/// A number of points as one, and no more than a chart holds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the limit")]
fn count(points: f64, limit: usize) -> u32 {
    points.clamp(0.0, limit as f64) as u32
}

fn push<T>(queue: &mut VecDeque<T>, value: T, limit: usize) {
    if queue.len() >= limit {
        queue.pop_front();
    }
    queue.push_back(value);
}

fn seconds(later: At, earlier: At) -> f64 {
    later.saturating_sub(earlier).as_secs_f64()
}

fn totals(reading: &Reading) -> (f64, f64) {
    let routes = reading.routes.iter();
    routes.fold((0.0, 0.0), |(all, failed), route| (all + route.requests, failed + route.failed))
}

fn fell(before: &Reading, now: &Reading) -> bool {
    totals(now).0 < totals(before).0 || verified(now) < verified(before)
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with two digits")]
fn verified(reading: &Reading) -> f64 {
    reading.traffic.verifications.values().sum::<u64>() as f64
}

fn rates(old: &Reading, new: &Reading, span: f64) -> Rates {
    let ((requests, failed), (old_requests, old_failed)) = (totals(new), totals(old));
    let per_second = |now: f64, then: f64| ((now - then) / span).max(0.0);
    Rates {
        requests: per_second(requests, old_requests),
        failed: per_second(failed, old_failed),
        verifications: per_second(verified(new), verified(old)),
        quantiles: quantiles(&sum(&new.routes), &sum(&old.routes)),
    }
}

/// The buckets of all routes together; they share their bounds.
fn sum(routes: &[RouteCount]) -> Vec<(f64, f64)> {
    let mut sums: Vec<(f64, f64)> = Vec::new();
    for (index, (bound, count)) in
        routes.iter().flat_map(|route| route.buckets.iter().enumerate()).map(|(index, bucket)| (index, *bucket))
    {
        match sums.get_mut(index) {
            Some((_, total)) => *total += count,
            None => sums.push((bound, count)),
        }
    }
    sums
}

type Look<'a> = (&'a At, &'a Reading);

/// What outlives a look of each route: its chart, and since when it fails.
type Known = HashMap<(String, String), (VecDeque<f64>, Option<At>)>;

fn route_rows(
    new: &Reading,
    oldest: Option<&(At, Reading)>,
    before: Option<(&(At, Reading), f64)>,
    at: At,
    known: &mut Known,
) -> Vec<RouteRow> {
    let index = |look: Option<Look<'_>>| -> HashMap<(String, String), RouteCount> {
        let routes = look.map(|(_, reading)| reading.routes.iter()).into_iter().flatten();
        routes.map(|route| ((route.method.clone(), route.route.clone()), route.clone())).collect()
    };
    let old = index(oldest.map(|(at, reading)| (at, reading)));
    let last = index(before.map(|((at, reading), _)| (at, reading)));
    let nothing = RouteCount::default();
    let row = |route: &RouteCount| {
        let key = (route.method.clone(), route.route.clone());
        let then = old.get(&key).unwrap_or(&nothing);
        let rate = |now: f64, then: f64| match oldest {
            Some((first, _)) => ((now - then) / seconds(at, *first)).max(0.0),
            None => 0.0,
        };
        let (mut points, failing_since) = known.remove(&key).unwrap_or_default();
        let failed = rate(route.failed, then.failed);
        if let Some((_, step)) = before {
            let counted = last.get(&key).map_or(0.0, |last| last.requests);
            push(&mut points, ((route.requests - counted) / step).max(0.0), ROUTE_POINTS);
        }
        RouteRow {
            requests: rate(route.requests, then.requests),
            failed,
            failing_since: if failed > 0.0 { failing_since.or(Some(at)) } else { None },
            total: route.requests,
            quantiles: if oldest.is_some() { quantiles(&route.buckets, &then.buckets) } else { Quantiles::default() },
            points,
            method: route.method.clone(),
            route: route.route.clone(),
        }
    };
    new.routes.iter().take(ROUTES_MAX).map(row).collect()
}

fn quantiles(new: &[(f64, f64)], old: &[(f64, f64)]) -> Quantiles {
    let counted: Vec<(f64, f64)> = new
        .iter()
        .enumerate()
        .map(|(index, (bound, count))| (*bound, count - old.get(index).map_or(0.0, |(_, old)| *old)))
        .collect();
    Quantiles { p50: quantile(&counted, 0.5), p95: quantile(&counted, 0.95), p99: quantile(&counted, 0.99) }
}

/// As Prometheus does it: between the bounds of its bucket a quantile lies where a straight line would put it; in the
/// last bucket, which has no end, at its beginning.
fn quantile(buckets: &[(f64, f64)], q: f64) -> Option<f64> {
    let (_, total) = *buckets.last()?;
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let rank = q * total;
    let index = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (lower, below) = index.checked_sub(1).and_then(|before| buckets.get(before)).copied().unwrap_or((0.0, 0.0));
    let (upper, count) = *buckets.get(index)?;
    if !upper.is_finite() {
        return Some(lower);
    }
    let inside = count - below;
    Some(if inside > 0.0 { lower + (upper - lower) * (rank - below) / inside } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(requests: f64, failed: f64, fast: f64) -> Reading {
        let buckets = vec![(0.1, fast), (1.0, requests), (f64::INFINITY, requests)];
        let route = RouteCount { method: "GET".into(), route: "/a".into(), requests, failed, buckets };
        Reading { routes: vec![route], ..Reading::default() }
    }

    const EVERY: Duration = Duration::from_secs(2);

    fn at(seconds: u64) -> At {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_is_what_was_counted_in_between() {
        let mut history = History::new(EVERY);
        history.look(at(0), reading(100.0, 1.0, 50.0));
        assert_eq!((history.rates, history.points.len()), (None, 0));
        history.look(at(2), reading(120.0, 3.0, 70.0));
        let rates = history.rates.unwrap();
        assert_eq!((rates.requests, rates.failed), (10.0, 1.0));
        assert_eq!(rates.quantiles.p50, Some(0.05));
        assert_eq!((history.routes[0].points.len(), history.routes[0].failing_since), (1, Some(at(2))));
        history.look(at(4), reading(140.0, 3.0, 90.0));
        assert_eq!(history.routes[0].failing_since, Some(at(2)));
    }

    #[test]
    fn a_point_of_the_chart_is_ten_seconds_however_often_one_looks() {
        let mut history = History::new(EVERY);
        for second in 0..=62 {
            history.look(at(second), reading(if second < 12 { 0.0 } else { 100.0 }, 0.0, 0.0));
        }
        let points: Vec<_> = history.points.iter().map(|point| (point.at.as_secs(), point.requests)).collect();
        assert_eq!(points, [(1, 0.0), (11, 0.0), (21, 10.0), (31, 0.0), (41, 0.0), (51, 0.0), (61, 0.0)]);
    }

    #[test]
    fn where_nothing_was_measured_the_chart_has_a_hole() {
        for restarts in [false, true] {
            let mut history = History::new(EVERY);
            for second in (0..=31).chain(50..=80).step_by(2) {
                if restarts && second == 50 {
                    history.restart(at(second));
                }
                history.look(at(second), reading(10.0 * second as f64, 0.0, 0.0));
            }
            let points: Vec<_> = history.points.iter().map(|point| point.requests.is_finite()).collect();
            assert_eq!(points, [true, true, true, true, false, false, true, true, true], "{restarts}");
            let points = &history.routes[0].points;
            assert_eq!(points.iter().filter(|point| !point.is_finite()).count(), 9, "{points:?}");
        }
    }

    #[test]
    fn a_restart_is_no_spike_and_no_negative_rate() {
        let mut history = History::new(EVERY);
        history.look(at(0), reading(1_000.0, 0.0, 0.0));
        history.look(at(2), reading(1_010.0, 0.0, 0.0));
        history.look(at(4), reading(3.0, 0.0, 0.0));
        assert_eq!((history.restarted_at, history.rates), (Some(at(4)), None));
        history.look(at(6), reading(5.0, 0.0, 0.0));
        assert_eq!(history.rates.unwrap().requests, 1.0);
        assert!(history.points.iter().all(|point| (0.0..=5.0).contains(&point.requests)));
    }

    #[test]
    fn a_window_forgets_what_is_long_ago() {
        let mut history = History::new(EVERY);
        for second in 0..200 {
            let requests = if second < 100 { 10.0 * f64::from(second) } else { 1_000.0 };
            history.look(at(u64::from(second as u32)), reading(requests, 0.0, 0.0));
        }
        assert_eq!(history.rates.unwrap().requests, 0.0);
        assert!(history.looks.len() <= 33);
    }

    #[test]
    fn a_quantile_in_the_bucket_without_an_end_is_its_beginning() {
        assert_eq!(quantile(&[(0.1, 0.0), (f64::INFINITY, 4.0)], 0.5), Some(0.1));
        assert_eq!(quantile(&[(0.1, 0.0)], 0.5), None);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
