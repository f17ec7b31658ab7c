//! Rotated passwords on real servers: the new login is proven before the old one retires, only what uses the secret is
//! rebuilt, and nobody who asks notices. Each server is the test's own, because its passwords change.

use crate::harness::{Answer, Builder, TestMonolith, monolith};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use xtask::servers::{Postgres, Redis};

/// A Postgres whose role `app` owns a database of the same name, and a server that keeps its keys there.
fn with_postgres(postgres: &Postgres, more: &str) -> Builder {
    postgres.sql("create database app owner app").unwrap();
    let text = format!(
        "[secrets]\npw = {{ file = 'secrets/pw' }}\n[keys]\nstore = 'main'\n\
         [stores.main]\nkind = 'postgres'\nurl = 'postgres://app:${{secrets.pw}}@127.0.0.1:{}/app'\n{more}",
        postgres.port()
    );
    monolith(&text).file("secrets/pw", "first\n").file("secrets/other", "other\n")
}

/// Replaces a secret file as a careful program does.
fn put(server: &TestMonolith, name: &str, value: &str) {
    let draft = server.folder().join("draft");
    fs::write(&draft, format!("{value}\n")).unwrap();
    fs::rename(draft, server.folder().join("secrets").join(name)).unwrap();
}

/// What the superuser sees of the connections of `app`.
struct Activity(PgConnection);

impl Activity {
    async fn of(postgres: &Postgres) -> Self {
        Self(PgConnection::connect(postgres.url()).await.unwrap())
    }

    /// A number that a query over the connections of `app` gives.
    async fn number(&mut self, select: &str) -> i64 {
        let query = format!("select {select} from pg_stat_activity where usename = 'app'");
        sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut self.0).await.unwrap()
    }

    /// Waits until it is as wanted; the server is asked for its health meanwhile, for its own limit.
    async fn wait_for(&mut self, server: &TestMonolith, select: &str, wanted: impl Fn(i64) -> bool) -> i64 {
        let began = std::time::Instant::now();
        loop {
            let number = self.number(select).await;
            if wanted(number) {
                return number;
            }
            assert!(began.elapsed() < crate::harness::PATIENCE, "{select} stays {number}\n{}", server.log());
            server.anyone().get("/health/live").await;
        }
    }
}

/// Verifies a key again and again until it is told to stop: how often it did, and every answer that was not "valid".
struct Verifying {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Verifying {
    fn begin(server: &TestMonolith, key: &Value) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (api, body, stopped, counting) = (server.anyone(), json!({"key": key}), stop.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut bad = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let answer = api.post("/api/keys/verify", body.clone()).await;
                if answer.status != 200 || answer.json()["code"] != "valid" {
                    bad.push(answer.text);
                }
                counting.fetch_add(1, Ordering::Relaxed);
            }
            bad
        });
        Self { stop, asked, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let bad = self.task.await.unwrap();
        assert!(
            bad.is_empty(),
            "{} of {} were not valid: {:?}",
            bad.len(),
            self.asked.load(Ordering::Relaxed),
            bad.first()
        );
        assert!(self.asked.load(Ordering::Relaxed) > 50);
    }
}

async fn generation(server: &TestMonolith, wanted: u64) -> Value {
    server.wait_for_health(|health| health["generation"] == wanted).await
}

async fn rejected(server: &TestMonolith) -> Value {
    let viewer = server.viewer();
    let is = |answer: &Answer| answer.json()["config"]["last_reload"]["outcome"] == "rejected";
    viewer.wait_for("/health", is).await.json()
}

