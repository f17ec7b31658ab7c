//! What a run writes, while it goes on: its end is kept, for that is where a failure says why, and secrets are masked before anything
//! is kept. It is text from the first byte on, so that an offset means the same to everybody who reads it.

use crate::secret::Secret;
use crate::work::run::Output;
use std::sync::{Mutex, PoisonError};

/// Shorter values are not masked: `1` or `info` would make every output unreadable.
const SHORTEST_MASKED: usize = 8;
/// What stands for a secret.
const MASK: &[u8] = b"[redacted]";
/// The most that is told at once of what was written since the last time; the rest is read from the ledger.
const MOST_TOLD: usize = 4 * 1024;

/// The output of a run in progress; whoever writes and whoever tells share it.
#[derive(Debug)]
pub(in crate::work) struct Live(Mutex<Tail>);

/// What was written since somebody asked last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::work) struct News {
    /// All that is kept.
    pub(in crate::work) output: Output,
    /// The end of what is new.
    pub(in crate::work) text: String,
    /// Where that text ends, in bytes since the run began to write.
    pub(in crate::work) next: u64,
}

#[derive(Debug)]
struct Tail {
    /// The longest first: one may begin with another.
    hidden: Vec<Secret>,
    limit: usize,
    /// The beginning of what may turn out to be a secret.
    unsure: Vec<u8>,
    /// The beginning of a character.
    partial: Vec<u8>,
    text: String,
    /// How much of it there was in all.
    bytes: u64,
    told: u64,
    cut: bool,
}

impl Live {
    pub(in crate::work) fn new(limit: usize, hidden: Vec<Secret>) -> Self {
        let (unsure, partial, text) = (Vec::new(), Vec::new(), String::new());
        Self(Mutex::new(Tail {
            hidden: worth_masking(hidden),
            limit,
            unsure,
            partial,
            text,
            bytes: 0,
            told: 0,
            cut: false,
        }))
    }

    /// Goes on where an earlier attempt stopped, so that whoever reads along misses nothing.
    pub(in crate::work) fn go_on(&self, earlier: &str, bytes: u64) {
        let mut tail = self.tail();
        tail.cut = bytes > earlier.len() as u64;
        (tail.text, tail.bytes, tail.told) = (earlier.to_owned(), bytes, bytes);
    }

    pub(in crate::work) fn push(&self, bytes: &[u8]) {
        let mut tail = self.tail();
        tail.unsure.extend_from_slice(bytes);
        tail.take_in(false);
    }

    /// What is new, where something is; what may be the beginning of a secret waits.
    pub(in crate::work) fn news(&self) -> Option<News> {
        let mut tail = self.tail();
        if tail.told == tail.bytes {
            return None;
        }
        let fresh = usize::try_from(tail.bytes - tail.told).unwrap_or(usize::MAX).min(MOST_TOLD);
        let text = end_of(&tail.text, fresh).to_owned();
        tail.told = tail.bytes;
        Some(News { output: tail.output(), text, next: tail.bytes })
    }

    /// All that is kept, at the end.
    pub(in crate::work) fn finish(&self) -> Output {
        let mut tail = self.tail();
        tail.take_in(true);
        tail.output()
    }

    /// A text without the secrets of this run.
    pub(in crate::work) fn masked(&self, text: &str) -> String {
        let hidden = self.tail().hidden.clone();
        String::from_utf8_lossy(&mask(text.as_bytes(), &hidden, true).0).into_owned()
    }

    fn tail(&self) -> std::sync::MutexGuard<'_, Tail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn take_in(&mut self, all: bool) {
        let (clean, judged) = mask(&self.unsure, &self.hidden, all);
        self.unsure.drain(..judged);
        self.partial.extend(clean);
        let before = self.text.len();
        decode(&mut self.partial, &mut self.text, all);
        self.bytes += (self.text.len() - before) as u64;
        // Cutting only at twice the size keeps it linear.
        if self.text.len() > self.limit.saturating_mul(2).max(64 * 1024) {
            self.cut_to_limit();
        }
    }

    fn cut_to_limit(&mut self) {
        let keep = end_of(&self.text, self.limit).len();
        if keep < self.text.len() {
            self.text.drain(..self.text.len() - keep);
            self.cut = true;
        }
    }

    fn output(&mut self) -> Output {
        self.cut_to_limit();
        Output { text: self.text.clone(), bytes: self.bytes, truncated: self.cut }
    }
}

fn worth_masking(mut hidden: Vec<Secret>) -> Vec<Secret> {
    hidden.retain(|secret| secret.len() >= SHORTEST_MASKED);
    hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    hidden
}

