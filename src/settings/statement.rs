//! An SQL statement of a worker, with the places where the run's identity is bound. It finds `:worker :run_id :tick_at :attempt`
//! and nothing in `::casts`, literals, quoted identifiers, dollar quotes or comments; it does not understand SQL beyond that.

use std::fmt;

/// What can be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// The worker's name, as text.
    Worker,
    /// The run's id, as text.
    RunId,
    /// The tick: `timestamptz` in Postgres, RFC 3339 text in SQLite; null for a manual run.
    TickAt,
    /// Which attempt it is, counted from one, as an integer.
    Attempt,
}

impl Parameter {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Worker, Self::RunId, Self::TickAt, Self::Attempt];

    /// As it is written, without the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::RunId => "run_id",
            Self::TickAt => "tick_at",
            Self::Attempt => "attempt",
        }
    }
}

/// A whole statement, ready to be written for either database.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Bind(Parameter),
}

/// Which database a statement is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Statement {
    /// Takes one statement.
    ///
    /// # Errors
    /// What is wrong and what is allowed: an empty text, an unknown parameter, a second statement, a quote or comment without an end,
    /// or a transaction of its own, which would end ours.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scanner = Scanner { rest: text, parts: vec![Part::Text(String::new())], brackets: 0, ended: false };
        while let Some(first) = scanner.rest.chars().next() {
            scanner.step(first)?;
        }
        let code = skip_blank(text);
        let first = code.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        match first.as_str() {
            "" if code.trim_matches([';', ' ', '\n']).is_empty() => Err("the statement is empty".into()),
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
                Err(format!("`{first}` is not possible here: a run has a transaction of its own"))
            }
            _ => Ok(Self { parts: scanner.parts }),
        }
    }

    /// The statement with numbered parameters, and which one each number stands for.
    #[must_use]
    pub fn write(&self, dialect: Dialect) -> (String, Vec<Parameter>) {
        let mut sql = String::new();
        let mut bound: Vec<Parameter> = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => sql.push_str(text),
                Part::Bind(parameter) => {
                    let number = bound.iter().position(|known| known == parameter).unwrap_or_else(|| {
                        bound.push(*parameter);
                        bound.len() - 1
                    }) + 1;
                    sql.push_str(&place(dialect, *parameter, number));
                }
            }
        }
        (sql, bound)
    }
}

/// Each parameter has one type wherever it stands, so that Postgres need not guess.
fn place(dialect: Dialect, parameter: Parameter, number: usize) -> String {
    match (dialect, parameter) {
        (Dialect::Sqlite, _) => format!("?{number}"),
        (Dialect::Postgres, Parameter::Worker | Parameter::RunId) => format!("${number}::text"),
        (Dialect::Postgres, Parameter::TickAt) => format!("(${number}::text)::timestamptz"),
        (Dialect::Postgres, Parameter::Attempt) => format!("${number}::integer"),
    }
}

/// The text without white space and comments at its start; what has no end was refused before.
fn skip_blank(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let comment = if rest.starts_with("--") { line_comment(rest) } else { block_comment(rest) };
        match comment.and_then(|length| rest.get(length..)) {
            Some(after) => rest = after.trim_start(),
            None => return rest,
        }
    }
}

struct Scanner<'t> {
    rest: &'t str,
    parts: Vec<Part>,
    brackets: usize,
    ended: bool,
}

