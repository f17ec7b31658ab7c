//! Lays the layers over each other: tables merge key by key, arrays and scalars replace (figment does that), and what
//! figment cannot do: `unset`, values that are replaced whole, and defaults for each declared store and worker.

use super::layers::Layer;
use super::schema::nearest;
use crate::problem::{Place, Problem, Problems};
use figment::Figment;
use figment::value::{Dict, Value};

/// The layers as they were merged, and the result.
#[derive(Debug)]
pub struct Merged {
    /// The layers, lowest first; number zero holds the built-in defaults.
    pub layers: Vec<Layer>,
    /// Knows the merged values and which layer each came from.
    pub figment: Figment,
}

impl Merged {
    /// The merged value of a top-level section.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Value> {
        self.figment.find_value(name).ok()
    }

    /// The names of the top-level sections that any layer has.
    #[must_use]
    pub fn sections(&self) -> Vec<String> {
        let mut names: Vec<String> = self.layers.iter().flat_map(|layer| layer.dict.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The layer that a merged value came from.
    #[must_use]
    pub fn layer_of(&self, value: &Value) -> Option<&Layer> {
        let name = &self.figment.get_metadata(value.tag())?.name;
        self.layers.iter().find(|layer| layer.name == name.as_ref())
    }
}

/// Lays the layers over the built-in defaults.
pub fn merge(mut stack: Vec<Layer>, profile: &str, problems: &mut Problems) -> Merged {
    apply_unset(&mut stack, problems);
    replace_whole_values(&mut stack);
    let mut layers = vec![defaults(&stack, profile)];
    layers.extend(stack);
    // The built-in source of a secret is replaced like any other.
    replace_whole_values(&mut layers);
    let figment = layers.iter().cloned().fold(Figment::new(), Figment::merge);
    Merged { layers, figment }
}

/// `unset = ["server.tls"]` in a layer removes the key from the layers below it.
fn apply_unset(stack: &mut [Layer], problems: &mut Problems) {
    for above in 0..stack.len() {
        let (lower, upper) = stack.split_at_mut(above);
        let Some(layer) = upper.first_mut() else { continue };
        let keys = layer.dict.get("unset").and_then(Value::as_array).unwrap_or_default().to_vec();
        for (n, key) in keys.iter().enumerate().filter_map(|(n, key)| Some((n, key.as_str()?))) {
            if !lower.iter().any(|layer| layer.get(key).is_some()) {
                let at = format!("unset[{n}]");
                let place = layer.spot(&at).map_or(Place::Nowhere, |spot| spot.value.clone());
                problems.missing(nothing_to_remove(place, at, key, lower));
            }
            lower.iter_mut().for_each(|layer| layer.remove(key));
        }
    }
}

fn nothing_to_remove(place: Place, at: String, key: &str, lower: &[Layer]) -> Problem {
    let problem = Problem::new(place, at, format!("no lower layer has `{key}`, so there is nothing to remove"));
    let known = lower.iter().flat_map(|layer| layer.spots.keys().map(String::as_str));
    match nearest(key, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("a built-in default cannot be removed, only replaced"),
    }
}

/// A secret, a `run`, a store's `kind` and the pair `schedule`/`every` are one value each: a higher layer that names
/// another source or kind replaces the old one whole, or half of it would survive under the new name.
fn replace_whole_values(stack: &mut [Layer]) {
    for above in 1..stack.len() {
        let (lower, upper) = stack.split_at_mut(above);
        let Some(layer) = upper.first() else { continue };
        for key in replaced_by(layer, lower) {
            lower.iter_mut().for_each(|layer| layer.remove(&key));
        }
    }
}

fn replaced_by(layer: &Layer, lower: &[Layer]) -> Vec<String> {
    const SOURCES: [&str; 4] = ["env", "file", "command", "literal"];
    let mut keys = Vec::new();
    let differs = |key: &str| {
        let ours = layer.get(key).and_then(Value::as_str);
        ours.is_some() && lower.iter().any(|l| l.get(key).is_some_and(|theirs| theirs.as_str() != ours))
    };
    for name in names_in(layer, "secrets") {
        if SOURCES.iter().any(|source| layer.get(&format!("secrets.{name}.{source}")).is_some()) {
            keys.push(format!("secrets.{name}"));
        }
    }
    for name in names_in(layer, "stores") {
        if differs(&format!("stores.{name}.kind")) {
            keys.push(format!("stores.{name}"));
        }
    }
    for name in names_in(layer, "workers") {
        if differs(&format!("workers.{name}.run.kind")) {
            keys.push(format!("workers.{name}.run"));
        }
        for (mine, other) in [("schedule", "every"), ("every", "schedule")] {
            if layer.get(&format!("workers.{name}.{mine}")).is_some() {
                keys.push(format!("workers.{name}.{other}"));
            }
        }
    }
    keys
}

/// The built-in values, with a copy of the templates under each declared store and worker.
fn defaults(stack: &[Layer], profile: &str) -> Layer {
    let mut nothing = Problems::default();
    let text = include_str!("defaults.toml");
    let mut layer = Layer::from_toml("defaults", text, &mut nothing).unwrap_or_else(|| Layer::empty("defaults", ""));
    layer.spots.clear();
    layer.source = "built in".into();
    let template = layer.dict.remove("template");
    let of =
        |kind: &str| template.as_ref().and_then(|t| t.as_dict()?.get(kind)?.as_dict()).cloned().unwrap_or_default();
    for name in stack.iter().flat_map(|layer| names_in(layer, "stores")).collect::<Vec<_>>() {
        let kind = stack.iter().rev().find_map(|layer| layer.get(&format!("stores.{name}.kind"))?.as_str());
        let mut values = of("store");
        values.extend(kind.map(of).unwrap_or_default());
        layer.put(&format!("stores.{name}"), Value::from(values), Place::Nowhere);
    }
    for name in stack.iter().flat_map(|layer| names_in(layer, "workers")).collect::<Vec<_>>() {
        layer.put(&format!("workers.{name}"), Value::from(of("worker")), Place::Nowhere);
    }
    if !matches!(profile, "dev" | "test") {
        layer.put("keys.verify", Value::from("token"), Place::Nowhere);
        layer.put("telemetry.format", Value::from("json"), Place::Nowhere);
    }
    layer
}

/// The names a layer declares in a section such as `stores`.
pub(super) fn names_in(layer: &Layer, section: &str) -> Vec<String> {
    let dict = layer.dict.get(section).and_then(Value::as_dict);
    dict.into_iter()
        .flat_map(Dict::iter)
        .filter(|(_, v)| matches!(v, Value::Dict(..)))
        .map(|(name, _)| name.clone())
        .collect()
}
