//! The line that a mistake is in, with the spot marked, and without what may be a secret: every quoted text is hidden but
//! the one the mistake is about, and that one too where the schema says that it may hold a secret.

use super::schema::Schema;
use crate::problem::{Excerpt, Place, Problem, Problems};
use crate::secret::Secret;
use std::collections::BTreeMap;

/// The longest line that is shown.
const MAX_LINE: usize = 160;

/// Adds its line to every problem whose place is in one of these texts.
pub fn point_into(problems: &mut Problems, texts: &BTreeMap<String, Secret>, schema: &Schema) {
    problems.for_each(|problem| {
        if let Some(excerpt) = of(problem, texts, schema) {
            problem.excerpt = Some(excerpt);
        }
    });
}

fn of(problem: &Problem, texts: &BTreeMap<String, Secret>, schema: &Schema) -> Option<Excerpt> {
    let Place::File { path, line, column } = &problem.place else { return None };
    let text = texts.get(path)?.expose_text()?;
    let line_text: Vec<char> = text.lines().nth(line.checked_sub(1)?)?.chars().collect();
    let start = column.checked_sub(1)?;
    if line_text.len() > MAX_LINE || start > line_text.len() {
        return None;
    }
    let width = width_at(&line_text, start);
    let shown = if problem.key.is_empty() {
        // Where nothing of it may be shown, a line of stars says less than the place does.
        without_value(&line_text)?
    } else {
        // A header holds names, and no value.
        let header = line_text.iter().find(|c| !c.is_whitespace()) == Some(&'[') && !line_text.contains(&'=');
        let secret = schema.holds_a_secret(&problem.key) && !header;
        let mut line_text = line_text;
        if secret {
            // Also a number that was meant to be a password.
            line_text
                .iter_mut()
                .skip(start)
                .take(width)
                .filter(|c| !matches!(c, '"' | '\'' | '{' | '['))
                .for_each(|c| *c = '*');
        }
        without_texts(&line_text, (!secret).then_some(start))
    };
    Some(Excerpt { line: shown, column: *column, width })
}

/// How many characters the mistake covers: a quoted text, or a word.
fn width_at(line: &[char], start: usize) -> usize {
    let rest = line.get(start..).unwrap_or_default();
    let length = match rest.first() {
        Some(quote @ ('"' | '\'')) => rest.iter().skip(1).position(|c| c == quote).map_or(1, |end| end + 2),
        Some(_) => rest.iter().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).count(),
        None => 1,
    };
    length.max(1)
}

/// Hides the inside of every quoted text but the one that begins at `own`; nothing moves.
fn without_texts(line: &[char], own: Option<usize>) -> String {
    let mut shown = String::new();
    let mut inside: Option<(char, usize)> = None;
    for (position, character) in line.iter().enumerate() {
        match inside {
            None => {
                if *character == '#' {
                    break;
                }
                if matches!(character, '"' | '\'') {
                    inside = Some((*character, position));
                }
                shown.push(*character);
            }
            Some((quote, _)) if *character == quote => {
                inside = None;
                shown.push(*character);
            }
            Some((_, from)) => shown.push(if own == Some(from) { *character } else { '*' }),
        }
    }
    shown.trim_end().to_owned()
}

/// A line that is not valid TOML may hold anything anywhere: only what stands before its `=` is shown, or a header.
fn without_value(line: &[char]) -> Option<String> {
    let text: String = line.iter().collect();
    let before = text.trim_start();
    match text.split_once('=') {
        Some((key, value)) => Some(format!("{key}={}", "*".repeat(value.chars().count()))),
        None if before.starts_with('[') && !before.contains(['"', '\'']) => Some(text),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, own: Option<usize>) -> String {
        without_texts(&line.chars().collect::<Vec<_>>(), own)
    }

    #[test]
    fn only_the_text_that_is_spoken_of_is_shown() {
        assert_eq!(shown(r#"x = { a = "one", b = "two" } # three"#, Some(10)), r#"x = { a = "one", b = "***" }"#);
        assert_eq!(shown(r#"url = "postgres://a:b@c""#, None), r#"url = "****************""#);
        let without_value = |line: &str| without_value(&line.chars().collect::<Vec<_>>());
        assert_eq!(without_value("password = hunter2").as_deref(), Some("password =********"));
        assert_eq!(without_value("[server").as_deref(), Some("[server"));
        assert_eq!(without_value("hunter2"), None);
    }
}
