//! Whether the files say what is running: shown everywhere, and true again when they are put back.

use crate::harness::{IN_MEMORY, TestMonolith, monolith};
use serde_json::json;

async fn metric(server: &TestMonolith, line: &str) -> bool {
    server.anyone().get("/metrics").await.text.lines().any(|known| known == line)
}

#[tokio::test]
async fn a_rejected_text_differs_from_what_runs_until_it_is_put_back() {
    let server = monolith(IN_MEMORY).ready().await;
    let (viewer, operator) = (server.viewer(), server.operator());
    assert!(metric(&server, "monolith_config_disk_matches_running 1").await);
    server.write_base("[keys]\nstore = \"nowhere\"\n");
    let health = server.wait_for_health(|health| health["config"]["disk_matches_running"] == false).await;
    assert_eq!(health["config"]["last_reload"]["trigger"], "file");

    // Asking again for the same broken text must not make it look as if it ran.
    operator.post("/api/admin/config/reload", json!({})).await.refused(422, "config_rejected");
    let health = viewer.get("/health").await.ok();
    assert_eq!((&health["config"]["disk_matches_running"], &health["status"]), (&json!(false), &json!("degraded")));
    assert_eq!(health["config"]["last_reload"]["trigger"], "api");
    let finding = health["findings"].as_array().unwrap().iter().find(|f| f["code"] == "config_rejected").unwrap();
    assert_eq!(finding["severity"], "error");
    assert!(finding["since"].as_str() < health["config"]["last_reload"]["at"].as_str(), "since the first refusal");
    assert_eq!(viewer.get("/api/admin/config").await.ok()["disk"]["matches"], false);
    for line in [
        "monolith_config_disk_matches_running 0",
        "monolith_config_last_reload_success 0",
        "monolith_config_generation 1",
    ] {
        assert!(metric(&server, line).await, "{line}");
    }

    server.write_base(IN_MEMORY);
    let health = server.wait_for_health(|health| health["config"]["disk_matches_running"] == true).await;
    assert_eq!((&health["generation"], &health["status"]), (&json!(1), &json!("ok")));
    assert!(metric(&server, "monolith_config_disk_matches_running 1").await);
    assert!(metric(&server, "monolith_config_last_reload_success 1").await);
}

#[tokio::test]
async fn a_text_that_is_right_and_needs_a_restart_has_a_hash_of_its_own() {
    let server = monolith(IN_MEMORY).ready().await;
    let viewer = server.viewer();
    server.write_base(&format!("{IN_MEMORY}default_ttl = \"1d\"\n[server]\ndata_dir = \"elsewhere\"\n"));
    server.wait_for_health(|health| health["status"] == "degraded").await;
    let config = viewer.get("/api/admin/config").await.ok();
    assert!(config["disk"]["hash"].is_string() && config["disk"]["hash"] != config["hash"], "{config}");
}

/// What a process shows of its configuration, without what is another one in each process.
async fn shown(server: &TestMonolith) -> [serde_json::Value; 4] {
    let viewer = server.viewer();
    let config = viewer.get("/api/admin/config").await.ok();
    let stores = viewer.get("/api/admin/stores").await.ok();
    let workers = viewer.get("/api/admin/workers").await.ok();
    let pick = |list: &serde_json::Value, keys: &[&str]| {
        let item = |item: &serde_json::Value| keys.iter().map(|key| item[*key].clone()).collect::<Vec<_>>();
        json!(list["items"].as_array().unwrap().iter().map(item).collect::<Vec<_>>())
    };
    [
        json!([config["hash"], config["profile"], config["layers"]]),
        config["values"].clone(),
        pick(&stores, &["name", "kind", "required"]),
        pick(&workers, &["name", "kind", "enabled", "schedule", "every_ms", "timezone", "spec_hash"]),
    ]
}

#[tokio::test]
async fn what_a_reload_makes_of_a_file_is_what_a_start_makes_of_it() {
    let first = r#"
[stores.embedded]
kind = "sqlite"
url = "sqlite:a.db"
[stores.gone]
kind = "sqlite"
url = "sqlite:b.db"
[keys]
store = "embedded"
[scheduler]
store = "embedded"
[workers.gone]
every = "1d"
run = { kind = "sql", store = "gone", statement = "select 1" }
[workers.kept]
every = "1d"
run = { kind = "sql", store = "embedded", statement = "select 1" }
"#;
    let second = r#"
[server]
body_limit = "2MiB"
request_timeout = "20s"
[stores.embedded]
kind = "sqlite"
url = "sqlite:a.db"
required = false
[stores.more]
kind = "sqlite"
url = "sqlite:c.db"
[keys]
store = "embedded"
default_ttl = "1d"
max_ttl = "30d"
[scheduler]
store = "embedded"
lease = "20s"
[workers.kept]
every = "2d"
run = { kind = "sql", store = "more", statement = "select 2" }
[workers.more]
schedule = "0 3 * * *"
timezone = "Europe/Vienna"
run = { kind = "command", argv = ["true"] }
"#;
    let builder = monolith(first)
        .env("MONOLITH_SERVER__BODY_LIMIT", "3MiB")
        .env("MONOLITH_WORKERS__KEPT__TIMEOUT", "7s")
        .arg("--set")
        .arg("keys.max_ttl=400d");
    let server = builder.ready().await;
    server.write_base(second);
    server.wait_for_health(|health| health["generation"] == 2).await;
    let reloaded = shown(&server).await;
    assert_eq!(
        (&reloaded[1]["server"]["body_limit"], &reloaded[1]["keys"]["max_ttl"]),
        (&json!("3MiB"), &json!("400d"))
    );
    let server = server.crash().arg("--set").arg("keys.max_ttl=400d").ready().await;
    assert_eq!(server.anyone().get("/health").await.json()["generation"], 1);
    let started = shown(&server).await;
    for (reloaded, started) in reloaded.iter().zip(&started) {
        assert_eq!(reloaded, started);
    }
}
