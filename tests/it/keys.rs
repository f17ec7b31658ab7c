//! The life of an API key over HTTP, in each home that keys can have: memory, SQLite, Postgres.
//! What needs no server is tested beside `keys`.

use crate::harness::{Builder, IN_MEMORY, TestMonolith, monolith, postgres_text};
use reqwest::Method;
use serde_json::{Value, json};
use xtask::servers::Postgres;

const SQLITE: &str = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n";

fn on_postgres(server: &Postgres) -> Builder {
    monolith("# everything is in the environment\n").env("DATABASE_URL", server.url()).env("USE_DB_KEYS", "1")
}

async fn create(server: &TestMonolith, body: Value) -> (String, String) {
    let issued = server.operator().post("/api/admin/api-keys", body).await.ok();
    (issued["kid"].as_str().unwrap().to_owned(), issued["key"].as_str().unwrap().to_owned())
}

async fn verdict(server: &TestMonolith, question: Value) -> Value {
    server.anyone().post("/api/keys/verify", question).await.ok()
}

/// Created, shown, listed, verified, refused for each reason, revoked.
async fn a_whole_life(server: &TestMonolith) {
    let wanted = json!({"name": "ci", "owner": "team", "scopes": ["orders:read"], "ttl": "1h",
                        "ip_allow": ["10.0.0.0/8"], "metadata": {"ticket": "7"}});
    let (kid, key) = create(server, wanted).await;
    assert!(key.starts_with(&format!("mono_test_{kid}_")), "the kid is part of the key");
    let viewer = server.viewer();
    let shown = viewer.get(&format!("/api/admin/api-keys/{kid}")).await.ok();
    assert_eq!((&shown["state"], &shown["owner"]), (&json!("active"), &json!("team")));
    assert_eq!((&shown["created_by"], &shown["revoked_at"]), (&json!("test-operator"), &Value::Null));
    let listed = viewer.get("/api/admin/api-keys").await;
    assert_eq!(listed.ok()["items"][0]["kid"], json!(kid));
    assert!(!listed.text.contains(&key) && !listed.text.contains("hash"), "{}", listed.text);

    let ask = |extra: Value| {
        let mut question = json!({"key": key, "ip": "10.1.2.3"});
        extra.as_object().unwrap().iter().for_each(|(name, value)| question[name] = value.clone());
        verdict(server, question)
    };
    let valid = ask(json!({"scopes": ["orders:read"]})).await;
    assert_eq!((&valid["valid"], &valid["code"], &valid["kid"]), (&json!(true), &json!("valid"), &json!(kid)));
    assert_eq!(ask(json!({"scopes": ["orders:write"]})).await["code"], "scope_missing");
    assert_eq!(ask(json!({"ip": "192.0.2.1"})).await["code"], "ip_denied");
    assert_eq!(verdict(server, json!({"key": key})).await["code"], "ip_denied", "an allow-list without an address");

    let operator = server.operator();
    let receipt = operator.delete(&format!("/api/admin/api-keys/{kid}?reason=leaked")).await.ok();
    assert_eq!((&receipt["complete"], &receipt["reason"]), (&json!(true), &json!("leaked")));
    let refused = ask(json!({})).await;
    assert_eq!((&refused["valid"], &refused["code"]), (&json!(false), &json!("revoked")));
    let again = operator.delete(&format!("/api/admin/api-keys/{kid}?reason=other")).await.ok();
    assert_eq!(again["revoked_at"], receipt["revoked_at"], "the first revocation stands");
    operator.delete("/api/admin/api-keys/nobody").await.refused(404, "not_found");
}

