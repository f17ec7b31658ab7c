//! Lists of anything: columns that are dropped in a declared order, filters with negation, sorting, and a selection
//! that sticks to an id. It knows nothing of what a row is about.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use crate::theme::Tone;

/// A list of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    Findings,
    Routes,
    Stores,
    Workers,
    Runs,
    Values,
    Revisions,
    Replicas,
    Audit,
    Logs,
    Keys,
    Targets,
    Messages,
}

/// How the operator looks at a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListState {
    /// The id of the chosen row.
    pub(crate) selected: Option<String>,
    /// Where it stood when it was last found, in the order that is shown.
    pub(crate) at: usize,
    pub(crate) filter: String,
    /// The column to sort by, and whether the largest comes first.
    pub(crate) sort: Option<(usize, bool)>,
    /// Which rows are shown, in which order.
    pub(crate) order: Vec<u32>,
    /// What the order was made from; `None` where it has to be made.
    pub(crate) stamp: Option<u64>,
}

impl ListState {
    pub(crate) const EMPTY: Self =
        Self { selected: None, at: 0, filter: String::new(), sort: None, order: Vec::new(), stamp: None };
}

/// A column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Cells it takes at least.
    pub(crate) width: u16,
    /// Its share of what is left.
    pub(crate) grow: u16,
    /// When room is short, the highest goes first; 0 never goes.
    pub(crate) drop: u8,
    pub(crate) right: bool,
    /// What comes first when it is sorted by, and what when that is turned round.
    pub(crate) first: (&'static str, &'static str),
    /// In a list of fewer cells it is not shown, so that those that matter more have room to grow.
    pub(crate) from: u16,
}

impl Column {
    pub(crate) const fn new(name: &'static str, width: u16, grow: u16, drop: u8) -> Self {
        Self { name, width, grow, drop, right: false, first: ("a to z", "z to a"), from: 0 }
    }

    /// As a filter calls it.
    pub(crate) fn word(&self) -> String {
        self.name.to_lowercase().replace(' ', "-")
    }

    fn is_called(&self, name: &str) -> bool {
        self.word() == name.to_lowercase()
    }

    /// A column of instants that are over.
    pub(crate) const fn past(self) -> Self {
        self.first("oldest first", "newest first")
    }

    /// A column of instants that are to come.
    pub(crate) const fn ahead(self) -> Self {
        self.first("soonest first", "latest first")
    }

    pub(crate) const fn first(self, up: &'static str, down: &'static str) -> Self {
        Self { first: (up, down), ..self }
    }

    pub(crate) const fn from(self, from: u16) -> Self {
        Self { from, ..self }
    }

    /// A column of numbers.
    pub(crate) const fn number(name: &'static str, width: u16, drop: u8) -> Self {
        let first = ("smallest first", "largest first");
        Self { name, width, grow: 0, drop, right: true, first, from: 0 }
    }
}

/// What stands in one place of a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    /// Whether the sign of the tone stands before the text.
    pub(crate) sign: bool,
}

impl Cell {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone, sign: false }
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(Tone::Plain, text)
    }

    pub(crate) fn quiet(text: impl Into<String>) -> Self {
        Self::new(Tone::Quiet, text)
    }

    /// A state: sign and word.
    pub(crate) fn state(tone: Tone, word: impl Into<String>) -> Self {
        Self { text: word.into(), tone, sign: true }
    }

    /// A text, or a dash where there is none.
    pub(crate) fn or_dash(text: Option<impl Into<String>>) -> Self {
        text.map_or_else(|| Self::quiet("-"), Self::plain)
    }
}

/// The moment and the state of the list that a row is drawn in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cx {
    /// The server's time.
    pub(crate) server_ms: i64,
    /// Since the start of the console.
    pub(crate) at: crate::clock::At,
}

/// What a row is sorted by; nothing comes last, whichever way round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rank<'a> {
    Number(f64),
    Text(Cow<'a, str>),
    Nothing,
}

