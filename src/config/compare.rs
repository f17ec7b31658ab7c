//! Which keys differ between two readings of the configuration, also where the values may not be shown.
//! What a difference means for the running program is `settings::diff`.

use super::mask::masked;
use super::schema::{Schema, Shape};
use crate::name::SecretName;
use crate::problem::Problem;
use crate::secret::Secret;
use figment::value::Value;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The texts that are not shown as they were written, by key.
pub type Hidden = BTreeMap<String, Secret>;
/// The declared secrets, by name, or why there is no value.
pub type Secrets = BTreeMap<SecretName, Result<Secret, Problem>>;

/// What stands for a new value that may not be shown.
pub const CHANGED: &str = "changed";

/// One reading, as far as it is compared.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The merged values, masked.
    pub values: &'a Json,
    /// What the masks hide.
    pub hidden: &'a Hidden,
    /// What the declared secrets are.
    pub secrets: &'a Secrets,
}

/// One key that says something else than before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Such as `server.body_limit`, or a whole node that came or went.
    pub key: String,
    /// What it said, secrets masked; null where it was not there.
    pub from: Json,
    /// What it says, secrets masked; null where it is gone, [`CHANGED`] where the difference may not be shown.
    pub to: Json,
    /// Whether something in it is not shown.
    pub secret: bool,
}

impl Said<'_> {
    /// The keys that differ. A store, a worker or the like that came or went counts as one key.
    #[must_use]
    pub fn differences(&self, to: &Self) -> Vec<KeyChange> {
        let (before, after) = (leaves(self), leaves(to));
        let mut changes: BTreeMap<String, KeyChange> = BTreeMap::new();
        for key in before.keys().chain(after.keys()) {
            let (old, new) = (before.get(key), after.get(key));
            if old.map(Leaf::whole) == new.map(Leaf::whole) {
                continue;
            }
            let node = node_of(key);
            let whole = (at(self.values, node), at(to.values, node));
            let (key, from, to) = match whole {
                (Some(_), None) | (None, Some(_)) if node.contains('.') => (node, whole.0, whole.1),
                _ => (key.as_str(), old.map(|leaf| leaf.shown), new.map(|leaf| leaf.shown)),
            };
            let secret = [old, new].into_iter().flatten().any(|leaf| !leaf.hidden.is_empty());
            let change = changes.entry(key.to_owned()).or_insert_with(|| KeyChange::new(key, from, to));
            change.secret |= secret;
        }
        changes.into_values().map(KeyChange::without_sameness).collect()
    }

    /// The secrets that have another value from the source that they had.
    #[must_use]
    pub fn rotated<'a>(&self, to: &Said<'a>) -> Vec<&'a SecretName> {
        let other = |(name, value): &(&SecretName, &Result<Secret, Problem>)| {
            self.secrets.get(*name).is_some_and(|before| before.as_ref().ok() != value.as_ref().ok())
        };
        to.secrets.iter().filter(other).map(|(name, _)| name).collect()
    }

    /// Whether anything below a key refers to a secret, in a text or, where `by_name`, as a whole value.
    #[must_use]
    pub fn mentions(&self, key: &str, secret: &SecretName, by_name: bool) -> bool {
        let reference = format!("${{secrets.{secret}}}");
        let refers = |text: &str| text.contains(&reference) || by_name && text == secret.as_str();
        let inside = |known: &str| known.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        at(self.values, key).is_some_and(|values| any_text(values, &refers))
            || self.hidden.iter().any(|(at, text)| inside(at) && text.expose_text().is_some_and(refers))
    }
}

impl KeyChange {
    fn new(key: &str, from: Option<&Json>, to: Option<&Json>) -> Self {
        let shown = |value: Option<&Json>| value.cloned().unwrap_or(Json::Null);
        Self { key: key.to_owned(), from: shown(from), to: shown(to), secret: false }
    }

    /// A secret that is not what it was.
    #[must_use]
    pub fn of_secret(name: &SecretName) -> Self {
        Self { key: format!("secrets.{name}"), from: Json::Null, to: CHANGED.into(), secret: true }
    }

    /// Two masks look alike; then a word says that what they hide does not.
    fn without_sameness(mut self) -> Self {
        if self.from == self.to {
            self.to = CHANGED.into();
        }
        self
    }
}