async fn create(server: &TestMonolith, name: &str) -> Value {
    server.operator().post("/api/admin/api-keys", json!({ "name": name })).await.ok()["key"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_moves_every_connection_and_no_key_is_refused_meanwhile() {
    let postgres = Postgres::start_with_password_role("app", "first").unwrap();
    let redis = Redis::start().unwrap();
    let cache = format!("[stores.cache]\nkind = 'redis'\nurl = '{}'\n", redis.url());
    let server = with_postgres(&postgres, &cache).ready().await;
    let mut activity = Activity::of(&postgres).await;
    let key = create(&server, "kept").await;
    let verifying = Verifying::begin(&server, &key);
    let before = activity.wait_for(&server, "count(*)", |count| count >= 2).await;
    let youngest = activity.number("(extract(epoch from max(backend_start)) * 1000000)::bigint").await;

    postgres.sql("alter role app password 'second'").unwrap();
    put(&server, "pw", "second");
    generation(&server, 2).await;
    assert!(
        server.log().contains("settings applied: generation 2, stores.main (rebuild) generation=2"),
        "{}",
        server.log()
    );
    let old = format!("count(*) filter (where extract(epoch from backend_start) * 1000000 <= {youngest})");
    activity.wait_for(&server, &old, |count| count == 0).await;
    activity.wait_for(&server, "count(*)", |count| count <= before).await;

    // Whatever is opened from now on must log in with the new password, the follower of the keys as well.
    activity.number("count(pg_terminate_backend(pid))").await;
    let cut = std::time::Instant::now();
    let other = create_at_last(&server).await;
    let followed = |health: &Value| u128::from(health["keys"]["age_ms"].as_u64().unwrap()) < cut.elapsed().as_millis();
    server.wait_for_health(|health| followed(health) && health["stores"]["main"] == "up").await;
    assert_eq!(server.anyone().post("/api/keys/verify", json!({"key": other})).await.ok()["code"], "valid");
    verifying.end().await;
}

/// A key, once the store answers again: connections that were cut are noticed by whoever uses them first.
async fn create_at_last(server: &TestMonolith) -> Value {
    let operator = server.operator();
    let began = std::time::Instant::now();
    loop {
        let answer = operator.post("/api/admin/api-keys", json!({"name": "after"})).await;
        if answer.status == 201 {
            return answer.json()["key"].clone();
        }
        assert!(began.elapsed() < crate::harness::PATIENCE, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_new_password_is_rejected_and_the_old_connections_keep_working() {
    let postgres = Postgres::start_with_password_role("app", "first").unwrap();
    let server = with_postgres(&postgres, "").ready().await;
    let key = create(&server, "kept").await;
    let verifying = Verifying::begin(&server, &key);
    let mut activity = Activity::of(&postgres).await;
    activity.wait_for(&server, "count(*)", |count| count >= 2).await;

    put(&server, "pw", "wr0ng-Xw7");
    let health = rejected(&server).await;
    assert_eq!((&health["status"], &health["generation"]), (&json!("degraded"), &json!(1)));
    assert_eq!(health["stores"]["main"], "up");
    let finding = health["findings"].as_array().unwrap().iter().find(|f| f["code"] == "config_rejected").unwrap();
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.contains("stores.main: the changed store does not answer: refused: password authentication failed"),
        "{message}"
    );
    create(&server, "written over the old connections").await;
    assert!(!health.to_string().contains("wr0ng-Xw7") && !server.log().contains("wr0ng-Xw7"));

    // The order in which most people rotate: first the file, then the server. The next wish for a reload takes it.
    postgres.sql("alter role app password 'wr0ng-Xw7'").unwrap();
    let outcome = server.operator().post("/api/admin/config/reload", Value::Null).await.ok();
    assert_eq!((&outcome["outcome"], &outcome["generation"]), (&json!("applied"), &json!(2)), "{outcome}");
    server.wait_for_health(|health| health["status"] == "ok").await;
    verifying.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_says_itself_whether_it_may_change_while_it_cannot_be_reached() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let redis = Redis::start().unwrap();
    let base = |url: &str, policy: &str| {
        format!("[stores.cache]\nkind = 'redis'\nurl = '{url}'\nrequired = false\non_unreachable = '{policy}'\n")
    };
    let nowhere = format!("redis://{closed}");
    let server = monolith(&base(redis.url(), "reject")).ready().await;
    server.wait_for_health(|health| health["stores"]["cache"] == "up").await;
    server.write_base(&base(&nowhere, "reject"));
    let health = rejected(&server).await;
    assert_eq!((&health["generation"], &health["stores"]["cache"]), (&json!(1), &json!("up")));
    server.write_base(&base(&nowhere, "degraded"));
    generation(&server, 2).await;
    server.wait_for_health(|health| health["stores"]["cache"] == "down" && health["status"] == "degraded").await;
    server.write_base(&base(redis.url(), "reject"));
    generation(&server, 3).await;
    server.wait_for_health(|health| health["stores"]["cache"] == "up" && health["status"] == "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_redis_password_rebuilds_that_store_alone() {
    let redis = Redis::start_with_password("first").unwrap();
    let postgres = Postgres::start_with_password_role("app", "first").unwrap();
    let cache = format!(
        "[stores.cache]\nkind = 'redis'\nurl = 'redis://:${{secrets.cache_pw}}@127.0.0.1:{}'\n\
         [secrets.cache_pw]\nfile = 'secrets/cache_pw'\n",
        redis.port()
    );
    let server = with_postgres(&postgres, &cache).file("secrets/cache_pw", "first").ready().await;
    let up = |health: &Value| health["stores"]["cache"] == "up" && health["status"] == "ok";
    server.wait_for_health(up).await;
    put(&server, "cache_pw", "second");
    assert_eq!(rejected(&server).await["stores"]["cache"], "up");
    let client = redis::Client::open(redis.url()).unwrap();
    let mut admin = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "second"]).exec_async(&mut admin).await.unwrap();
    put(&server, "cache_pw", "first");
    server.wait_for_health(|health| health["config"]["last_reload"]["outcome"] == "unchanged").await;
    put(&server, "cache_pw", "second");
    generation(&server, 2).await;
    server.wait_for_health(up).await;
    assert!(
        server.log().contains("settings applied: generation 2, stores.cache (rebuild) generation=2"),
        "{}",
        server.log()
    );
}

/// Everything that means something in a URL, in a shell or in a format string, and more than ASCII.
const AWKWARD: &str = "p@ss:w/o?r#d% []+&=;\"'\\${x}%41ü漢";

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_any_characters_logs_in() {
    let postgres = Postgres::start_with_password_role("app", AWKWARD).unwrap();
    let redis = Redis::start_with_password(AWKWARD).unwrap();
    let cache =
        format!("[stores.cache]\nkind = 'redis'\nurl = 'redis://:${{secrets.pw}}@127.0.0.1:{}'\n", redis.port());
    let server = with_postgres(&postgres, &cache).file("secrets/pw", &format!("{AWKWARD}\n")).ready().await;
    let up = |health: &Value| health["stores"]["main"] == "up" && health["stores"]["cache"] == "up";
    server.wait_for_health(up).await;
    create(&server, "kept").await;
}
