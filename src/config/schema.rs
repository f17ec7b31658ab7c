//! The shape of the file, read off the JSON Schema that the types of `written` generate: one source for the editor's
//! schema, for the walk over a text, and for what a variable may set.

mod editors; // the schema as editors want it

pub use editors::for_editors;

use super::written::Written;
use serde_json::{Map, Value as Json};

/// The schema of the whole file.
#[derive(Debug)]
pub struct Schema {
    root: Json,
}

/// What a text in a variable or flag becomes at some key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// Text, byte for byte.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An inline TOML array or table.
    Structure,
}

/// One place of the schema, with the detours of JSON Schema taken.
#[derive(Debug)]
pub(super) enum Shape<'a> {
    /// A table with known keys.
    Table(Table<'a>),
    /// A table whose keys are names or the like.
    Map(&'a Json),
    /// A table that says by `kind` which keys it has.
    Tagged(Vec<(&'a str, Table<'a>)>),
    /// An array.
    Array(&'a Json),
    /// One word of several.
    Choice(Vec<&'a str>),
    /// Any text; whether it must not be shown.
    Text { secret: bool },
    /// A whole number within bounds.
    Integer { min: i64, max: i64 },
    /// `true` or `false`.
    Boolean,
    /// Whatever it is.
    Any,
}

/// A table with known keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    properties: &'a Map<String, Json>,
    required: Option<&'a Vec<Json>>,
}

impl<'a> Table<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a Json> {
        self.properties.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.properties.keys().map(String::as_str)
    }

    pub(super) fn required(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.required.into_iter().flatten().filter_map(Json::as_str)
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

impl Schema {
    /// The schema of the types as they are compiled in.
    #[must_use]
    pub fn new() -> Self {
        Self { root: schemars::schema_for!(Written).to_value() }
    }

    /// The schema of the whole file as a JSON document.
    #[must_use]
    pub const fn document(&self) -> &Json {
        &self.root
    }

    /// The names of the top-level sections.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.root.get("properties").and_then(Json::as_object).into_iter().flat_map(|p| p.keys().map(String::as_str))
    }

    /// Whether a section holds things by their names, as `stores` does.
    pub(super) fn is_map(&self, section: &str) -> bool {
        self.places_of(section).into_iter().any(|place| matches!(self.shape(place), Shape::Map(_)))
    }

    /// What a text becomes at a dotted key, or `None` where no such key can be.
    #[must_use]
    pub fn leaf(&self, key: &str) -> Option<Leaf> {
        let mut places = vec![&self.root];
        for part in key.split('.') {
            places = places.into_iter().flat_map(|place| self.inside(place, part)).collect();
        }
        match self.shape(places.first()?) {
            Shape::Text { .. } | Shape::Choice(_) | Shape::Any => Some(Leaf::Text),
            Shape::Integer { .. } => Some(Leaf::Integer),
            Shape::Boolean => Some(Leaf::Boolean),
            Shape::Table(_) | Shape::Map(_) | Shape::Tagged(_) | Shape::Array(_) => Some(Leaf::Structure),
        }
    }

    /// The places of the schema that a key with its indices may be at: one for each kind that has it.
    fn places_of(&self, key: &str) -> Vec<&Json> {
        let mut places = vec![&self.root];
        for part in key.split(['.', '[']).filter(|part| !part.is_empty()) {
            let index = part.ends_with(']');
            places = places
                .into_iter()
                .flat_map(|place| match self.shape(place) {
                    Shape::Array(items) if index => vec![items],
                    _ => self.inside(place, part),
                })
                .collect();
        }
        places
    }

    /// Whether a text at this key or anywhere below it may be a secret.
    #[must_use]
    pub fn holds_a_secret(&self, key: &str) -> bool {
        self.places_of(key).into_iter().any(|place| self.has_a_secret(place))
    }

    fn has_a_secret(&self, place: &Json) -> bool {
        match self.shape(place) {
            Shape::Text { secret } => secret,
            Shape::Table(table) => table.properties.values().any(|place| self.has_a_secret(place)),
            Shape::Tagged(kinds) => {
                kinds.iter().any(|(_, table)| table.properties.values().any(|place| self.has_a_secret(place)))
            }
            Shape::Map(inner) | Shape::Array(inner) => self.has_a_secret(inner),
            Shape::Choice(_) | Shape::Integer { .. } | Shape::Boolean | Shape::Any => false,
        }
    }

    /// The key that was probably meant by a wrong one: each part that does not exist is replaced by the one that looks
    /// most like it.
    #[must_use]
    pub fn nearest(&self, key: &str) -> Option<String> {
        let mut places = vec![&self.root];
        let mut path = Vec::new();
        for part in key.split('.') {
            let mut part = part;
            if places.iter().all(|place| self.inside(place, part).is_empty()) {
                part = nearest(part, places.iter().flat_map(|place| self.keys_of(place)))?;
            }
            path.push(part);
            places = places.into_iter().flat_map(|place| self.inside(place, part)).collect();
        }
        Some(path.join("."))
    }

    fn keys_of<'a>(&'a self, place: &'a Json) -> Vec<&'a str> {
        match self.shape(place) {
            Shape::Table(table) => table.keys().collect(),
            Shape::Tagged(kinds) => kinds.iter().flat_map(|(_, table)| table.keys()).collect(),
            _ => Vec::new(),
        }
    }

    fn inside<'a>(&'a self, place: &'a Json, part: &str) -> Vec<&'a Json> {
        match self.shape(place) {
            Shape::Table(table) => table.get(part).into_iter().collect(),
            Shape::Tagged(kinds) => kinds.iter().filter_map(|(_, table)| table.get(part)).collect(),
            Shape::Map(values) => vec![values],
            _ => Vec::new(),
        }
    }

    /// Follows references and drops the `null` of optional values.
    pub(super) fn shape<'a>(&'a self, place: &'a Json) -> Shape<'a> {
        if let Some(name) = place.get("$ref").and_then(Json::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
            return self
                .root
                .get("$defs")
                .and_then(|defs| defs.get(name))
                .map_or(Shape::Any, |place| self.shape(place));
        }
        if let Some(variants) = place.get("anyOf").and_then(Json::as_array) {
            let real = variants.iter().find(|v| v.get("type").and_then(Json::as_str) != Some("null"));
            return real.map_or(Shape::Any, |place| self.shape(place));
        }
        if let Some(variants) = place.get("oneOf").and_then(Json::as_array) {
            return alternatives(variants);
        }
        match type_of(place) {
            Some("object") => match place.get("properties").and_then(Json::as_object) {
                Some(_) => table(place).map_or(Shape::Any, Shape::Table),
                None => place.get("additionalProperties").map_or(Shape::Any, Shape::Map),
            },
            Some("array") => place.get("items").map_or(Shape::Any, Shape::Array),
            Some("string") => match place.get("enum").and_then(Json::as_array) {
                Some(words) => Shape::Choice(words.iter().filter_map(Json::as_str).collect()),
                None => Shape::Text { secret: place.get("writeOnly") == Some(&Json::Bool(true)) },
            },
            Some("integer") => bounds(place),
            Some("boolean") => Shape::Boolean,
            _ => Shape::Any,
        }
    }
}

fn type_of(place: &Json) -> Option<&str> {
    match place.get("type")? {
        Json::String(one) => Some(one),
        Json::Array(several) => several.iter().filter_map(Json::as_str).find(|t| *t != "null"),
        _ => None,
    }
}

fn table(place: &Json) -> Option<Table<'_>> {
    let properties = place.get("properties")?.as_object()?;
    Some(Table { properties, required: place.get("required").and_then(Json::as_array) })
}

