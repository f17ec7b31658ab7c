//! What to write instead of what is wrong: the key that was meant, the section it stands in, an example.
//! Never repeats a value: it may be a secret.

use super::{Walk, join};
use crate::config::renamed;
use crate::config::schema::{Shape, Table, nearest};
use crate::problem::{Place, Problem};
use figment::value::{Dict, Value};
use serde_json::Value as Json;

/// How a table is written at a key where something else stands.
pub(super) fn table(key: &str) -> Option<String> {
    let parts: Vec<&str> = key.split('.').collect();
    let example = match parts.as_slice() {
        ["secrets", name] => {
            return Some(format!("say where it comes from: {name} = {{ env = \"NAME\" }} or {{ file = \"...\" }}"));
        }
        ["workers", _, "run"] => "run = { kind = \"command\", argv = [\"df\", \"-h\"] }",
        ["workers", _, "retry"] => "retry = { attempts = 3 }",
        ["workers", _, "catch_up"] => "catch_up = { policy = \"last\" }",
        ["workers", _, "alert"] => "alert = { to = \"oncall\", after_failures = 3 }",
        ["stores", _, "probe"] => "probe = { every = \"5s\" }",
        ["server", "tls"] => "tls = { cert = \"cert.pem\", key = \"key.pem\" }",
        ["scheduler", "history"] => "history = { keep = \"30d\" }",
        ["alerts", _, "webhook"] => "webhook = { url = \"https://...\" }",
        [section] => return Some(format!("write [{section}], and its keys below")),
        _ => return None,
    };
    Some(format!("such as {example}"))
}

/// How an array is written; a command line is one of words.
pub(super) fn array(key: &str, value: &Value, secret: bool) -> String {
    match value.as_str() {
        Some(line) if !secret && line.len() <= 60 && (key.ends_with(".argv") || key.ends_with(".command")) => {
            let words: Vec<String> = line.split_whitespace().map(|word| format!("\"{word}\"")).collect();
            format!("write it as [{}]", words.join(", "))
        }
        Some(text) if !secret && text.len() <= 60 => format!("write it as [\"{text}\"]"),
        _ => "write it as [\"...\"]".into(),
    }
}

/// How a text is written, with the default as the example.
pub(super) fn text(default: Option<&Value>) -> String {
    match default.and_then(Value::as_str) {
        Some(default) => format!("put it in quotes, such as \"{default}\""),
        None => "put it in quotes".into(),
    }
}

/// Whether what stands in quotes would be right without them.
pub(super) fn unquoted(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok()).then(|| "write it without quotes".to_owned())
}

/// How a key is written that is missing in a table.
pub(super) fn example(table: &str, name: &str) -> Option<&'static str> {
    let parts: Vec<&str> = table.split('.').collect();
    Some(match (parts.as_slice(), name) {
        (["stores", _], "url") => {
            "url = \"postgres://app:${secrets.pg_password}@db:5432/app\" or \"sqlite:data/app.db\""
        }
        (["workers", _], "run") => "run = { kind = \"command\", argv = [\"df\", \"-h\"] }",
        (["workers", _, "run"], "statement") => "statement = \"delete from sessions where expires_at < now()\"",
        (["workers", _, "run"], "argv") => "argv = [\"df\", \"-h\"]",
        (["workers", _, "run"], "store") => "store = \"main\"",
        (["alerts", _], "webhook") => "webhook = { url = \"https://...\" }",
        (["server", "tls"], "cert" | "key") => "tls = { cert = \"cert.pem\", key = \"key.pem\" }",
        _ => return None,
    })
}

impl<'a> Walk<'a> {
    /// Tells that there is no such key, and which one was probably meant.
    pub(super) fn unknown(&mut self, at: Place, path: &str, name: &str, known: &[&str]) {
        let problem = Problem::new(at, path, "there is no such key");
        let parent = path.strip_suffix(name).unwrap_or_default();
        self.problems.error(if let Some((new, example)) = renamed::new_name(path) {
            let problem = Problem::new(problem.place, path, format!("there is no such key: it is `{new}`"));
            problem.meant(new).hint(format!("write {example}"))
        } else if let Some(near) = nearest(name, known.iter().copied()) {
            problem.meant(format!("{parent}{near}")).hint(format!("did you mean `{near}`?"))
        } else if let Some(section) = self.section_of(path) {
            problem.meant(format!("{section}.{name}")).hint(format!("`{name}` stands under [{section}]"))
        } else {
            problem.hint(format!("allowed here: {}", known.join(", ")))
        });
    }

    /// The section that a key without one belongs to, where there is just one.
    fn section_of(&self, key: &str) -> Option<&'a str> {
        let Shape::Table(root) = self.schema.shape(self.schema.document()) else { return None };
        let mut sections = root.keys().filter(|section| {
            let place = root.get(section).map(|place| self.schema.shape(place));
            matches!(place, Some(Shape::Table(table)) if table.get(key).is_some())
        });
        sections.next().filter(|_| sections.next().is_none())
    }

    /// Keys that belong to another kind are told as such and taken out.
    pub(super) fn keys_of_other_kinds(
        &mut self,
        kinds: &[(&'a str, Table<'a>)],
        kind: &str,
        dict: &mut Dict,
        key: &str,
    ) {
        let has = |table: &Table<'a>, name: &str| table.get(name).is_some();
        let own = kinds.iter().find(|(known, _)| *known == kind);
        for name in dict.keys().cloned().collect::<Vec<_>>() {
            let path = join(key, &name);
            if own.is_some_and(|(_, table)| has(table, &name)) || renamed::new_name(&path).is_some() {
                continue;
            }
            let others: Vec<&str> =
                kinds.iter().filter(|(_, table)| has(table, &name)).map(|(kind, _)| *kind).collect();
            if others.is_empty() {
                continue;
            }
            let at = dict.get(&name).and_then(|value| self.spot(value, &path)).map_or(Place::Nowhere, |spot| spot.key);
            let message = format!("is not a key of the kind {kind}, but of {}", others.join(", "));
            self.problems.error(Problem::new(at, path, message));
            dict.remove(&name);
        }
    }

    /// Where nobody knows the kind, a key is unknown that no kind has.
    pub(super) fn unknown_of_all(&mut self, kinds: &[(&'a str, Table<'a>)], dict: &Dict, key: &str) {
        let mut known: Vec<&str> = kinds.iter().flat_map(|(_, table)| table.keys()).collect();
        known.sort_unstable();
        known.dedup();
        for (name, value) in dict.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let path = join(key, name);
            let at = self.spot(value, &path).map_or(Place::Nowhere, |spot| spot.key);
            self.unknown(at, &path, name, &known);
        }
    }

    /// `[stores]` with a `kind` right below it: the name is missing. One mistake, not one for each key.
    pub(super) fn without_a_name(&mut self, values: &'a Json, dict: &mut Dict, key: &str) {
        let known: Vec<&str> = match self.schema.shape(values) {
            Shape::Table(table) => table.keys().collect(),
            Shape::Tagged(kinds) => kinds.iter().flat_map(|(_, table)| table.keys()).collect(),
            _ => return,
        };
        if !dict.iter().any(|(name, value)| known.contains(&name.as_str()) && !matches!(value, Value::Dict(..))) {
            return;
        }
        let names: Vec<String> = dict.keys().filter(|name| known.contains(&name.as_str())).cloned().collect();
        let problem =
            Problem::new(self.places.of(key), key, "the name is missing: the keys of one stand right in the section");
        self.problems.error(problem.hint(format!("write [{key}.NAME]")));
        names.iter().for_each(|name| drop(dict.remove(name)));
    }
}
