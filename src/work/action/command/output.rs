//! What a command wrote: its end is kept, for that is where a failure says why, and the values of its secrets are masked.
//! It does not read anything; bytes are handed in as they come.

use crate::secret::Secret;
use crate::work::run::Output;

/// Shorter values are not masked: `1` or `info` would make every output unreadable.
const SHORTEST_MASKED: usize = 8;
/// What stands for a secret.
const MASK: &[u8] = b"[redacted]";

/// The last bytes of an output.
pub(super) struct Tail {
    kept: Vec<u8>,
    limit: usize,
    /// More is kept than shown, so that a secret that the cut would divide is still recognised.
    margin: usize,
    secrets: Vec<Secret>,
    bytes: u64,
    cut: bool,
}

impl Tail {
    pub(super) fn new<'s>(limit: usize, secrets: impl Iterator<Item = &'s Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets.filter(|secret| secret.len() >= SHORTEST_MASKED).cloned().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let margin = secrets.first().map_or(0, Secret::len);
        Self { kept: Vec::new(), limit, margin, secrets, bytes: 0, cut: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.kept.extend_from_slice(bytes);
        let most = self.limit.saturating_add(self.margin);
        // Cutting only at twice the size keeps it linear.
        if self.kept.len() > most.saturating_mul(2).max(64 * 1024) {
            self.cut_to(most);
        }
    }

    fn cut_to(&mut self, most: usize) {
        if self.kept.len() > most {
            self.kept.drain(..self.kept.len() - most);
            self.cut = true;
        }
    }

    pub(super) fn finish(mut self) -> Output {
        self.cut_to(self.limit.saturating_add(self.margin));
        // After a cut the first bytes may be the rest of a secret.
        let skip = if self.cut { self.margin } else { 0 };
        self.kept = masked(&self.kept, skip, &self.secrets);
        self.cut_to(self.limit);
        let mut text = String::from_utf8_lossy(&self.kept).replace('\0', "\u{fffd}");
        // A character that the cut divided grew to three bytes.
        while text.len() > self.limit {
            text.remove(0);
        }
        Output { text, bytes: self.bytes, truncated: self.cut }
    }
}

/// The bytes from `skip` on, with a mask for each secret that ends there.
fn masked(bytes: &[u8], skip: usize, secrets: &[Secret]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let found = secrets.iter().find(|secret| rest.starts_with(secret.expose()));
        let length = found.map_or(1, Secret::len);
        if at + length > skip {
            clean.extend_from_slice(if found.is_some() { MASK } else { rest.get(..1).unwrap_or_default() });
        }
        at += length;
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(limit: usize, secrets: &[&str], text: &str) -> Output {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        let mut tail = Tail::new(limit, secrets.iter());
        for bytes in text.as_bytes().chunks(7) {
            tail.push(bytes);
        }
        tail.finish()
    }

    #[test]
    fn the_end_is_kept_and_the_whole_is_counted() {
        let text = "x".repeat(300_000) + "the end";
        let output = tail(7, &[], &text);
        assert_eq!(output, Output { text: "the end".into(), bytes: 300_007, truncated: true });
        assert_eq!(tail(7, &[], "short"), Output { text: "short".into(), bytes: 5, truncated: false });
    }

    #[test]
    fn a_divided_character_does_not_pass_the_limit() {
        let output = tail(4, &[], "aéééé");
        assert!(output.text.len() <= 4 && output.text.ends_with("é"), "{output:?}");
        assert!(tail(3, &[], "aéé").text.len() <= 3);
    }

    #[test]
    fn secrets_are_masked_also_where_the_cut_would_divide_them() {
        assert_eq!(tail(100, &["s3cr3t-t0ken"], "a s3cr3t-t0ken b").text, "a [redacted] b");
        for limit in 1..40 {
            let output = tail(limit, &["s3cr3t-t0ken"], &"s3cr3t-t0ken1".repeat(20_000));
            assert!(!output.text.contains("t0k") && !output.text.contains("3t-"), "{output:?}");
        }
        assert_eq!(tail(100, &["info"], "level=info").text, "level=info");
    }
}
