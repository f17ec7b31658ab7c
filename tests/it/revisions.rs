//! What was made of the settings: who, why, what came of it and what differs, over restarts; and starting from what ran
//! last where the files are broken.

use crate::harness::{Api, TestMonolith, monolith, stderr};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const BASE: &str = r#"[keys]
store = "memory"
[secrets]
pw = { literal = "hunter2-the-sentinel" }
[stores.pg]
kind = "postgres"
required = false
on_unreachable = "degraded"
url = "postgres://x:hunter2-the-sentinel@127.0.0.1:1/x"
"#;

async fn revisions(viewer: &Api) -> Vec<Value> {
    viewer.get("/api/admin/config/revisions").await.ok()["items"].as_array().unwrap().clone()
}

/// Waits until there is a revision of this number, and gives all of them.
async fn wait_for(server: &TestMonolith, viewer: &Api, revision: u64) -> Vec<Value> {
    let there = |answer: &crate::harness::Answer| answer.json()["items"][0]["revision"] == revision;
    viewer.wait_for("/api/admin/config/revisions", there).await;
    assert!(server.log().contains("generation"), "a server that tells what it does");
    revisions(viewer).await
}

#[tokio::test]
async fn each_change_is_kept_with_who_why_and_what_over_a_restart() {
    let server = monolith(BASE).ready().await;
    let (viewer, operator) = (server.viewer(), server.operator());
    let first = wait_for(&server, &viewer, 1).await;
    assert_eq!((&first[0]["trigger"], &first[0]["outcome"]), (&json!("start"), &json!("applied")));

    server.write_base(&BASE.replace("@127", "-two@127").replace("\"memory\"\n", "\"memory\"\ndefault_ttl = \"1d\"\n"));
    let second = &wait_for(&server, &viewer, 2).await[0];
    assert_eq!(
        (&second["trigger"], &second["outcome"], &second["actor"]),
        (&json!("file"), &json!("applied"), &json!(null))
    );
    assert_eq!(
        second["nodes"],
        json!([
        {"node": "keys", "effect": "hot", "error": null}, {"node": "stores.pg", "effect": "rebuild", "error": null}])
    );
    let (keys, store) = (&second["diff"][0], &second["diff"][1]);
    assert_eq!(keys["values"], json!([{"key": "keys.default_ttl", "from": "90d", "to": "1d", "secret": false}]));
    let value = &store["values"][0];
    assert_eq!(
        (&value["key"], &value["to"], &value["secret"]),
        (&json!("stores.pg.url"), &json!("changed"), &json!(true))
    );

    server.write_base("[keys]\nstroe = 1\n");
    wait_for(&server, &viewer, 3).await;
    operator.post("/api/admin/config/reload", json!({})).await.refused(422, "config_rejected");
    let all = wait_for(&server, &viewer, 4).await;
    assert_eq!(
        (&all[0]["outcome"], &all[0]["trigger"], &all[0]["actor"]),
        (&json!("rejected"), &json!("api"), &json!("test-operator"))
    );
    assert_eq!(all[0]["problems"][0]["line"], 2);
    assert!(!json!(all).to_string().contains("sentinel"), "no secret in what is shown");
    let page = viewer.get("/api/admin/config/revisions?limit=3").await.ok();
    assert_eq!((&page["items"][2]["revision"], &page["next"]), (&json!(2), &json!("2")));
    let rest = viewer.get("/api/admin/config/revisions?limit=3&after=2").await.ok();
    assert_eq!((&rest["items"][0]["revision"], &rest["next"]), (&json!(1), &json!(null)));
    viewer.get("/api/admin/config/revisions?after=x").await.refused(422, "invalid");

    server.write_base(BASE);
    wait_for(&server, &viewer, 5).await;
    let file = server.folder().join("data/revisions.jsonl");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let server = server.crash().ready().await;
    let after = revisions(&server.viewer()).await;
    assert_eq!((after.len(), &after[0]["revision"]), (5, &json!(5)), "a start with what ran last is nothing new");
}

#[tokio::test]
async fn broken_files_stop_a_start_unless_what_ran_last_may_take_their_place() {
    let server = monolith(BASE).ready().await;
    wait_for(&server, &server.viewer(), 1).await;
    let viewer_token = server.run(&["token", "create", "v", "--role", "viewer"]).stdout;
    let viewer_token = String::from_utf8(viewer_token).unwrap();
    let broken = "[keys\n";
    server.write_base(broken);
    server.wait_for_health(|health| health["status"] == "degraded").await;
    let folder = server.crash();
    let refused = folder.run(&["serve", "--bind", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));

    let server = folder.arg("--last-good").ready().await;
    let viewer = server.with_token(viewer_token.trim());
    let health = viewer.get("/health").await.ok();
    assert_eq!((&health["status"], &health["config"]["disk_matches_running"]), (&json!("degraded"), &json!(false)));
    let codes: Vec<_> = health["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"config_last_good") && codes.contains(&"config_rejected"), "{codes:?}");
    assert!(health["stores"]["pg"].is_string(), "what ran last runs");
    let config = viewer.get("/api/admin/config").await;
    assert_eq!(config.ok()["disk"]["problems"][0]["file"], "monolith.toml");
    assert!(!config.text.contains("sentinel"));

    server.write_base(&BASE.replace("\"memory\"\n", "\"memory\"\ndefault_ttl = \"1d\"\n"));
    let health = server.wait_for_health(|health| health["status"] == "ok").await;
    assert_eq!((&health["generation"], &health["config"]["disk_matches_running"]), (&json!(2), &json!(true)));
    let health = viewer.get("/health").await.ok();
    let findings = health["findings"].to_string();
    assert!(!findings.contains("config_last_good") && !findings.contains("config_rejected"), "{health}");
    assert!(!server.log().contains("sentinel"));
}

#[tokio::test]
async fn last_good_changes_nothing_where_the_files_are_good_and_invents_nothing_where_there_is_nothing() {
    let builder = monolith("[keys\n").file("data/revisions.jsonl", "torn {");
    let refused = builder.run(&["serve", "--bind", "127.0.0.1:0", "--last-good"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("there is no revision to start from"), "{}", stderr(&refused));
    let server = monolith(BASE).arg("--last-good").ready().await;
    assert_eq!(server.anyone().get("/health").await.json()["config"]["disk_matches_running"], true);
}
