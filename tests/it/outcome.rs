//! What a reload answers: what came of each part of the program, and by which key and line a refusal can be mended.
//! That an edit takes effect at all is tested elsewhere.

use crate::harness::{Api, TestMonolith, monolith};
use serde_json::{Value, json};

const BASE: &str = r#"[stores.embedded]
kind = "sqlite"
url = "sqlite:a.db"
[keys]
store = "embedded"
"#;

/// Writes the base file and asks for a reload at once.
async fn reload(server: &TestMonolith, operator: &Api, text: &str) -> (u16, Value) {
    server.write_base(text);
    let answer = operator.post("/api/admin/config/reload", json!({})).await;
    (answer.status.as_u16(), answer.json())
}

fn told(outcome: &Value) -> Vec<String> {
    let nodes = outcome["nodes"].as_array().unwrap().iter();
    nodes.map(|node| format!("{} {} {}", node["node"], node["effect"], node["error"]).replace('"', "")).collect()
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_by_its_own_name_and_line() {
    let server = monolith(BASE).ready().await;
    let operator = server.operator();
    let edited = BASE.replace("store = \"embedded\"", "default_ttl = \"1d\"\nstore = \"memory\"")
        + "[server]\ndata_dir = \"elsewhere\"\n";
    let (status, body) = reload(&server, &operator, &edited).await;
    assert_eq!((status, &body["code"]), (422, &json!("config_rejected")));
    let errors: Vec<_> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (&e["key"], &e["file"], &e["line"], e["hint"].is_string()))
        .collect();
    let file = json!("monolith.toml");
    assert_eq!(
        errors,
        [(&json!("keys.store"), &file, &json!(6), true), (&json!("server.data_dir"), &file, &json!(8), true)]
    );
    let outcome = &body["outcome"];
    assert_eq!((&outcome["outcome"], &outcome["generation"]), (&json!("rejected"), &json!(1)));
    assert_eq!(
        told(outcome),
        ["server restart cannot change while the process runs", "keys restart cannot change while the process runs"]
    );
    assert_eq!(reload(&server, &operator, BASE).await.1["outcome"], "unchanged");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_named_as_what_stopped_the_reload() {
    let server = monolith(BASE).ready().await;
    let operator = server.operator();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edited =
        format!("{BASE}default_ttl = \"1d\"\n[stores.gone]\nkind = \"postgres\"\nurl = \"postgres://x@{nobody}/x\"\n");
    let (status, body) = reload(&server, &operator, &edited).await;
    assert_eq!(status, 422, "{body}");
    let nodes = told(&body["outcome"]);
    assert_eq!(nodes[0], "keys hot null");
    assert!(nodes[1].starts_with("stores.gone rebuild the changed store does not answer"), "{nodes:?}");
    assert_eq!((&body["errors"][0]["key"], &body["errors"][0]["line"]), (&json!("stores.gone"), &json!(9)));
}

#[tokio::test]
async fn a_mistake_in_the_text_names_the_part_that_it_is_in() {
    let server = monolith(BASE).ready().await;
    let operator = server.operator();
    let (status, body) = reload(&server, &operator, &BASE.replace("url = \"sqlite:a.db\"", "url = \"sqlite:\"")).await;
    assert_eq!(status, 422);
    let nodes = told(&body["outcome"]);
    assert_eq!(nodes.len(), 1);
    assert!(nodes[0].starts_with("stores.embedded unchanged a sqlite store's url"), "{nodes:?}");
}
