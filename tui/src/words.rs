//! Numbers and instants as people read them, and texts of strangers made harmless.
//! It knows no screen and no server.

use std::borrow::Cow;
use std::time::Duration;

/// What stands for a character that would turn the text around or hide.
const MARK: char = '\u{fffd}';

/// An instant without its date's `T` and its fraction: `2026-01-31 08:15:00`.
pub(crate) fn clock(time: &str) -> String {
    let whole = time.split_once('.').map_or(time.trim_end_matches('Z'), |(whole, _)| whole);
    whole.replacen('T', " ", 1)
}

/// The time of day of an instant: `08:15:00`.
pub(crate) fn time_of_day(time: &str) -> String {
    clock(time).split_once(' ').map_or_else(|| time.to_owned(), |(_, day)| day.to_owned())
}

/// Seconds in the two largest units: `3h 12m`.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A span that changes seldom while one looks at it: by the second below ten, by five below a minute, then by the
/// minute.
pub(crate) fn steps(span_of: Duration) -> String {
    match span_of.as_secs() {
        seconds @ ..10 => format!("{seconds}s"),
        seconds @ 10..60 => format!("{}s", seconds / 5 * 5),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds => span(seconds),
    }
}

/// A span that is watched as it goes on: by the second below a minute.
pub(crate) fn counted(span_of: Duration) -> String {
    match span_of.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        _ => steps(span_of),
    }
}

/// What is left of a span, rounded up to the minute: `5m` until four are left.
pub(crate) fn left(span_of: Duration) -> String {
    match span_of.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds => format!("{}m", seconds.div_ceil(60)),
    }
}

/// A span in its largest unit alone: `41m`, `7h`, `3d`. For what is far away, and stands on an idle screen.
pub(crate) fn about(span_of: Duration) -> String {
    match span_of.as_secs() {
        seconds @ ..3_600 => steps(Duration::from_secs(seconds)),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Milliseconds as `12 ms`, `1.5 s` or a span.
pub(crate) fn millis(ms: u64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => span(ms / 1000),
    }
}

/// A limit as it is written: `2 s`, `1.5 s`.
pub(crate) fn limit(span: Duration) -> String {
    millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).replace(".0 s", " s")
}

/// Bytes in the unit that people read: `23.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..MIB => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / MIB as f64),
    }
}

/// A number of things a second: `812`, `8.1`, `0.05`; what is no number is said to be none.
pub(crate) fn rate(value: f64) -> String {
    match value {
        value if !value.is_finite() => "n/a".to_owned(),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        value => format!("{value:.2}"),
    }
}

/// Seconds of a latency: `2.5 ms`, `1.20 s`.
pub(crate) fn latency(seconds: f64) -> String {
    match seconds {
        seconds if !seconds.is_finite() => "n/a".to_owned(),
        seconds if seconds < 0.01 => format!("{:.1} ms", seconds * 1000.0),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds => format!("{seconds:.2} s"),
    }
}

/// A text of a stranger on one line: no control character, none that turns the text round, none that hides.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(harmless).collect())
}

fn harmless(c: char) -> char {
    match c {
        c if c.is_control() => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}' => MARK,
        c => c,
    }
}

/// `1 key`, `2 keys`.
pub(crate) fn count(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_like_words() {
        assert_eq!([span(5), span(65), span(3_700), span(90_000)], ["5s", "1m 5s", "1h 1m", "1d 1h"]);
        assert_eq!([size(10), size(2_048), size(24_641_536)], ["10 B", "2.0 KiB", "23.5 MiB"]);
        assert_eq!([1_500, 2_000].map(|ms| limit(Duration::from_millis(ms))), ["1.5 s", "2 s"]);
        assert_eq!([millis(7), millis(1_540), millis(65_000)], ["7 ms", "1.5 s", "1m 5s"]);
        assert_eq!([rate(812.4), rate(8.12), rate(0.051), rate(f64::NAN)], ["812", "8.1", "0.05", "n/a"]);
        assert_eq!([latency(0.0021), latency(0.25), latency(1.2)], ["2.1 ms", "250 ms", "1.20 s"]);
    }

    #[test]
    fn instants_lose_what_nobody_reads() {
        let at = "2026-01-31T08:15:00.000Z";
        assert_eq!([clock(at), clock("2026-01-31T08:15:00Z")], ["2026-01-31 08:15:00", "2026-01-31 08:15:00"]);
        assert_eq!(time_of_day(at), "08:15:00");
    }

    #[test]
    fn an_age_changes_seldom() {
        let seen: std::collections::BTreeSet<_> = (0..600).map(|s| steps(Duration::from_secs(s))).collect();
        assert_eq!(seen.len(), 10 + 10 + 9);
        let seen = [59, 2_460, 25_300, 270_000].map(|seconds| about(Duration::from_secs(seconds)));
        assert_eq!(seen, ["55s", "41m", "7h", "3d"]);
    }

    #[test]
    fn an_outage_is_counted_by_the_second() {
        let seen = [9, 13, 59, 60, 3_700].map(|seconds| counted(Duration::from_secs(seconds)));
        assert_eq!(seen, ["9s", "13s", "59s", "1m", "1h 1m"]);
    }

    #[test]
    fn a_stranger_cannot_turn_a_line_around() {
        assert_eq!(clean("a\u{1b}[2J\u{202e}b\u{200b}c\n"), "a [2J\u{fffd}b\u{fffd}c ");
    }
}
