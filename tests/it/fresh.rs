//! How old an answer about a key may be: the news of changes, and what is answered while the keys' database is killed,
//! paused, restarted or refuses logins. Each database is the test's own, because it is broken.

use crate::harness::{Answer, Api, TestMonolith, monolith, signal};
use crate::raw::Raw;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use xtask::servers::{Postgres, Redis};

/// Between two questions of a client that asks at a steady rate.
const RATE: Duration = Duration::from_millis(5);
/// What the machine of the tests may add to a bound.
const SLACK: Duration = Duration::from_secs(3);
/// A key of our form that nobody made.
const UNKNOWN: &str = "mono_test_000000000000_00000000000000000000000000000000";

/// A database and a login of its own, which the test can refuse.
fn database() -> Postgres {
    let postgres = Postgres::start_with_password_role("app", "s3cret").unwrap();
    postgres.sql("grant create on schema public to app").unwrap();
    postgres
}

async fn on(postgres: &Postgres, keys: &str) -> TestMonolith {
    let url = postgres.url_for("app:s3cret", "postgres");
    let store = format!("[stores.main]\nkind = \"postgres\"\nurl = \"{url}\"\nconnect_timeout = \"1s\"\n");
    monolith(&format!("{store}[keys]\nstore = \"main\"\n{keys}\n")).ready().await
}

async fn create(server: &TestMonolith) -> String {
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "ci"})).await.ok();
    issued["key"].as_str().unwrap().to_owned()
}

fn unknown() -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = crc32fast::hash(UNKNOWN.as_bytes());
    let mut check = [b'0'; 6];
    for digit in check.iter_mut().rev() {
        *digit = digits[(number % 62) as usize];
        number /= 62;
    }
    format!("{UNKNOWN}{}", std::str::from_utf8(&check).unwrap())
}

async fn verify(api: &Api, key: &str) -> Answer {
    api.post("/api/keys/verify", json!({"key": key})).await
}

/// What clients were told who asked about one good and one unknown key all the time.
#[derive(Default)]
struct Told {
    asked: AtomicU64,
    /// The good key was not called valid.
    refused: AtomicU64,
    /// The unknown key was called something else than invalid or undecidable.
    misjudged: AtomicU64,
}

struct Asking {
    told: Arc<Told>,
    stop: Arc<AtomicBool>,
    client: tokio::task::JoinHandle<()>,
}

impl Asking {
    fn begin(server: &TestMonolith, key: &str) -> Self {
        let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        let (api, key, telling, stopping) = (server.anyone(), key.to_owned(), Arc::clone(&told), Arc::clone(&stop));
        let client = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(RATE);
            let unknown = unknown();
            while !stopping.load(Ordering::Relaxed) {
                ticks.tick().await;
                let answer = verify(&api, &key).await;
                telling.asked.fetch_add(1, Ordering::Relaxed);
                if answer.status != 200 || answer.json()["valid"] != true {
                    telling.refused.fetch_add(1, Ordering::Relaxed);
                }
                let answer = verify(&api, &unknown).await;
                let right = match answer.status.as_u16() {
                    200 => answer.json()["code"] == "invalid",
                    status => status == 503,
                };
                telling.misjudged.fetch_add(u64::from(!right), Ordering::Relaxed);
            }
        });
        Self { told, stop, client }
    }

    /// Ends, and says how many were asked; no answer may have been wrong.
    async fn end(self, during: &str) {
        self.stop.store(true, Ordering::Relaxed);
        self.client.await.unwrap();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (asked, refused, misjudged) =
            (read(&self.told.asked), read(&self.told.refused), read(&self.told.misjudged));
        assert!(asked > 20, "only {asked} questions while {during}");
        assert_eq!(
            (refused, misjudged),
            (0, 0),
            "of {asked} while {during}: good keys refused, unknown ones misjudged"
        );
    }
}

async fn is_fresh(server: &TestMonolith, fresh: bool) {
    server.wait_for_health(|health| health["keys"]["fresh"] == fresh).await;
}

