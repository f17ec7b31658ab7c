//! Stores that are down, die and come back: the program starts without them, says so, and never depends on them to live.
//! Each server is the test's own, because it is broken.

use crate::harness::{TestMonolith, monolith, shipped};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use xtask::servers::{Mongo, Postgres, Redis};

/// DESIGN: a stopped store shows in /health within 20 s.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);

/// A file that leaves everything to the variables of the original service.
const FROM_ENVIRONMENT: &str = "# see the environment\n";

async fn state_of(server: &TestMonolith, store: &str, wanted: &str) -> Value {
    let since = Instant::now();
    let health = server.wait_for_health(|health| health["stores"][store] == wanted).await;
    assert!(since.elapsed() < SHOWN_WITHIN, "{store} was shown as {wanted} after {:?} only", since.elapsed());
    health
}

async fn probes_stay_green(server: &TestMonolith) {
    for path in ["/health/live", "/health/ready"] {
        let answer = server.anyone().get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_store_that_dies_shows_in_health_and_comes_back_while_the_probes_stay_green() {
    let (postgres, redis, mongo) = (Postgres::start().unwrap(), Redis::start().unwrap(), Mongo::start().unwrap());
    let server = shipped()
        .env("DATABASE_URL", postgres.url())
        .env("REDIS_URL", redis.url())
        .env("MONGO_URI", mongo.url())
        .env("USE_DB_KEYS", "1")
        .env("JWT_SECRET", crate::harness::JWT_SECRET)
        .ready()
        .await;
    for store in ["postgres", "redis", "mongo"] {
        state_of(&server, store, "up").await;
    }
    postgres.stop().unwrap();
    redis.stop().unwrap();
    mongo.stop().unwrap();
    for store in ["postgres", "redis", "mongo"] {
        let health = state_of(&server, store, "down").await;
        assert_eq!(health["status"], "degraded");
        probes_stay_green(&server).await;
    }
    let details = server.viewer().get("/health").await.json();
    assert!(details["store_details"]["postgres"]["error"].is_string(), "{details}");
    assert!(
        server.anyone().get("/health").await.json()["store_details"].is_null(),
        "causes are for whoever has a token"
    );
    let metrics = server.anyone().get("/metrics").await.text;
    assert!(metrics.contains(r#"monolith_store_up{kind="postgres",store="postgres"} 0"#), "{metrics}");
    postgres.restart().unwrap();
    redis.restart().unwrap();
    mongo.restart().unwrap();
    for store in ["postgres", "redis", "mongo"] {
        state_of(&server, store, "up").await;
    }
    server.wait_for_health(|health| health["status"] == "ok").await;
}

#[tokio::test]
async fn a_store_that_accepts_and_never_answers_holds_nobody_up() {
    let postgres = Postgres::start().unwrap();
    let server = monolith(FROM_ENVIRONMENT).env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1").ready().await;
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "known"})).await.ok();
    postgres.pause().unwrap();
    state_of(&server, "postgres", "down").await;
    probes_stay_green(&server).await;
    let verdict = server.anyone().post("/api/keys/verify", json!({"key": issued["key"]})).await.ok();
    assert_eq!(verdict["valid"], true, "a lost store never turns a valid key into a refusal");
    let unknown = "mono_test_000000000000_00000000000000000000000000000000";
    let check = crc32fast::hash(unknown.as_bytes());
    let unknown = format!("{unknown}{}", base62(check));
    let undecided = server.anyone().post("/api/keys/verify", json!({"key": unknown})).await;
    undecided.refused(503, "undecidable");
    postgres.resume().unwrap();
    state_of(&server, "postgres", "up").await;
    let fresh = server.anyone();
    let settled = |answer: &crate::harness::Answer| answer.json()["keys"]["fresh"] == true;
    fresh.wait_for("/health", settled).await;
    assert_eq!(fresh.post("/api/keys/verify", json!({"key": unknown})).await.ok()["code"], "invalid");
}

fn base62(mut number: u32) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    for _ in 0..6 {
        text.push(digits[(number % 62) as usize]);
        number /= 62;
    }
    text.reverse();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn stores_that_are_down_at_start_keep_it_live_and_not_ready_until_they_come() {
    let postgres = Postgres::start().unwrap();
    postgres.stop().unwrap();
    let since = Instant::now();
    let server = monolith(FROM_ENVIRONMENT).env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1").start();
    assert!(since.elapsed() < Duration::from_secs(10), "it hung at its start for {:?}", since.elapsed());
    assert_eq!(server.anyone().get("/health/live").await.status, 200);
    assert_eq!(server.anyone().get("/health/ready").await.status, 503);
    let health = server.anyone().get("/health").await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (503, &json!("down")));
    postgres.restart().unwrap();
    server.wait_for("/health/ready", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn the_stores_are_listed_with_their_causes_and_never_their_addresses() {
    let redis = Redis::start_with_password("h4rd-to-guess").unwrap();
    let wrong = redis.url().replace("h4rd-to-guess", "n0t-the-one");
    let base = format!("[stores.cache]\nkind = \"redis\"\nurl = \"{wrong}\"\nrequired = false\n");
    let server = monolith(&base).start();
    let listed =
        server.viewer().wait_for("/api/admin/stores", |answer| answer.json()["items"][0]["state"] == "down").await;
    assert_eq!(listed.json()["items"][0]["name"], "cache");
    assert!(listed.json()["items"][0]["error"].is_string());
    assert!(!listed.text.contains("n0t-the-one") && !server.log().contains("n0t-the-one"), "{}", listed.text);
}
