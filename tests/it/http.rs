//! The API's manners: ids, headers, refusals, limits, roles.
//! What each route does is in the file of its noun.

use crate::harness::{IN_MEMORY, monolith};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn every_answer_carries_its_id_the_replica_and_safe_headers() {
    let server = monolith(IN_MEMORY).ready().await;
    for path in ["/health", "/metrics", "/nowhere", "/api/admin/whoami"] {
        let answer = server.anyone().get(path).await;
        for header in ["x-request-id", "x-monolith-replica", "content-security-policy", "x-content-type-options"] {
            assert!(answer.headers.contains_key(header), "{path} lacks {header}");
        }
    }
    let answer = server.anyone().send(Method::GET, "/health", |r| r.header("x-request-id", "from-a-gateway-1")).await;
    assert_eq!(answer.headers["x-request-id"], "from-a-gateway-1");
    let answer = server.anyone().send(Method::GET, "/health", |r| r.header("x-request-id", "no spaces")).await;
    assert_ne!(answer.headers["x-request-id"], "no spaces");
}

#[tokio::test]
async fn what_is_not_served_is_refused_in_one_manner() {
    let server = monolith(IN_MEMORY).ready().await;
    let anyone = server.anyone();
    anyone.get("/nowhere").await.refused(404, "not_found");
    anyone.delete("/health").await.refused(405, "method_not_allowed");
    anyone.get("/api/admin/api-keys").await.refused(401, "unauthorized");
    server.viewer().post("/api/admin/api-keys", json!({"name": "x"})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_body_that_does_not_fit_says_which_field_and_changes_nothing() {
    let server = monolith(IN_MEMORY).ready().await;
    let operator = server.operator();
    let send = |body: &'static str, kind: &'static str| {
        operator.send(Method::POST, "/api/admin/api-keys", move |r| r.header("content-type", kind).body(body))
    };
    send("{", "application/json").await.refused(400, "malformed_json");
    send("{} x", "application/json").await.refused(422, "invalid");
    send(r#"{"name":"x"} x"#, "application/json").await.refused(400, "malformed_json");
    send(r#"{"name":"x"}"#, "text/plain").await.refused(415, "unsupported_media_type");
    let body = send(r#"{"name":"x","kid":"mine"}"#, "application/json").await.refused(422, "invalid");
    assert_eq!(body["errors"][0]["key"], "kid");
    let body = send(r#"{"name":"x","scopes":["a",7]}"#, "application/json").await.refused(422, "invalid");
    assert_eq!(body["errors"][0]["key"], "scopes[1]");
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(2 << 20));
    let json = |r: reqwest::RequestBuilder| r.header("content-type", "application/json").body(large);
    operator.send(Method::POST, "/api/admin/api-keys", json).await.refused(413, "body_too_large");
    assert_eq!(operator.get("/api/admin/api-keys").await.ok()["items"], json!([]));
}