/// A key that nobody issued tells nothing, however close it is to one that somebody did.
async fn no_other_key_is_good(server: &TestMonolith) {
    let (_, key) = create(server, json!({"name": "one"})).await;
    let mut swapped = key.clone().into_bytes();
    let last = swapped.len() - 10;
    swapped.swap(last, last - 1);
    let swapped = String::from_utf8(swapped).unwrap();
    for (text, code) in [
        (swapped.as_str(), if swapped == key { "valid" } else { "malformed" }),
        (key.strip_suffix(|_: char| true).unwrap(), "malformed"),
        (&key.replace("mono_test_", "mono_live_"), "malformed"),
        ("", "malformed"),
        ("mono_test_", "malformed"),
        (&"k".repeat(8192), "malformed"),
    ] {
        let verdict = verdict(server, json!({"key": text})).await;
        assert_eq!(verdict["code"], code, "{text}");
        assert!(code == "valid" || verdict["kid"].is_null(), "{verdict}");
    }
}

/// Patched, switched off and on, rotated, ended in bulk: what an operator does with keys that live.
async fn a_changing_life(server: &TestMonolith) {
    let (kid, key) = create(server, json!({"name": "web", "owner": "shop", "metadata": {"a": "1", "b": "2"}})).await;
    let (operator, path) = (server.operator(), format!("/api/admin/api-keys/{kid}"));
    let patch = |body: Value| operator.send(Method::PATCH, &path, move |r| r.json(&body));
    let patched = patch(json!({"name": "www", "scopes": ["x:y"], "metadata": {"a": null, "c": "3"}})).await.ok();
    assert_eq!((&patched["name"], &patched["owner"]), (&json!("www"), &json!("shop")), "what is absent stays");
    assert_eq!(patched["metadata"], json!({"b": "2", "c": "3"}));
    assert_eq!(patched["version"], 2);
    assert_eq!(patch(json!({"owner": null})).await.ok()["owner"], Value::Null, "null clears");
    assert_eq!(patch(json!({"name": "www"})).await.ok()["version"], 3, "nothing to change changes nothing");
    let stale = operator.send(Method::PATCH, &path, |r| r.header("if-match", "1").json(&json!({"name": "z"}))).await;
    stale.refused(412, "stale");
    patch(json!({"name": ""})).await.refused(422, "invalid");
    patch(json!({"kid": "mine"})).await.refused(422, "invalid");
    let refusal = patch(json!({"state": null})).await.refused(422, "invalid");
    assert_eq!(refusal["errors"][0]["key"], "state", "JSON it is: {refusal}");

    assert_eq!(patch(json!({"state": "disabled"})).await.ok()["state"], "disabled");
    assert_eq!(verdict(server, json!({"key": key})).await["code"], "disabled");
    operator.post(&format!("{path}/rotate"), json!({})).await.refused(409, "conflict");
    assert_eq!(patch(json!({"disabled_at": null})).await.ok()["state"], "active");
    assert_eq!(verdict(server, json!({"key": key})).await["code"], "valid");

    let successor = operator.post(&format!("{path}/rotate"), json!({"grace": "1h"})).await;
    assert_eq!(successor.status, 201, "{}", successor.text);
    let successor = successor.json();
    assert_eq!((&successor["name"], &successor["scopes"]), (&json!("www"), &json!(["x:y"])), "the same rights");
    let old = server.viewer().get(&path).await.ok();
    assert_eq!((&old["state"], &old["rotated_to"]), (&json!("retiring"), &successor["kid"]));
    assert_eq!(verdict(server, json!({"key": key})).await["code"], "valid", "within its grace");
    assert_eq!(verdict(server, json!({"key": successor["key"]})).await["code"], "valid");
    let again = format!("/api/admin/api-keys/{}/rotate", successor["kid"].as_str().unwrap());
    assert_eq!(operator.post(&again, json!({"grace": "0s"})).await.status, 201);
    assert_eq!(verdict(server, json!({"key": successor["key"]})).await["code"], "expired", "no grace is none");
    let (bare, _) = create(server, json!({"name": "bare"})).await;
    let rotated = operator.send(Method::POST, &format!("/api/admin/api-keys/{bare}/rotate"), |request| request).await;
    assert_eq!(rotated.status, 201, "nothing has to be said: {}", rotated.text);
    let too_often = json!({"name": "x", "rate_limit": "4000000000/s"});
    operator.post("/api/admin/api-keys", too_often).await.refused(422, "invalid");

    operator.delete(&path).await.ok();
    patch(json!({"state": "active"})).await.refused(409, "conflict");
    patch(json!({"revoked_at": null})).await.refused(409, "conflict");
    let nobody = json!({"revoked_at": null});
    let nobody = operator.send(Method::PATCH, "/api/admin/api-keys/nobody", |r| r.json(&nobody)).await;
    nobody.refused(404, "not_found");
}

