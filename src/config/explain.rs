//! Where a value comes from: the layer that won, and every layer that lost, each with its place.
//! Secrets are masked before they get here, so that an explanation can be shown to whoever may read the settings.

use super::Places;
use super::layers::{Layer, Spot};
use super::renamed;
use super::schema::{Schema, nearest};
use super::walk::shown;
use crate::problem::Place;
use figment::value::Value;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// All layers of one reading, as they may be shown.
#[derive(Debug, Clone, Default)]
pub struct Explain {
    /// Highest first.
    layers: Vec<Shown>,
    values: Json,
    places: Places,
    known: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Shown {
    name: String,
    values: Json,
    spots: BTreeMap<String, Spot>,
}

/// Where the value of one key comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The key.
    pub key: String,
    /// What it is, secrets masked.
    pub value: Json,
    /// Whether something in it is masked.
    pub masked: bool,
    /// The layers that say something about it, highest first.
    pub layers: Vec<Voice>,
}

/// What one layer says about a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Voice {
    /// The layer's name.
    pub layer: String,
    /// Where it says so; `None` for the built-in defaults.
    pub place: Option<Place>,
    /// What it says, secrets masked.
    pub value: Json,
    /// Whether that is what is used.
    pub wins: bool,
}

impl Shown {
    /// Where the layer says something of a key: a variable may hold the whole table that it stands in.
    fn spot(&self, key: &str) -> Option<&Spot> {
        let mut key = key;
        loop {
            match self.spots.get(key) {
                Some(spot) => return Some(spot),
                None => key = key.get(..key.rfind(['.', '['])?)?,
            }
        }
    }
}

impl Explain {
    /// Keeps what is needed to explain, from the layers as they were read (before any of them removed or replaced what
    /// stood in another) and the merged values.
    pub(super) fn new(schema: &Schema, defaults: &Layer, stack: &[Layer], values: &Json, places: &Places) -> Self {
        let masked = |layer: &Layer| Shown {
            name: layer.name.clone(),
            values: shown(schema, schema.document(), &Value::from(layer.dict.clone())),
            spots: layer.spots.clone(),
        };
        let mut known = BTreeSet::new();
        collect(values, "", &mut known);
        Self {
            layers: stack.iter().rev().chain([defaults]).map(masked).collect(),
            values: values.clone(),
            places: places.clone(),
            known,
        }
    }

    /// Explains a key or a whole section; `None` where nothing is said about it. What a higher layer removed has no value,
    /// and voices that all lost.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<Explanation> {
        let value = at(&self.values, key).cloned();
        let voices = self.layers.iter().filter_map(|layer| {
            let said = at(&layer.values, key)?.clone();
            let place = layer.spot(key).map(|spot| spot.value.clone());
            let wins = value.is_some()
                && match &place {
                    Some(place) => self.places.wrote(key) && self.places.of(key) == *place,
                    None => !self.places.wrote(key),
                };
            Some(Voice { layer: layer.name.clone(), place, value: said, wins })
        });
        let voices: Vec<Voice> = voices.collect();
        if value.is_none() && voices.is_empty() {
            return None;
        }
        let value = value.unwrap_or_default();
        Some(Explanation { key: key.to_owned(), masked: is_masked(&value), value, layers: voices })
    }

    /// The keys of all single values below a key, or the key itself.
    #[must_use]
    pub fn keys_below(&self, key: &str) -> Vec<&str> {
        let inside = |known: &str| known == key || known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        self.known.iter().map(String::as_str).filter(|known| inside(known)).collect()
    }

    /// Why nothing is said about a key: it is not set, or it does not exist.
    #[must_use]
    pub fn silence(&self, key: &str) -> Silence {
        let schema = Schema::new();
        if let Some((new, _)) = renamed::new_name(key) {
            return Silence::Renamed(new);
        }
        // Under `stores` and the like anything could be a name, but only what is declared exists.
        let mut sections: BTreeSet<&str> = self.known.iter().flat_map(|known| prefixes(known)).collect();
        let named = key.splitn(3, '.').collect::<Vec<_>>();
        let declared = match named.as_slice() {
            [section, name, ..] if schema.is_map(section) => sections.contains(format!("{section}.{name}").as_str()),
            _ => true,
        };
        if declared && schema.leaf(key).is_some() {
            return Silence::NotSet;
        }
        sections.extend(schema.sections());
        let near = nearest(key, sections.into_iter()).map(str::to_owned);
        near.or_else(|| schema.nearest(key)).map_or(Silence::Unknown, Silence::Near)
    }
}

/// Why nothing is said about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// It could be set, and nobody did.
    NotSet,
    /// It has another name.
    Renamed(String),
    /// It does not exist, but one that looks like it does.
    Near(String),
    /// It does not exist.
    Unknown,
}

/// A key and every table around it.
fn prefixes(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('.').filter_map(|(dot, _)| key.get(..dot)).chain([key])
}

fn at<'a>(values: &'a Json, key: &str) -> Option<&'a Json> {
    key.split('.').try_fold(values, |value, part| value.get(part))
}

fn collect(values: &Json, key: &str, known: &mut BTreeSet<String>) {
    match values {
        Json::Object(map) => {
            for (name, value) in map {
                collect(value, &if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, known);
            }
        }
        _ => {
            known.insert(key.to_owned());
        }
    }
}

fn is_masked(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains(super::mask::MASK) || text.contains(":***@"),
        Json::Array(values) => values.iter().any(is_masked),
        Json::Object(map) => map.values().any(is_masked),
        _ => false,
    }
}
