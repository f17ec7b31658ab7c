//! Why a key is refused, step by step, for whoever operates it: without using the key, and without a word of its secret.
//! The order of the steps is that of verify.

use crate::harness::{TestMonolith, monolith, stdout};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

const BASE: &str = "[keys]\nstore = \"memory\"\n[policies.orders]\nscopes = [\"orders:read\"]\nrate_limit = \"2/d\"\n";

async fn key(server: &TestMonolith, body: Value) -> (String, String) {
    let issued = server.operator().post("/api/admin/api-keys", body).await.ok();
    (issued["kid"].as_str().unwrap().to_owned(), issued["key"].as_str().unwrap().to_owned())
}

async fn explained(server: &TestMonolith, question: Value) -> Value {
    server.operator().post("/api/admin/api-keys/explain", question).await.ok()
}

/// The step that refuses, and why.
fn refusal(explained: &Value) -> Option<(String, String)> {
    let steps = explained["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["format", "record", "secret", "freshness", "state", "ip", "scope", "rate"], "{explained}");
    let mut refused = steps.iter().filter(|step| step["outcome"] == "refused");
    let text = |step: &Value, name: &str| step[name].as_str().unwrap().to_owned();
    let found = refused.next().map(|step| (text(step, "step"), text(step, "detail")));
    assert!(refused.next().is_none(), "{explained}");
    assert_eq!(explained["valid"], found.is_none(), "{explained}");
    found
}

#[tokio::test]
async fn each_reason_is_told_with_the_step_and_verify_says_the_same() {
    let server = monolith(BASE).ready().await;
    let operator = server.operator();
    let (_, good) = key(&server, json!({"name": "good", "scopes": ["orders:read"]})).await;
    let (_, bare) = key(&server, json!({"name": "bare"})).await;
    let (_, inside) = key(&server, json!({"name": "inside", "ip_allow": ["10.0.0.0/8"]})).await;
    let (off_kid, off) = key(&server, json!({"name": "off"})).await;
    let disable = |r: reqwest::RequestBuilder| r.json(&json!({"state": "disabled"}));
    operator.send(Method::PATCH, &format!("/api/admin/api-keys/{off_kid}"), disable).await.ok();
    let (gone_kid, gone) = key(&server, json!({"name": "gone"})).await;
    operator.delete(&format!("/api/admin/api-keys/{gone_kid}?reason=leaked")).await.ok();
    let (old_kid, old) = key(&server, json!({"name": "old"})).await;
    operator.post(&format!("/api/admin/api-keys/{old_kid}/rotate"), json!({"grace": "0s"})).await.ok();
    let mistyped = format!("{}x", &good.strip_suffix(|_: char| true).unwrap());
    for (question, code, step, why) in [
        (json!({"key": good, "policy": "orders"}), "valid", "", ""),
        (json!({"key": mistyped}), "malformed", "format", "mistyped"),
        (json!({"key": "mono_test_"}), "malformed", "format", "form of a key"),
        (json!({"key": bare, "policy": "orders"}), "scope_missing", "scope", "it lacks orders:read"),
        (json!({"key": bare, "scopes": ["a", "b"]}), "scope_missing", "scope", "it lacks a, b"),
        (json!({"key": inside}), "ip_denied", "ip", "nobody said from where"),
        (json!({"key": inside, "ip": "192.0.2.1"}), "ip_denied", "ip", "192.0.2.1 is not among 10.0.0.0/8"),
        (json!({"key": inside, "ip": "10.1.1.1"}), "valid", "", ""),
        (json!({"key": off}), "disabled", "state", "switched off at 20"),
        (json!({"key": gone}), "revoked", "state", "leaked"),
        (json!({"key": old}), "expired", "state", "time was over at 20"),
    ] {
        let told = explained(&server, question.clone()).await;
        assert_eq!(told["code"], code, "{question}");
        let (refused, detail) = refusal(&told).unwrap_or_default();
        assert!(refused == step && detail.contains(why), "{question}: {refused}: {detail}");
        assert_eq!(server.anyone().post("/api/keys/verify", question.clone()).await.ok()["code"], code, "{question}");
        assert!(!told.to_string().contains("mono_test_"), "a key was told: {told}");
    }
    let by_id = explained(&server, json!({"kid": gone_kid})).await;
    assert_eq!((&by_id["code"], refusal(&by_id).unwrap().0.as_str()), (&json!("revoked"), "state"));
    let nobody = explained(&server, json!({"kid": "nobody"})).await;
    assert_eq!((&nobody["code"], refusal(&nobody).unwrap().0.as_str()), (&json!("invalid"), "record"));
    for wrong in
        [json!({}), json!({"key": good, "kid": "x"}), json!({"kid": "x", "policy": "nobody"}), json!({"kid": "a b"})]
    {
        operator.post("/api/admin/api-keys/explain", wrong).await.refused(422, "invalid");
    }
    server.viewer().post("/api/admin/api-keys/explain", json!({"kid": "x"})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn asking_why_costs_no_use_and_tells_how_many_are_left() {
    let server = monolith(BASE).ready().await;
    let (_, key) = key(&server, json!({"name": "x", "scopes": ["orders:read"]})).await;
    let question = json!({"key": key, "policy": "orders"});
    for left in [2, 1] {
        for _ in 0..5 {
            let told = explained(&server, question.clone()).await;
            let rate = &told["steps"][7];
            assert!(rate["detail"].as_str().unwrap().starts_with(&format!("{left} uses are left")), "{rate}");
        }
        assert_eq!(server.anyone().post("/api/keys/verify", question.clone()).await.ok()["valid"], true);
    }
    let told = explained(&server, question.clone()).await;
    assert_eq!(told["code"], "rate_limited");
    assert!(refusal(&told).unwrap().1.contains("2/d, is used up"), "{told}");
}

#[tokio::test]
async fn the_command_tells_the_steps_as_a_table() {
    let server = monolith(BASE).ready().await;
    let (_, key) = key(&server, json!({"name": "x"})).await;
    let args = ["keys", "verify", "--explain", "--policy", "orders", "--server", server.url()];
    let mut command = server.command(&args);
    command.env("MONOLITH_TOKEN", server.token("operator")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table = stdout(&output);
    assert!(table.starts_with("STEP       OUTCOME  WHY\nformat     passed   "), "{table}");
    assert!(table.contains("scope      refused  it lacks orders:read"), "{table}");
}
