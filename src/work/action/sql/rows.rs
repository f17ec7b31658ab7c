//! What a statement answered, as text with an upper bound: rows affected, or the first rows of a query.
//! It does not know a database; cells come in as text.

/// The most rows that are kept.
const MAX_ROWS: u64 = 20;
/// The most bytes that are kept.
const MAX_BYTES: usize = 4 * 1024;

/// Collects the answer of a query.
#[derive(Debug, Default)]
pub(super) struct Rows {
    text: String,
    count: u64,
    kept: u64,
}

impl Rows {
    pub(super) fn new<'n>(columns: impl Iterator<Item = &'n str>) -> Self {
        let mut rows = Self::default();
        rows.line(columns.map(str::to_owned));
        rows
    }

    /// Whether the next row would be kept; if not, its cells need not be read.
    pub(super) fn wants_more(&self) -> bool {
        self.kept == self.count && self.kept < MAX_ROWS
    }

    pub(super) fn push(&mut self, cells: impl Iterator<Item = String>) {
        if self.wants_more() && self.line(cells) {
            self.kept += 1;
        }
        self.count += 1;
    }

    pub(super) fn skip(&mut self) {
        self.count += 1;
    }

    fn line(&mut self, cells: impl Iterator<Item = String>) -> bool {
        let line = cells.map(|cell| cell.replace(['\n', '\r', '\t'], " ")).collect::<Vec<_>>().join("\t");
        let fits = self.text.len() + line.len() < MAX_BYTES;
        if fits {
            self.text.push_str(&line);
            self.text.push('\n');
        }
        fits
    }

    pub(super) fn finish(self) -> String {
        let all = if self.kept == self.count { String::new() } else { format!(", the first {} are shown", self.kept) };
        format!("{}{}{all}", self.text, plural(self.count, "row"))
    }
}

/// What a statement without rows answered.
pub(super) fn affected(rows: u64) -> String {
    format!("{} affected", plural(rows, "row"))
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_at_most_twenty_rows_and_four_kibibytes() {
        let mut rows = Rows::new(["n"].into_iter());
        for n in 0..25 {
            rows.push([n.to_string()].into_iter());
        }
        let text = rows.finish();
        assert!(text.starts_with("n\n0\n1\n") && text.ends_with("19\n25 rows, the first 20 are shown"), "{text}");
        let mut rows = Rows::new(["n"].into_iter());
        rows.push(["x".repeat(5000)].into_iter());
        rows.push(["small".to_owned()].into_iter());
        assert_eq!(rows.finish(), "n\n2 rows, the first 0 are shown");
    }
}
