//! Gateways ask whether their callers may come in: every form, every refusal, and a real nginx with the shipped configuration.
//! How a key is judged is tested with `verify`.

use crate::harness::{PATIENCE, TestMonolith, monolith};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const BASE: &str = "[keys]\nstore = \"memory\"\n\
    [policies.orders_read]\nscopes = [\"orders:read\"]\n\
    [policies.bearer]\nheader = \"authorization\"\n\
    [policies.slow]\nrate_limit = \"2/d\"\n";
const FORMS: [&str; 4] =
    ["/api/forward-auth/", "/api/forward-auth/nginx/", "/api/forward-auth/envoy/", "/api/forward-auth/envoy/"];
/// What says who the caller is, always all of it.
pub const IDENTITY: [&str; 6] = [
    "x-monolith-kid",
    "x-monolith-name",
    "x-monolith-owner",
    "x-monolith-environment",
    "x-monolith-scopes",
    "x-monolith-assertion",
];

pub async fn key(server: &TestMonolith, body: Value) -> String {
    let issued = server.operator().post("/api/admin/api-keys", body).await.ok();
    issued["key"].as_str().unwrap().to_owned()
}

/// The path that each gateway asks for a policy.
fn paths(policy: &str) -> [String; 4] {
    let [plain, nginx, envoy, root] = FORMS;
    [
        format!("{plain}{policy}"),
        format!("{nginx}{policy}"),
        format!("{envoy}{policy}/a/b?c=d"),
        format!("{root}{policy}/"),
    ]
}

async fn ask(server: &TestMonolith, path: &str, headers: &[(&str, &str)]) -> crate::harness::Answer {
    let with =
        |request: reqwest::RequestBuilder| headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
    server.anyone().send(Method::GET, path, with).await
}

#[tokio::test]
async fn a_good_key_comes_in_and_everything_that_is_known_of_it_is_said() {
    let server = monolith(BASE).ready().await;
    let key = key(&server, json!({"name": "Zoë 100%", "scopes": ["orders:read", "a:b"]})).await;
    for path in paths("orders_read") {
        let answer = ask(&server, &path, &[("x-api-key", &key), ("x-monolith-owner", "forged")]).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""), "{path}");
        for name in IDENTITY {
            assert!(answer.headers.contains_key(name), "{path} lacks {name}");
        }
        assert_eq!(answer.headers["x-monolith-owner"], "", "unset is empty, never absent");
        assert_eq!(answer.headers["x-monolith-name"], "Zo%C3%AB 100%25");
        assert_eq!(answer.headers["x-monolith-scopes"], "orders:read a:b");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    let plain = &paths("orders_read")[0];
    let posted = server.anyone().send(Method::POST, plain, |r| r.header("x-api-key", &key).body("x")).await;
    assert_eq!(posted.status, 200, "a gateway asks with the caller's own method");
    for path in paths("orders_read") {
        let method = Method::from_bytes(b"PROPFIND").unwrap();
        let asked = server.anyone().send(method, &path, |request| request.header("x-api-key", &key)).await;
        assert_eq!(asked.status, 200, "{path}: also with one that few know");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_keeps_nobody_out_and_a_policy_that_is_none_lets_nobody_in() {
    let server = monolith(BASE).ready().await;
    let key = key(&server, json!({"name": "x", "scopes": ["orders:read"]})).await;
    let with_key = [("x-api-key", &*key)];
    let latin = ask(&server, "/api/forward-auth/envoy/orders_read/caf%E9/%ff", &with_key).await;
    assert_eq!(latin.status, 200, "{}", latin.text);
    for path in ["/api/forward-auth/%ff", "/api/forward-auth/nginx/%ff", "/api/forward-auth/envoy/%ff/orders_read"] {
        ask(&server, path, &with_key).await.refused(403, "unknown_policy");
    }
    let encoded = ask(&server, "/api/forward-auth/orders%5Fread", &with_key).await;
    assert_eq!(encoded.status, 200, "{}", encoded.text);
}

#[tokio::test]
async fn whoever_has_no_good_key_is_refused_in_the_same_words() {
    let server = monolith(BASE).ready().await;
    let good = key(&server, json!({"name": "x", "scopes": ["orders:read"]})).await;
    let revoked = key(&server, json!({"name": "y", "scopes": ["orders:read"]})).await;
    let kid = revoked.split('_').nth(2).unwrap();
    server.operator().delete(&format!("/api/admin/api-keys/{kid}")).await.ok();
    let mut words: Vec<Value> = Vec::new();
    for path in paths("orders_read") {
        for headers in [
            vec![],
            vec![("x-api-key", "")],
            vec![("x-api-key", "mono_test_x")],
            vec![("x-api-key", &*revoked)],
            vec![("x-api-key", &*good), ("x-api-key", &*revoked)],
            vec![("authorization", &*format!("Bearer {good}"))],
            vec![("cookie", &*format!("x-api-key={good}"))],
        ] {
            let answer = ask(&server, &path, &headers).await;
            let mut body = answer.refused(401, "key_refused");
            assert!(answer.headers.contains_key("www-authenticate"));
            assert!(!answer.headers.contains_key("x-monolith-kid"));
            body["request_id"].take();
            words.push(body);
        }
        let answer = ask(&server, &format!("{path}?x-api-key={good}"), &[]).await;
        answer.refused(401, "key_refused");
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    for path in paths("nobody_declared_this") {
        ask(&server, &path, &[("x-api-key", &good)]).await.refused(403, "unknown_policy");
    }
}

#[tokio::test]
async fn a_policy_says_which_header_which_scopes_and_how_often() {
    let server = monolith(BASE).ready().await;
    let key = key(&server, json!({"name": "x", "scopes": ["orders:write"]})).await;
    for path in paths("orders_read") {
        ask(&server, &path, &[("x-api-key", &key)]).await.refused(403, "scope_missing");
    }
    let bearer = format!("Bearer {key}");
    assert_eq!(ask(&server, &paths("bearer")[0], &[("authorization", &bearer)]).await.status, 200);
    ask(&server, &paths("bearer")[0], &[("x-api-key", &key)]).await.refused(401, "key_refused");

    let [plain, nginx, ..] = paths("slow");
    for _ in 0..3 {
        // A refusal for another reason costs nothing.
        ask(&server, &plain, &[("x-api-key", "mono_test_x")]).await.refused(401, "key_refused");
    }
    for path in [&plain, &nginx] {
        assert_eq!(ask(&server, path, &[("x-api-key", &key)]).await.status, 200);
    }
    let answer = ask(&server, &plain, &[("x-api-key", &key)]).await;
    answer.refused(429, "rate_limited");
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 40_000);
    let answer = ask(&server, &nginx, &[("x-api-key", &key)]).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["x-monolith-status"]), (403, &"429".parse().unwrap()));
    let verify = |policy: &str| json!({"key": key, "policy": policy});
    let verdict = server.anyone().post("/api/keys/verify", verify("slow")).await.ok();
    assert_eq!((&verdict["code"], &verdict["rate_limit"]["remaining"]), (&json!("rate_limited"), &json!(0)));
    assert_eq!(server.anyone().post("/api/keys/verify", verify("bearer")).await.ok()["code"], "valid");
    server.anyone().post("/api/keys/verify", verify("nobody")).await.refused(422, "invalid");
    assert_eq!(server.anyone().post("/api/keys/verify", verify("orders_read")).await.ok()["code"], "scope_missing");
}

