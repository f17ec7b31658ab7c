//! A text in which `${run.id}`, `${run.worker}`, `${run.tick_at}` and `${run.attempt}` stand for the run that it is used in.
//! Secrets are not replaced here: what an action says and answers is kept and shown.

use super::statement::Parameter;
use crate::config::schema::nearest;
use std::fmt;

/// A text with the places of the run's identity found.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Run(Parameter),
}

/// What is wrong with such a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) hint: String,
}

/// How each part of the identity is written.
const WORDS: [(&str, Parameter); 4] = [
    ("run.id", Parameter::RunId),
    ("run.worker", Parameter::Worker),
    ("run.tick_at", Parameter::TickAt),
    ("run.attempt", Parameter::Attempt),
];

impl Template {
    /// Finds the places; `$${` stands for a literal `${`.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = after;
                continue;
            }
            literal.push_str(before);
            let (reference, tail) = after.split_once('}').ok_or_else(unclosed)?;
            let found = WORDS.iter().find(|(word, _)| *word == reference).ok_or_else(|| unknown(reference))?;
            parts.push(Part::Text(std::mem::take(&mut literal)));
            parts.push(Part::Run(found.1));
            rest = tail;
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        Ok(Self(parts))
    }

    /// The text of one run.
    #[must_use]
    pub fn fill(&self, value: impl Fn(Parameter) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Run(parameter) => value(*parameter),
        };
        self.0.iter().map(part).collect()
    }
}

fn unclosed() -> Mistake {
    Mistake { message: "`${` is never closed by `}`".into(), hint: "write `$${` for a literal `${`".into() }
}

fn unknown(reference: &str) -> Mistake {
    if reference.starts_with("secrets.") {
        return Mistake {
            message: "a secret has no place here: the command and its answer are kept with the run".into(),
            hint: "the store's own url may hold secrets".into(),
        };
    }
    let words = WORDS.iter().map(|(word, _)| *word);
    let hint = match nearest(reference, words.clone()) {
        Some(near) => format!("did you mean `${{{near}}}`?"),
        None => {
            let all: Vec<String> = words.map(|word| format!("${{{word}}}")).collect();
            format!("known are {}; write `$${{` for a literal `${{`", all.join(", "))
        }
    };
    let reference: String = reference.chars().take(80).collect();
    Mistake { message: format!("`${{{reference}}}` refers to nothing"), hint }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.fill(|parameter| format!("${{{}}}", parameter.as_str())), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let template = Template::parse(text).map_err(|mistake| format!("{} ({})", mistake.message, mistake.hint))?;
        Ok(template.fill(|parameter| format!("<{}>", parameter.as_str())))
    }

    #[test]
    fn each_part_of_the_identity_is_put_where_it_was_written() {
        assert_eq!(filled("job:${run.id}:${run.attempt}").unwrap(), "job:<run_id>:<attempt>");
        assert_eq!(filled("${run.worker}${run.tick_at}").unwrap(), "<worker><tick_at>");
        for same in ["", "plain", "$", "100 $ {x}", "a}b"] {
            assert_eq!(filled(same).unwrap(), same);
        }
        assert_eq!(filled("$${run.id} and $${").unwrap(), "${run.id} and ${");
    }

    #[test]
    fn what_refers_to_nothing_is_a_mistake() {
        assert!(filled("${run.ide}").unwrap_err().contains("did you mean `${run.id}`?"));
        assert!(filled("${now}").unwrap_err().contains("known are ${run.id}"));
        assert!(filled("${run.id").unwrap_err().contains("never closed"));
        assert!(filled("${secrets.x}").unwrap_err().contains("no place here"));
    }
}
