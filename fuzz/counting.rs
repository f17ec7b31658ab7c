//! One case of the console's reader of `/metrics`: what it says that it read is what stands there, or it says that it
//! cannot read it. Counts with other means than the reader, and knows nothing of the parser behind it.

use std::collections::BTreeMap;

/// What the reader told of a text: how many samples, and two sums by a label.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub samples: usize,
    /// `http_requests_total` by the first digit of `status`.
    pub requests: BTreeMap<String, u64>,
    /// `monolith_key_verifications_total` by `code`.
    pub verifications: BTreeMap<String, u64>,
}

/// A line that holds a sample.
struct Line<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, String>,
    value: f64,
}

/// Tries one text; `read` is the reader, which gives a reason where it gives no figures.
pub fn try_text(case: &[u8], read: impl FnOnce(&str) -> Result<Told, String>) {
    let text = String::from_utf8_lossy(case);
    match read(&text) {
        Ok(told) => assert_eq!(told, counted(&text), "{text}"),
        Err(why) => assert!(!why.is_empty() && !why.ends_with('.') && why.len() < 200, "{why}"),
    }
}

fn counted(text: &str) -> Told {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<Line<'_>> = lines.map(|line| sample(line).unwrap_or_else(|| panic!("{line} was read"))).collect();
    let whole = |status: &str| status.chars().next().map_or_else(|| status.to_owned(), |digit| format!("{digit}xx"));
    Told {
        samples: lines.len(),
        requests: sums(&lines, "http_requests_total", "status", whole),
        verifications: sums(&lines, "monolith_key_verifications_total", "code", str::to_owned),
    }
}

fn sums(lines: &[Line<'_>], name: &str, label: &str, group: impl Fn(&str) -> String) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in lines.iter().filter(|line| line.name == name) {
        let key = group(line.labels.get(label).map_or("?", String::as_str));
        let sum: &mut u64 = sums.entry(key).or_default();
        *sum = sum.saturating_add(line.value.round() as u64);
    }
    sums
}

/// `name{label="value",…} number [milliseconds]`, as Prometheus' text format 0.0.4 has it; nothing for anything else.
fn sample(line: &str) -> Option<Line<'_>> {
    let (front, fields) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, fields) = rest.rsplit_once('}')?;
            ((name, labels), fields)
        }
        None => {
            let (name, fields) = line.split_once([' ', '\t'])?;
            ((name, ""), fields)
        }
    };
    let (name, labels) = front;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let value = match fields.as_slice() {
        [value] => value,
        [value, stamp] if stamp.parse::<i64>().is_ok() => value,
        _ => return None,
    };
    let labels = labels.split_terminator("\",").map(|pair| {
        let (name, value) = pair.split_once("=\"")?;
        is_name(name).then(|| (name, unescaped(value.strip_suffix('"').unwrap_or(value))))
    });
    let labels = labels.collect::<Option<_>>()?;
    is_name(name).then_some(Line { name, labels, value: value.to_lowercase().parse().ok()? })
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|rest| rest.is_ascii_alphanumeric() || rest == '_')
}

fn unescaped(value: &str) -> String {
    let parts = value.split("\\\\").map(|part| part.replace("\\n", "\n").replace('\\', ""));
    parts.collect::<Vec<_>>().join("\\")
}