async fn many_end_at_once(server: &TestMonolith) {
    for n in 0..3 {
        create(server, json!({"name": format!("n{n}"), "owner": "leaver"})).await;
    }
    let (_, other) = create(server, json!({"name": "other", "owner": "stayer"})).await;
    let admin = server.admin();
    let send = |body: Value| admin.post("/api/admin/api-keys/bulk-revoke", body);
    let dry = send(json!({"owner": "leaver", "reason": "left", "dry_run": true})).await.ok();
    assert_eq!((&dry["matched"], &dry["revoked"]), (&json!(3), &json!(0)));
    let done = send(json!({"owner": "leaver", "reason": "left", "dry_run": false})).await.ok();
    assert_eq!((&done["matched"], &done["revoked"]), (&json!(3), &json!(3)));
    let again = send(json!({"owner": "leaver", "reason": "left", "dry_run": false})).await.ok();
    assert_eq!(again["matched"], 0);
    assert_eq!(verdict(server, json!({"key": other})).await["code"], "valid");
    let (twice, _) = create(server, json!({"name": "twice"})).await;
    let named = send(json!({"kids": [twice, twice, "nobody"], "reason": "left", "dry_run": false})).await.ok();
    assert_eq!((&named["matched"], &named["revoked"], &named["kids"]), (&json!(1), &json!(1), &json!([twice])));
    send(json!({"reason": "left", "dry_run": false})).await.refused(422, "invalid");
    send(json!({"owner": "a", "scope": "b", "reason": "left", "dry_run": false})).await.refused(422, "invalid");
    send(json!({"owner": "a", "reason": "left"})).await.refused(422, "invalid");
}

async fn survives(server: TestMonolith) {
    let (kid, key) = create(&server, json!({"name": "kept"})).await;
    let (revoked, gone) = create(&server, json!({"name": "gone"})).await;
    server.operator().delete(&format!("/api/admin/api-keys/{revoked}")).await.ok();
    let server = server.crash().ready().await;
    assert_eq!(verdict(&server, json!({"key": key})).await["kid"], json!(kid));
    assert_eq!(verdict(&server, json!({"key": gone})).await["code"], "revoked");
}

#[tokio::test]
async fn a_key_lives_in_memory() {
    let server = monolith(IN_MEMORY).ready().await;
    a_whole_life(&server).await;
    no_other_key_is_good(&server).await;
    a_changing_life(&server).await;
    many_end_at_once(&server).await;
    let health = server.wait_for_health(|health| health["status"] == "ok").await;
    assert_eq!((&health["keys"]["store"], &health["keys"]["persistent"]), (&json!("memory"), &json!(false)));
}

#[tokio::test]
async fn a_key_lives_in_sqlite_and_survives_a_crash() {
    let server = monolith(SQLITE).ready().await;
    a_whole_life(&server).await;
    a_changing_life(&server).await;
    many_end_at_once(&server).await;
    survives(server).await;
}

#[tokio::test]
async fn a_key_lives_in_postgres_and_survives_a_crash() {
    let postgres = Postgres::start().unwrap();
    let server = on_postgres(&postgres).ready().await;
    a_whole_life(&server).await;
    let rows =
        postgres_text(&postgres, "select kid from api_keys where revoked_at is not null and created_at is not null")
            .await;
    assert_eq!(rows.len(), 1, "the original's columns are filled");
    a_changing_life(&server).await;
    many_end_at_once(&server).await;
    survives(server).await;
}