#[tokio::test]
async fn a_good_key_is_never_refused_while_the_database_is_killed_paused_restarted_or_refuses_logins() {
    let postgres = database();
    let server = on(&postgres, "max_staleness = \"2m\"").await;
    let key = create(&server).await;

    let asking = Asking::begin(&server, &key);
    postgres.kill().unwrap();
    is_fresh(&server, false).await;
    postgres.restart().unwrap();
    is_fresh(&server, true).await;
    asking.end("the database was killed and came back").await;

    let asking = Asking::begin(&server, &key);
    postgres.pause().unwrap();
    is_fresh(&server, false).await;
    postgres.resume().unwrap();
    is_fresh(&server, true).await;
    asking.end("the database was paused").await;

    let asking = Asking::begin(&server, &key);
    refuse_logins(&postgres);
    is_fresh(&server, false).await;
    assert_eq!(verify(&server.anyone(), &unknown()).await.status, 503, "nobody can tell who it is");
    accept_logins(&postgres);
    is_fresh(&server, true).await;
    assert_eq!(verify(&server.anyone(), &unknown()).await.ok()["code"], "invalid");
    asking.end("the database refused logins").await;
}

/// Whoever was in is thrown out, and nobody comes in any more.
fn refuse_logins(postgres: &Postgres) {
    postgres.sql("alter role app nologin").unwrap();
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'").unwrap();
}

fn accept_logins(postgres: &Postgres) {
    postgres.sql("alter role app login").unwrap();
}

#[tokio::test]
async fn beyond_the_bound_a_known_key_is_undecidable_and_never_refused() {
    let postgres = database();
    let server = on(&postgres, "max_staleness = \"2s\"").await;
    let key = create(&server).await;
    let api = server.anyone();
    postgres.pause().unwrap();
    let paused = Instant::now();
    let undecided = loop {
        let answer = verify(&api, &key).await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.json()["valid"], true, "{}", answer.text);
        assert!(paused.elapsed() < Duration::from_secs(2) + SLACK, "it answers from memory beyond the bound");
    };
    undecided.refused(503, "undecidable");
    assert!(paused.elapsed() > Duration::from_secs(1), "the bound is two seconds, not {:?}", paused.elapsed());
    assert_eq!(api.get("/health").await.status, 503, "who cannot decide is down");
    assert_eq!(api.get("/health/ready").await.status, 200, "but a restart would not help");
    postgres.resume().unwrap();
    is_fresh(&server, true).await;
    assert_eq!(verify(&api, &key).await.ok()["valid"], true);
}

#[tokio::test]
async fn whoever_asks_with_a_key_is_told_that_nobody_can_tell_and_not_that_the_key_is_wrong() {
    let postgres = database();
    let server = on(&postgres, "verify = \"token\"\nmax_staleness = \"2s\"").await;
    let key = create(&server).await;
    let wish = json!({"name": "service", "scopes": ["monolith:verify"], "ip_allow": ["127.0.0.1"]});
    let service = server.operator().post("/api/admin/api-keys", wish).await.ok();
    let service = server.with_token(service["key"].as_str().unwrap());
    assert_eq!(verify(&service, &key).await.ok()["valid"], true, "a key may be bound to an address");
    verify(&server.with_token(&key), &key).await.refused(401, "unauthorized");
    postgres.pause().unwrap();
    let asked = Instant::now();
    let undecided = loop {
        let answer = verify(&service, &key).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(asked.elapsed() < Duration::from_secs(2) + SLACK, "it answers from memory beyond the bound");
    };
    undecided.refused(503, "undecidable");
    postgres.resume().unwrap();
}

#[tokio::test]
async fn a_denied_token_stays_denied_for_a_process_that_starts_while_the_database_is_away() {
    let postgres = database();
    let server = on(&postgres, "").await;
    let thief = server.admin();
    let token = thief.token().to_owned();
    let denied = json!({"token": token, "reason": "found in a log"});
    server.admin().post("/api/admin/tokens/deny", denied).await.ok();
    let kept = server.folder().join("data/denied-tokens.json");
    server.wait_for("/health", |_| kept.exists()).await;
    postgres.kill().unwrap();
    let builder = server.crash();
    let again = builder.start();
    again.wait_for("/health/live", |answer| answer.status == 200).await;
    again.with_token(&token).get("/api/admin/whoami").await.refused(401, "token_refused");
    again.operator().get("/api/admin/whoami").await.ok();
}

#[tokio::test]
async fn who_allows_stale_answers_gets_them_and_is_told_how_old_they_are() {
    let postgres = database();
    let server = on(&postgres, "max_staleness = \"2s\"\non_stale = \"allow\"").await;
    let key = create(&server).await;
    postgres.kill().unwrap();
    let api = server.anyone();
    let old = |answer: &Answer| answer.json()["keys"]["age_ms"].as_u64() > Some(3000);
    api.wait_for("/health", old).await;
    let verdict = verify(&api, &key).await.ok();
    assert_eq!(verdict["valid"], true);
    assert!(verdict["stale_ms"].as_u64() > Some(3000), "{verdict}");
    verify(&api, &unknown()).await.refused(503, "undecidable");
}

