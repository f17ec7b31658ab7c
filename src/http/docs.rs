//! `GET /docs`: the description of the API as a page for people, made from the OpenAPI document alone.
//! It runs no script and fetches nothing; its one style is allowed by its hash.

use super::answer::ApiError;
use super::openapi::{document, may_be_read};
use crate::runtime::App;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use monolith_client::wire;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock};

/// The methods in the order of a page.
const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];
const STYLE: &str = include_str!("docs.css");

/// The page and the policy that allows its style: they depend on nothing but the build.
static PAGE: LazyLock<(String, Option<HeaderValue>)> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(STYLE))
    );
    let document = serde_json::to_value(document()).unwrap_or_default();
    (page(&document), HeaderValue::from_str(&policy).ok())
});

/// The description of the API, for people.
#[utoipa::path(get, path = "/docs", tag = "operations", security((), ("token" = [])),
    responses((status = 200, body = String, content_type = "text/html"), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody)))]
pub(super) async fn docs(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    may_be_read(&app, request).await?;
    let (page, policy) = &*PAGE;
    let mut response = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.as_str()).into_response();
    if let Some(policy) = policy {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    Ok(response)
}

/// A text inside HTML.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            _ => f.write_char(character),
        })
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Text<'a> {
    Text(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn table<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn page(document: &Value) -> String {
    let info = document.get("info").unwrap_or(&Value::Null);
    let mut rooms: BTreeMap<&str, Vec<(&str, &str, &Value)>> = BTreeMap::new();
    for (path, operations) in table(document, "paths") {
        for method in METHODS {
            let Some(operation) = operations.get(method) else { continue };
            let room = list(operation, "tags").next().and_then(Value::as_str).unwrap_or("other");
            rooms.entry(room).or_default().push((method, path, operation));
        }
    }
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} API</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body><header><h1>{title} {version}</h1><p>{description}</p><p>The same for programs: \
         <a href=\"/openapi.json\">openapi.json</a></p></header><main><nav aria-label=\"Routes\">",
        title = text(info, "title"),
        version = text(info, "version"),
        description = text(info, "description"),
    );
    for (room, operations) in &rooms {
        html.push_str(&format!("<h2>{}</h2><ul>", Text(room)));
        for (method, path, _) in operations {
            let anchor = anchor(method, path);
            html.push_str(&format!("<li><a href=\"#{anchor}\"><b>{method}</b> {}</a></li>", Text(path)));
        }
        html.push_str("</ul>");
    }
    html.push_str("</nav><div>");
    for (method, path, operation) in rooms.values().flatten() {
        html.push_str(&route(method, path, operation));
    }
    html.push_str("<h2>Bodies</h2>");
    for (name, schema) in document.get("components").into_iter().flat_map(|components| table(components, "schemas")) {
        html.push_str(&body(name, schema));
    }
    html.push_str("</div></main></body></html>");
    html
}

fn anchor(method: &str, path: &str) -> String {
    let path: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{method}{path}")
}

fn route(method: &str, path: &str, operation: &Value) -> String {
    let about = ["summary", "description"].map(|key| text(operation, key).0).join(" ");
    let mut html = format!(
        "<section id=\"{}\"><h3><b>{method}</b> <code>{}</code></h3><p>{}</p>",
        anchor(method, path),
        Text(path),
        Text(about.trim()),
    );
    let rows: Vec<String> = list(operation, "parameters").map(parameter).collect();
    if !rows.is_empty() {
        html.push_str(&format!("<h4>Parameters</h4><table>{}</table>", rows.concat()));
    }
    if let Some(schema) = operation.get("requestBody").and_then(content) {
        html.push_str(&format!("<h4>Body</h4><p>{}</p>", kind(schema)));
    }
    html.push_str("<h4>Answers</h4><table>");
    for (status, answer) in table(operation, "responses") {
        let body = content(answer).map(kind).unwrap_or_default();
        html.push_str(&format!("<tr><th>{}</th><td>{body}</td></tr>", Text(status)));
    }
    html.push_str("</table></section>");
    html
}