impl<'a> Rank<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    fn compare(&self, other: &Self, reverse: bool) -> Ordering {
        let turned = |ordering: Ordering| if reverse { ordering.reverse() } else { ordering };
        match (self, other) {
            (Self::Nothing, Self::Nothing) => Ordering::Equal,
            (Self::Nothing, _) => Ordering::Greater,
            (_, Self::Nothing) => Ordering::Less,
            (Self::Number(a), Self::Number(b)) => turned(a.total_cmp(b)),
            (Self::Text(a), Self::Text(b)) => turned(a.cmp(b)),
            (Self::Number(_), Self::Text(_)) => turned(Ordering::Less),
            (Self::Text(_), Self::Number(_)) => turned(Ordering::Greater),
        }
    }
}

/// Something a list can hold.
pub(crate) trait Row {
    const COLUMNS: &'static [Column];
    /// How it is sorted before somebody says otherwise; `None` is the order in which the server tells.
    const SORT: Option<(usize, bool)> = None;

    /// What tells it from every other row, also after the list was asked for again.
    fn id(&self) -> Cow<'_, str>;

    /// What stands in a column.
    fn cell(&self, column: usize, cx: &Cx) -> Cell;

    /// What a column is sorted by.
    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match self.cell(column, cx).text {
            text if text.is_empty() || text == "-" => Rank::Nothing,
            text => Rank::text(text.to_lowercase()),
        }
    }

    /// Everything a filter may find, in small letters.
    fn words(&self, cx: &Cx) -> Cow<'_, str> {
        let mut words = String::new();
        for column in 0..Self::COLUMNS.len() {
            words.push_str(&self.cell(column, cx).text.to_lowercase());
            words.push(' ');
        }
        Cow::Owned(words)
    }

    /// What the last column draws instead of a text.
    fn chart(&self) -> Option<&std::collections::VecDeque<f64>> {
        None
    }

    /// The whole, for the clipboard.
    fn json(&self) -> Value;
}

/// What a filter asks of a row; all of its terms have to hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter(Vec<Term>);

#[derive(Debug, Clone, PartialEq)]
struct Term {
    negated: bool,
    column: Option<usize>,
    fuzzy: bool,
    text: String,
}

impl Filter {
    /// Reads `text`, `!not`, `column:text`, `~fuzzy`, and any of them together.
    pub(crate) fn parse(text: &str, columns: &[Column]) -> Self {
        Self(text.split_whitespace().filter_map(|term| Term::parse(term, columns)).collect())
    }

    /// A word before a colon that is the name of no column, where there is one.
    pub(crate) fn stranger<'a>(text: &'a str, columns: &[Column]) -> Option<&'a str> {
        text.split_whitespace().find_map(|term| {
            let (name, _) = term.trim_start_matches('!').split_once(':')?;
            let is_word = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '-');
            (is_word && !columns.iter().any(|column| column.is_called(name))).then_some(name)
        })
    }

    fn admits<R: Row>(&self, row: &R, cx: &Cx) -> bool {
        let asks_all = self.0.iter().any(|term| term.column.is_none());
        let words = if asks_all { row.words(cx) } else { Cow::Borrowed("") };
        self.0.iter().all(|term| {
            let found = match term.column {
                Some(column) => term.is_in(&row.cell(column, cx).text.to_lowercase()),
                None => term.is_in(&words),
            };
            found != term.negated
        })
    }
}

impl Term {
    fn parse(text: &str, columns: &[Column]) -> Option<Self> {
        let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let named = text
            .split_once(':')
            .and_then(|(name, rest)| Some((columns.iter().position(|column| column.is_called(name))?, rest)));
        let (column, text) = named.map_or((None, text), |(column, rest)| (Some(column), rest));
        let (fuzzy, text) = text.strip_prefix('~').map_or((false, text), |rest| (true, rest));
        (!text.is_empty()).then(|| Self { negated, column, fuzzy, text: text.to_lowercase() })
    }

