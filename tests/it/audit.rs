//! Who changed what: each change recorded with its actor, chained, proved, and never made where it cannot be recorded.
//! What an entry is and when a chain holds is tested beside `audit`.

use crate::harness::{Api, Builder, TestMonolith, monolith, stderr, stdout};
use crate::raw::Raw;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::process::Output;
use xtask::servers::Postgres;

const WORKER: &str = "[workers.tidy]\nevery = \"1h\"\nrun = { kind = \"command\", argv = [\"true\"] }\n";
const SQLITE: &str = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n";

fn on_sqlite() -> Builder {
    monolith(&format!("{SQLITE}{WORKER}"))
}

/// Keys and their audit in Postgres; the ledger in memory, so that work goes on without it.
fn on_postgres(server: &Postgres) -> Builder {
    let base = format!("[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\noperation_timeout = \"3s\"\n", server.url());
    monolith(&format!("{base}[keys]\nstore = \"main\"\n{WORKER}"))
}

async fn entries(server: &TestMonolith) -> Vec<Value> {
    server.viewer().get("/api/admin/audit?limit=500").await.ok()["items"].as_array().unwrap().clone()
}

fn of<'a>(entries: &'a [Value], action: &str) -> &'a Value {
    let found = entries.iter().find(|entry| entry["action"] == action);
    found.unwrap_or_else(|| panic!("no entry says {action}: {entries:#?}"))
}

async fn pause(api: &Api, reason: &str) -> Value {
    api.post("/api/admin/workers/tidy/pause", json!({ "reason": reason })).await.ok()
}

