//! One layer of the configuration: a tree of values for figment, and the place of every key in it.
//! figment knows a value's file, not its line (research: figment 0.10 `Source`), so the places are kept beside it.

use super::LayerInfo;
use crate::problem::{Place, Problem, Problems};
use figment::value::{Dict, Map, Num, Tag, Value};
use figment::{Metadata, Profile, Provider};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use toml_edit::{Document, Item, TableLike};

/// Where a key and its value were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The key itself: for "no such key".
    pub key: Place,
    /// Its value: for "wrong value".
    pub value: Place,
}

/// One layer: values, places, and what to call it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Unique among the layers of a reading.
    pub name: String,
    /// What it is made of.
    pub source: String,
    /// SHA-256 of its text.
    pub digest: [u8; 32],
    /// The values.
    pub dict: Dict,
    /// The spots, by dotted key.
    pub spots: BTreeMap<String, Spot>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

impl Layer {
    /// An empty layer.
    #[must_use]
    pub fn empty(name: &str, source: &str) -> Self {
        let digest = Sha256::digest(b"").into();
        Self { name: name.into(), source: source.into(), digest, dict: Dict::new(), spots: BTreeMap::new() }
    }

    /// A layer from the text of a TOML file; `None`, with a problem, where it does not parse.
    pub fn from_toml(path: &str, text: &str, problems: &mut Problems) -> Option<Self> {
        match Document::parse(text) {
            Ok(document) => {
                let mut layer = Self::empty(path, path);
                layer.digest = Sha256::digest(text.as_bytes()).into();
                let lines = Lines::of(path, text);
                let mut reading = Reading { lines, spots: &mut layer.spots, problems };
                layer.dict = reading.table("", document.as_table());
                Some(layer)
            }
            Err(error) => {
                problems.error(super::syntax::problem(path, text, &error));
                None
            }
        }
    }

    /// What is told about it.
    #[must_use]
    pub fn info(&self) -> LayerInfo {
        let hash = self.digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        LayerInfo { name: self.name.clone(), source: self.source.clone(), hash }
    }

    /// Puts a value at a dotted key, making the tables on the way.
    pub fn put(&mut self, key: &str, value: Value, place: Place) {
        self.spots.insert(key.to_owned(), Spot { key: place.clone(), value: place });
        let mut tables: Vec<&str> = key.split('.').collect();
        let Some(last) = tables.pop() else { return };
        let mut dict = &mut self.dict;
        for table in tables {
            let entry = dict.entry(table.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if !matches!(entry, Value::Dict(..)) {
                *entry = Value::from(Dict::new());
            }
            let Value::Dict(_, inner) = entry else { return };
            dict = inner;
        }
        dict.insert(last.to_owned(), value);
    }

    /// The value at a dotted key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
        let mut value = self.dict.get(first)?;
        for part in rest.into_iter().flat_map(|rest| rest.split('.')) {
            value = value.as_dict()?.get(part)?;
        }
        Some(value)
    }

    /// Where a key was written, or the value that it stands in: a variable may hold a whole table.
    #[must_use]
    pub fn spot(&self, key: &str) -> Option<&Spot> {
        let mut key = key;
        loop {
            match self.spots.get(key) {
                Some(spot) => return Some(spot),
                None => key = key.get(..key.rfind(['.', '['])?)?,
            }
        }
    }

    /// Takes a dotted key out.
    pub fn remove(&mut self, key: &str) {
        let mut parts: Vec<&str> = key.split('.').collect();
        let Some(last) = parts.pop() else { return };
        let mut dict = &mut self.dict;
        for part in parts {
            match dict.get_mut(part) {
                Some(Value::Dict(_, inner)) => dict = inner,
                _ => return,
            }
        }
        dict.remove(last);
    }
}

