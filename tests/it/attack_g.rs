//! Attacks through a browser (99-104). 104 is about the web UI's script: it is void here, for DESIGN §9 lets Playwright prove
//! it ("Playwright drives it in a real Chromium").

use crate::harness::{Answer, monolith};
use reqwest::Method;
use serde_json::json;

const BASE: &str = "[server]\ndocs = \"public\"\n[keys]\nstore = \"memory\"\n[policies.any]\n";

#[track_caller]
fn is_safe(what: &str, answer: &Answer) {
    let header =
        |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("x-frame-options"), "DENY", "{what}");
    assert_eq!(header("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(header("cache-control"), "no-store", "{what}");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{what}: {policy}");
    for absent in
        ["access-control-allow-origin", "access-control-allow-credentials", "set-cookie", "server", "x-powered-by"]
    {
        assert!(!answer.headers.contains_key(absent), "{what} has {absent}");
    }
}

#[tokio::test]
async fn g99_to_g103_no_answer_can_be_framed_sniffed_kept_or_read_by_another_page() {
    let server = monolith(BASE).ready().await;
    let (anyone, operator) = (server.anyone(), server.operator());
    let evil = |r: reqwest::RequestBuilder| r.header("origin", "https://evil.example");
    for (what, answer) in [
        ("200", anyone.send(Method::GET, "/health", evil).await),
        ("text", anyone.send(Method::GET, "/health/live", evil).await),
        ("metrics", anyone.send(Method::GET, "/metrics", evil).await),
        ("401", anyone.send(Method::GET, "/api/admin/whoami", evil).await),
        ("403", server.viewer().send(Method::POST, "/api/admin/config/reload", evil).await),
        ("404", anyone.send(Method::GET, "/nowhere", evil).await),
        ("405", anyone.send(Method::POST, "/health", evil).await),
        ("415", anyone.send(Method::POST, "/api/keys/verify", |r| evil(r).body("x")).await),
        ("422", anyone.send(Method::POST, "/api/keys/verify", |r| evil(r).json(&json!({}))).await),
        ("forward-auth", anyone.send(Method::GET, "/api/forward-auth/any", evil).await),
        ("docs", anyone.send(Method::GET, "/docs", evil).await),
        ("key set", anyone.send(Method::GET, "/.well-known/jwks.json", evil).await),
        ("origin null", operator.send(Method::GET, "/api/admin/api-keys", |r| r.header("origin", "null")).await),
        (
            "preflight",
            operator
                .send(Method::OPTIONS, "/api/admin/api-keys", |r| {
                    evil(r).header("access-control-request-method", "POST")
                })
                .await,
        ),
    ] {
        is_safe(what, &answer);
    }
    // 100: what a form can send from elsewhere is no request of the API, whatever it carries.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let form = |r: reqwest::RequestBuilder| r.header("content-type", kind).body(r#"{"name":"x"}"#);
        operator.send(Method::POST, "/api/admin/api-keys", form).await.refused(415, "unsupported_media_type");
    }
    // 103: nothing is changed by following a link.
    for path in [
        "/api/admin/config/reload",
        "/api/admin/tokens/deny",
        "/api/admin/api-keys/bulk-revoke",
        "/api/admin/api-keys/import",
    ] {
        let answer = operator.get(path).await;
        assert!([404, 405].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
    }
}

#[tokio::test]
async fn g99_where_tls_is_spoken_a_browser_is_told_to_stay_with_it() {
    let server = monolith("[keys]\nstore = \"memory\"\n").ready().await;
    let answer = server.anyone().get("/health/live").await;
    assert!(!answer.headers.contains_key("strict-transport-security"), "over plain HTTP it means nothing");
}