/// The part of the configuration that a key belongs to: `stores.main` or `server`.
#[must_use]
pub fn node_of(key: &str) -> &str {
    let end = |text: &str| text.find(['.', '[']).unwrap_or(text.len());
    let section = end(key);
    let length = match key.get(..section) {
        Some("stores" | "workers" | "secrets" | "policies" | "alerts") => {
            key.get(section + 1..).map_or(section, |rest| section + 1 + end(rest))
        }
        _ => section,
    };
    key.get(..length).unwrap_or(key)
}

/// A value that is compared as one: everything but a table.
struct Leaf<'a> {
    shown: &'a Json,
    hidden: Vec<&'a Secret>,
}

impl<'a> Leaf<'a> {
    const fn whole<'b>(&'b self) -> (&'a Json, &'b Vec<&'a Secret>) {
        (self.shown, &self.hidden)
    }
}

fn leaves<'a>(said: &Said<'a>) -> BTreeMap<String, Leaf<'a>> {
    let mut leaves = BTreeMap::new();
    collect(said.values, "", &mut leaves);
    for (key, text) in said.hidden {
        let array = key.split('[').next().unwrap_or(key);
        if let Some(leaf) = leaves.get_mut(array) {
            leaf.hidden.push(text);
        }
    }
    leaves
}

fn collect<'a>(values: &'a Json, key: &str, leaves: &mut BTreeMap<String, Leaf<'a>>) {
    match values {
        Json::Object(map) => {
            for (name, value) in map {
                collect(value, &if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, leaves);
            }
        }
        shown => {
            leaves.insert(key.to_owned(), Leaf { shown, hidden: Vec::new() });
        }
    }
}

fn at<'a>(values: &'a Json, key: &str) -> Option<&'a Json> {
    key.split('.').try_fold(values, |value, part| value.get(part))
}

fn any_text(values: &Json, wanted: &impl Fn(&str) -> bool) -> bool {
    match values {
        Json::String(text) => wanted(text),
        Json::Array(values) => values.iter().any(|value| any_text(value, wanted)),
        Json::Object(map) => map.values().any(|value| any_text(value, wanted)),
        _ => false,
    }
}

/// The texts below a value that are not shown as they were written.
pub(super) fn hidden(schema: &Schema, place: &Json, value: &Value) -> Hidden {
    let mut found = Hidden::new();
    look(schema, place, value, "", &mut found);
    found
}

fn look(schema: &Schema, place: &Json, value: &Value, key: &str, found: &mut Hidden) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match (schema.shape(place), value) {
        (Shape::Text { secret: true }, Value::String(_, text)) if masked(text) != *text => {
            found.insert(key.to_owned(), Secret::new(text.as_str()));
        }
        (Shape::Table(table), Value::Dict(_, dict)) => {
            let inside = dict.iter().filter_map(|(name, value)| Some((name, value, table.get(name)?)));
            inside.for_each(|(name, value, place)| look(schema, place, value, &below(name), found));
        }
        (Shape::Tagged(kinds), Value::Dict(_, dict)) => {
            let kind = dict.get("kind").and_then(Value::as_str).unwrap_or_default();
            let Some((_, table)) = kinds.iter().find(|(known, _)| *known == kind) else { return };
            let inside = dict.iter().filter_map(|(name, value)| Some((name, value, table.get(name)?)));
            inside.for_each(|(name, value, place)| look(schema, place, value, &below(name), found));
        }
        (Shape::Map(values), Value::Dict(_, dict)) => {
            dict.iter().for_each(|(name, value)| look(schema, values, value, &below(name), found));
        }
        (Shape::Array(items), Value::Array(_, array)) => {
            array.iter().enumerate().for_each(|(n, value)| look(schema, items, value, &format!("{key}[{n}]"), found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_the_part_that_a_reload_treats_as_one() {
        for (key, node) in [
            ("server.bind", "server"),
            ("server", "server"),
            ("stores.main.probe.every", "stores.main"),
            ("stores.main", "stores.main"),
            ("workers", "workers"),
            ("admin.signing_keys[0].secret", "admin"),
            ("", ""),
        ] {
            assert_eq!(node_of(key), node);
        }
    }
}
