//! The client against a server that plays a script: what an operator is told when the answer is not what it should be.
//! No test waits for a time-out, and every server takes a free port.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread::JoinHandle;

use super::*;
use crate::wire::{HealthStatus, KeysQuery, PatchKey};

/// A server that answers one request with a script and hands back what it was asked.
struct Scripted {
    url: String,
    asked: JoinHandle<String>,
}

impl Scripted {
    fn start(script: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = script.into();
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut piece).unwrap() {
                    0 => break,
                    n => request.extend_from_slice(&piece[..n]),
                }
            }
            stream.write_all(script.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            String::from_utf8_lossy(&request).into_owned()
        });
        Self { url, asked }
    }

    fn client(&self) -> Client {
        Client::new(&self.url, Some(Token::parse("tok-secret\n").unwrap())).unwrap()
    }

    fn asked(self) -> String {
        self.asked.join().unwrap()
    }
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn json(status: &str, body: &str) -> String {
    answer(status, "application/json", body)
}

const DOWN: &str = r#"{"status":"down","version":"0.1.0","commit":null,"profile":"dev","replica":"r1","role":"serve",
    "started_at":"2026-01-31T08:15:00.000Z","uptime_s":0,"generation":0,"ready":false,
    "config":{"hash":null,"disk_matches_running":null,"last_reload":null},
    "keys":{"store":"memory","persistent":false,"count":0,"fresh":false,"age_ms":null},
    "stores":{},"workers":{"total":0,"running":0,"failing":0,"overdue":0,"paused":0}}"#;

#[tokio::test]
async fn a_server_that_is_down_is_still_read() {
    let server = Scripted::start(json("503 Service Unavailable", DOWN));
    assert_eq!(server.client().health().await.unwrap().status, HealthStatus::Down);
}

#[tokio::test]
async fn a_503_of_a_gateway_is_not_a_health() {
    let server = Scripted::start(answer("503 Service Unavailable", "text/html", "<html>sorry</html>"));
    let error = server.client().health().await.unwrap_err();
    assert_eq!(error.exit_code(), 6);
    assert!(error.to_string().contains("status 503 with an HTML page"), "{error}");
}

#[tokio::test]
async fn a_page_in_place_of_json_is_unreadable() {
    let server = Scripted::start(answer("200 OK", "text/html", "\n<!doctype html><p>welcome"));
    let error = server.client().stores().await.unwrap_err();
    let told = "cannot read GET /api/admin/stores: it is an HTML page instead of JSON";
    assert_eq!((error.exit_code(), error.to_string().as_str()), (6, told));
}

#[tokio::test]
async fn a_page_in_place_of_metrics_is_unreadable() {
    let server = Scripted::start(answer("200 OK", "text/html", "<!doctype html>"));
    assert_eq!(server.client().metrics_text().await.unwrap_err().exit_code(), 6);
}

#[tokio::test]
async fn a_body_that_ends_early_is_unreadable() {
    let server = Scripted::start("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"items\":");
    let error = server.client().stores().await.unwrap_err();
    assert!(matches!(&error, Error::Unreadable { why, .. } if why == "it ended early, after 9 bytes"), "{error:?}");
}

#[tokio::test]
async fn json_that_ends_early_is_unreadable() {
    let server = Scripted::start("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"items\":[");
    let error = server.client().stores().await.unwrap_err();
    assert!(error.to_string().contains("its JSON ends early, after 10 bytes"), "{error}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_kept() {
    let body = "x".repeat(BODY_LIMIT + 1);
    let server = Scripted::start(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"));
    let error = server.client().metrics_text().await.unwrap_err();
    assert!(error.to_string().contains("larger than 16777216 bytes"), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_unauthorized() {
    let body = r#"{"type":"about:blank","title":"unauthorized","status":401,"code":"token_expired",
        "detail":"the token expired","request_id":"q1","errors":[]}"#;
    let server = Scripted::start(answer("401 Unauthorized", "application/problem+json", body));
    let error = server.client().whoami().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "token_expired");
    let told = "not authorized: the token expired (request q1)";
    assert_eq!((error.exit_code(), error.to_string().as_str()), (5, told));
}

#[tokio::test]
async fn a_route_that_is_not_served_is_told_as_such() {
    let server = Scripted::start("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let error = server.client().stores().await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!((error.exit_code(), error.to_string().as_str()), (1, "refused: not found"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let server =
        Scripted::start("HTTP/1.1 302 Found\r\nlocation: http://elsewhere.invalid/\r\ncontent-length: 0\r\n\r\n");
    let error = server.client().whoami().await.unwrap_err();
    assert!(error.to_string().ends_with("it leads elsewhere (status 302)"), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::new(&url, None).unwrap().health().await.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().to_lowercase().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_value_of_an_odd_shape_is_not_repeated() {
    let server = Scripted::start(json("200 OK", r#"{"items": "mono_test_secret", "next": null}"#));
    let error = server.client().stores().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}

#[tokio::test]
async fn a_name_stays_one_segment_of_the_path() {
    let server = Scripted::start("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    server.client().worker("a/../b?c#d").await.unwrap_err();
    let asked = server.asked();
    assert!(asked.starts_with("GET /api/admin/workers/a%2F..%2Fb%3Fc%23d HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer tok-secret\r\n"), "{asked}");
}

#[tokio::test]
async fn a_path_step_is_not_a_name() {
    let client = Client::new("http://127.0.0.1:1", None).unwrap();
    for odd in ["", ".", ".."] {
        assert_eq!(client.revoke_key(odd, None).await.unwrap_err().exit_code(), 2);
    }
}

#[tokio::test]
async fn a_query_leaves_out_what_is_unset() {
    let server = Scripted::start(json("200 OK", r#"{"items": [], "next": null}"#));
    let query = KeysQuery { owner: Some("team a&b".into()), limit: Some(1), ..KeysQuery::default() };
    server.client().keys(&query).await.unwrap();
    assert!(server.asked().starts_with("GET /api/admin/api-keys?owner=team+a%26b&limit=1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_patch_names_the_version_it_was_made_for() {
    let server = Scripted::start("HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n");
    let error = server.client().patch_key("k1", &PatchKey::default(), Some(7)).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(server.asked().contains("if-match: 7\r\n"));
}

#[tokio::test]
async fn a_public_health_carries_no_token() {
    let server = Scripted::start(json("200 OK", DOWN));
    server.client().public_health().await.unwrap();
    assert!(!server.asked().contains("authorization"));
}

#[tokio::test]
async fn a_probe_is_yes_or_no() {
    let server = Scripted::start("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(server.client().ready().await, Ok(false));
}

#[test]
fn a_token_is_never_printed() {
    let client = Client::new("http://127.0.0.1:1", Some(Token::parse("tok-secret").unwrap())).unwrap();
    assert!(!format!("{client:?}").contains("tok-secret"));
    assert_eq!(Token::parse(" \n"), Err(crate::TokenError::Empty));
    assert_eq!(Token::parse("a b"), Err(crate::TokenError::Characters));
}

#[test]
fn an_address_that_is_none_is_refused_without_its_login() {
    for address in ["127.0.0.1:8000", "ftp://host", "http://user:hunter2@host", "http://host/?token=hunter2", ""] {
        let error = Client::new(address, None).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{address}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn an_address_may_hold_a_path() {
    let client = Client::new("https://host.example/monolith/", None).unwrap();
    let request = client.at(Method::GET, &["health"]).unwrap().build().unwrap();
    assert_eq!(request.url().as_str(), "https://host.example/monolith/health");
    assert_eq!(client.base_url(), "https://host.example/monolith");
}
