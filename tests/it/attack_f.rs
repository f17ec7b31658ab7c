//! Attacks by sheer number and size (91-98). Limits across replicas (91, 93, 98): `limits`; failed logins (97): `tokens`; a
//! client without an address (95): `gateways::d70_an_address_list_is_judged_by_the_hop_that_nobody_could_forge`.
//! 94 is void: API.md, "POST keys/verify {key, policy?, scopes?, ip?}" has no cost; `attack_b` sends one and is refused.

use crate::harness::{IN_MEMORY, PATIENCE, monolith};
use crate::raw::Raw;
use reqwest::Method;
use serde_json::json;
use std::time::Instant;

#[tokio::test]
async fn f96_slow_and_large_requests_are_cut_off_and_cost_the_others_nothing() {
    let server = monolith(
        "[server]\nheader_timeout = \"1s\"\nbody_limit = \"1KiB\"\nmax_connections = 40\n[keys]\nstore = \"memory\"\n",
    )
    .ready()
    .await;
    let address = server.url().trim_start_matches("http://").to_owned();
    // Slow headers: each gets a second, however it trickles.
    let began = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::open(&address).await.unwrap();
        raw.send("GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        slow.push(raw);
    }
    assert_eq!(server.anyone().get("/health/live").await.status, 200, "others are served meanwhile");
    for mut raw in slow {
        // What is said at the end, if anything, is that it took too long.
        let ended = raw.reply().await;
        assert!(ended.map_or(true, |reply| reply.status == 408), "a slow header was served");
    }
    assert!(began.elapsed() < PATIENCE);
    // Large bodies: announced, sent, and packed.
    let announced = |r: reqwest::RequestBuilder| r.header("content-type", "application/json").body("x".repeat(100_000));
    server.anyone().send(Method::POST, "/api/keys/verify", announced).await.refused(413, "body_too_large");
    let mut raw = Raw::open(&address).await.unwrap();
    let head = "POST /api/keys/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 2147483648\r\n\r\n";
    raw.send(head).await.unwrap();
    assert_eq!(raw.reply().await.unwrap().status, 413);
    let packed = |r: reqwest::RequestBuilder| {
        // Sixteen bytes that unpack to nothing we would look at.
        let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0];
        r.header("content-type", "application/json").header("content-encoding", "gzip").body(gzip.to_vec())
    };
    let answer = server.anyone().send(Method::POST, "/api/keys/verify", packed).await;
    assert!([400, 415].contains(&answer.status.as_u16()), "{}", answer.status);
    // More headers than any client needs.
    let mut raw = Raw::open(&address).await.unwrap();
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    raw.send(&format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{many}\r\n")).await.unwrap();
    assert!(raw.reply().await.map_or(true, |reply| [400, 431].contains(&reply.status)));
    assert_eq!(server.anyone().get("/health/live").await.status, 200);
}

#[tokio::test]
async fn f92_no_window_has_an_edge_at_which_twice_as_many_come_through() {
    let server = monolith(IN_MEMORY).ready().await;
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "x", "rate_limit": "20/s"})).await.ok();
    let began = Instant::now();
    let mut allowed = 0_u32;
    let anyone = server.anyone();
    while began.elapsed().as_millis() < 2_200 {
        let verdict = anyone.post("/api/keys/verify", json!({"key": issued["key"]})).await.ok();
        allowed += u32::from(verdict["valid"] == true);
    }
    let most = 20 + began.elapsed().as_millis() as u32 * 20 / 1000 + 1;
    assert!(allowed <= most && allowed >= 20, "{allowed} of at most {most}");
}

#[tokio::test]
async fn f98_one_use_that_a_hundred_want_at_once_is_given_once() {
    let server = monolith(IN_MEMORY).ready().await;
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "x", "rate_limit": "1/d"})).await.ok();
    let anyone = server.anyone();
    let at_once = (0..100).map(|_| anyone.post("/api/keys/verify", json!({"key": issued["key"]})));
    let answers = futures_util::future::join_all(at_once).await;
    assert_eq!(answers.iter().filter(|answer| answer.ok()["valid"] == true).count(), 1);
}
