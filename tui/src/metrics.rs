//! The one seam between the text of `/metrics` and the console: `prometheus-parse` reads it, and this counts after it.
//! A sample or a label that the parser would drop makes the text unreadable; nothing is lost silently.

use std::collections::BTreeMap;

use prometheus_parse::{Sample, Scrape, Value};
use serde::Serialize;

/// Bytes inside a label's value that the parser takes for the end of it; Monolith writes none of them.
const BREAKS_LABELS: [u8; 5] = *b"{},=\"";

/// All samples of one text.
#[derive(Debug)]
struct Samples(Vec<Sample>);

/// A few numbers that say what a server does; null where it does not count them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Traffic {
    /// Sample lines in the text.
    pub(crate) samples: usize,
    /// Requests since the start, by the first digit of their status: `2xx`.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Connections that are open.
    pub(crate) connections: Option<u64>,
    /// Resident memory, in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// Verifications since the start, by code.
    pub(crate) verifications: BTreeMap<String, u64>,
}

/// What one look at the metrics gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) traffic: Traffic,
    /// What was counted of each route.
    pub(crate) routes: Vec<RouteCount>,
}

/// What was counted of one route since the start of the server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RouteCount {
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) requests: f64,
    /// Answered with 5xx.
    pub(crate) failed: f64,
    /// How many took at most so many seconds, bounds rising.
    pub(crate) buckets: Vec<(f64, f64)>,
}

/// Reads a whole text, or says why it cannot be read.
pub(crate) fn read(text: &str) -> Result<Reading, String> {
    let samples = Samples::read(text)?;
    Ok(Reading { traffic: samples.traffic(), routes: samples.routes() })
}

impl Samples {
    /// Reads a whole text, or says why it cannot be read.
    fn read(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('<') {
            return Err("it is an HTML page".into());
        }
        let lines = sample_lines(text);
        if lines.is_empty() {
            return Err("it holds no sample".into());
        }
        if !text.ends_with('\n') {
            return Err(format!("its last line ({}) is cut off", text.lines().count()));
        }
        if let Some((number, why)) = lines.iter().find_map(|(number, line)| Some((number, damage(line)?))) {
            return Err(format!("line {number} {why}"));
        }
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).map_err(|e| e.to_string())?;
        let read: usize = scrape.samples.iter().map(lines_of).sum();
        match read == lines.len() {
            true => Ok(Self(scrape.samples)),
            false => Err(format!("{read} of its {} samples could be read", lines.len())),
        }
    }

    /// The numbers that the console shows.
    fn traffic(&self) -> Traffic {
        let class = |status: String| status.chars().next().map_or(status.clone(), |digit| format!("{digit}xx"));
        Traffic {
            samples: self.0.iter().map(lines_of).sum(),
            requests: self.sums("http_requests_total", "status", class),
            connections: self.gauge("http_connections"),
            memory_bytes: self.gauge("process_resident_memory_bytes"),
            verifications: self.sums("monolith_key_verifications_total", "code", |code| code),
        }
    }

    /// What was counted of each route, by method and route.
    fn routes(&self) -> Vec<RouteCount> {
        let mut routes: BTreeMap<(String, String), RouteCount> = BTreeMap::new();
        for sample in &self.0 {
            if !matches!(sample.metric.as_str(), "http_requests_total" | "http_request_duration_seconds") {
                continue;
            }
            let label = |name| unescape(sample.labels.get(name).unwrap_or("?"));
            let key = (label("method"), label("route"));
            let count = routes.entry(key.clone()).or_insert_with(|| {
                let (method, route) = key;
                RouteCount { method, route, ..RouteCount::default() }
            });
            match &sample.value {
                Value::Histogram(buckets) => {
                    count.buckets = buckets.iter().map(|bucket| (bucket.less_than, bucket.count)).collect();
                }
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => {
                    count.requests += value;
                    if label("status").starts_with('5') {
                        count.failed += value;
                    }
                }
                Value::Summary(_) => {}
            }
        }
        routes.into_values().collect()
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Sample, f64)> {
        self.0.iter().filter(move |sample| sample.metric == name).filter_map(|sample| match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some((sample, value)),
            Value::Histogram(_) | Value::Summary(_) => None,
        })
    }

    fn gauge(&self, name: &str) -> Option<u64> {
        self.named(name).map(|(_, value)| whole(value)).next()
    }

    fn sums(&self, name: &str, label: &str, group: impl Fn(String) -> String) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (sample, value) in self.named(name) {
            let key = group(unescape(sample.labels.get(label).unwrap_or("?")));
            let sum: &mut u64 = sums.entry(key).or_default();
            *sum = sum.saturating_add(whole(value));
        }
        sums
    }
}

/// The lines that hold a sample, with their numbers from one.
fn sample_lines(text: &str) -> Vec<(usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect()
}

/// How many lines the parser folded into a sample: the buckets of a histogram and the quantiles of a summary; their
/// `_sum` and `_count` stay samples of their own.
fn lines_of(sample: &Sample) -> usize {
    match &sample.value {
        Value::Histogram(buckets) => buckets.len(),
        Value::Summary(quantiles) => quantiles.len(),
        Value::Counter(_) | Value::Gauge(_) | Value::Untyped(_) => 1,
    }
}

/// Why a line is not one sample that the parser carries whole: it takes what follows the value for nothing, keeps the
/// blanks around a label's name, splits at every comma and equals sign, also inside a value, and drops what is no pair.
fn damage(line: &str) -> Option<&'static str> {
    let Some(after) = after_name(line) else { return Some("is no sample") };
    let fields = match after.strip_prefix('{').map(after_labels) {
        Some(None) => return Some("holds a label that cannot be read without loss"),
        Some(Some(fields)) => fields,
        None => after,
    };
    let mut words = fields.split_whitespace();
    let (value, stamp, more) = (words.next(), words.next(), words.next());
    let apart = fields.starts_with([' ', '\t']) && value.is_some() && more.is_none();
    let stamped = stamp.is_none_or(|stamp| stamp.parse::<i64>().is_ok());
    (!apart || !stamped).then_some("is no sample")
}

/// What follows the labels of a line, of which the first brace is gone: `name="value",…}`.
fn after_labels(mut text: &str) -> Option<&str> {
    loop {
        let value = after_name(text)?.strip_prefix("=\"")?;
        let rest = value.get(value_len(value)?..)?.strip_prefix('"')?;
        match rest.strip_prefix(',') {
            Some(more) if !more.starts_with('}') => text = more,
            Some(last) => return last.strip_prefix('}'),
            None => return rest.strip_prefix('}'),
        }
    }
}

/// How long a label's value is, up to the quote that ends it; nothing where the parser would end it elsewhere.
fn value_len(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at),
            b'\\' if bytes.next().is_none_or(|(_, escaped)| BREAKS_LABELS.contains(&escaped)) => return None,
            byte if BREAKS_LABELS.contains(&byte) => return None,
            _ => {}
        }
    }
    None
}

/// What follows the name that a text begins with. The colon belongs to rules of Prometheus, of which a server has none.
fn after_name(text: &str) -> Option<&str> {
    let after = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    (after.len() < text.len() && !text.starts_with(|c: char| c.is_ascii_digit())).then_some(after)
}

/// What the escapes of a label's value stand for; the parser leaves them in place.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            '\\' => chars.next().map_or(c, |escaped| if escaped == 'n' { '\n' } else { escaped }),
            _ => c,
        };
        text.push(meant);
    }
    text
}

/// A count. A value that is none (NaN, negative) counts as zero, an infinite one as the largest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is meant")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests;
