//! Checks merged values against the schema: every unknown key, wrong type and missing part at once, each with its place.
//! A bad value is taken out, its default put back, and the walk goes on, so that one mistake never hides another.

mod advice; // what to write instead

use super::compare::{Hidden, hidden};
use super::mask::masked;
use super::merge::Merged;
use super::schema::{Schema, Shape, Table, nearest, one_of};
use super::written::Written;
use super::{Places, layers::Spot};
use crate::problem::{Place, Problem, Problems};
use figment::value::{Dict, Value};
use serde::Deserialize;
use serde_json::Value as Json;

/// The merged values, checked.
pub(super) struct Read {
    pub(super) written: Option<Written>,
    pub(super) values: Json,
    pub(super) hidden: Hidden,
    pub(super) places: Places,
}

/// Checks and reads the merged values.
pub(super) fn read(schema: &Schema, merged: &Merged, problems: &mut Problems) -> Read {
    let mut walk = Walk { schema, merged, problems, places: Places::default() };
    let mut root = Dict::new();
    for name in merged.sections() {
        if let Some(value) = merged.section(&name) {
            root.insert(name, value);
        }
    }
    let mut root = Value::from(root);
    walk.value(schema.document(), &mut root, "");
    let places = walk.places;
    let values = shown(schema, schema.document(), &root);
    let hidden = hidden(schema, schema.document(), &root);
    match Written::deserialize(&root) {
        Ok(written) => Read { written: Some(written), values, hidden, places },
        Err(error) => {
            // The walk is as strict as the types, so this is a fault of ours: say where, and never the value.
            let key = error.path.join(".");
            let message = "cannot be read, although it looks right; please report this";
            problems.error(Problem::new(places.of(&key), key, message));
            Read { written: None, values, hidden, places }
        }
    }
}

struct Walk<'a> {
    schema: &'a Schema,
    merged: &'a Merged,
    problems: &'a mut Problems,
    places: Places,
}