/// A TOML value written inline, as in a variable: `{ every = "1s" }` or `["a"]`.
pub(super) fn inline(text: &str) -> Option<Value> {
    let document = Document::parse(format!("v = {text}")).ok()?;
    let mut problems = Problems::default();
    let mut spots = BTreeMap::new();
    let mut reading = Reading { lines: Lines::of("", ""), spots: &mut spots, problems: &mut problems };
    let dict = reading.table("", document.as_table());
    if problems.any() { None } else { dict.get("v").cloned() }
}

/// Turns toml_edit's items into figment's values and notes where they stood.
struct Reading<'a> {
    lines: Lines<'a>,
    spots: &'a mut BTreeMap<String, Spot>,
    problems: &'a mut Problems,
}

impl Reading<'_> {
    fn table(&mut self, prefix: &str, table: &dyn TableLike) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            let key = table.key(name).and_then(toml_edit::Key::span);
            let value = item.span().or_else(|| key.clone());
            let key = key.or_else(|| value.clone());
            // A table with a header of its own is best shown by its name in there.
            let value = if matches!(item, Item::Table(_)) { key.clone() } else { value };
            let spot = Spot { key: self.place(key.map(|s| s.start)), value: self.place(value.map(|s| s.start)) };
            self.spots.insert(path.clone(), spot);
            if let Some(value) = self.item(&path, item) {
                dict.insert(name.to_owned(), value);
            }
        }
        dict
    }

    fn item(&mut self, path: &str, item: &Item) -> Option<Value> {
        match item {
            Item::None => None,
            Item::Table(table) => Some(Value::from(self.table(path, table))),
            Item::ArrayOfTables(array) => {
                let tables: Vec<Value> = array
                    .iter()
                    .enumerate()
                    .map(|(n, table)| Value::from(self.table(&format!("{path}[{n}]"), table)))
                    .collect();
                Some(Value::Array(Tag::Default, tables))
            }
            Item::Value(value) => self.value(path, value),
        }
    }

    fn value(&mut self, path: &str, value: &toml_edit::Value) -> Option<Value> {
        Some(match value {
            toml_edit::Value::String(text) => Value::String(Tag::Default, text.value().clone()),
            toml_edit::Value::Integer(number) => Value::Num(Tag::Default, Num::I64(*number.value())),
            toml_edit::Value::Float(number) => Value::Num(Tag::Default, Num::F64(*number.value())),
            toml_edit::Value::Boolean(truth) => Value::Bool(Tag::Default, *truth.value()),
            toml_edit::Value::Datetime(_) => {
                let place = self.place(value.span().map(|s| s.start));
                self.problems.error(Problem::new(place, path, "a date is not used anywhere here; put it in quotes"));
                return None;
            }
            toml_edit::Value::Array(array) => Value::Array(Tag::Default, self.array(path, array)),
            toml_edit::Value::InlineTable(table) => Value::from(self.table(path, table)),
        })
    }

    fn array(&mut self, path: &str, array: &toml_edit::Array) -> Vec<Value> {
        let mut values = Vec::new();
        for (n, value) in array.iter().enumerate() {
            let path = format!("{path}[{n}]");
            let place = self.place(value.span().map(|s| s.start));
            self.spots.insert(path.clone(), Spot { key: place.clone(), value: place });
            values.extend(self.value(&path, value));
        }
        values
    }

    fn place(&self, offset: Option<usize>) -> Place {
        offset.map_or(Place::Nowhere, |offset| self.lines.place(offset))
    }
}

/// Line and column, from one, of a byte offset in a text.
pub(super) fn place_in(path: &str, text: &str, offset: usize) -> Place {
    Lines::of(path, text).place(offset)
}

/// Where the lines of a text begin: in a file of a thousand workers ten thousand places are asked for.
struct Lines<'a> {
    path: &'a str,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(path: &'a str, text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { path, text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or_default();
        let column = self.text.get(start..offset).unwrap_or_default().chars().count() + 1;
        Place::File { path: self.path.to_owned(), line, column }
    }
}