#[tokio::test]
async fn a_table_of_the_original_is_adopted_and_its_keys_can_be_revoked_but_never_verify() {
    let postgres = Postgres::start().unwrap();
    let original = "create table api_keys (id serial primary key, kid text not null, created_at timestamptz default now(), \
                    revoked_at timestamptz, team_note text); insert into api_keys (kid, team_note) values ('legacy-key.1', 'ours')";
    postgres.sql(original).unwrap();
    let server = on_postgres(&postgres).ready().await;
    let listed = server.viewer().get("/api/admin/api-keys").await.ok();
    assert_eq!(listed["items"][0]["kid"], "legacy-key.1");
    assert_eq!(verdict(&server, json!({"key": "legacy-key.1"})).await["valid"], false);
    let patch = |r: reqwest::RequestBuilder| r.json(&json!({"name": "mine"}));
    server.operator().send(Method::PATCH, "/api/admin/api-keys/legacy-key.1", patch).await.refused(409, "conflict");
    server.operator().delete("/api/admin/api-keys/legacy-key.1?reason=old").await.ok();
    let rows = postgres_text(&postgres, "select team_note from api_keys where revoked_at is not null").await;
    assert_eq!(rows, ["ours"], "what we do not know is kept");
    a_whole_life(&server).await;
}

#[tokio::test]
async fn a_creation_that_is_repeated_makes_one_key() {
    let server = monolith(IN_MEMORY).ready().await;
    let operator = server.operator();
    let send = |name: &'static str| {
        operator.send(Method::POST, "/api/admin/api-keys", move |r| {
            r.header("idempotency-key", "deploy-7").json(&json!({"name": name}))
        })
    };
    let (first, second) = (send("ci").await, send("ci").await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 200));
    assert_eq!(first.json()["kid"], second.json()["kid"]);
    assert!(second.json()["key"].is_null(), "the whole key is told once");
    send("other").await.refused(409, "conflict");
    assert_eq!(server.viewer().get("/api/admin/api-keys").await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_life_that_is_too_long_or_no_life_is_refused_by_field() {
    let server = monolith(IN_MEMORY).ready().await;
    let operator = server.operator();
    for (body, key) in [
        (json!({"name": "x", "ttl": "400d"}), "ttl"),
        (json!({"name": "x", "ttl": "soon"}), "ttl"),
        (json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"name": "x", "ip_allow": ["10.0.0.0/40"]}), "ip_allow[0]"),
        (json!({"name": ""}), "name"),
    ] {
        let refused = operator.post("/api/admin/api-keys", body.clone()).await.refused(422, "invalid");
        assert_eq!(refused["errors"][0]["key"], key, "{body} → {refused}");
    }
    let issued = operator.post("/api/admin/api-keys", json!({"name": "x"})).await.ok();
    assert!(issued["expires_at"].is_string(), "keys.default_ttl is the life of a key that asks for none");
}

#[tokio::test]
async fn where_verify_wants_a_token_a_token_or_a_key_with_the_scope_will_do() {
    let server = monolith("[keys]\nstore = \"memory\"\nverify = \"token\"\n").ready().await;
    let (_, plain) = create(&server, json!({"name": "plain"})).await;
    let (_, asking) = create(&server, json!({"name": "gateway", "scopes": ["monolith:verify"]})).await;
    let question = json!({"key": plain});
    server.anyone().post("/api/keys/verify", question.clone()).await.refused(401, "unauthorized");
    server.with_token(&plain).post("/api/keys/verify", question.clone()).await.refused(401, "unauthorized");
    assert_eq!(server.with_token(&asking).post("/api/keys/verify", question.clone()).await.ok()["valid"], true);
    assert_eq!(server.viewer().post("/api/keys/verify", question).await.ok()["valid"], true);
}
