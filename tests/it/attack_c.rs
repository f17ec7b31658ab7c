//! Attacks on revocation and freshness (50-62), as far as they need no broken store; those that do are `replicas` and its
//! neighbours (50-52, 57, 58), and beside `keys` where a step must be held (53, 54, 56, 61).

use crate::harness::{Builder, IN_MEMORY, TestMonolith, monolith};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use xtask::servers::Postgres;

async fn key(server: &TestMonolith) -> (String, String) {
    let body = json!({"name": "x", "owner": "o", "scopes": ["a"]});
    let issued = server.operator().post("/api/admin/api-keys", body).await.ok();
    (issued["kid"].as_str().unwrap().to_owned(), issued["key"].as_str().unwrap().to_owned())
}

async fn code(server: &TestMonolith, key: &str) -> Value {
    let question = json!({"key": key, "scopes": ["a"]});
    server.anyone().post("/api/keys/verify", question).await.ok()["code"].clone()
}

/// 55: whatever changes a key is seen by the very next question, however often it was asked before.
async fn every_change_is_seen_at_once(builder: Builder) {
    let server = builder.ready().await;
    let (operator, admin) = (server.operator(), server.admin());
    for (what, expected) in [
        ("revoke", "revoked"),
        ("disable", "disabled"),
        ("scope", "scope_missing"),
        ("ip", "ip_denied"),
        ("rotate", "expired"),
        ("bulk", "revoked"),
        ("rate", "rate_limited"),
    ] {
        let (kid, key) = key(&server).await;
        for _ in 0..3 {
            assert_eq!(code(&server, &key).await, "valid", "{what}");
        }
        let path = format!("/api/admin/api-keys/{kid}");
        let patch = async |body: Value| operator.send(Method::PATCH, &path, |r| r.json(&body)).await;
        let answer = match what {
            "revoke" => operator.delete(&path).await,
            "disable" => patch(json!({"state": "disabled"})).await,
            "scope" => patch(json!({"scopes": ["b"]})).await,
            "ip" => patch(json!({"ip_allow": ["192.0.2.0/24"]})).await,
            "rate" => patch(json!({"rate_limit": "1/d"})).await,
            "rotate" => operator.post(&format!("{path}/rotate"), json!({"grace": "0s"})).await,
            _ => {
                let all = json!({"kids": [kid], "reason": "x", "dry_run": false});
                admin.post("/api/admin/api-keys/bulk-revoke", all).await
            }
        };
        answer.ok();
        if what == "rate" {
            assert_eq!(code(&server, &key).await, "valid", "the first use is within it");
        }
        assert_eq!(code(&server, &key).await, expected, "{what}");
    }
    // 56: neither the successor's end nor another rotation brings the old one back.
    let (kid, old) = key(&server).await;
    let next = operator.post(&format!("/api/admin/api-keys/{kid}/rotate"), json!({"grace": "1h"})).await.ok();
    operator.delete(&format!("/api/admin/api-keys/{kid}")).await.ok();
    operator.delete(&format!("/api/admin/api-keys/{}", next["kid"].as_str().unwrap())).await.ok();
    assert_eq!(
        (code(&server, &old).await, code(&server, next["key"].as_str().unwrap()).await),
        (json!("revoked"), json!("revoked"))
    );
}

#[tokio::test]
async fn c55_every_change_is_seen_at_once_in_memory() {
    every_change_is_seen_at_once(monolith(IN_MEMORY)).await;
}

#[tokio::test]
async fn c55_every_change_is_seen_at_once_in_sqlite() {
    let base = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n";
    every_change_is_seen_at_once(monolith(base)).await;
}

#[tokio::test]
async fn c55_c59_every_change_is_seen_at_once_in_postgres_and_a_new_key_by_whoever_asked_too_early() {
    let postgres = Postgres::start().unwrap();
    let start = || monolith("# in the environment\n").env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1");
    every_change_is_seen_at_once(start()).await;
    let (one, two) = (start().ready().await, start().ready().await);
    let (_, early) = key(&one).await;
    let unknown = early.replace(early.split('_').nth(2).unwrap(), "0123456789AB");
    for _ in 0..20 {
        let _asked = code(&two, &unknown).await;
    }
    let (_, made) = key(&one).await;
    assert_eq!(code(&two, &made).await, "valid", "create answers when the known replicas have it");
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn c60_a_flood_of_unknown_keys_takes_no_memory_and_hides_no_good_one() {
    let server = monolith(IN_MEMORY).ready().await;
    let (_, good) = key(&server).await;
    let mut raw = crate::raw::Raw::open(server.url().trim_start_matches("http://")).await.unwrap();
    let mut asked = 0;
    let mut flood = async |count: u32| {
        for _ in 0..count {
            asked += 1;
            let reply =
                raw.post("/api/keys/verify", &json!({"key": format!("mono_test_{asked:012}_x")})).await.unwrap();
            assert_eq!(reply.status, 200);
        }
    };
    flood(2_000).await;
    let before = resident_kib(server.pid());
    flood(10_000).await;
    let grown = resident_kib(server.pid()).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB for ten thousand keys that are none");
    assert_eq!(code(&server, &good).await, "valid");
}

#[tokio::test]
async fn c62_keys_in_memory_are_gone_at_restart_and_everybody_is_told() {
    let server = monolith(IN_MEMORY).ready().await;
    let (_, key) = key(&server).await;
    assert!(server.log().contains("gone at restart"), "{}", server.log());
    let health = server.viewer().get("/health").await.json();
    assert!(health["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "keys_in_memory"));
    assert_eq!(health["keys"]["persistent"], false);
    let server = server.crash().ready().await;
    assert_eq!(code(&server, &key).await, "invalid");
}