fn alternatives(variants: &[Json]) -> Shape<'_> {
    let words: Vec<&str> = variants.iter().filter_map(|v| v.get("const")?.as_str()).collect();
    if words.len() == variants.len() {
        return Shape::Choice(words);
    }
    let kinds = variants.iter().filter_map(|v| {
        let table = table(v)?;
        Some((table.get("kind")?.get("const")?.as_str()?, table))
    });
    Shape::Tagged(kinds.collect())
}

fn bounds(place: &Json) -> Shape<'_> {
    let min = place.get("minimum").and_then(Json::as_i64).unwrap_or(i64::MIN);
    let max = place.get("maximum").and_then(Json::as_i64);
    let by_format = match place.get("format").and_then(Json::as_str) {
        Some("uint32") => i64::from(u32::MAX),
        Some("uint16") => i64::from(u16::MAX),
        _ => i64::MAX,
    };
    Shape::Integer { min, max: max.unwrap_or(by_format) }
}

/// The word that looks most like a wrong one, if any does: at most a third of its letters differ.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A text longer than this is no misspelt word, and comparing takes the product of the lengths.
    const LONGEST: usize = 100;
    if wrong.len() > LONGEST {
        return None;
    }
    let spelt = wrong.to_lowercase().replace('-', "_");
    known
        .map(|word| (strsim::damerau_levenshtein(&spelt, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= word.chars().count().max(wrong.chars().count()).div_ceil(3))
        .min_by_key(|(distance, word)| (*distance, *word))
        .map(|(_, word)| word)
}

/// Words as they are offered: `"a", "b" or "c"`.
#[must_use]
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_a_variable_becomes() {
        let schema = Schema::new();
        for (key, leaf) in [
            ("server.bind", Some(Leaf::Text)),
            ("server.max_connections", Some(Leaf::Integer)),
            ("server.trusted_proxies", Some(Leaf::Structure)),
            ("stores.main.max_connections", Some(Leaf::Integer)),
            ("stores.main.probe.every", Some(Leaf::Text)),
            ("stores.main.pooler", Some(Leaf::Text)),
            ("workers.x.run.statement", Some(Leaf::Text)),
            ("workers.x.run", Some(Leaf::Structure)),
            ("server.prot", None),
            ("nothing", None),
        ] {
            assert_eq!(schema.leaf(key), leaf, "{key}");
        }
        assert_eq!(schema.nearest("server.bnid").as_deref(), Some("server.bind"));
        assert_eq!(schema.nearest("sever").as_deref(), Some("server"));
        assert_eq!(schema.nearest("sever.bnid").as_deref(), Some("server.bind"));
        assert_eq!(schema.nearest("workers.x.run.statment").as_deref(), Some("workers.x.run.statement"));
        assert_eq!(schema.nearest("zzzzzz"), None);
    }
}