/// A service behind a gateway: it answers 200 and remembers the last request's head.
pub async fn service() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(String::new())));
    let remember = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 8192];
            let length = stream.read(&mut head).await.unwrap_or(0);
            *remember.lock().unwrap() = String::from_utf8_lossy(&head[..length]).to_lowercase();
            let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").await;
        }
    });
    (port, seen)
}

/// A port that nobody listens on now: a gateway is told where to listen and cannot choose.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub async fn until_it_answers(what: &str, answers: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while !answers().await {
        assert!(Instant::now() < give_up, "{what} did not start");
        looks.tick().await;
    }
}

/// A gateway that is ended with the test.
pub struct Gateway(pub Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn nginx_with_the_shipped_configuration_lets_in_whom_it_should_and_believes_no_caller() {
    let server = monolith(BASE).ready().await;
    let limited =
        key(&server, json!({"name": "web", "owner": "shop", "scopes": ["orders:read"], "rate_limit": "3/d"})).await;
    let (service_port, seen) = service().await;
    let port = free_port();
    let folder = server.folder().to_owned();
    let shipped = include_str!("../../examples/gateways/nginx.conf");
    let address = server.url().trim_start_matches("http://");
    let local = shipped
        .replace("127.0.0.1:8000", address)
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{service_port}"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
        .replace(
            "worker_processes 1;",
            &format!("worker_processes 1; pid {}/nginx.pid; error_log stderr;", folder.display()),
        );
    std::fs::write(folder.join("nginx.conf"), local).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-g", "daemon off; master_process off;", "-p"]).arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _gateway = Gateway(child.expect("nginx is needed: apt-get install nginx-light"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |headers: Vec<(&'static str, String)>| {
        let request = http.get(format!("http://127.0.0.1:{port}/orders"));
        headers.into_iter().fold(request, |r, (name, value)| r.header(name, value)).send()
    };
    until_it_answers("nginx", async || ask(vec![]).await.is_ok()).await;
    assert_eq!(ask(vec![]).await.unwrap().status(), 401);
    let forged = ["x-monolith-owner", "x_monolith_owner", "x.monolith.owner", "X-Monolith_OWNER", "x-monolith-owner"];
    let forged = forged.map(|name| (name, "boss".to_owned())).into_iter();
    let forged = std::iter::once(("x-api-key", limited.clone())).chain(forged).collect();
    assert_eq!(ask(forged).await.unwrap().status(), 200);
    let head = seen.lock().unwrap().clone();
    assert!(head.contains("x-monolith-owner: shop") && !head.contains("boss"), "{head}");
    assert!(!head.contains("mono_test_"), "the key stays at the gateway: {head}");
    for _ in 0..2 {
        assert_eq!(ask(vec![("x-api-key", limited.clone())]).await.unwrap().status(), 200);
    }
    let refused = ask(vec![("x-api-key", limited.clone())]).await.unwrap();
    assert_eq!(refused.status(), 429, "what nginx cannot carry is mapped back");
    assert!(refused.headers().contains_key("retry-after"));
    let other = key(&server, json!({"name": "other"})).await;
    assert_eq!(ask(vec![("x-api-key", other)]).await.unwrap().status(), 403);
}
