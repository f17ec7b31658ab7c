//! What the texts and numbers of a request must look like, as far as a schema can say it: for whoever generates clients or
//! forms from the description. Nothing is judged by it; the rules themselves are where the values are read.

use utoipa::Number;
use utoipa::openapi::path::{Parameter, PathItem};
use utoipa::openapi::schema::{ArrayItems, SchemaFormat};
use utoipa::openapi::{Object, OpenApi, RefOr, Schema};

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// Something to read, of so many characters at most.
    Text(usize),
    /// Nothing or something to read.
    Printable(usize),
    /// A length of time.
    Length,
    /// A rate.
    Rate,
    /// One of these words.
    Words(&'static str),
    /// Scopes.
    Scopes,
    /// A list of at least one and at most so many.
    Some(usize),
    /// A list of at most so many.
    Few(usize),
}

const TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$";
const PRINTABLE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
const LENGTH: &str = r"^([0-9]{1,4}d([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?|[0-9]{1,5}h([0-9]{1,5}m)?([0-9]{1,5}s)?|[0-9]{1,5}m([0-9]{1,5}s)?|[0-9]{1,5}s|[0-9]{1,5}ms)$";
const RATE: &str = r"^[1-9][0-9]{0,8}/[smhd]$";
const SCOPE: &str = r"^[A-Za-z0-9:._/*-]+$";
const SORT: &str = "^-?(created_at|expires_at|last_used_at|name|owner)$";

/// The most scopes, and the longest of them.
const SCOPES: (usize, usize) = (64, crate::settings::access::MAX_SCOPE);

/// Fields of bodies. Those of a key to import are not among them: one that does not fit is told of, and the others are taken.
const BODIES: &[(&str, &str, Rule)] = &[
    ("CreateKey", "name", Rule::Text(200)),
    ("CreateKey", "owner", Rule::Text(200)),
    ("CreateKey", "ttl", Rule::Length),
    ("CreateKey", "scopes", Rule::Scopes),
    ("CreateKey", "ip_allow", Rule::Few(64)),
    ("CreateKey", "rate_limit", Rule::Rate),
    ("PatchKey", "name", Rule::Text(200)),
    ("PatchKey", "owner", Rule::Text(200)),
    ("PatchKey", "scopes", Rule::Scopes),
    ("PatchKey", "ip_allow", Rule::Few(64)),
    ("PatchKey", "rate_limit", Rule::Rate),
    ("ImportKeys", "keys", Rule::Some(crate::keys::MAX_IMPORT)),
    ("RotateKey", "grace", Rule::Length),
    ("BulkRevoke", "reason", Rule::Printable(500)),
    ("DenyToken", "reason", Rule::Printable(500)),
    ("PauseWorker", "reason", Rule::Text(500)),
    ("VerifyKey", "scopes", Rule::Few(SCOPES.0)),
    ("ExplainKey", "scopes", Rule::Few(SCOPES.0)),
];

/// Parameters of queries, wherever they have this name.
const QUERIES: &[(&str, Rule)] = &[("sort", Rule::Words(SORT)), ("reason", Rule::Printable(500))];

/// Completes a description.
pub(super) fn complete(openapi: &mut OpenApi) {
    for (name, field, rule) in BODIES {
        if let Some(schema) = property(openapi, name, field) {
            rule.write(schema);
        }
    }
    for parameter in openapi.paths.paths.values_mut().flat_map(parameters) {
        let Some(RefOr::T(schema)) = &mut parameter.schema else { continue };
        whole_number(schema);
        if let Some((_, rule)) = QUERIES.iter().find(|(name, _)| *name == parameter.name) {
            rule.write(schema);
        }
    }
    let bodies = openapi.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    for schema in bodies.filter_map(object) {
        schema.properties.values_mut().filter_map(owned).for_each(whole_number);
    }
}

fn property<'a>(openapi: &'a mut OpenApi, name: &str, field: &str) -> Option<&'a mut Schema> {
    let schema = openapi.components.as_mut()?.schemas.get_mut(name)?;
    owned(object(schema)?.properties.get_mut(field)?)
}

fn object(schema: &mut RefOr<Schema>) -> Option<&mut Object> {
    match schema {
        RefOr::T(Schema::Object(object)) => Some(object),
        _ => None,
    }
}

fn owned(schema: &mut RefOr<Schema>) -> Option<&mut Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(_) => None,
    }
}

fn parameters(item: &mut PathItem) -> impl Iterator<Item = &mut Parameter> {
    super::refusals::operations(item).flat_map(|operation| operation.parameters.iter_mut().flatten()).filter_map(
        |one| match one {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        },
    )
}

/// OpenAPI knows no unsigned format, and half of our numbers would not be of the signed one.
fn whole_number(schema: &mut Schema) {
    let Schema::Object(number) = schema else { return };
    let is_unsigned = number.minimum.is_some();
    let is_short = matches!(&number.format, Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Int32)));
    if is_unsigned && is_short {
        number.format = Some(SchemaFormat::Custom("uint32".into()));
        number.maximum = Some(Number::UInt(u32::MAX as usize));
    }
}

impl Rule {
    fn write(self, schema: &mut Schema) {
        match (self, schema) {
            (Self::Text(most), Schema::Object(text)) => {
                (text.min_length, text.max_length) = (Some(1), Some(most));
                text.pattern = Some(TEXT.into());
            }
            (Self::Printable(most), Schema::Object(text)) => {
                (text.max_length, text.pattern) = (Some(most), Some(PRINTABLE.into()));
            }
            (Self::Length, Schema::Object(text)) => text.pattern = Some(LENGTH.into()),
            (Self::Rate, Schema::Object(text)) => text.pattern = Some(RATE.into()),
            (Self::Words(pattern), Schema::Object(text)) => text.pattern = Some(pattern.into()),
            (Self::Scopes, Schema::Array(list)) => {
                list.max_items = Some(SCOPES.0);
                if let ArrayItems::RefOrSchema(items) = &mut list.items
                    && let Some(Schema::Object(text)) = owned(items)
                {
                    (text.min_length, text.max_length) = (Some(1), Some(SCOPES.1));
                    text.pattern = Some(SCOPE.into());
                }
            }
            (Self::Some(most), Schema::Array(list)) => (list.min_items, list.max_items) = (Some(1), Some(most)),
            (Self::Few(most), Schema::Array(list)) => list.max_items = Some(most),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;

    #[test]
    fn every_field_with_a_rule_is_one_of_the_description() {
        let mut document = document();
        for (name, field, rule) in BODIES {
            let schema = property(&mut document, name, field).unwrap_or_else(|| panic!("{name}.{field} is gone"));
            let written = serde_json::to_value(&*schema).unwrap();
            let says = ["pattern", "maxItems"].iter().any(|word| written.get(word).is_some());
            assert!(says, "{rule:?} does not fit {name}.{field}: {written}");
        }
    }

    #[test]
    fn what_the_description_allows_as_a_length_or_a_rate_is_read() {
        for rate in ["1/s", "999999999/d"] {
            assert!(crate::settings::access::Rate::parse(rate).is_some(), "{rate}");
        }
        for length in ["0s", "9999d", "1d2h3m4s", "99999h99999m99999s", "5ms"] {
            assert!(crate::clock::parse_duration(length).is_some(), "{length}");
        }
    }
}
