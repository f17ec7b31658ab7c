//! One rate limit for all replicas through a real Redis, and what is left of it when the Redis is not there.
//! How a limit counts in one process is tested beside `keys`.

use crate::harness::{Builder, TestMonolith, monolith};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use xtask::servers::{Postgres, Redis};

fn base(postgres: &Postgres, redis: &Redis) -> Builder {
    monolith(&format!(
        "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\n[stores.cache]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:{}\"\n\
         [keys]\nstore = \"main\"\nrate_limit_store = \"cache\"\n",
        postgres.url(),
        redis.port()
    ))
}

async fn key(server: &TestMonolith, rate: &str) -> String {
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "x", "rate_limit": rate})).await.ok();
    issued["key"].as_str().unwrap().to_owned()
}

async fn verdict(server: &TestMonolith, key: &str) -> Value {
    server.anyone().post("/api/keys/verify", json!({ "key": key })).await.ok()
}

/// How many of so many uses, one after another at each replica, are allowed.
async fn allowed(servers: &[&TestMonolith], key: &str, uses: usize) -> usize {
    let mut allowed = 0;
    for n in 0..uses {
        let verdict = verdict(servers[n % servers.len()], key).await;
        assert!(["valid", "rate_limited"].contains(&verdict["code"].as_str().unwrap()), "{verdict}");
        allowed += usize::from(verdict["valid"] == true);
    }
    allowed
}

async fn known_to(server: &TestMonolith, key: &str) {
    let kid = key.split('_').nth(2).unwrap().to_owned();
    server.viewer().wait_for(&format!("/api/admin/api-keys/{kid}"), |answer| answer.status == 200).await;
}

#[tokio::test]
async fn f91_two_replicas_keep_one_limit_and_its_edge() {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    let (one, two) = (base(&postgres, &redis).ready().await, base(&postgres, &redis).ready().await);
    let limited = key(&one, "10/d").await;
    known_to(&two, &limited).await;
    // A Redis that took longer than 25 ms on a busy machine leaves a replica its share, which is all of it where it does not know the
    // other yet, and it says so.
    let alone = || [&one, &two].iter().filter(|server| server.log().contains("each allows its share")).count();
    let passed = allowed(&[&one, &two], &limited, 40).await;
    assert!((10..=10 + 10 * alone()).contains(&passed), "{passed} with {} replicas that counted alone", alone());
    let refused = verdict(&two, &limited).await;
    assert_eq!((&refused["code"], &refused["rate_limit"]["remaining"]), (&json!("rate_limited"), &json!(0)));
    assert!(refused["rate_limit"]["limit"] == 10 || alone() > 0, "{refused}");
    assert!(refused["rate_limit"]["reset_ms"].as_u64().unwrap() > 80_000_000, "{refused}");

    // 98: one use is left, a hundred want it at once.
    let single = key(&one, "1/d").await;
    known_to(&two, &single).await;
    let askers = [one.anyone(), two.anyone()];
    let at_once = (0..100).map(|n| askers[n % 2].post("/api/keys/verify", json!({ "key": single })));
    let answers = futures_util::future::join_all(at_once).await;
    let allowed = answers.iter().filter(|answer| answer.ok()["valid"] == true).count();
    // A share is one use here.
    assert!((1..=1 + alone()).contains(&allowed), "{allowed} with {} replicas that counted alone", alone());

    // 46: a refusal for another reason is not counted.
    let scoped = key(&one, "1/d").await;
    for _ in 0..3 {
        let question = json!({"key": scoped, "scopes": ["other"]});
        assert_eq!(one.anyone().post("/api/keys/verify", question).await.ok()["code"], "scope_missing");
    }
    assert_eq!(verdict(&one, &scoped).await["valid"], true);
    let names = redis_keys(&redis).await;
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("monolith:rate:")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("mono_")), "a whole key is in Redis: {names:?}");
}

async fn redis_keys(redis: &Redis) -> Vec<String> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn f93_a_redis_that_is_paused_killed_or_new_costs_neither_a_refusal_nor_the_limit() {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    let server = base(&postgres, &redis).ready().await;
    let free = key(&server, "1000/s").await;
    assert_eq!(verdict(&server, &free).await["valid"], true);
    for what in ["paused", "killed"] {
        match what {
            "paused" => redis.pause().unwrap(),
            _ => redis.kill().unwrap(),
        }
        let limited = key(&server, "5/d").await;
        let began = Instant::now();
        assert_eq!(
            allowed(&[&server], &limited, 20).await,
            5,
            "{what}: this replica's share is all of it, and no more"
        );
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: nobody waits for it each time");
        match what {
            "paused" => redis.resume().unwrap(),
            _ => redis.restart().unwrap(),
        }
        // It counts again for all, as its own names show.
        let shared = key(&server, "3/d").await;
        let kid = shared.split('_').nth(2).unwrap().to_owned();
        let give_up = Instant::now() + crate::harness::PATIENCE;
        let mut looks = tokio::time::interval(Duration::from_millis(200));
        loop {
            looks.tick().await;
            let _used = verdict(&server, &shared).await;
            if redis_keys(&redis).await.iter().any(|name| name.ends_with(&kid)) {
                break;
            }
            assert!(Instant::now() < give_up, "{what}: the Redis never counted again");
        }
    }
    let log = server.log();
    assert!(log.contains("each allows its share") && log.contains("holds across replicas again"), "{log}");
    assert!(log.matches("each allows its share").count() <= 4, "it is told once, not with each use: {log}");
}

#[tokio::test]
async fn f93_replicas_that_lost_their_redis_allow_their_shares_and_together_the_limit() {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    let (one, two) = (base(&postgres, &redis).ready().await, base(&postgres, &redis).ready().await);
    redis.kill().unwrap();
    let give_up = Instant::now() + crate::harness::PATIENCE;
    loop {
        let limited = key(&one, "10/d").await;
        known_to(&two, &limited).await;
        let sum = allowed(&[&one, &two], &limited, 40).await;
        assert!((10..=20).contains(&sum), "{sum} uses of ten were allowed");
        // Until each has counted the other, its share is all of it.
        if sum == 10 {
            break;
        }
        assert!(Instant::now() < give_up, "together they allow {sum} uses of ten");
    }
}
