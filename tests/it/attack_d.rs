//! Attacks on forward-auth (63-76). With real gateways: `forward_auth` (nginx) and `gateways` (Caddy, 64, 66-70).
//! The proxy secret of 76 is void: DESIGN §5 gives the routes to "gateways" without one, and `bind` is theirs.

use crate::forward_auth::{IDENTITY, key};
use crate::harness::{TestMonolith, monolith};
use crate::raw::Raw;
use reqwest::Method;
use serde_json::json;

const BASE: &str = "[keys]\nstore = \"memory\"\n[policies.orders_read]\nscopes = [\"orders:read\"]\n[policies.any]\n[policies.none]\nscopes = [\"nobody:has\"]\n";

async fn ask(server: &TestMonolith, method: Method, path: &str, key: &str) -> crate::harness::Answer {
    server.anyone().send(method, path, |r| r.header("x-api-key", key).header("x-monolith-owner", "eve")).await
}

#[tokio::test]
async fn d71_to_d75_neither_the_path_behind_the_policy_nor_the_method_nor_a_body_changes_the_answer() {
    let server = monolith(BASE).ready().await;
    let reader = key(&server, json!({"name": "x", "scopes": ["orders:read"]})).await;
    let other = key(&server, json!({"name": "y"})).await;
    let envoy = "/api/forward-auth/envoy/orders_read";
    for rest in [
        "/",
        "/orders",
        "/orders?policy=any&scope=x",
        "//any",
        "/%2e%2e/any",
        "/../any",
        "/..%2fany",
        "/;policy=any",
        "/%23any",
        "/a//b",
        "/.",
        "/%00",
        "/any/../../envoy/any/",
        "/?x=/../../any",
    ] {
        for (key, status) in [(&reader, 200), (&other, 403)] {
            let mut raw = Raw::open(server.url().trim_start_matches("http://")).await.unwrap();
            raw.send(&format!("GET {envoy}{rest} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n")).await.unwrap();
            assert_eq!(raw.reply().await.unwrap().status, status, "{rest}");
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for path in [
            "/api/forward-auth/orders_read",
            "/api/forward-auth/nginx/orders_read",
            "/api/forward-auth/envoy/orders_read/x",
        ] {
            // 65: exactly 200, never 204; 75: not to be kept, and no cookie.
            let let_in = ask(&server, method.clone(), path, &reader).await;
            assert_eq!(let_in.status, 200, "{method} {path}");
            assert_eq!(let_in.headers["cache-control"], "no-store");
            assert!(!let_in.headers.contains_key("set-cookie"));
            // 66, 68: all of them, and ours.
            for name in IDENTITY {
                assert_eq!(let_in.headers.get_all(name).iter().count(), 1, "{method} {path} {name}");
            }
            assert_eq!(let_in.headers["x-monolith-owner"], "");
            assert_eq!(ask(&server, method.clone(), path, &other).await.status, 403, "{method} {path}");
        }
    }
    // 73: what nobody declared lets nobody in, whatever it looks like.
    for policy in ["nobody", "ORDERS_READ", "orders-read", "orders_read%00", "%6frders_reaD", "..", "orders_read%2f"] {
        let answer = ask(&server, Method::GET, &format!("/api/forward-auth/{policy}"), &reader).await;
        assert!([403, 404].contains(&answer.status.as_u16()), "{policy}: {}", answer.status);
    }
    // 74: a body is not waited for.
    let mut raw = Raw::open(server.url().trim_start_matches("http://")).await.unwrap();
    let head = "POST /api/forward-auth/orders_read HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n";
    raw.send(&format!("{head}x-api-key: {reader}\r\n\r\n")).await.unwrap();
    assert_eq!(raw.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn d63_a_refusal_has_the_form_that_each_gateway_can_carry() {
    let base = format!("{BASE}[policies.slow]\nrate_limit = \"1/d\"\n");
    let server = monolith(&base).ready().await;
    let limited = key(&server, json!({"name": "x"})).await;
    assert_eq!(ask(&server, Method::GET, "/api/forward-auth/slow", &limited).await.status, 200);
    for (form, status) in [("", 429), ("nginx/", 403), ("envoy/", 429)] {
        let path = format!("/api/forward-auth/{form}slow{}", if form == "envoy/" { "/x" } else { "" });
        let refused = ask(&server, Method::GET, &path, &limited).await;
        assert_eq!(refused.status, status, "{form}");
        assert!(refused.headers.contains_key("retry-after"), "{form}");
        assert_eq!(refused.headers.contains_key("x-monolith-status"), form == "nginx/", "{form}");
        for name in IDENTITY {
            assert!(!refused.headers.contains_key(name), "{form} tells {name} of a refused key");
        }
    }
}
