//! Several replicas on one Postgres: who they are, what a revocation's receipt says, and what becomes of one that hangs,
//! is killed or leaves. Each is a process of its own.

use crate::events::Listener;
use crate::harness::{Answer, Builder, TestMonolith, monolith, signal};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use xtask::servers::Postgres;

/// DESIGN §6: without any accelerator every replica that reaches its store knows within this.
const BOUND: Duration = Duration::from_secs(2);
/// A file that leaves everything to the variables of the original service.
const DEFAULTS: &str = "# see the environment\n";
/// What the machine of the tests may add to it.
const SLACK: Duration = Duration::from_secs(2);

fn replica(postgres: &Postgres, base: &str) -> Builder {
    monolith(base).env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1")
}

async fn replicas<const N: usize>(postgres: &Postgres, base: &str) -> [TestMonolith; N] {
    let mut started = Vec::new();
    for _ in 0..N {
        started.push(replica(postgres, base).ready().await);
    }
    started.try_into().unwrap_or_else(|_| panic!("as many as were started"))
}

async fn create(server: &TestMonolith) -> (String, String) {
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "ci"})).await.ok();
    (issued["kid"].as_str().unwrap().to_owned(), issued["key"].as_str().unwrap().to_owned())
}

async fn code(server: &TestMonolith, key: &str) -> String {
    let verdict = server.anyone().post("/api/keys/verify", json!({"key": key})).await.ok();
    verdict["code"].as_str().unwrap().to_owned()
}

async fn revoke(server: &TestMonolith, kid: &str) -> Value {
    server.operator().delete(&format!("/api/admin/api-keys/{kid}?reason=leaked")).await.ok()
}