impl<'a> Walk<'a> {
    /// Checks one value; `false` where it must be taken out.
    fn value(&mut self, place: &'a Json, value: &mut Value, key: &str) -> bool {
        let spot = self.spot(value, key);
        self.places.0.insert(key.to_owned(), spot.as_ref().map_or(Place::Nowhere, |spot| spot.value.clone()));
        let shape = self.schema.shape(place);
        match (&shape, &mut *value) {
            (Shape::Table(table), Value::Dict(_, dict)) => self.table(*table, dict, key),
            (Shape::Tagged(kinds), Value::Dict(_, dict)) => return self.tagged(kinds, dict, key),
            (Shape::Map(values), Value::Dict(_, dict)) => self.map(values, dict, key),
            (Shape::Array(items), Value::Array(_, array)) => {
                let mut n = 0;
                array.retain_mut(|item| {
                    n += 1;
                    self.value(items, item, &format!("{key}[{}]", n - 1))
                });
            }
            (Shape::Choice(words), Value::String(_, word)) => {
                if !words.contains(&word.as_str()) {
                    let hint = nearest(word, words.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
                    return self.wrong(key, format!("must be {}, found \"{word}\"", one_of(words)), hint);
                }
            }
            (Shape::Integer { min, max }, Value::Num(_, number)) => match number.to_i128() {
                Some(n) if (i128::from(*min)..=i128::from(*max)).contains(&n) => {}
                Some(n) => {
                    return self.wrong(key, format!("must be a whole number from {min} to {max}, found {n}"), None);
                }
                None => return self.wrong(key, format!("must be a whole number, found {}", found(value, false)), None),
            },
            (Shape::Any, _) => self.anything(value, key),
            (Shape::Text { .. }, Value::String(..)) | (Shape::Boolean, Value::Bool(..)) => {}
            _ => return self.wrong_type(&shape, value, key),
        }
        true
    }

    /// What may be anything is not checked, but whoever reads it may want to say where a part of it stands, or in which order.
    fn anything(&mut self, value: &Value, key: &str) {
        let parts: Vec<(String, &Value)> = match value {
            Value::Dict(_, dict) => dict.iter().map(|(name, part)| (join(key, name), part)).collect(),
            Value::Array(_, array) => array.iter().enumerate().map(|(n, part)| (format!("{key}[{n}]"), part)).collect(),
            _ => Vec::new(),
        };
        for (key, part) in parts {
            let spot = self.spot(part, &key);
            self.places.0.insert(key.clone(), spot.map_or(Place::Nowhere, |spot| spot.value));
            self.anything(part, &key);
        }
    }

    fn table(&mut self, table: Table<'a>, dict: &mut Dict, key: &str) {
        for name in dict.keys().cloned().collect::<Vec<_>>() {
            let path = join(key, &name);
            match (table.get(&name), dict.get_mut(&name)) {
                (Some(place), Some(value)) => {
                    if !self.value(place, value, &path) {
                        self.take_out(dict, &name, &path);
                    }
                }
                (None, Some(value)) => {
                    let at = self.spot(value, &path).map_or(Place::Nowhere, |spot| spot.key);
                    self.unknown(at, &path, &name, &table.keys().collect::<Vec<_>>());
                    dict.remove(&name);
                }
                (_, None) => {}
            }
        }
        for name in table.required().filter(|name| !dict.contains_key(*name)) {
            let path = join(key, name);
            if !self.problems.concern(&path) {
                let problem = Problem::new(self.places.of(key), path, "is missing, and has no default");
                self.problems.missing(match advice::example(key, name) {
                    Some(example) => problem.hint(format!("such as {example}")),
                    None => problem,
                });
            }
        }
    }

    fn tagged(&mut self, kinds: &[(&'a str, Table<'a>)], dict: &mut Dict, key: &str) -> bool {
        let words: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        let path = join(key, "kind");
        let Some(value) = dict.get("kind") else {
            self.unknown_of_all(kinds, dict, key);
            if !self.problems.concern(&path) {
                let message = format!("is missing: say what it is by kind = {}", one_of(&words));
                self.problems.missing(Problem::new(self.places.of(key), path, message));
            }
            return false;
        };
        let place = self.spot(value, &path).map_or(Place::Nowhere, |spot| spot.value);
        self.places.0.insert(path.clone(), place);
        let Some(kind) = value.as_str().map(str::to_owned) else {
            let message = format!("must be {}, found {}", one_of(&words), found(value, false));
            return self.wrong(&path, message, None);
        };
        match kinds.iter().find(|(known, _)| *known == kind) {
            Some((_, table)) => {
                self.keys_of_other_kinds(kinds, &kind, dict, key);
                self.table(*table, dict, key);
                true
            }
            None => {
                let hint = nearest(&kind, words.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
                self.wrong(&path, format!("must be {}, found \"{kind}\"", one_of(&words)), hint)
            }
        }
    }

    fn map(&mut self, values: &'a Json, dict: &mut Dict, key: &str) {
        self.without_a_name(values, dict, key);
        for name in dict.keys().cloned().collect::<Vec<_>>() {
            let path = join(key, &name);
            let keep = dict.get_mut(&name).is_none_or(|value| self.value(values, value, &path));
            if !keep {
                dict.remove(&name);
            }
        }
    }

    /// Takes a bad value out and puts its default back, so that the rest of the file can be judged.
    fn take_out(&self, dict: &mut Dict, name: &str, key: &str) {
        dict.remove(name);
        if let Some(default) = self.merged.layers.first().and_then(|defaults| defaults.get(key)) {
            dict.insert(name.to_owned(), default.clone());
        }
    }

    fn wrong(&mut self, key: &str, message: String, hint: Option<String>) -> bool {
        let mut problem = Problem::new(self.places.of(key), key, message);
        problem.hint = hint;
        self.problems.error(problem);
        false
    }

    fn wrong_type(&mut self, shape: &Shape<'_>, value: &Value, key: &str) -> bool {
        let default = self.merged.layers.first().and_then(|defaults| defaults.get(key));
        let (wanted, hint) = match shape {
            Shape::Table(_) | Shape::Map(_) | Shape::Tagged(_) => ("a table".to_owned(), advice::table(key)),
            Shape::Array(_) => {
                ("an array".to_owned(), Some(advice::array(key, value, self.schema.holds_a_secret(key))))
            }
            Shape::Choice(words) => (one_of(words), None),
            Shape::Text { .. } | Shape::Any => ("text".to_owned(), Some(advice::text(default))),
            Shape::Integer { .. } => ("a whole number".to_owned(), advice::unquoted(value)),
            Shape::Boolean => ("true or false".to_owned(), advice::unquoted(value)),
        };
        let found = found(value, self.schema.holds_a_secret(key));
        self.wrong(key, format!("must be {wanted}, found {found}"), hint)
    }

    /// Where a value of the merged tree was written: the spot in the layer that figment says it came from.
    fn spot(&self, value: &Value, key: &str) -> Option<Spot> {
        let layers = &self.merged.layers;
        let winner = match value {
            Value::Dict(..) => layers.iter().rev().find(|layer| layer.get(key).is_some()),
            _ => self.merged.layer_of(value),
        };
        let exact = || layers.iter().rev().find_map(|layer| layer.spots.get(key));
        winner.and_then(|layer| layer.spot(key)).or_else(exact).cloned()
    }
}

/// The values as they may be shown, every text that may hold a secret masked.
pub(super) fn shown(schema: &Schema, place: &Json, value: &Value) -> Json {
    match (schema.shape(place), value) {
        (Shape::Text { secret: true }, Value::String(_, text)) => Json::String(masked(text)),
        (Shape::Table(table), Value::Dict(_, dict)) => dict
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), shown(schema, table.get(name)?, value))))
            .collect(),
        (Shape::Tagged(kinds), Value::Dict(_, dict)) => {
            // One layer may change a value and leave it to another to say the kind.
            let kind = dict.get("kind").and_then(Value::as_str);
            let of_kind = |known: &str| kind.is_none_or(|kind| kind == known);
            let at = |name: &str| {
                let places = kinds.iter().filter(|(known, _)| of_kind(known)).filter_map(|(_, table)| table.get(name));
                let secret = |place: &&Json| matches!(schema.shape(place), Shape::Text { secret: true });
                places.clone().find(secret).or_else(|| places.clone().next())
            };
            dict.iter().filter_map(|(name, value)| Some((name.clone(), shown(schema, at(name)?, value)))).collect()
        }
        (Shape::Map(values), Value::Dict(_, dict)) => {
            dict.iter().map(|(name, value)| (name.clone(), shown(schema, values, value))).collect()
        }
        (Shape::Array(items), Value::Array(_, array)) => {
            array.iter().map(|value| shown(schema, items, value)).collect()
        }
        _ => serde_json::to_value(value).unwrap_or(Json::Null),
    }
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// What was found, as far as it may be told.
fn found(value: &Value, secret: bool) -> String {
    match value {
        Value::Bool(_, truth) if !secret => truth.to_string(),
        Value::Num(_, number) if !secret => match number.to_i128() {
            Some(whole) => whole.to_string(),
            None => number.to_f64().map_or_else(|| "a number".to_owned(), |n| n.to_string()),
        },
        Value::String(..) | Value::Char(..) => "text".into(),
        Value::Bool(..) => "a truth value".into(),
        Value::Num(..) => "a number".into(),
        Value::Empty(..) => "nothing".into(),
        Value::Dict(..) => "a table".into(),
        Value::Array(..) => "an array".into(),
    }
}