#[tokio::test]
async fn every_change_says_who_made_it_from_where_by_which_request_and_what_came_of_it() {
    let server = on_sqlite().ready().await;
    let (viewer, operator, admin) = (server.viewer(), server.operator(), server.admin());
    let named = |r: reqwest::RequestBuilder| r.header("x-request-id", "deploy-7").json(&json!({"name": "ci"}));
    let issued = operator.send(Method::POST, "/api/admin/api-keys", named).await.ok();
    let kid = issued["kid"].as_str().unwrap();
    pause(&operator, "a release").await;
    operator.post("/api/admin/workers/tidy/resume", json!({})).await.ok();
    let run = operator.post("/api/admin/workers/tidy/run", json!({})).await.ok();
    operator.post(&format!("/api/admin/runs/{}/cancel", run["run_id"].as_str().unwrap()), json!({})).await.ok();
    let day = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-01T03:00:00Z", "max": 2});
    operator.post("/api/admin/workers/tidy/backfill", day).await.ok();
    operator.post("/api/admin/config/reload", json!({})).await.ok();
    admin.post("/api/admin/tokens/deny", json!({"jti": "stolen", "reason": "found in a log"})).await.ok();
    let bulk = json!({"kids": [kid], "reason": "left", "dry_run": false});
    operator.post("/api/admin/api-keys/bulk-revoke", bulk.clone()).await.refused(403, "forbidden");
    admin.post("/api/admin/api-keys/bulk-revoke", bulk).await.ok();
    operator.post("/api/admin/workers/nobody/resume", json!({})).await.refused(404, "not_found");
    server.write_base("[server]\nbind = \"nonsense\"\n");
    server.wait_for_health(|health| health["config"]["last_reload"]["outcome"] == "rejected").await;
    let has_rejection = |answer: &crate::harness::Answer| answer.text.contains("rejected");
    viewer.wait_for("/api/admin/audit", has_rejection).await;
    server.write_base(&format!("{SQLITE}{WORKER}"));
    server.wait_for_health(|health| health["config"]["last_reload"]["outcome"] == "unchanged").await;

    let entries = entries(&server).await;
    let created = of(&entries, "key.created");
    assert_eq!((&created["actor"], &created["role"]), (&json!("test-operator"), &json!("operator")));
    assert_eq!((&created["ip"], &created["request_id"]), (&json!("127.0.0.1"), &json!("deploy-7")));
    assert_eq!((&created["subject"], &created["outcome"]), (&json!(kid), &json!("ok")));
    assert_eq!(of(&entries, "worker.pause")["changes"], json!({"reason": "a release", "until": null}));
    for action in ["worker.resume", "worker.run", "worker.backfill", "run.cancel", "token.denied", "key.revoked"] {
        assert_eq!(of(&entries, action)["outcome"], "ok", "{action}");
    }
    assert_eq!(of(&entries, "token.denied")["subject"], "stolen");
    let denied = of(&entries, "POST /api/admin/api-keys/bulk-revoke");
    assert_eq!((&denied["outcome"], &denied["actor"]), (&json!("denied"), &json!("test-operator")));
    let reloads: Vec<&Value> = entries.iter().filter(|entry| entry["action"] == "config.reload").collect();
    assert_eq!(reloads[0]["outcome"], "failed", "the newest first: the text that was rejected");
    assert_eq!((&reloads[0]["actor"], &reloads[0]["role"]), (&json!("monolith"), &Value::Null));
    assert_eq!((&reloads[1]["outcome"], &reloads[1]["actor"]), (&json!("ok"), &json!("test-operator")));
    assert!(!entries.iter().any(|entry| entry["subject"] == "nobody"), "what changed nothing is no change");

    let seqs: Vec<u64> = entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|two| two[0] == two[1] + 1) && seqs.last() == Some(&1), "{seqs:?}");
    assert!(entries.windows(2).all(|two| two[0]["prev_hash"] == two[1]["hash"]));
    let page = server.viewer().get("/api/admin/audit?limit=2").await.ok();
    let next = server.viewer().get(&format!("/api/admin/audit?limit=2&after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(next.ok()["items"], json!(entries[2..4]));
    server.viewer().get("/api/admin/audit?after=x").await.refused(422, "invalid");
    let proved = server.run(&["audit", "verify"]);
    assert!(proved.status.success(), "{}", stderr(&proved));
}

/// A database file with six entries, and nobody who holds it.
async fn written() -> Builder {
    let server = on_sqlite().ready().await;
    for n in 0..6 {
        server.operator().post("/api/admin/api-keys", json!({ "name": format!("k{n}") })).await.ok();
    }
    server.crash()
}

async fn tamper(builder: &Builder, statements: &str) {
    let file = builder.path().join("keys.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn h106_whoever_touches_a_recorded_change_is_found_and_the_entry_is_named() {
    for (what, statements, found) in [
        ("an edit", "update key_events set actor = 'eve' where seq = 3", "entry 3: it was changed"),
        ("another time", "update key_events set at = at + 1 where seq = 3", "entry 3: it was changed"),
        ("a deletion", "delete from key_events where seq = 2", "entry 2: it is missing"),
        (
            "a swap",
            "update key_events set seq = 99 where seq = 4; update key_events set seq = 4 where seq = 5; \
             update key_events set seq = 5 where seq = 99",
            "entry 4: it does not follow the one before it",
        ),
        (
            "an end cut off",
            "delete from key_events where seq > 4",
            "entry 5: it is missing, and so is everything after it",
        ),
        (
            "an end cut off, and hidden",
            "delete from key_events where seq > 4; \
             update key_chain_head set seq = 4, hash = (select hash from key_events where seq = 4)",
            "entry 5: it is missing, and so is everything after it",
        ),
        (
            "everything gone",
            "delete from key_events; update key_chain_head set seq = 0, hash = zeroblob(32)",
            "entry 1",
        ),
    ] {
        let builder = written().await;
        let verify = |args: &[&str]| -> Output { builder.run(&[&["audit", "verify"], args].concat()) };
        let whole = verify(&[]);
        assert!(whole.status.success(), "{}", stderr(&whole));
        let end = stdout(&whole).trim().to_owned();
        assert!(end.starts_with("6:") && end.len() == 66, "{end}");
        tamper(&builder, statements).await;
        let broken = verify(&["--expect", &end]);
        assert_eq!(broken.status.code(), Some(1), "{what} was not found");
        assert!(stderr(&broken).contains(found), "{what}: {}", stderr(&broken));
    }
}

#[tokio::test]
async fn a_chain_that_was_made_anew_does_not_hold_the_end_that_was_remembered() {
    let (builder, other) = (written().await, written().await);
    let end = stdout(&builder.run(&["audit", "verify"]));
    let forged = other.run(&["audit", "verify", "--expect", end.trim()]);
    assert!(stderr(&forged).contains("entry 6: it is not the entry that was remembered"), "{}", stderr(&forged));
    assert_eq!(builder.run(&["audit", "verify", "--expect", "6"]).status.code(), Some(2));
    let memory = monolith("[keys]\nstore = \"memory\"\n").run(&["audit", "verify"]);
    assert!(stderr(&memory).contains("GET /api/admin/audit"), "{}", stderr(&memory));
}

/// The number of entries that wait, as the metrics tell it.
async fn spooled(server: &TestMonolith, wanted: &str) {
    let line = format!("monolith_audit_spooled {wanted}\n");
    server.wait_for("/metrics", |answer| answer.text.contains(&line)).await;
}

#[tokio::test]
async fn h107_a_key_or_a_token_is_not_changed_where_nobody_could_say_who_did_and_all_else_is_recorded_later() {
    let postgres = Postgres::start().unwrap();
    let server = on_postgres(&postgres).ready().await;
    let (operator, admin) = (server.operator(), server.admin());
    let issued = operator.post("/api/admin/api-keys", json!({"name": "before"})).await.ok();
    let (key, kid) = (issued["key"].as_str().unwrap(), issued["kid"].as_str().unwrap());
    // As on a full disk: reading works, and nothing can be added to the audit.
    postgres
        .sql(
            "create function full_disk() returns trigger language plpgsql as $$ begin raise exception 'could not extend file'; end $$; \
             create trigger full_disk before insert on key_events for each row execute function full_disk()",
        )
        .unwrap();
    operator.post("/api/admin/api-keys", json!({"name": "unseen"})).await.refused(503, "not_recorded");
    operator.delete(&format!("/api/admin/api-keys/{kid}")).await.refused(503, "not_recorded");
    admin.post("/api/admin/tokens/deny", json!({"jti": "x"})).await.refused(503, "not_recorded");
    let question = json!({ "key": key });
    assert_eq!(server.anyone().post("/api/keys/verify", question.clone()).await.ok()["code"], "valid");
    let listed = server.viewer().get("/api/admin/api-keys").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "nothing was made that nobody recorded");

    assert_eq!(pause(&operator, "no audit").await["state"], "paused");
    operator.post("/api/admin/config/reload", json!({})).await.ok();
    spooled(&server, "2").await;
    assert!(server.log().contains("worker.pause") && server.log().contains("no audit"), "{}", server.log());
    let health = server.viewer().get("/health").await.json();
    assert!(health["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "audit_spooled"));

    // What waits survives a crash, and is chained once, in its order.
    let server = server.crash().ready().await;
    spooled(&server, "2").await;
    postgres.sql("drop trigger full_disk on key_events").unwrap();
    spooled(&server, "0").await;
    let entries = entries(&server).await;
    let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["config.reload", "worker.pause", "key.created"]);
    assert_eq!(of(&entries, "worker.pause")["actor"], "test-operator");
    assert!(server.run(&["audit", "verify"]).status.success());
    let again = server.crash().ready().await;
    spooled(&again, "0").await;
    assert_eq!(self::entries(&again).await.len(), 3);
}

#[tokio::test]
async fn an_operator_acts_while_the_database_of_the_keys_is_dead_and_it_is_recorded_when_it_is_back() {
    let postgres = Postgres::start().unwrap();
    let server = on_postgres(&postgres).ready().await;
    postgres.kill().unwrap();
    pause(&server.operator(), "the database is dead").await;
    server.operator().post("/api/admin/api-keys", json!({"name": "x"})).await.refused(503, "store_unavailable");
    spooled(&server, "1").await;
    postgres.restart().unwrap();
    spooled(&server, "0").await;
    assert_eq!(of(&entries(&server).await, "worker.pause")["changes"]["reason"], "the database is dead");
    let log = server.viewer().get("/api/admin/logs?level=error").await.ok();
    assert!(log["items"].as_array().unwrap().iter().all(|line| line["level"] == "error"), "{log}");
}

#[tokio::test]
async fn what_went_wrong_in_a_request_is_found_by_its_id() {
    let postgres = Postgres::start().unwrap();
    let server = on_postgres(&postgres).ready().await;
    postgres.kill().unwrap();
    let named = |r: reqwest::RequestBuilder| r.header("x-request-id", "night-3").json(&json!({"name": "x"}));
    server.operator().send(Method::POST, "/api/admin/api-keys", named).await.refused(503, "store_unavailable");
    let found = server.viewer().get("/api/admin/logs?request_id=night-3").await.ok();
    let items = found["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{found}");
    assert_eq!((&items[0]["level"], &items[0]["request_id"]), (&json!("error"), &json!("night-3")));
    assert!(items[0]["message"].as_str().unwrap().contains("night-3 failed"), "{found}");
    let others = server.viewer().get("/api/admin/logs?request_id=other").await.ok();
    assert_eq!(others["items"], json!([]));
    let one = server.viewer().get("/api/admin/logs?limit=1").await.ok();
    let next = format!("/api/admin/logs?limit=1&after={}", one["next"].as_str().unwrap());
    assert_ne!(server.viewer().get(&next).await.ok()["items"], one["items"]);
    server.viewer().get("/api/admin/logs?level=loud").await.refused(422, "invalid");
}

#[tokio::test]
async fn a_change_whose_client_did_not_wait_is_recorded_all_the_same() {
    let server = on_sqlite().ready().await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let token = server.token("operator");
    let request = format!(
        "POST /api/admin/workers/tidy/run HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n"
    );
    for _ in 0..30 {
        let mut leaving = Raw::open(&address).await.unwrap();
        leaving.send(&request).await.unwrap();
    }
    // One that waits comes after those that began before it.
    server.operator().post("/api/admin/workers/tidy/run", json!({})).await.ok();
    let runs = "/api/admin/workers/tidy/runs?limit=100";
    let is_recorded = async || {
        let made = server.viewer().get(runs).await.ok()["items"].as_array().unwrap().len();
        let told = entries(&server).await.iter().filter(|entry| entry["action"] == "worker.run").count();
        (made, told)
    };
    let mut last = is_recorded().await;
    for _ in 0..100 {
        if last.0 == last.1 {
            break;
        }
        server.viewer().get("/health").await;
        last = is_recorded().await;
    }
    assert_eq!(last.0, last.1, "runs that were made, and those that the audit tells of");
}

#[tokio::test]
async fn a_whole_key_in_a_path_is_not_kept_by_the_audit() {
    let server = on_sqlite().ready().await;
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "leaked"})).await.ok();
    let key = issued["key"].as_str().unwrap();
    let hidden = key.replacen("mono_", "%6Dono%5F", 1);
    for path in [key, &hidden, &format!("{key}x"), &"f".repeat(64)] {
        server.viewer().delete(&format!("/api/admin/api-keys/{path}")).await.refused(403, "forbidden");
    }
    let text = server.viewer().get("/api/admin/audit?limit=500").await.text;
    let secret = key.rsplit('_').next().unwrap();
    assert!(!text.contains(secret) && !text.contains(&"f".repeat(41)), "{text}");
    let mut rotate = server.command(&["keys", "rotate", &format!("{key}x"), "--server", server.url()]);
    let told = rotate.env("MONOLITH_TOKEN", server.token("operator")).output().unwrap();
    assert!(told.status.code() == Some(1) && stderr(&told).contains("nothing was asked"), "{}", stderr(&told));
}
