//! Workers that send a command to Redis, against a real server of the test's own.
//! Kinds of failure that the file can show are in the gallery, `tests/bad`.

use crate::harness::{PATIENCE, TestMonolith};
use crate::runs::{ask, base, cancel, everything_told, run, run_that, start};
use std::time::Duration;
use xtask::servers::Redis;

fn sends(redis: &Redis, command: &str) -> String {
    let store = format!("[stores.cache]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    base(&format!("run = {{ kind = \"redis\", store = \"cache\", command = {command} }}\n{store}"))
}

async fn against(redis: &Redis, command: &str) -> TestMonolith {
    start(&sends(redis, command)).await
}

async fn asked<T: redis::FromRedisValue>(redis: &Redis, command: &[&str]) -> T {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut wanted = redis::cmd(command[0]);
    for word in &command[1..] {
        wanted.arg(word);
    }
    wanted.query_async(&mut connection).await.unwrap()
}

/// Waits until the server has as many clients in a command as wanted.
async fn clients_in(redis: &Redis, command: &str, wanted: usize) {
    let waiting = async {
        let mut looks = tokio::time::interval(Duration::from_millis(25));
        loop {
            looks.tick().await;
            let clients: String = asked(redis, &["CLIENT", "LIST"]).await;
            if clients.lines().filter(|client| client.contains(&format!("cmd={command} "))).count() == wanted {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the clients of the server never became as wanted");
}

#[tokio::test]
async fn a_command_is_done_and_knows_which_run_it_is() {
    let redis = Redis::start().unwrap();
    let command =
        "[\"RPUSH\", \"last:${run.worker}\", \"${run.id}\", \"${run.attempt}\", \"[${run.tick_at}]\", \"$${run.id}\"]";
    let server = against(&redis, command).await;
    let run = run(&server).await;
    assert_eq!((&run["state"], &run["result"]), (&"succeeded".into(), &4.into()), "{run}");
    let kept: Vec<String> = asked(&redis, &["LRANGE", "last:it", "0", "-1"]).await;
    assert_eq!(kept, [run["id"].as_str().unwrap(), "1", "[]", "${run.id}"]);
}

#[tokio::test]
async fn a_refused_command_fails_with_the_words_of_the_server_and_a_retry_is_the_same_run() {
    let redis = Redis::start().unwrap();
    let script = "[\"EVAL\", \"redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.error_reply('WRONG day')\", \"1\", \"seen\", \"${run.id} ${run.attempt}\"]";
    let text = sends(&redis, script).replace("run =", "retry = { attempts = 2, initial = \"100ms\" }\nrun =");
    let failed = run(&start(&text).await).await;
    assert_eq!(failed["state"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("WRONG"), "{failed}");
    let id = failed["id"].as_str().unwrap();
    let seen: Vec<String> = asked(&redis, &["LRANGE", "seen", "0", "-1"]).await;
    assert_eq!(seen, [format!("{id} 1"), format!("{id} 2")]);
}

#[tokio::test]
async fn a_command_that_blocks_holds_up_nobody_and_ends_at_the_time_out() {
    let redis = Redis::start().unwrap();
    let text = sends(&redis, "[\"BLPOP\", \"nothing\", \"0\"]").replace("run =", "timeout = \"4s\"\nrun =");
    let server = start(&text).await;
    let id = ask(&server).await;
    clients_in(&redis, "blpop", 1).await;
    server.wait_for_health(|health| health["stores"]["cache"] == "up").await;
    let run = run_that(&server, &id, |run| !run["finished_at"].is_null()).await;
    assert_eq!((&run["state"], &run["error"]), (&"timed_out".into(), &"took longer than 4s".into()));
    clients_in(&redis, "blpop", 0).await;
}

#[tokio::test]
async fn a_cancelled_command_is_gone_from_the_server() {
    let redis = Redis::start().unwrap();
    let server = against(&redis, "[\"BLPOP\", \"nothing\", \"0\"]").await;
    let id = ask(&server).await;
    clients_in(&redis, "blpop", 1).await;
    let run = cancel(&server, &id).await;
    assert_eq!((&run["state"], &run["error"]), (&"cancelled".into(), &"cancelled by test-operator".into()));
    clients_in(&redis, "blpop", 0).await;
}

#[tokio::test]
async fn a_huge_answer_is_kept_by_its_first_bytes() {
    let redis = Redis::start().unwrap();
    let server = against(&redis, "[\"EVAL\", \"return string.rep('x', 3000000)\", \"0\"]").await;
    let run = run(&server).await;
    assert_eq!(run["state"], "succeeded");
    assert!(run["result"].as_str().unwrap().len() < 5_000, "{run}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_failure_without_its_password() {
    let redis = Redis::start_with_password("hunter2-of-redis").unwrap();
    let text = sends(&redis, "[\"PING\"]").replace("[stores.ledger]", "[telemetry]\nlog = \"trace\"\n[stores.ledger]");
    let server = start(&text).await;
    assert_eq!(run(&server).await["result"], "PONG");
    redis.kill().unwrap();
    let failed = run(&server).await;
    assert_eq!(failed["state"], "failed");
    assert!(failed["error"].as_str().unwrap().starts_with("cannot be reached: "), "{failed}");
    assert!(!everything_told(&server).await.contains("hunter2"));
}