fn parameter(parameter: &Value) -> String {
    let needed = parameter.get("required").and_then(Value::as_bool) == Some(true);
    format!(
        "<tr><th><code>{}</code></th><td>in {}, {}{}<br>{}</td></tr>",
        text(parameter, "name"),
        text(parameter, "in"),
        kind(parameter.get("schema").unwrap_or(&Value::Null)),
        if needed { ", needed" } else { "" },
        text(parameter, "description"),
    )
}

/// The schema of the one kind of content that a body has.
fn content(body: &Value) -> Option<&Value> {
    table(body, "content").next().and_then(|(_, content)| content.get("schema"))
}

fn body(name: &str, schema: &Value) -> String {
    let mut html = format!("<section id=\"body-{0}\"><h3>{0}</h3><p>{1}</p>", Text(name), text(schema, "description"));
    let needed: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
    let rows: Vec<String> = table(schema, "properties")
        .map(|(field, schema)| {
            let needed = if needed.contains(&field.as_str()) { ", always" } else { "" };
            let about = text(schema, "description");
            format!("<tr><th><code>{}</code></th><td>{}{needed}<br>{about}</td></tr>", Text(field), kind(schema))
        })
        .collect();
    match rows.is_empty() {
        true => html.push_str(&format!("<p>{}</p>", kind(schema))),
        false => html.push_str(&format!("<table>{}</table>", rows.concat())),
    }
    html.push_str("</section>");
    html
}

/// What a schema allows, in a few words; a body with a name is a link to it.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#body-{0}\">{0}</a>", Text(name));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = values.iter().map(|value| format!("<code>{}</code>", Text(&plain(value)))).collect();
        return words.join(" | ");
    }
    for (key, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        let kinds: Vec<String> = list(schema, key).map(kind).collect();
        if !kinds.is_empty() {
            return kinds.join(between);
        }
    }
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            let one = |name: &Value| kind(&Value::Object(with_type(schema, name)));
            kinds.iter().map(one).collect::<Vec<_>>().join(" or ")
        }
        Some(Value::String(name)) if name == "array" => {
            format!("list of {}", kind(schema.get("items").unwrap_or(&Value::Null)))
        }
        Some(Value::String(name)) if name == "object" && schema.get("additionalProperties").is_some() => {
            format!("object of {}", kind(schema.get("additionalProperties").unwrap_or(&Value::Null)))
        }
        Some(Value::String(name)) => match schema.get("format").and_then(Value::as_str) {
            Some(format) if name != "null" => format!("{} ({})", Text(name), Text(format)),
            _ => Text(name).to_string(),
        },
        _ => "anything".to_owned(),
    }
}

fn with_type(schema: &Value, name: &Value) -> Map<String, Value> {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.insert("type".to_owned(), name.clone());
    schema
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_in_the_document_becomes_markup() {
        let evil = "<script>alert(1)</script>\"&";
        let document = json!({
            "info": {"title": evil, "version": evil, "description": evil},
            "paths": {(evil): {"get": {"tags": [evil], "summary": evil, "parameters":
                [{"name": evil, "in": evil, "description": evil, "schema": {"enum": [evil]}}],
                "responses": {(evil): {"content": {"x": {"schema": {"$ref": evil}}}}}}}},
            "components": {"schemas": {(evil): {"properties": {(evil): {"type": evil, "format": evil}}}}},
        });
        let page = page(&document);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)"), "{page}");
    }

    #[test]
    fn a_schema_is_told_in_a_few_words() {
        for (schema, words) in [
            (json!({"$ref": "#/components/schemas/Key"}), "<a href=\"#body-Key\">Key</a>"),
            (json!({"type": ["string", "null"], "format": "date-time"}), "string (date-time) or null"),
            (json!({"type": "array", "items": {"type": "string"}}), "list of string"),
            (json!({"type": "object", "additionalProperties": {"type": "string"}}), "object of string"),
            (json!({"enum": ["a", "b"]}), "<code>a</code> | <code>b</code>"),
            (json!({"oneOf": [{"type": "null"}, {"$ref": "x/Run"}]}), "null or <a href=\"#body-Run\">Run</a>"),
            (json!({}), "anything"),
        ] {
            assert_eq!(kind(&schema), words);
        }
    }
}