fn listed(answer: &Answer) -> Vec<Value> {
    answer.ok()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_replica_is_listed_with_how_far_it_has_come_until_it_leaves() {
    let postgres = Postgres::start().unwrap();
    let [first, second] = replicas(&postgres, DEFAULTS).await;
    let (kid, _) = create(&first).await;
    let viewer = second.viewer();
    let all_have_it = |answer: &Answer| listed(answer).iter().filter(|r| r["acked_seq"] == 1).count() == 2;
    let both = listed(&viewer.wait_for("/api/admin/replicas", all_have_it).await);
    for replica in &both {
        assert_eq!((&replica["role"], &replica["generation"]), (&json!("serve"), &json!(1)), "{replica}");
        assert_eq!(replica["hash"], both[0]["hash"], "the same file means the same");
        assert!(replica["started_at"].is_string() && replica["version"].is_string(), "{replica}");
    }
    let settled = |answer: &Answer| listed(answer).iter().all(|r| r["ready"] == true && r["clock_skew_ms"].is_i64());
    let both = listed(&viewer.wait_for("/api/admin/replicas", settled).await);
    assert!(both.iter().all(|r| r["clock_skew_ms"].as_i64().unwrap().abs() < 1000), "{both:?}");
    revoke(&second, &kid).await;
    let name = first.anyone().get("/health").await.ok()["replica"].clone();
    assert_eq!(first.terminate(), Some(0));
    let rest = listed(&viewer.wait_for("/api/admin/replicas", |answer| listed(answer).len() == 1).await);
    assert_ne!(rest[0]["id"], name, "the one that left is gone");
}

#[tokio::test]
async fn a_new_key_is_accepted_and_a_revoked_one_refused_everywhere_when_the_answer_comes() {
    let postgres = Postgres::start().unwrap();
    let three: [TestMonolith; 3] = replicas(&postgres, DEFAULTS).await;
    let (kid, key) = create(&three[0]).await;
    for server in &three {
        assert_eq!(code(server, &key).await, "valid", "create answers when the known replicas have the key");
    }
    let receipt = revoke(&three[1], &kid).await;
    for server in &three {
        assert_eq!(code(server, &key).await, "revoked", "{receipt}");
    }
    assert_eq!((&receipt["replicas_known"], &receipt["replicas_acked"]), (&json!(3), &json!(3)), "{receipt}");
    assert_eq!((&receipt["complete"], &receipt["bound_ms"]), (&json!(true), &json!(2000)), "{receipt}");
    let again = revoke(&three[2], &kid).await;
    assert_eq!((&again["revoked_at"], &again["complete"]), (&receipt["revoked_at"], &json!(true)));
    let mut observed = Vec::new();
    for server in &three {
        let metrics = server.anyone().get("/metrics").await.text;
        let count = metrics.lines().find_map(|line| line.strip_prefix("monolith_revocation_lag_seconds_count "));
        observed.push(count.unwrap().to_owned());
    }
    assert_eq!(observed, ["1", "0", "1"], "who revokes has no lag; each of the others had one");
}

#[tokio::test]
async fn a_change_on_one_replica_is_told_to_who_listens_to_another() {
    let postgres = Postgres::start().unwrap();
    let [first, second] = replicas(&postgres, DEFAULTS).await;
    let mut events = Listener::begin(&second, None).await;
    let (kid, key) = create(&first).await;
    let created = events.hear("key.created").await.data;
    assert_eq!((&created["subject"], &created["data"]["name"]), (&json!(kid), &json!("ci")));
    assert!(!created.to_string().contains(&key));
    revoke(&first, &kid).await;
    let revoked = events.hear("key.revoked").await.data;
    assert_eq!((&revoked["data"]["reason"], &revoked["data"]["by"]), (&json!("leaked"), &json!("test-operator")));
}

#[tokio::test]
async fn a_receipt_says_that_a_replica_hangs_and_when_nobody_can_accept_the_key_any_more() {
    let postgres = Postgres::start().unwrap();
    let three: [TestMonolith; 3] = replicas(&postgres, "[keys]\nmax_staleness = \"1m\"\n").await;
    let (kid, key) = create(&three[0]).await;
    signal(three[2].pid(), "STOP");
    let asked = Instant::now();
    let receipt = revoke(&three[0], &kid).await;
    assert!((BOUND..BOUND + SLACK).contains(&asked.elapsed()), "it waited for {:?}", asked.elapsed());
    assert_eq!((&receipt["replicas_known"], &receipt["replicas_acked"]), (&json!(3), &json!(2)), "{receipt}");
    assert_eq!((&receipt["complete"], &receipt["lag_ms"]), (&json!(false), &Value::Null), "{receipt}");
    assert_eq!(receipt["bound_ms"], 60_000, "until it may not answer without its store any more");
    assert_eq!(code(&three[1], &key).await, "revoked");
    signal(three[2].pid(), "CONT");
    let (resumed, server) = (Instant::now(), three[2].anyone());
    while server.post("/api/keys/verify", json!({"key": key})).await.ok()["code"] != "revoked" {
        assert!(resumed.elapsed() < BOUND + SLACK, "it still accepts a revoked key");
    }
    let receipt = revoke(&three[1], &kid).await;
    assert_eq!((&receipt["complete"], &receipt["replicas_known"]), (&json!(true), &json!(3)), "{receipt}");
}

#[tokio::test]
async fn nobody_waits_for_a_replica_that_was_killed_longer_than_it_could_have_answered() {
    let postgres = Postgres::start().unwrap();
    let [first, second] = replicas(&postgres, "[keys]\nmax_staleness = \"3s\"\n").await;
    drop(second.crash());
    let (kid, _) = create(&first).await;
    let operator = first.operator();
    let alone = |answer: &Answer| answer.ok()["replicas_known"] == 1;
    let path = format!("/api/admin/api-keys/{kid}");
    let (began, mut receipt) = (Instant::now(), operator.delete(&path).await);
    while !alone(&receipt) {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", receipt.text);
        receipt = operator.delete(&path).await;
    }
    assert_eq!(receipt.ok()["complete"], true);
}

#[tokio::test]
async fn what_rests_in_memory_has_one_replica_and_no_one_to_wait_for() {
    let server = monolith("[keys]\nstore = \"memory\"\n").ready().await;
    let (kid, _) = create(&server).await;
    let receipt = revoke(&server, &kid).await;
    assert_eq!((&receipt["replicas_known"], &receipt["complete"]), (&json!(1), &json!(true)), "{receipt}");
    let itself = |answer: &Answer| listed(answer).len() == 1;
    let replicas = listed(&server.viewer().wait_for("/api/admin/replicas", itself).await);
    assert_eq!(replicas[0]["id"], server.anyone().get("/health").await.ok()["replica"]);
}
