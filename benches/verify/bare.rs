//! What Monolith is measured against: an axum handler that does the same look-up with the same counters, and one that
//! answers constant bytes. Neither has request ids, limits, time-outs, roles, freshness or an end that loses nothing.

use super::keys::check_digits;
use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use constant_time_eq::constant_time_eq_32;
use monolith_client::wire::{Environment, Time, Verdict, VerifyCode, VerifyKey};
use prometheus::{Histogram, HistogramOpts, IntCounter};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

struct Row {
    hash: [u8; 32],
    name: String,
    owner: String,
    scopes: Vec<String>,
    expires_at: Time,
}

struct Lookup {
    rows: HashMap<String, Row>,
    requests: IntCounter,
    verifications: IntCounter,
    request_seconds: Histogram,
    verify_seconds: Histogram,
    began: Instant,
}

/// Serves one of the two until it is killed.
pub(crate) fn serve(kind: &str, folder: &Path) -> Result<()> {
    let list = std::fs::read_to_string(folder.join("keys.txt"))?;
    let lookup = Arc::new(Lookup::new(&list)?);
    let router = match kind {
        "lookup" => Router::new().route("/api/keys/verify", post(verify)).with_state(lookup),
        _ => Router::new().route("/api/keys/verify", post(constant)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        #[expect(clippy::disallowed_methods, reason = "this is what a bare axum server is")]
        axum::serve(listener, router).await?;
        Ok(())
    })
}

impl Lookup {
    fn new(list: &str) -> Result<Self> {
        let mut rows = HashMap::new();
        for line in list.lines() {
            let (kid, secret) = line.split_once(' ').context("a line has two words")?;
            let row = Row {
                hash: Sha256::digest(secret.as_bytes()).into(),
                name: "bench".into(),
                owner: "team".into(),
                scopes: vec!["orders:read".into()],
                expires_at: "2096-10-02T07:06:40.000Z".into(),
            };
            rows.insert(kid.to_owned(), row);
        }
        let histogram = |name: &str| Histogram::with_opts(HistogramOpts::new(name, "seconds"));
        Ok(Self {
            rows,
            requests: IntCounter::new("requests", "requests")?,
            verifications: IntCounter::new("verifications", "verifications")?,
            request_seconds: histogram("request_seconds")?,
            verify_seconds: histogram("verify_seconds")?,
            began: Instant::now(),
        })
    }

    fn find<'a>(&'a self, key: &'a str) -> Result<(&'a str, &'a Row), VerifyCode> {
        let (covered, digits) = key.split_at_checked(55).ok_or(VerifyCode::Malformed)?;
        if digits != check_digits(covered.as_bytes()) {
            return Err(VerifyCode::Malformed);
        }
        let mut parts = covered.split('_').skip(2);
        let (Some(kid), Some(secret)) = (parts.next(), parts.next()) else { return Err(VerifyCode::Malformed) };
        let row = self.rows.get(kid).ok_or(VerifyCode::Invalid)?;
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        if constant_time_eq_32(&hash, &row.hash) { Ok((kid, row)) } else { Err(VerifyCode::Invalid) }
    }
}

async fn verify(State(lookup): State<Arc<Lookup>>, Json(question): Json<VerifyKey>) -> Json<Verdict> {
    let began = Instant::now();
    let found = lookup.find(question.key.expose());
    lookup.verify_seconds.observe(began.elapsed().as_secs_f64());
    lookup.verifications.inc();
    let verdict = match found {
        Ok((kid, row)) => {
            let good = question.scopes.iter().flatten().all(|scope| row.scopes.contains(scope));
            Verdict {
                kid: Some(kid.to_owned()),
                name: Some(row.name.clone()),
                owner: Some(row.owner.clone()),
                environment: Some(Environment::Test),
                scopes: Some(row.scopes.clone()),
                expires_at: Some(row.expires_at.clone()),
                stale_ms: u64::try_from(lookup.began.elapsed().as_millis() % 1000).ok(),
                ..Verdict::bare(if good { VerifyCode::Valid } else { VerifyCode::ScopeMissing })
            }
        }
        Err(code) => Verdict::bare(code),
    };
    lookup.requests.inc();
    lookup.request_seconds.observe(began.elapsed().as_secs_f64());
    Json(verdict)
}

async fn constant(body: String) -> impl IntoResponse {
    std::hint::black_box(body);
    const ANSWER: &str = r#"{"valid":true,"code":"valid","kid":"000000000000","name":"bench","owner":"team","environment":"test","scopes":["orders:read"],"expires_at":"2096-10-02T07:06:40.000Z","rate_limit":null,"stale_ms":512}"#;
    ([(header::CONTENT_TYPE, "application/json")], ANSWER)
}