/// Makes and revokes keys on one replica; how long the other one took for all of them together.
async fn lags(first: &TestMonolith, second: &TestMonolith) -> Duration {
    let (operator, mut sum) = (first.operator(), Duration::ZERO);
    for _ in 0..REVOCATIONS {
        let issued = operator.post("/api/admin/api-keys", json!({"name": "ci"})).await.ok();
        let path = format!("/api/admin/api-keys/{}", issued["kid"].as_str().unwrap());
        let receipt: Value = operator.delete(&path).await.ok();
        assert_eq!(receipt["complete"], true, "{receipt}");
        sum += Duration::from_millis(receipt["lag_ms"].as_u64().unwrap());
        assert_eq!(verify(&second.anyone(), issued["key"].as_str().unwrap()).await.ok()["code"], "revoked");
    }
    sum
}

const REVOCATIONS: u32 = 8;
/// On average; by the look each second alone it would be half a second and more.
const AT_ONCE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_revocation_is_heard_of_at_once_from_postgres_and_soon_though_every_ear_is_cut_off() {
    let postgres = database();
    let (first, second) = (on(&postgres, "").await, on(&postgres, "").await);
    let took = lags(&first, &second).await;
    assert!(took < AT_ONCE * REVOCATIONS, "{took:?}");
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%'").unwrap();
    let took = lags(&first, &second).await;
    assert!(took < Duration::from_secs(2) * REVOCATIONS, "{took:?}");
}

#[tokio::test]
async fn behind_a_pooler_a_redis_that_all_share_tells_at_once_and_its_end_costs_a_look() {
    let (postgres, redis) = (database(), Redis::start().unwrap());
    let base = format!(
        "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\npooler = \"transaction\"\n[stores.cache]\nkind = \"redis\"\n\
         url = \"{}\"\nrequired = false\n[keys]\nstore = \"main\"\nrate_limit_store = \"cache\"\n",
        postgres.url_for("app:s3cret", "postgres"),
        redis.url()
    );
    let (first, second) = (monolith(&base).ready().await, monolith(&base).ready().await);
    let took = lags(&first, &second).await;
    assert!(took < AT_ONCE * REVOCATIONS, "{took:?}");
    redis.kill().unwrap();
    let took = lags(&first, &second).await;
    assert!(took < Duration::from_secs(2) * REVOCATIONS, "{took:?}");
}

#[tokio::test]
async fn a_key_that_was_revoked_with_psql_is_found_when_the_database_was_away_taken_over_and_told() {
    let postgres = database();
    let server = on(&postgres, "max_staleness = \"2m\"").await;
    let key = create(&server).await;
    postgres.sql("update api_keys set revoked_at = now(), revoke_reason = 'by hand'").unwrap();
    postgres.kill().unwrap();
    is_fresh(&server, false).await;
    postgres.restart().unwrap();
    let told = |answer: &Answer| answer.json()["findings"].to_string().contains("keys_edited");
    server.viewer().wait_for("/health", told).await;
    assert_eq!(verify(&server.anyone(), &key).await.ok()["code"], "revoked");
    assert!(server.log().contains("were changed in the database without an event"), "{}", server.log());
}

#[tokio::test]
async fn a_request_that_was_accepted_before_the_end_hears_of_a_revocation_after_it() {
    let postgres = database();
    let (leaving, staying) = (on(&postgres, "").await, on(&postgres, "").await);
    let key = create(&staying).await;
    let address = leaving.url().trim_start_matches("http://").to_owned();
    let mut raw = Raw::open(&address).await.unwrap();
    let body = json!({"key": key}).to_string();
    let head = "POST /api/keys/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length:";
    raw.send(&format!("{head} {}\r\n\r\n{body}{head} {}\r\n\r\n", body.len(), body.len())).await.unwrap();
    assert!(raw.reply().await.unwrap().body.contains("\"valid\":true"));
    signal(leaving.pid(), "TERM");
    let mut looks = tokio::time::interval(RATE);
    while Raw::open(&address).await.is_ok() {
        looks.tick().await;
    }
    let kid = key.split('_').nth(2).unwrap();
    let receipt = staying.operator().delete(&format!("/api/admin/api-keys/{kid}")).await.ok();
    assert_eq!((&receipt["replicas_known"], &receipt["complete"]), (&json!(2), &json!(true)), "{receipt}");
    raw.send(&body).await.unwrap();
    let reply = raw.reply().await.unwrap();
    assert!(reply.body.contains("\"revoked\"") && reply.closes, "{reply:?}");
    assert_eq!(leaving.ended(), Some(0));
}
