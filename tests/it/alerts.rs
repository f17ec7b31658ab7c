//! Trouble reaches whoever is on call: signed, once for the fleet, again when it was not taken, and once more when it is over.
//! The receiver is a real HTTP server of the test's own.

use crate::harness::{Builder, TestMonolith, monolith};
use crate::receiver::{Receiver, Reply};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use xtask::servers::{Postgres, Redis};

/// A receiver that treats its first messages as it is told, and takes all others.
async fn willing(first: impl Into<VecDeque<Reply>>) -> Receiver {
    let first = Mutex::new(first.into());
    Receiver::start(move |_| first.lock().unwrap().pop_front().unwrap_or_else(|| Reply::new(200, ""))).await
}

/// A receiver that takes nothing.
async fn unwilling() -> Receiver {
    Receiver::start(|_| Reply::new(503, "")).await
}

/// The messages, oldest first, once there are so many.
async fn messages(receiver: &Receiver, count: usize) -> Vec<Value> {
    receiver.hear(count).await.iter().map(|heard| serde_json::from_str(&heard.body).unwrap()).collect()
}

const LEDGER: &str = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:it.db\"\n[scheduler]\nstore = \"main\"\n";

/// A receiver as the file declares it; address, header and signature hold a secret each.
fn alert(name: &str, receiver: &Receiver, on: &str) -> String {
    format!(
        "[alerts.{name}]\non = {on}\nwebhook = {{ url = \"{}/${{secrets.path}}\", \
         headers = {{ authorization = \"Bearer ${{secrets.pager}}\" }}, signing_secret = \"hook\" }}\n",
        receiver.url()
    )
}

const SECRETS: &str =
    "[secrets]\npath = { env = \"HOOK_PATH\" }\npager = { env = \"PAGER\" }\nhook = { env = \"HOOK\" }\n";

fn server(text: &str) -> Builder {
    let secrets = [("HOOK_PATH", "hunter2-path"), ("PAGER", "hunter2-pager"), ("HOOK", "hunter2-hook")];
    secrets.iter().fold(monolith(&format!("{text}{SECRETS}")), |server, (name, value)| server.env(name, value))
}

fn worker(script: &str, more: &str) -> String {
    format!(
        "[workers.it]\nevery = \"1s\"\ntimeout = \"900ms\"\n{more}\n\
         run = {{ kind = \"command\", argv = [\"sh\", \"-c\", \"{script}\"] }}\n"
    )
}

fn states(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["state"].as_str().unwrap()).collect()
}

async fn sees_it_down(server: &TestMonolith, store: &str) {
    server.wait_for_health(|health| health["stores"][store] == "down").await;
}

#[tokio::test]
async fn a_store_that_two_replicas_see_down_wakes_somebody_once_and_tells_when_it_is_back() {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    let receiver = willing([]).await;
    let text = format!(
        "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\n[scheduler]\nstore = \"main\"\n\
         [stores.cache]\nkind = \"redis\"\nurl = \"{}\"\nprobe = {{ every = \"300ms\", timeout = \"200ms\", down_after = 2 }}\n{}",
        postgres.url(),
        redis.url(),
        alert("oncall", &receiver, "[\"store\"]")
    );
    let replicas = [server(&text).ready().await, server(&text).ready().await];
    redis.kill().unwrap();
    for replica in &replicas {
        sees_it_down(replica, "cache").await;
    }
    receiver.hear(1).await;
    redis.restart().unwrap();
    let told = messages(&receiver, 2).await;
    assert_eq!(states(&told), ["firing", "resolved"], "{told:#?}");

    let firing = &told[0];
    assert_eq!(
        (&firing["what"], &firing["subject"], &firing["severity"], &firing["alert"]),
        (&json!("store_down"), &json!("stores.cache"), &json!("error"), &json!("oncall"))
    );
    assert!(firing["message"].as_str().unwrap().starts_with("cache is down: "), "{firing}");
    assert_eq!((&firing["resolved_at"], &firing["dedup_id"]), (&Value::Null, &told[1]["dedup_id"]));
    assert!(told[1]["resolved_at"].as_str() > firing["since"].as_str(), "{told:#?}");
    let names = [replicas[0].anyone(), replicas[1].anyone()];
    let mut known = Vec::new();
    for name in &names {
        known.push(name.get("/health").await.json()["replica"].clone());
    }
    assert!(known.contains(&firing["replica"]), "{firing} {known:?}");

    for heard in receiver.heard() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"hunter2-hook").unwrap();
        mac.update(heard.body.as_bytes());
        let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(heard.headers["x-monolith-signature"], signature);
        assert_eq!(heard.headers["authorization"], "Bearer hunter2-pager");
        assert_eq!(heard.headers["content-type"], "application/json");
        assert_eq!((heard.method.as_str(), heard.path.as_str()), ("POST", "/hunter2-path"));
    }
}

