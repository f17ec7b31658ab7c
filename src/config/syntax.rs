//! What is wrong with a text that is not TOML, in the words of whoever typed it.
//! The parser's own words stay where nothing better is known; the text itself is never repeated, for it may hold a secret.

use super::layers::{Layer, place_in};
use crate::problem::{Place, Problem, Problems};
use toml_edit::TomlError;

/// Says where a text stops being TOML, and why.
pub(super) fn problem(path: &str, text: &str, error: &TomlError) -> Problem {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let slip = Slip { path, text, at, parser: error.message() };
    let (at, message, hint) = slip.explained();
    let problem = Problem::new(place_in(path, text, at), "", format!("not valid TOML: {message}"));
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

struct Slip<'a> {
    path: &'a str,
    text: &'a str,
    at: usize,
    parser: &'a str,
}

type Explained = (usize, String, Option<&'static str>);

impl Slip<'_> {
    fn explained(&self) -> Explained {
        let says = |part: &str| self.parser.contains(part);
        let here = |message: &str, hint| (self.at, message.to_owned(), hint);
        if let Some(control) = self.rest().chars().next().filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return here(&format!("a control character, U+{:04X}, stands here", u32::from(control)), None);
        }
        if self.text.trim_start().starts_with('{') {
            return here(
                "this looks like JSON",
                Some("a section is written [server], and a key in it bind = \"127.0.0.1:8000\""),
            );
        }
        if says("duplicate key") {
            return (self.at, self.second_time(), Some("merge the two, or give one another name"));
        }
        if says("escape") {
            return here(
                "`\\` begins an escape between double quotes",
                Some("write it twice, or use single quotes: 'C:\\data'"),
            );
        }
        if says("invalid basic string") || says("invalid literal string") {
            return here("a text is not closed by its quote", None);
        }
        if says("overflow") {
            return here("the number is too large", None);
        }
        if says("recurs") {
            return here("arrays and tables are nested too deeply", None);
        }
        if let Some(start) = self.unquoted() {
            return (
                start,
                "only a number, true, false, an array or a table stands without quotes".into(),
                Some("put text in quotes"),
            );
        }
        if says("key with no value") && self.line().trim_end().ends_with(':') {
            return here(
                "this looks like YAML",
                Some("a section is written [server], and a key in it bind = \"127.0.0.1:8000\""),
            );
        }
        let hint = says("key with no value").then_some("a key and its value are written key = \"value\"");
        (self.at, self.parser.lines().collect::<Vec<_>>().join("; "), hint)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Where the line that it stands in begins.
    fn line_start(&self) -> usize {
        self.text.get(..self.at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    fn line(&self) -> &str {
        self.text.get(self.line_start()..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    /// Where a value begins that is neither in quotes nor a number, if that is what is wrong.
    fn unquoted(&self) -> Option<usize> {
        const SAYS: [&str; 5] =
            ["invalid float", "invalid integer", "invalid boolean", "must be quoted", "invalid date"];
        if !SAYS.iter().any(|says| self.parser.contains(says)) {
            return None;
        }
        let before = self.text.get(self.line_start()..self.at)?;
        let equals = before.rfind('=')?;
        let value = before.get(equals + 1..)?;
        Some(self.line_start() + equals + 1 + (value.len() - value.trim_start().len()))
    }

    /// The name that stands a second time, and where it stands the first time, read from the text before it.
    fn second_time(&self) -> String {
        let name: String = self.rest().chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect();
        let before = self.text.get(..self.line_start()).unwrap_or_default();
        let line = self.line().trim();
        let table = match line.strip_prefix('[') {
            Some(header) => header.split(']').next().unwrap_or_default().to_owned(),
            None => {
                let header = before.lines().rev().find_map(|line| line.trim().strip_prefix('[')?.split(']').next());
                header.map_or_else(|| name.clone(), |header| format!("{header}.{name}"))
            }
        };
        let first = Layer::from_toml(self.path, before, &mut Problems::default())
            .and_then(|layer| layer.spots.get(&table).map(|spot| spot.key.clone()));
        match first {
            Some(Place::File { line, .. }) => {
                format!("`{name}` stands here a second time; the first is in line {line}")
            }
            _ => format!("`{name}` stands here a second time"),
        }
    }
}
