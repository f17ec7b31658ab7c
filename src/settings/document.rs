//! A MongoDB command, in the order in which it was written: its first key is the command's name, and `sort` is an order, too.
//! Tables of the file lose their order on the way, so it is taken from the places of the keys.

use super::compile::Compiler;
use super::template::Template;
use crate::problem::Place;
use serde_json::Value as Json;

/// Keys and values, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(pub Vec<(String, Field)>);

/// A value in a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// Nothing.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text that may be told which run it is.
    Text(Template),
    /// Values.
    Array(Vec<Field>),
    /// A document inside.
    Document(Document),
}

/// Commands that people schedule: which key comes first where the places do not tell, as in a variable.
const COMMANDS: [&str; 24] = [
    "aggregate",
    "bulkWrite",
    "collMod",
    "collStats",
    "compact",
    "count",
    "create",
    "createIndexes",
    "dbStats",
    "delete",
    "distinct",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "find",
    "findAndModify",
    "hello",
    "insert",
    "ping",
    "reIndex",
    "renameCollection",
    "serverStatus",
    "update",
    "validate",
];

impl Compiler<'_> {
    /// The document at a key; what is wrong in it is told.
    pub(super) fn document(&mut self, key: &str, written: impl IntoIterator<Item = (String, Json)>) -> Document {
        let mut fields: Vec<(String, Json)> = written.into_iter().collect();
        self.put_in_order(key, &mut fields);
        let field = |(name, value): (String, Json)| {
            let field = self.field(&format!("{key}.{name}"), value);
            (name, field)
        };
        Document(fields.into_iter().map(field).collect())
    }

    fn put_in_order(&self, key: &str, fields: &mut [(String, Json)]) {
        let places: Vec<Place> =
            fields.iter().map(|(name, _)| self.loaded.places.of(&format!("{key}.{name}"))).collect();
        let spot = |name: &str| match self.loaded.places.of(&format!("{key}.{name}")) {
            Place::File { line, column, .. } => (line, column),
            _ => (0, 0),
        };
        if one_file(&places) {
            fields.sort_by_key(|(name, _)| spot(name));
        } else {
            fields.sort_by_key(|(name, _)| !COMMANDS.contains(&name.as_str()));
        }
    }

    fn field(&mut self, key: &str, value: Json) -> Field {
        match value {
            Json::Null => Field::Null,
            Json::Bool(truth) => Field::Boolean(truth),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Field::Integer(whole),
                None => Field::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => self.template(key, &text).map_or(Field::Null, Field::Text),
            Json::Array(items) => {
                let item = |(n, item)| self.field(&format!("{key}[{n}]"), item);
                Field::Array(items.into_iter().enumerate().map(item).collect())
            }
            Json::Object(fields) => Field::Document(self.document(key, fields)),
        }
    }

    /// A text that is told which run it is.
    pub(super) fn template(&mut self, key: &str, text: &str) -> Option<Template> {
        let parsed = Template::parse(text);
        parsed.map_err(|mistake| self.error_with_hint(key, mistake.message, mistake.hint)).ok()
    }
}

/// Whether all stand in the same file, each at a place of its own.
fn one_file(places: &[Place]) -> bool {
    let file = |place: &Place| match place {
        Place::File { path, line, column } => Some((path.clone(), *line, *column)),
        _ => None,
    };
    let mut found: Vec<_> = places.iter().filter_map(file).collect();
    found.sort();
    let of_first = |path: &String| found.first().is_some_and(|(first, ..)| first == path);
    let in_one = found.len() == places.len() && found.iter().all(|(path, ..)| of_first(path));
    found.dedup();
    in_one && found.len() == places.len()
}