    fn is_in(&self, text: &str) -> bool {
        if self.fuzzy { is_fuzzy(&self.text, text) } else { text.contains(&self.text) }
    }
}

/// Whether all letters stand in a text in this order.
pub(crate) fn is_fuzzy(letters: &str, text: &str) -> bool {
    let mut rest = text.chars();
    letters.chars().all(|letter| rest.any(|other| other == letter))
}

/// Which rows a filter admits, in the order that was asked for. Rows that are equal stay as they came.
pub(crate) fn order<R: Row>(rows: &[R], filter: &str, sort: Option<(usize, bool)>, cx: &Cx) -> Vec<u32> {
    let filter = Filter::parse(filter, R::COLUMNS);
    let numbered = rows.iter().enumerate();
    let admitted = numbered.filter(|(_, row)| filter.0.is_empty() || filter.admits(*row, cx));
    let numbers = admitted.map(|(index, _)| u32::try_from(index).unwrap_or(u32::MAX));
    let Some((column, reverse)) = sort.or(R::SORT) else { return numbers.collect() };
    let rank = |number: u32| rows.get(number as usize).map_or(Rank::Nothing, |row| row.rank(column, cx));
    let mut ranked: Vec<(Rank<'_>, u32)> = numbers.map(|number| (rank(number), number)).collect();
    ranked.sort_by(|(a, _), (b, _)| a.compare(b, reverse));
    ranked.into_iter().map(|(_, number)| number).collect()
}

/// Something that is done with a list whatever its rows are.
pub(crate) trait Visit {
    type Out;

    fn rows<R: Row>(self, rows: &[R]) -> Self::Out;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(&'static str, f64);

    impl Row for Pair {
        const COLUMNS: &'static [Column] = &[Column::new("NAME", 4, 1, 0), Column::number("LAST USED", 4, 1)];

        fn id(&self) -> Cow<'_, str> {
            Cow::Borrowed(self.0)
        }

        fn cell(&self, column: usize, _: &Cx) -> Cell {
            Cell::plain(if column == 0 { self.0.to_owned() } else { self.1.to_string() })
        }

        fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
            if column == 1 && self.1 >= 0.0 { Rank::Number(self.1) } else { text_rank(&self.cell(0, cx), column) }
        }

        fn json(&self) -> Value {
            Value::Null
        }
    }

    fn text_rank(cell: &Cell, column: usize) -> Rank<'static> {
        if column == 0 { Rank::text(cell.text.clone()) } else { Rank::Nothing }
    }

    const ROWS: [Pair; 4] =
        [Pair("orders-ci", 5.0), Pair("Billing", -1.0), Pair("orders-prod", 40.0), Pair("x:y", 5.0)];

    fn names(filter: &str, sort: Option<(usize, bool)>) -> Vec<&'static str> {
        let cx = Cx { server_ms: 0, at: std::time::Duration::ZERO };
        order(&ROWS, filter, sort, &cx).into_iter().map(|index| ROWS[index as usize].0).collect()
    }

    #[test]
    fn a_filter_finds_drops_and_guesses() {
        assert_eq!(names("orders", None), ["orders-ci", "orders-prod"]);
        assert_eq!(names("orders !CI", None), ["orders-prod"]);
        assert_eq!(names("~odpr", None), ["orders-prod"]);
        assert_eq!(names("last-used:40", None), ["orders-prod"]);
        assert_eq!(names("!name:orders", None), ["Billing", "x:y"]);
        assert_eq!(names("x:y", None), ["x:y"]);
        assert_eq!(names("! ~ name:", None).len(), 4);
    }

    #[test]
    fn equal_rows_stay_as_they_came_and_nothing_comes_last() {
        assert_eq!(names("", Some((1, false))), ["orders-ci", "x:y", "orders-prod", "Billing"]);
        assert_eq!(names("", Some((1, true))), ["orders-prod", "orders-ci", "x:y", "Billing"]);
    }
}
