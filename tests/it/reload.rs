//! An edit of the file takes effect as a whole or changes nothing, on the running program.
//! What a change costs node by node is tested beside `settings::diff`.

use crate::harness::{IN_MEMORY, monolith, signal};
use serde_json::json;

#[tokio::test]
async fn an_edit_takes_effect_and_a_broken_one_is_refused_and_said_so() {
    let server = monolith(IN_MEMORY).ready().await;
    let viewer = server.viewer();
    let whole = format!("{IN_MEMORY}default_ttl = \"1d\"\n");
    server.write_base(&whole);
    server.wait_for_health(|health| health["generation"] == 2).await;
    server.write_base(&format!("{whole}defualt_ttl = \"2d\"\n"));
    let health = server.wait_for_health(|health| health["status"] == "degraded").await;
    assert_eq!((&health["generation"], &health["config"]["disk_matches_running"]), (&json!(2), &json!(false)));
    assert_eq!(health["config"]["last_reload"]["outcome"], "rejected");
    let config = viewer.get("/api/admin/config").await.ok();
    let problem = &config["disk"]["problems"][0];
    assert_eq!((&problem["key"], &problem["line"]), (&json!("keys.defualt_ttl"), &json!(4)), "{config}");
    assert!(problem["hint"].as_str().unwrap().contains("default_ttl"));
    server.write_base(&whole);
    let health = server.wait_for_health(|health| health["status"] == "ok").await;
    assert_eq!((&health["generation"], &health["config"]["disk_matches_running"]), (&json!(2), &json!(true)));
}

#[tokio::test]
async fn whoever_asks_for_a_reload_is_told_what_came_of_it() {
    let server = monolith(IN_MEMORY).ready().await;
    let operator = server.operator();
    let outcome = operator.post("/api/admin/config/reload", json!({})).await.ok();
    assert_eq!((&outcome["outcome"], &outcome["trigger"]), (&json!("unchanged"), &json!("api")));
    server.write_base("[keys]\nstore = \"nowhere\"\n");
    let refused = operator.post("/api/admin/config/reload", json!({})).await.refused(422, "config_rejected");
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("nowhere"), "{refused}");
    assert_eq!(server.anyone().get("/health").await.json()["generation"], 1);
}

#[tokio::test]
async fn a_hang_up_asks_for_a_reload() {
    let server = monolith(IN_MEMORY).ready().await;
    signal(server.pid(), "HUP");
    server.wait_for_health(|health| health["config"]["last_reload"]["trigger"] == "signal").await;
}

#[tokio::test]
async fn a_file_that_vanishes_is_a_mistake_and_never_the_wish_for_defaults() {
    let server = monolith(IN_MEMORY).ready().await;
    std::fs::remove_file(server.base()).unwrap();
    let health = server.wait_for_health(|health| health["status"] == "degraded").await;
    assert_eq!(health["generation"], 1);
    server.write_base("");
    server.wait_for_health(|health| health["config"]["last_reload"]["outcome"] == "rejected").await;
    server.write_base(IN_MEMORY);
    server.wait_for_health(|health| health["status"] == "ok").await;
}

#[tokio::test]
async fn sigterm_ends_it_in_order_and_in_time() {
    let server = monolith(IN_MEMORY).ready().await;
    let url = server.url().to_owned();
    assert_eq!(server.terminate(), Some(0));
    assert!(reqwest::get(format!("{url}/health/live")).await.is_err(), "the socket is closed");
}