impl Scanner<'_> {
    fn step(&mut self, first: char) -> Result<(), String> {
        let comment = self.rest.starts_with("--") || self.rest.starts_with("/*");
        if self.ended && !comment && !first.is_whitespace() && first != ';' {
            return Err("there is more than one statement: declare a worker for each".into());
        }
        if let Some(length) = self.quoted(first)? {
            self.keep(length);
            return Ok(());
        }
        match first {
            ';' => self.ended = true,
            '[' => self.brackets += 1,
            ']' => self.brackets = self.brackets.saturating_sub(1),
            ':' => return self.colon(),
            _ => {}
        }
        self.keep(first.len_utf8());
        Ok(())
    }

    /// The length of what starts here and is not code.
    fn quoted(&self, first: char) -> Result<Option<usize>, String> {
        let (length, what) = match first {
            '\'' => (string(self.rest, self.after_escape_mark()), "a string"),
            '"' | '`' => (quoted(self.rest, first), "a quoted name"),
            '-' if self.rest.starts_with("--") => (line_comment(self.rest), "a comment"),
            '/' if self.rest.starts_with("/*") => (block_comment(self.rest), "a comment"),
            '$' if !self.after_word() => match dollar_tag(self.rest) {
                Some(tag) => (dollar_quoted(self.rest, tag), "a dollar quote"),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        length.map(Some).ok_or_else(|| format!("{what} has no end"))
    }

    /// `::type` and `:=` are operators, `[1:n]` is a slice, `:name` is a parameter.
    fn colon(&mut self) -> Result<(), String> {
        if self.rest.starts_with("::") || self.rest.starts_with(":=") {
            self.keep(2);
            return Ok(());
        }
        let name: String = self.rest.chars().skip(1).take_while(|c| is_word(*c)).collect();
        let starts_a_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let slice = self.brackets > 0 && !Parameter::ALL.iter().any(|known| known.as_str() == name);
        if !starts_a_name || slice || self.after_word() {
            self.keep(1);
            return Ok(());
        }
        let Some(parameter) = Parameter::ALL.into_iter().find(|known| known.as_str() == name) else {
            return Err(format!("`:{name}` is not a parameter: use :worker, :run_id, :tick_at or :attempt"));
        };
        self.advance(1 + name.len());
        self.parts.push(Part::Bind(parameter));
        self.parts.push(Part::Text(String::new()));
        Ok(())
    }

    fn keep(&mut self, length: usize) {
        let text = self.rest.get(..length).unwrap_or(self.rest).to_owned();
        if let Some(Part::Text(kept)) = self.parts.last_mut() {
            kept.push_str(&text);
        }
        self.advance(length);
    }

    fn advance(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or("");
    }

    /// What was read since the last parameter, from its end.
    fn behind(&self) -> impl Iterator<Item = char> {
        let text = if let Some(Part::Text(text)) = self.parts.last() { text.as_str() } else { "" };
        text.chars().rev()
    }

    fn after_word(&self) -> bool {
        self.behind().next().is_some_and(is_word)
    }

    /// Whether an `e` that is no part of a longer word stands before: then backslashes escape.
    fn after_escape_mark(&self) -> bool {
        let mut behind = self.behind();
        matches!(behind.next(), Some('e' | 'E')) && !behind.next().is_some_and(is_word)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a string literal at the start, or `None` where it has no end.
fn string(text: &str, escapes: bool) -> Option<usize> {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if escapes => drop(letters.next()),
            '\'' if letters.peek().is_some_and(|(_, next)| *next == '\'') => drop(letters.next()),
            '\'' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of a quoted name at the start; a doubled quote reads as the end of one name and the start of the next.
fn quoted(text: &str, quote: char) -> Option<usize> {
    text.char_indices().skip(1).find(|(_, letter)| *letter == quote).map(|(at, _)| at + 1)
}

/// The length of a comment up to the end of its line; the end of the text is one, too.
fn line_comment(text: &str) -> Option<usize> {
    text.starts_with("--").then(|| text.find('\n').map_or(text.len(), |at| at + 1))
}

/// The length of a comment that may hold others, as in Postgres.
fn block_comment(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth = depth.checked_sub(1)?;
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        at += length;
        if depth == 0 {
            return (at > 2).then_some(at);
        }
    }
    None
}

/// `$$` or `$tag$` at the start.
fn dollar_tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('$')?;
    let end = inner.find('$')?;
    let tag = inner.get(..end)?;
    let is_tag = tag.chars().all(is_word) && !tag.starts_with(|c: char| c.is_ascii_digit());
    if is_tag { text.get(..end + 2) } else { None }
}

fn dollar_quoted(text: &str, tag: &str) -> Option<usize> {
    let end = text.get(tag.len()..)?.find(tag)?;
    Some(end + 2 * tag.len())
}

impl fmt::Debug for Statement {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Bind(parameter) => write!(f, ":{}", parameter.as_str())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, sqlite: &str) {
        assert_eq!(Statement::parse(text).map(|s| s.write(Dialect::Sqlite).0), Ok(sqlite.to_owned()), "{text}");
    }

    fn unchanged(text: &str) {
        check(text, text);
        assert!(Statement::parse(text).unwrap().write(Dialect::Sqlite).1.is_empty(), "{text}");
    }

    #[test]
    fn parameters_are_numbered_by_first_use() {
        check("insert into t values (:run_id, :worker, :run_id)", "insert into t values (?1, ?2, ?1)");
        let (sql, bound) = Statement::parse("select :tick_at, :attempt+1, :worker").unwrap().write(Dialect::Postgres);
        assert_eq!(sql, "select ($1::text)::timestamptz, $2::integer+1, $3::text");
        assert_eq!(bound, [Parameter::TickAt, Parameter::Attempt, Parameter::Worker]);
        check("select :worker::text", "select ?1::text");
        check("select(:worker)", "select(?1)");
        check("select 'é', :worker -- ü", "select 'é', ?1 -- ü");
    }

    #[test]
    fn what_looks_like_a_parameter_is_left_alone_where_it_is_none() {
        for text in [
            "select x::worker",
            "select ':worker', 'it''s :run_id', 'a\\'",
            r"select e'it\'s :worker'",
            "select \":worker\", \"a\"\":b\"",
            "select `:worker`",
            "select 1 -- :worker\n, 2",
            "select 1 /* :worker /* :run_id */ :attempt */",
            "select $$ :worker $$, $a$ :run_id $$ $a$",
            "select a[1:2], a[lo:hi], a[:n], a[f(x):y]",
            "call f(x := 1)",
            "select '12:30:00'::time, 12 :: int",
            "select x where name like'a\\' and b = ':worker'",
            "select $1",
        ] {
            unchanged(text);
        }
    }

    #[test]
    fn a_quote_inside_another_does_not_open_one() {
        check("select '\"', :worker, \"'\"", "select '\"', ?1, \"'\"");
        check("select '--', :worker", "select '--', ?1");
        check("select a - -1, b / :attempt", "select a - -1, b / ?1");
        check("select a$b$, :worker, c$b$", "select a$b$, ?1, c$b$");
    }

    #[test]
    fn an_unknown_parameter_names_the_allowed_ones() {
        let error = Statement::parse("delete from t where id = :id").unwrap_err();
        assert_eq!(error, "`:id` is not a parameter: use :worker, :run_id, :tick_at or :attempt");
    }

    #[test]
    fn one_statement_without_a_transaction_of_its_own() {
        unchanged("select 1;");
        unchanged("select 1; -- done\n;");
        for (text, error) in [
            ("", "the statement is empty"),
            (" -- nothing\n ;", "the statement is empty"),
            ("select 1; select 2", "there is more than one statement: declare a worker for each"),
            ("/* x */ COMMIT", "`commit` is not possible here: a run has a transaction of its own"),
            ("select 'x", "a string has no end"),
            ("select \"x", "a quoted name has no end"),
            ("select /* x", "a comment has no end"),
            ("select $a$ x $$", "a dollar quote has no end"),
        ] {
            assert_eq!(Statement::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
