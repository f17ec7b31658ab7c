//! The schema as editors want it: what has a built-in value is not required, and its value is shown.
//! It is made from the same types and the same defaults that the program reads; a test compares it with the committed file.

use super::Schema;
use crate::config::layers::Layer;
use crate::problem::Problems;
use serde_json::{Map, Value as Json, json};

/// Where the schema says it lives.
const ID: &str = "monolith.schema.json";

/// The JSON Schema of `monolith.toml` and of every profile, for editors.
#[must_use]
pub fn for_editors() -> Json {
    let mut document = Schema::new().document().clone();
    let defaults = defaults();
    let template = |name: &str| defaults.get("template").and_then(|t| t.get(name)).cloned().unwrap_or(json!({}));
    let worker = template("worker");
    let stores: Vec<(String, Json)> = ["postgres", "sqlite", "redis", "mongodb"]
        .into_iter()
        .map(|kind| (kind.to_owned(), united(template("store"), template(kind))))
        .collect();
    if let Some(defs) = document.get_mut("$defs").and_then(Json::as_object_mut) {
        let names: Vec<String> = defs.keys().cloned().collect();
        for name in names {
            let Some(definition) = defs.get_mut(&name) else { continue };
            match name.as_str() {
                "Worker" => relax(definition, &worker),
                "Store" => relax_kinds(definition, &stores),
                "Probe" => relax(definition, template("store").get("probe").unwrap_or(&Json::Null)),
                "Retry" => relax(definition, worker.get("retry").unwrap_or(&Json::Null)),
                "CatchUp" => relax(definition, worker.get("catch_up").unwrap_or(&Json::Null)),
                "History" => relax(definition, defaults.pointer("/scheduler/history").unwrap_or(&Json::Null)),
                _ => {
                    let section = section_of(&name);
                    relax(definition, defaults.get(section).unwrap_or(&Json::Null));
                }
            }
        }
    }
    relax(&mut document, &defaults);
    if let Some(root) = document.as_object_mut() {
        root.insert("$id".into(), json!(ID));
        root.insert("title".into(), json!("Monolith"));
    }
    document
}

/// The section of the file that a type describes: `ForwardAuth` is `[forward_auth]`.
fn section_of(name: &str) -> &'static str {
    match name {
        "Server" => "server",
        "Admin" => "admin",
        "Keys" => "keys",
        "Scheduler" => "scheduler",
        "Telemetry" => "telemetry",
        _ => "",
    }
}

fn defaults() -> Json {
    let mut nothing = Problems::default();
    let layer = Layer::from_toml("defaults", include_str!("../defaults.toml"), &mut nothing);
    layer.and_then(|layer| serde_json::to_value(&layer.dict).ok()).unwrap_or(Json::Null)
}

fn united(mut low: Json, high: Json) -> Json {
    if let (Some(low), Json::Object(high)) = (low.as_object_mut(), high) {
        low.extend(high);
    }
    low
}

fn relax_kinds(definition: &mut Json, kinds: &[(String, Json)]) {
    let variants = definition.get_mut("oneOf").and_then(Json::as_array_mut);
    for variant in variants.into_iter().flatten() {
        let kind = variant.pointer("/properties/kind/const").and_then(Json::as_str).map(str::to_owned);
        if let Some((_, values)) = kinds.iter().find(|(known, _)| Some(known) == kind.as_ref()) {
            relax(variant, values);
        }
    }
}

/// Takes what has a built-in value out of `required`, and shows the value where it is a plain one.
fn relax(definition: &mut Json, values: &Json) {
    let Some(values) = values.as_object() else { return };
    let is_built_in = |key: &Json| key.as_str().is_some_and(|key| values.contains_key(key));
    if let Some(required) = definition.get_mut("required").and_then(Json::as_array_mut) {
        required.retain(|key| !is_built_in(key));
        if required.is_empty()
            && let Some(definition) = definition.as_object_mut()
        {
            definition.remove("required");
        }
    }
    let properties = definition.get_mut("properties").and_then(Json::as_object_mut);
    for (key, property) in properties.into_iter().flat_map(Map::iter_mut) {
        let value = values.get(key).filter(|value| !value.is_object());
        if let (Some(value), Some(property)) = (value, property.as_object_mut()) {
            property.insert("default".into(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