/// The bytes with a mask for each secret, and how many of them were judged: what may be the beginning of one waits for more.
fn mask(bytes: &[u8], hidden: &[Secret], all: bool) -> (Vec<u8>, usize) {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let begins = |secret: &Secret| secret.len() > rest.len() && secret.expose().starts_with(rest);
        if !all && hidden.iter().any(begins) {
            break;
        }
        let found = hidden.iter().find(|secret| rest.starts_with(secret.expose()));
        clean.extend_from_slice(if found.is_some() { MASK } else { rest.get(..1).unwrap_or_default() });
        at += found.map_or(1, Secret::len);
    }
    (clean, at)
}

/// Moves whole characters to the text; what is none becomes a replacement, also NUL, which Postgres keeps in no text.
fn decode(bytes: &mut Vec<u8>, text: &mut String, all: bool) {
    let mut rest = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\0', "\u{fffd}"));
        let invalid = chunk.invalid();
        let is_begun = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if is_begun && !all {
            rest = invalid.to_vec();
        } else if !invalid.is_empty() {
            text.push('\u{fffd}');
        }
    }
    *bytes = rest;
}

/// At most so many bytes of the end, whole characters only.
fn end_of(text: &str, most: usize) -> &str {
    let start = (text.len().saturating_sub(most)..=text.len()).find(|at| text.is_char_boundary(*at));
    start.and_then(|start| text.get(start..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(limit: usize, secrets: &[&str]) -> Live {
        Live::new(limit, secrets.iter().map(|secret| Secret::new(*secret)).collect())
    }

    fn written(limit: usize, secrets: &[&str], text: &[u8], piece: usize) -> Output {
        let live = live(limit, secrets);
        text.chunks(piece).for_each(|bytes| live.push(bytes));
        live.finish()
    }

    #[test]
    fn the_end_is_kept_and_the_whole_is_counted() {
        let text = "x".repeat(300_000) + "the end";
        let output = written(7, &[], text.as_bytes(), 7);
        assert_eq!(output, Output { text: "the end".into(), bytes: 300_007, truncated: true });
        assert_eq!(written(7, &[], b"short", 7), Output { text: "short".into(), bytes: 5, truncated: false });
    }

    #[test]
    fn characters_stay_whole_wherever_they_are_divided() {
        for piece in 1..6 {
            assert_eq!(written(100, &[], "aé€𝄞z".as_bytes(), piece).text, "aé€𝄞z");
            assert_eq!(written(100, &[], b"a\xffb\0c\xe2\x82", piece).text, "a\u{fffd}b\u{fffd}c\u{fffd}");
        }
        assert_eq!(written(4, &[], "aéééé".as_bytes(), 3).text, "éé");
        assert_eq!(written(3, &[], "aéé".as_bytes(), 3).text, "é");
    }

    #[test]
    fn secrets_are_masked_wherever_they_are_divided() {
        for piece in 1..20 {
            assert_eq!(written(100, &["s3cr3t-t0ken"], b"a s3cr3t-t0ken b", piece).text, "a [redacted] b");
            assert_eq!(
                written(100, &["s3cr3t-t0ken"], b"a s3cr3t-", piece).text,
                "a s3cr3t-",
                "what only began is none"
            );
            let two = ["s3cr3t-t", "s3cr3t-t0ken"];
            assert_eq!(written(100, &two, b"s3cr3t-t0ken s3cr3t-t", piece).text, "[redacted] [redacted]");
        }
        for limit in 1..40 {
            let output = written(limit, &["s3cr3t-t0ken"], "s3cr3t-t0ken1".repeat(20_000).as_bytes(), 7);
            assert!(!output.text.contains("t0k") && !output.text.contains("3t-"), "{output:?}");
        }
        assert_eq!(written(100, &["info"], b"level=info", 7).text, "level=info");
    }

    #[test]
    fn what_is_new_is_told_once_and_never_a_part_of_a_secret() {
        let live = live(100, &["s3cr3t-t0ken"]);
        assert_eq!(live.news(), None);
        live.push(b"one s3cr3t");
        let news = live.news().unwrap();
        assert_eq!((news.text.as_str(), news.next, news.output.text.as_str()), ("one ", 4, "one "));
        assert_eq!(live.news(), None);
        live.push(b"-t0ken two");
        let news = live.news().unwrap();
        assert_eq!((news.text.as_str(), news.next), ("[redacted] two", 18));
        assert_eq!(live.finish(), Output { text: "one [redacted] two".into(), bytes: 18, truncated: false });
    }

    #[test]
    fn much_at_once_is_told_by_its_end() {
        let live = live(100_000, &[]);
        live.push(&[b'x'; 50_000]);
        let news = live.news().unwrap();
        assert_eq!((news.text.len(), news.next, news.output.text.len()), (MOST_TOLD, 50_000, 50_000));
    }

    #[test]
    fn a_later_attempt_goes_on_where_the_earlier_stopped() {
        let live = live(8, &[]);
        live.go_on("earlier", 107);
        assert_eq!(live.news(), None, "that was told before");
        live.push(b"now");
        assert_eq!(live.news().unwrap().output, Output { text: "rliernow".into(), bytes: 110, truncated: true });
    }
}
