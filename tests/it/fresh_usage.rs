//! How often keys are used, by what came of it, and when last: counted by whoever verifies, written in batches, and not lost
//! while the database is away.

use crate::harness::{Answer, TestMonolith, monolith};
use serde_json::{Value, json};
use xtask::servers::Postgres;

fn file(folder: &str) -> String {
    format!("[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:{folder}\"\n[keys]\nstore = \"main\"\n")
}

async fn create(server: &TestMonolith, body: Value) -> (String, String) {
    let issued = server.operator().post("/api/admin/api-keys", body).await.ok();
    (issued["kid"].as_str().unwrap().to_owned(), issued["key"].as_str().unwrap().to_owned())
}

async fn verify(server: &TestMonolith, key: &str, times: usize) {
    for _ in 0..times {
        server.anyone().post("/api/keys/verify", json!({"key": key})).await.ok();
    }
}

fn today(answer: &Answer) -> Value {
    answer.ok()["items"].as_array().unwrap().last().map_or(Value::Null, |day| day["outcomes"].clone())
}

async fn counted(server: &TestMonolith, kid: &str, wanted: Value) {
    let path = format!("/api/admin/api-keys/{kid}/usage");
    server.viewer().wait_for(&path, |answer| today(answer) == wanted).await;
}

async fn uses_are_counted(server: &TestMonolith) {
    let (kid, key) = create(server, json!({"name": "ci", "rate_limit": "3/h"})).await;
    let path = format!("/api/admin/api-keys/{kid}");
    assert!(server.viewer().get(&path).await.ok()["last_used_at"].is_null(), "nobody used it yet");
    verify(server, &key, 5).await;
    let wrong: String = key.replacen("_test_", "_live_", 1);
    verify(server, &wrong, 1).await;
    counted(server, &kid, json!({"valid": 3, "rate_limited": 2})).await;
    server.viewer().wait_for(&path, |answer| answer.ok()["last_used_at"].is_string()).await;
    let version = server.viewer().get(&path).await.ok()["version"].clone();
    assert_eq!(version, 1, "a use is no change of the key");
    server.operator().delete(&path).await.ok();
    verify(server, &key, 1).await;
    counted(server, &kid, json!({"valid": 3, "rate_limited": 2, "revoked": 1})).await;
    server.viewer().get("/api/admin/api-keys/nobody/usage").await.refused(404, "not_found");
}

#[tokio::test]
async fn uses_are_counted_by_what_came_of_them_in_every_home() {
    uses_are_counted(&monolith("[keys]\nstore = \"memory\"\n").ready().await).await;
    uses_are_counted(&monolith(&file("keys.db")).ready().await).await;
    let postgres = Postgres::start().unwrap();
    let on_postgres = monolith("# see the environment\n").env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1");
    uses_are_counted(&on_postgres.ready().await).await;
}

#[tokio::test]
async fn uses_while_the_database_is_away_are_written_when_it_is_back_and_those_before_the_end_too() {
    let postgres = Postgres::start().unwrap();
    let server = monolith("# see the environment\n").env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1");
    let server = server.ready().await;
    let (kid, key) = create(&server, json!({"name": "ci"})).await;
    verify(&server, &key, 2).await;
    counted(&server, &kid, json!({"valid": 2})).await;
    postgres.kill().unwrap();
    verify(&server, &key, 4).await;
    server.wait_for_health(|health| health["keys"]["age_ms"].as_u64() > Some(6000)).await;
    postgres.restart().unwrap();
    counted(&server, &kid, json!({"valid": 6})).await;
    verify(&server, &key, 1).await;
    assert_eq!(server.terminate(), Some(0));
    let written = "select n::text from key_usage where outcome = 'valid'";
    assert_eq!(crate::harness::postgres_text(&postgres, written).await, ["7"]);
    let metrics = "monolith_key_usage_lost_total 0";
    let other = monolith("# see the environment\n").env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1");
    assert!(other.ready().await.anyone().get("/metrics").await.text.contains(metrics));
}
