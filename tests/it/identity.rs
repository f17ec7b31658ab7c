//! Keys and runs stay in the database that they are in: a new login or address of the same one is taken up, another one
//! is refused, whatever it is called.

use crate::harness::{Api, TestMonolith, monolith};
use serde_json::json;
use xtask::servers::Postgres;

fn on(kind: &str, url: &str) -> String {
    format!("[stores.main]\nkind = \"{kind}\"\nurl = \"{url}\"\n[keys]\nstore = \"main\"\n")
}

async fn key(operator: &Api) -> String {
    operator.post("/api/admin/api-keys", json!({"name": "ci"})).await.ok()["key"].as_str().unwrap().to_owned()
}

async fn is_valid(server: &TestMonolith, key: &str) -> bool {
    server.anyone().post("/api/keys/verify", json!({"key": key})).await.ok()["code"] == "valid"
}

/// The store's new address is refused as one that needs a restart, and the key is as good as before.
async fn is_refused(server: &TestMonolith, operator: &Api, text: &str, key: &str) {
    let before = server.anyone().get("/health").await.json()["generation"].clone();
    server.write_base(text);
    let body = operator.post("/api/admin/config/reload", json!({})).await.refused(422, "config_rejected");
    let (error, node) = (&body["errors"][0], &body["outcome"]["nodes"][0]);
    assert_eq!(
        (&error["key"], &error["file"], &error["line"]),
        (&json!("stores.main.url"), &json!("monolith.toml"), &json!(3))
    );
    assert!(error["message"].as_str().unwrap().contains("the API keys"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("restart"), "{error}");
    assert_eq!(
        (&node["node"], &node["effect"], node["error"].is_string()),
        (&json!("stores.main"), &json!("restart"), true)
    );
    let health = server.anyone().get("/health").await.json();
    assert_eq!((&health["generation"], &health["keys"]["count"]), (&before, &json!(1)));
    assert!(is_valid(server, key).await);
}

#[tokio::test]
async fn keys_in_postgres_do_not_move_to_another_database_by_an_edit() {
    let postgres = Postgres::start().unwrap();
    postgres.sql("create database other").unwrap();
    postgres.sql("create role deputy superuser login").unwrap();
    let first = on("postgres", &postgres.url_for("test", "postgres"));
    let server = monolith(&first).ready().await;
    let operator = server.operator();
    let key = key(&operator).await;

    let other = on("postgres", &postgres.url_for("test", "other"));
    is_refused(&server, &operator, &other, &key).await;
    // A database of ours is as foreign as one that nobody ever used.
    let url = format!("stores.main.url={}", postgres.url_for("test", "other"));
    assert!(server.run(&["migrate", "--set", &url]).status.success());
    is_refused(&server, &operator, &other, &key).await;

    server.write_base(&on("postgres", &postgres.url_for("deputy", "postgres")));
    let health = server.wait_for_health(|health| health["generation"] == 2).await;
    assert_eq!(health["keys"]["count"], 1, "the index is kept");
    assert!(is_valid(&server, &key).await);
    is_refused(&server, &operator, &other, &key).await;
}

#[tokio::test]
async fn keys_in_sqlite_follow_their_file_and_no_other() {
    let server = monolith(&on("sqlite", "sqlite:a.db")).ready().await;
    let operator = server.operator();
    let key = key(&operator).await;

    let other = on("sqlite", "sqlite:new/b.db");
    is_refused(&server, &operator, &other, &key).await;
    assert!(!server.folder().join("new").exists(), "a refused reload leaves nothing behind");
    assert!(server.run(&["migrate"]).status.success());
    is_refused(&server, &operator, &other, &key).await;

    server.write_base(&on("sqlite", "sqlite:./a.db"));
    server.wait_for_health(|health| health["generation"] == 2).await;
    assert!(is_valid(&server, &key).await);
}
