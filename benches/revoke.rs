//! `cargo bench --bench revoke [-- notify redis neither cut] [--quick]`: from the instant at which a DELETE is sent to the last of three replicas
//! refusing the key, all three asked without pause while the DELETE waits. Four ways in which news travel, on a Postgres
//! and a Redis of its own; fails above the bounds of DESIGN §13.
#![expect(unreachable_pub, reason = "nothing outside of a bench could reach anything")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says so by a panic")]
#![expect(clippy::print_stdout, reason = "it talks to whoever sits at the shell")]
#![allow(dead_code, reason = "the rooms are shared with the tests, which use more of them")]

#[path = "../tests/it/harness.rs"]
mod harness; // starts the real binary
#[path = "../tests/it/raw.rs"]
mod raw; // one connection by hand

use futures_util::future::join_all;
use harness::{Api, TestMonolith, monolith};
use raw::Raw;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use xtask::servers::{Postgres, Redis};

const REVOCATIONS: usize = 1000;
const QUICK: usize = 100;
const REPLICAS: usize = 3;
/// How many keys are made at once beforehand.
const MADE_AT_ONCE: usize = 50;
/// Between two questions about a key: the figures are that much too long at most, and the machine is left to the servers.
const LOOK: Duration = Duration::from_millis(1);

/// How many revocations a token is used for: those without an accelerator take a second each, and it lives for fifteen minutes.
const TOKEN_FOR: usize = 100;
/// After that a revocation did not happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// DESIGN §13: of 99 in 100 with an accelerator, and of every one without.
const ACCELERATED: Duration = Duration::from_millis(250);
const BOUND: Duration = Duration::from_secs(2);

/// How the news of a revocation travel.
#[derive(Clone, Copy, PartialEq)]
enum News {
    Notify,
    Redis,
    Neither,
    /// By Redis, which is killed when half of the keys are revoked.
    RedisCut,
}

impl News {
    /// Each with the word that asks for it, and its name.
    const ALL: [(Self, &str, &str); 4] = [
        (Self::Notify, "notify", "LISTEN/NOTIFY"),
        (Self::Redis, "redis", "Redis"),
        (Self::Neither, "neither", "neither"),
        (Self::RedisCut, "cut", "Redis, killed at half"),
    ];
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_asked = |word: &str| words.iter().any(|asked| asked == word);
    let count = if is_asked("--quick") { QUICK } else { REVOCATIONS };
    let everything = !News::ALL.iter().any(|(_, word, _)| is_asked(word));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let asked = News::ALL.iter().filter(|(_, word, _)| everything || is_asked(word));
    let fits: Vec<bool> = asked.map(|(news, _, name)| runtime.block_on(measure(*news, name, count))).collect();
    assert!(fits.iter().all(|fits| *fits), "a figure is above its bound");
}

/// Revokes keys one after another; whether the figures are within their bounds.
async fn measure(news: News, name: &str, count: usize) -> bool {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    let base = base(news, &postgres, &redis);
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(monolith(&base).ready().await);
    }
    let mut operators: Vec<Api> = replicas.iter().map(TestMonolith::operator).collect();
    let keys = keys(&operators[0], count).await;
    let mut times = Vec::new();
    let mut incomplete = 0;
    for (n, (kid, key)) in keys.iter().enumerate() {
        if news == News::RedisCut && n == count / 2 {
            redis.kill().unwrap();
        }
        if n % TOKEN_FOR == 0 {
            operators = replicas.iter().map(TestMonolith::operator).collect();
        }
        let (took, receipt) = revoke(&replicas, &operators[n % REPLICAS], kid, key).await;
        incomplete += usize::from(receipt["complete"] != true);
        times.push(took);
    }
    tell(name, news, times, incomplete)
}

fn base(news: News, postgres: &Postgres, redis: &Redis) -> String {
    let pooler = if news == News::Notify { "none" } else { "transaction" };
    let shared = matches!(news, News::Redis | News::RedisCut);
    let store = if shared { "rate_limit_store = \"cache\"\n" } else { "" };
    format!(
        "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\npooler = \"{pooler}\"\n\
         [stores.cache]\nkind = \"redis\"\nurl = \"{}\"\n[keys]\nstore = \"main\"\n{store}",
        postgres.url(),
        redis.url()
    )
}

/// Keys that every replica knows: a creation answers when they do.
async fn keys(operator: &Api, count: usize) -> Vec<(String, String)> {
    let mut made = Vec::new();
    while made.len() < count {
        let more = MADE_AT_ONCE.min(count - made.len());
        let create = || operator.post("/api/admin/api-keys", json!({"name": "bench"}));
        made.extend(join_all((0..more).map(|_| create())).await.iter().map(|answer| answer.ok()));
    }
    let text = |key: &Value, field: &str| key[field].as_str().unwrap().to_owned();
    made.iter().map(|key| (text(key, "kid"), text(key, "key"))).collect()
}

/// From the sending of the DELETE to the last replica refusing, and the receipt.
async fn revoke(replicas: &[TestMonolith], operator: &Api, kid: &str, key: &str) -> (Duration, Value) {
    let mut asking = Vec::new();
    for server in replicas {
        let mut raw = Raw::open(server.url().trim_start_matches("http://")).await.unwrap();
        assert!(raw.post("/api/keys/verify", &json!({"key": key})).await.unwrap().body.contains("\"valid\":true"));
        asking.push(raw);
    }
    let path = format!("/api/admin/api-keys/{kid}");
    let sent = Instant::now();
    let refused = join_all(asking.into_iter().map(|raw| until_refused(raw, key, sent)));
    let (answer, refused) = tokio::join!(operator.delete(&path), refused);
    (refused.into_iter().max().unwrap_or_default(), answer.ok())
}

async fn until_refused(mut raw: Raw, key: &str, sent: Instant) -> Duration {
    let question = json!({"key": key});
    loop {
        let reply = raw.post("/api/keys/verify", &question).await.unwrap();
        if reply.body.contains("\"revoked\"") {
            return sent.elapsed();
        }
        assert!(reply.body.contains("\"valid\":true"), "{} {}", reply.status, reply.body);
        assert!(sent.elapsed() < PATIENCE, "the key is good {PATIENCE:?} after it was to be revoked");
        tokio::time::sleep(LOOK).await;
    }
}

fn tell(name: &str, news: News, mut times: Vec<Duration>, incomplete: usize) -> bool {
    times.sort_unstable();
    let at = |permille: usize| times[(times.len() * permille / 1000).min(times.len() - 1)];
    let (p50, p99, max) = (at(500), at(990), at(1000));
    let (bound, judged, of) = match news {
        News::Notify | News::Redis => (ACCELERATED, p99, "p99"),
        News::Neither | News::RedisCut => (BOUND, max, "max"),
    };
    let count = times.len();
    println!(
        "{name:<22} {count} revocations: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?} (bound: {of} {bound:?}); {incomplete} receipts incomplete"
    );
    judged <= bound
}
