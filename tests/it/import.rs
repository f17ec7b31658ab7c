//! Keys that were issued elsewhere: taken over by the hash of their whole text, used by their owners as before.
//! Every fault is told by its line, and nothing is half taken over.

use crate::harness::{Builder, IN_MEMORY, TestMonolith, monolith, postgres_text, stderr, stdout};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::process::Output;
use xtask::servers::Postgres;

const PEPPER: &str = "Yq8Rt2Lw5Zk9Nv3Bc7Hj1Gf4Ds6Pa0Xx";
/// As other services write them.
const KONG: &str = "kQ8vX2bN5tR8wZ1cF4hJ6kL9pS3dG7Qm";
const LITELLM: &str = "sk-proj-7Qm0vKxY2bN5tR8wZ1cF4hJ6kL9pS3dG";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(key: &str) -> String {
    hex(&Sha256::digest(key))
}

fn hmac(key: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(PEPPER.as_bytes()).unwrap();
    mac.update(key.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn line(kid: &str, key: &str) -> Value {
    json!({"kid": kid, "hash": sha256(key), "algorithm": "sha256", "name": kid, "scopes": ["orders:read"]})
}

fn peppered(base: &str) -> Builder {
    let keys = base.replace("[keys]\n", "[keys]\npepper = [\"shop\"]\n");
    monolith(&format!("{keys}[secrets]\nshop = {{ literal = \"{PEPPER}\" }}\n"))
}

async fn import(server: &TestMonolith, keys: Vec<Value>) -> Value {
    server.admin().post("/api/admin/api-keys/import", json!({"keys": keys, "dry_run": false})).await.ok()
}

async fn code(server: &TestMonolith, key: &str) -> Value {
    server.anyone().post("/api/keys/verify", json!({"key": key})).await.ok()["code"].clone()
}

/// 48: each kind of hash verifies its key and no other; the key lives on as one of ours.
async fn a_key_of_elsewhere_lives_on(server: &TestMonolith) {
    assert_eq!(code(server, KONG).await, "malformed", "nobody was imported yet");
    let with_pepper = json!({"kid": "lite/1".replace('/', "-"), "hash": hmac(LITELLM), "algorithm": "hmac-sha256",
                             "pepper": "shop", "name": "lite", "created_at": "2024-01-01T00:00:00Z"});
    let done = import(server, vec![line("kong-1", KONG), with_pepper]).await;
    assert_eq!((&done["imported"], &done["refused"]), (&json!(2), &json!([])));
    assert_eq!((code(server, KONG).await, code(server, LITELLM).await), (json!("valid"), json!("valid")));
    let other = KONG.to_lowercase();
    for (wrong, expected) in [
        (&*other, "invalid"),
        (&*sha256(KONG), "invalid"),
        ("kong-1", "malformed"),
        (&*format!("{KONG} "), "malformed"),
        (&*"x".repeat(600), "malformed"),
        ("mono_test_mistyped_key_of_ours_that_is_long", "malformed"),
    ] {
        assert_eq!(code(server, wrong).await, expected, "{wrong}");
    }
    let shown = server.viewer().get("/api/admin/api-keys/kong-1").await;
    assert_eq!((&shown.ok()["state"], &shown.json()["created_by"]), (&json!("active"), &json!("test-admin")));
    assert!(!shown.text.contains(&sha256(KONG)), "a hash was told");
    let question = json!({"key": KONG, "scopes": ["orders:write"]});
    assert_eq!(server.anyone().post("/api/keys/verify", question).await.ok()["code"], "scope_missing");
    let explained = server.operator().post("/api/admin/api-keys/explain", json!({"key": KONG})).await.ok();
    assert_eq!((&explained["code"], &explained["kid"]), (&json!("valid"), &json!("kong-1")));
    server.operator().delete("/api/admin/api-keys/kong-1?reason=moved").await.ok();
    assert_eq!(code(server, KONG).await, "revoked");
    let audit = server.viewer().get("/api/admin/audit").await.ok();
    let imported = audit["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "key.imported").count();
    assert_eq!(imported, 2);
}

#[tokio::test]
async fn b48_a_key_of_elsewhere_lives_in_memory() {
    a_key_of_elsewhere_lives_on(&peppered(IN_MEMORY).ready().await).await;
}

#[tokio::test]
async fn b48_a_key_of_elsewhere_lives_in_sqlite_and_survives_a_crash() {
    let base = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n";
    let server = peppered(base).ready().await;
    a_key_of_elsewhere_lives_on(&server).await;
    let server = server.crash().ready().await;
    assert_eq!((code(&server, KONG).await, code(&server, LITELLM).await), (json!("revoked"), json!("valid")));
}

#[tokio::test]
async fn b48_a_key_of_elsewhere_lives_in_postgres_on_every_replica() {
    let postgres = Postgres::start().unwrap();
    let base = format!("[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\n[keys]\nstore = \"main\"\n", postgres.url());
    let (one, two) = (peppered(&base).ready().await, peppered(&base).ready().await);
    a_key_of_elsewhere_lives_on(&one).await;
    two.viewer().wait_for("/api/admin/api-keys/lite-1", |answer| answer.status == 200).await;
    assert_eq!(code(&two, LITELLM).await, "valid");
    let algorithms = postgres_text(&postgres, "select hash_alg from api_keys order by 1").await;
    assert_eq!(algorithms, ["whole-hmac-sha256", "whole-sha256"]);
}

#[tokio::test]
async fn what_does_not_fit_is_told_by_key_and_nothing_is_half_taken_over() {
    let server = peppered(IN_MEMORY).ready().await;
    let admin = server.admin();
    import(&server, vec![line("taken", KONG)]).await;
    let with = |field: &str, value: Value| {
        let mut line = line("new", LITELLM);
        line[field] = value;
        line
    };
    for (key, field) in [
        (line("taken", LITELLM), "kid"),
        (line("new", KONG), "hash"),
        (with("hash", json!("abc")), "hash"),
        (with("algorithm", json!("murmur64")), "algorithm"),
        (with("algorithm", json!("hmac-sha256")), "pepper"),
        (with("pepper", json!("shop")), "pepper"),
        (with("kid", json!("a b")), "kid"),
        (with("kid", json!("k".repeat(129))), "kid"),
        (with("name", json!("")), "name"),
        (with("scopes", json!(["no scope"])), "scopes[0]"),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), "expires_at"),
        (with("expires_at", json!("2099-01-01T00:00:00Z")), "expires_at"),
        (with("expires_at", json!("soon")), "expires_at"),
        (with("created_at", json!("2099-01-01T00:00:00Z")), "created_at"),
        (with("ip_allow", json!(["10.0.0.0/40"])), "ip_allow[0]"),
        (with("rate_limit", json!("often")), "rate_limit"),
    ] {
        let body = |dry_run: bool| json!({"keys": [line("fine", "a-key-that-is-fine-0123"), key], "dry_run": dry_run});
        let refused = admin.post("/api/admin/api-keys/import", body(false)).await.refused(422, "invalid");
        assert_eq!(refused["errors"][0]["key"], format!("keys[1].{field}"), "{key}: {refused}");
        let dry = admin.post("/api/admin/api-keys/import", body(true)).await.ok();
        assert_eq!((&dry["imported"], &dry["refused"][0]["errors"][0]["key"]), (&json!(1), &json!(field)), "{key}");
        server.viewer().get("/api/admin/api-keys/fine").await.refused(404, "not_found");
    }
    let twice = vec![line("a", LITELLM), line("a", "another-key-0123456789"), line("b", LITELLM)];
    let partial = json!({"keys": twice, "dry_run": false, "partial": true});
    let done = admin.post("/api/admin/api-keys/import", partial).await.ok();
    assert_eq!((&done["imported"], done["refused"].as_array().unwrap().len()), (&json!(1), 2), "{done}");
    assert_eq!(code(&server, LITELLM).await, "valid");
    for wrong in [
        json!({"keys": [], "dry_run": true}),
        json!({"keys": [line("x", "y")]}),
        json!({"keys": vec![line("x", "y"); 1001], "dry_run": true}),
    ] {
        admin.post("/api/admin/api-keys/import", wrong).await.refused(422, "invalid");
    }
    server
        .operator()
        .post("/api/admin/api-keys/import", json!({"keys": [], "dry_run": true}))
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn a_file_is_imported_whole_or_told_by_its_lines() {
    let server = monolith(IN_MEMORY).ready().await;
    let run = |name: &str, more: &[&str]| -> Output {
        let args = [&["keys", "import", name, "--server", server.url()], more].concat();
        server.command(&args).env("MONOLITH_TOKEN", server.token("admin")).output().unwrap()
    };
    let text: String =
        (0..1200).map(|n| format!("{}\n", line(&format!("k{n}"), &format!("a-key-of-elsewhere-{n}")))).collect();
    fs::write(server.folder().join("keys.jsonl"), &text).unwrap();
    fs::write(
        server.folder().join("bad.jsonl"),
        format!("{text}\n{{\"kid\"\n{}\n", line("k7", "another-key-0123456789")),
    )
    .unwrap();
    let bad = run("bad.jsonl", &[]);
    assert_eq!(bad.status.code(), Some(1));
    let told = stderr(&bad);
    assert!(
        told.contains("bad.jsonl:1202: EOF") && told.contains("bad.jsonl:1203: kid: stands in an earlier line"),
        "{told}"
    );
    assert!(told.contains("2 lines do not fit, so nothing was imported"), "{told}");
    let dry = run("keys.jsonl", &["--dry-run"]);
    assert_eq!(stdout(&dry).trim(), "1200 keys would be imported", "{}", stderr(&dry));
    assert_eq!(code(&server, "a-key-of-elsewhere-3").await, "malformed");
    assert_eq!(stdout(&run("keys.jsonl", &[])).trim(), "1200 keys imported");
    assert_eq!(code(&server, "a-key-of-elsewhere-1199").await, "valid");
    let again = run("keys.jsonl", &["--output", "json"]);
    assert!(stderr(&again).contains("... and 1100 more"), "{}", stderr(&again));
    assert_eq!(run("nowhere.jsonl", &[]).status.code(), Some(1));
}

#[tokio::test]
async fn a_list_in_the_place_of_a_key_is_not_taken_for_its_fields_in_their_order() {
    let server = monolith(IN_MEMORY).ready().await;
    let fields = json!(["kong-1", sha256(KONG), "sha256", null, "kong"]);
    let wanted = json!({"keys": [fields], "dry_run": false});
    let refusal = server.admin().post("/api/admin/api-keys/import", wanted).await.refused(422, "invalid");
    assert_eq!(refusal["errors"][0]["key"], "keys[0]", "{refusal}");
    assert_eq!(code(&server, KONG).await, "malformed");
}