#[tokio::test]
async fn a_receiver_that_stumbles_is_told_again_until_it_takes_the_message_and_no_secret_is_logged() {
    let receiver = willing([Reply::new(500, ""), Reply::redirect(302, "/elsewhere".into())]).await;
    let text = format!("{LEDGER}{}", alert("oncall", &receiver, "[\"config\"]"));
    let server = server(&text).ready().await;
    server.write_base("[server]\nbnid = 1\n");
    let told = messages(&receiver, 3).await;
    assert!(told.iter().all(|message| message["dedup_id"] == told[0]["dedup_id"]), "{told:#?}");
    assert_eq!((&told[2]["what"], &told[2]["state"]), (&json!("config_rejected"), &json!("firing")));
    assert!(told[2]["message"].as_str().unwrap().contains("server.bnid"), "{told:#?}");
    let counted = "monolith_alerts_total{alert=\"oncall\",outcome=\"told\"} 1";
    let metrics = server.wait_for("/metrics", |answer| answer.text.contains(counted)).await.text;
    assert!(metrics.contains("monolith_alerts_total{alert=\"oncall\",outcome=\"failed\"} 2"), "{metrics}");
    let log = server.log();
    assert!(log.contains("it answered 500") && log.contains("it answered 302"), "{log}");
    assert!(!log.contains("hunter2") && !metrics.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_ten_seconds_and_holds_up_no_other() {
    let (hangs, takes) = (willing([Reply::Nothing]).await, willing([]).await);
    let both = alert("hangs", &hangs, "[\"config\"]") + &alert("takes", &takes, "[\"config\"]");
    let server = server(&format!("{LEDGER}{both}")).ready().await;
    server.write_base("[server]\nbnid = 1\n");
    hangs.hear(1).await;
    let began = Instant::now();
    takes.hear(1).await;
    assert_eq!(hangs.heard().len(), 1, "it hangs still");
    hangs.hear(2).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(server.log().contains("did not answer within 10s"), "{}", server.log());
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_shown_in_health() {
    let receiver = unwilling().await;
    let text = format!("{LEDGER}{}", alert("oncall", &receiver, "[\"config\"]"));
    let server = server(&text).ready().await;
    let viewer = server.viewer();
    server.write_base("[server]\nbnid = 1\n");
    let found = |answer: &crate::harness::Answer| answer.text.contains("alert_undelivered");
    let health = viewer.wait_for("/health", found).await.json();
    let finding = health["findings"].as_array().unwrap().iter().find(|f| f["code"] == "alert_undelivered").unwrap();
    assert_eq!((&finding["subject"], &finding["severity"]), (&json!("alerts.oncall"), &json!("warning")));
    assert!(finding["message"].as_str().unwrap().contains("answered 503"), "{finding}");
    assert!(!health.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_worker_that_fails_again_and_again_is_told_of_and_so_is_its_recovery() {
    let receiver = willing([]).await;
    let alert = alert("oncall", &receiver, "[]");
    let mine = "alert = { to = \"oncall\", after_failures = 2 }";
    // The alert comes by a reload, as does the end of the trouble.
    let server = server(&format!("{LEDGER}{}", worker("exit 7", ""))).ready().await;
    server.wait_for_health(|health| health["workers"]["failing"] == 1).await;
    server.write_base(&format!("{LEDGER}{}{alert}{SECRETS}", worker("exit 7", mine)));
    let told = messages(&receiver, 1).await;
    assert_eq!((&told[0]["what"], &told[0]["subject"]), (&json!("worker_failing"), &json!("workers.it")));
    assert!(told[0]["message"].as_str().unwrap().contains("times in a row"), "{told:#?}");
    server.write_base(&format!("{LEDGER}{}{alert}{SECRETS}", worker("true", mine)));
    assert_eq!(states(&messages(&receiver, 2).await), ["firing", "resolved"]);
}

#[tokio::test]
async fn a_worker_whose_runs_never_end_well_in_time_is_overdue() {
    let receiver = willing([]).await;
    let mine = "alert = { to = \"oncall\", after_failures = 1000, overdue_after = \"2s\" }";
    let text = format!("{LEDGER}{}{}", worker("sleep 60", mine), alert("oncall", &receiver, "[]"));
    let _server = server(&text).ready().await;
    let told = messages(&receiver, 1).await;
    assert_eq!((&told[0]["what"], &told[0]["severity"]), (&json!("worker_overdue"), &json!("warning")), "{told:#?}");
}

#[tokio::test]
async fn what_was_noticed_before_a_crash_is_told_after_it() {
    let receiver = unwilling().await;
    let text = format!("{LEDGER}{}", alert("oncall", &receiver, "[\"config\"]"));
    let before = server(&text).ready().await;
    before.write_base("[server]\nbnid = 1\n");
    let told_before = messages(&receiver, 1).await;
    let builder = before.crash();
    let fine = willing([]).await;
    let text = format!("{LEDGER}{}{SECRETS}", alert("oncall", &fine, "[\"config\"]"));
    let _after = builder.file("monolith.toml", &text).ready().await;
    let told = messages(&fine, 2).await;
    assert_eq!(states(&told), ["firing", "resolved"], "{told:#?}");
    assert_eq!(told[0]["dedup_id"], told_before[0]["dedup_id"]);
}

#[tokio::test]
async fn the_loss_of_the_ledger_itself_is_told_without_it() {
    let postgres = Postgres::start().unwrap();
    let receiver = willing([]).await;
    let text = format!(
        "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\nprobe = {{ every = \"300ms\", timeout = \"200ms\", down_after = 2 }}\n\
         [scheduler]\nstore = \"main\"\n{}",
        postgres.url(),
        alert("oncall", &receiver, "[\"store\"]")
    );
    let server = server(&text).ready().await;
    postgres.kill().unwrap();
    sees_it_down(&server, "main").await;
    let told = messages(&receiver, 1).await;
    assert_eq!((&told[0]["what"], &told[0]["subject"]), (&json!("store_down"), &json!("stores.main")));
    postgres.restart().unwrap();
    assert_eq!(states(&messages(&receiver, 2).await), ["firing", "resolved"]);
}
