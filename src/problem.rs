//! A mistake in the configuration, as whoever edits the file needs to read it: where, which key, what, and what to do.
//! Problems are collected, never thrown one by one; errors of requests and of the shell have types of their own.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Place {
    /// In a file; line and column count from one, columns in characters.
    File {
        /// The path as the operator named it.
        path: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable of this name.
    Env(String),
    /// On the command line, in this flag.
    Flag(String),
    /// Nowhere: a built-in default, or something that is missing altogether.
    #[default]
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Env(name) => write!(f, "${name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Nowhere => f.write_str("(nowhere)"),
        }
    }
}

/// One mistake, or one warning. Its texts start in lower case, end without a full stop and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The key it is about, as in `server.bind`; empty where a whole file is at fault.
    pub key: String,
    /// What is wrong: what was found and what is allowed.
    pub message: String,
    /// What to do about it, where we can tell.
    pub hint: Option<String>,
    /// The key that was probably meant by one that does not exist.
    pub meant: Option<String>,
    /// The line it is in, for whoever reads it on a screen.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// The longest text that is shown of a key or a message, in characters: what was found may be a whole file.
const MAX_TEXT: usize = 600;

/// A line of a file with a spot in it, without what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excerpt {
    /// The line.
    pub line: String,
    /// Where the spot begins, in characters from one.
    pub column: usize,
    /// How long it is.
    pub width: usize,
}

impl Excerpt {
    /// The line and, under it, the spot; `number` is the line's.
    fn write(&self, f: &mut fmt::Formatter<'_>, number: usize) -> fmt::Result {
        let margin = number.to_string().len();
        let (blank, indent) = (" ".repeat(margin), " ".repeat(self.column.saturating_sub(1)));
        write!(f, "\n  {number} | {}\n  {blank} | {indent}{}", self.line, "^".repeat(self.width))
    }
}

impl Problem {
    /// A problem with a key, without a hint.
    #[must_use]
    pub fn new(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, key: key.into(), message: printable(&message.into()), hint: None, meant: None, excerpt: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(printable(&hint.into()));
        self
    }

    /// The same about a key that does not exist, with the one that was probably meant.
    #[must_use]
    pub fn meant(mut self, key: impl Into<String>) -> Self {
        self.meant = Some(key.into());
        self
    }
}

/// A text that fits a screen and cannot move its cursor: what was found stands in messages, and may be anything. Of a long
/// one the middle is left out, for what is allowed often stands at its end.
fn printable(text: &str) -> String {
    let length = text.chars().count();
    let (head, tail) = if length > MAX_TEXT { (MAX_TEXT * 2 / 3, length - MAX_TEXT / 3) } else { (length, length) };
    let mut shown = String::with_capacity(text.len().min(MAX_TEXT));
    for (n, character) in text.chars().enumerate().filter(|(n, _)| *n <= head || *n >= tail) {
        match character {
            _ if n == head && head < tail => shown.push_str(" ... "),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

impl fmt::Display for Problem {
    /// On one or two lines; with `{:#}` also the line of the file that it is in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place != Place::Nowhere {
            write!(f, "{}: ", self.place)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", printable(&self.key))?;
        }
        f.write_str(&self.message)?;
        if f.alternate()
            && let (Some(excerpt), Place::File { line, .. }) = (&self.excerpt, &self.place)
        {
            excerpt.write(f, *line)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with one reading of the configuration, gathered; warnings apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    incomplete: bool,
}

impl Problems {
    /// Adds a mistake.
    pub fn error(&mut self, problem: Problem) {
        if !self.errors.contains(&problem) {
            self.errors.push(problem);
        }
    }

    /// Adds a mistake about something that is said nowhere. It is not told where a whole file could not be read, for
    /// then it may stand there.
    pub fn missing(&mut self, problem: Problem) {
        if !self.incomplete {
            self.error(problem);
        }
    }

    /// From now on something is known to be missing: a whole file could not be read.
    pub const fn lose_a_file(&mut self) {
        self.incomplete = true;
    }

    /// Whether a whole file could not be read, so that what the rest means cannot be judged.
    #[must_use]
    pub const fn lost_a_file(&self) -> bool {
        self.incomplete
    }

    /// Adds something that is allowed but probably not meant.
    pub fn warning(&mut self, problem: Problem) {
        if !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }

    /// Takes over the problems of another part.
    pub fn extend(&mut self, other: Self) {
        self.incomplete |= other.incomplete;
        other.errors.into_iter().for_each(|p| self.error(p));
        other.warnings.into_iter().for_each(|p| self.warning(p));
    }

    /// Changes each of them, such as by adding the line it is in.
    pub fn for_each(&mut self, mut change: impl FnMut(&mut Problem)) {
        self.errors.iter_mut().chain(&mut self.warnings).for_each(&mut change);
    }

    /// Whether there is any mistake; warnings do not count.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether this very mistake was told.
    #[must_use]
    pub fn told(&self, problem: &Problem) -> bool {
        self.errors.contains(problem)
    }

    /// Whether a mistake was already told about this key or something inside it, or about one by which it was meant.
    #[must_use]
    pub fn concern(&self, key: &str) -> bool {
        let inside =
            |other: &str| other == key || other.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.errors.iter().any(|p| inside(&p.key) || p.meant.as_deref() == Some(key))
    }

    /// The mistakes in the order of the text: file by file, line by line, then the variables.
    #[must_use]
    pub fn errors(&self) -> Vec<Problem> {
        let mut sorted = self.errors.clone();
        sorted.sort();
        sorted
    }

    /// The warnings, in the order of the text.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        let mut sorted = self.warnings.clone();
        sorted.sort();
        sorted
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.errors() {
            writeln!(f, "error: {problem:#}")?;
        }
        for problem in self.warnings() {
            writeln!(f, "warning: {problem:#}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, key: &str) -> Problem {
        Problem::new(Place::File { path: "monolith.toml".into(), line, column: 1 }, key, "is wrong")
    }

    #[test]
    fn problems_are_told_once_and_in_the_order_of_the_text() {
        let mut problems = Problems::default();
        problems.error(at(9, "b"));
        problems.error(at(2, "a.x"));
        problems.error(at(9, "b"));
        assert_eq!(
            problems.to_string(),
            "error: monolith.toml:2:1: a.x: is wrong\nerror: monolith.toml:9:1: b: is wrong\n"
        );
        assert!(problems.concern("a"));
        assert!(!problems.concern("a.y"));
        problems.error(at(3, "a.yy").meant("a.y"));
        assert!(problems.concern("a.y"));
    }

    #[test]
    fn what_was_found_cannot_flood_the_screen_or_move_its_cursor() {
        let problem = Problem::new(Place::Nowhere, "k\u{1b}[2J", format!("found \"{}\"", "x\n".repeat(10_000)));
        let shown = problem.to_string();
        assert!(shown.len() < 2 * MAX_TEXT && !shown.contains(char::is_control), "{shown}");
        let problem = Problem::new(Place::Nowhere, "", format!("found \"{}\", use small letters", "x".repeat(10_000)));
        assert!(problem.message.starts_with("found") && problem.message.ends_with("use small letters"), "{problem}");
    }
}
