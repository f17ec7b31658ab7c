//! What a run writes can be read while it goes on, from any replica, and is told to whoever listens.
//! How secrets are masked and characters kept whole is tested beside `work::action::output`.

use crate::events::Listener;
use crate::harness::{PATIENCE, TestMonolith, monolith};
use crate::runs::{ask, base, output, run, run_that, start};
use serde_json::Value;
use std::fs;

/// Writes `one`, waits for a file, writes `two`.
const TWO_STEPS: &str = "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two >&2";

fn writes(script: &str) -> String {
    base(&format!("run = {{ kind = \"command\", argv = [\"sh\", \"-c\", \"{script}\"] }}"))
}

/// Reads on from an offset until there is something.
async fn read_on(server: &TestMonolith, id: &str, after: u64) -> Value {
    let path = format!("/api/admin/runs/{id}/output?after={after}");
    server.viewer().wait_for(&path, |answer| answer.status == 200 && answer.json()["data"] != "").await.json()
}

#[tokio::test]
async fn output_is_read_and_heard_while_the_run_goes_on_also_on_another_replica() {
    let text = writes(TWO_STEPS);
    let server = start(&text).await;
    let shared = text.replace("sqlite:ledger.db", &format!("sqlite:{}/ledger.db", server.folder().display()));
    let other = monolith(&shared).arg("--no-workers").ready().await;
    let mut listener = Listener::begin(&server, None).await;
    let id = ask(&server).await;
    for replica in [&server, &other] {
        let first = read_on(replica, &id, 0).await;
        assert_eq!((&first["data"], &first["next"], &first["done"]), (&"one\n".into(), &4.into(), &false.into()));
    }
    let told = listener.hear("run.output").await.data;
    assert_eq!((told["subject"].as_str(), &told["data"]["worker"]), (Some(id.as_str()), &"it".into()));
    assert_eq!(
        (&told["data"]["data"], &told["data"]["after"], &told["data"]["next"]),
        (&"one\n".into(), &0.into(), &4.into())
    );
    fs::write(server.folder().join("go"), "").unwrap();
    let told = listener.hear("run.output").await.data;
    assert_eq!((&told["data"]["data"], &told["data"]["after"]), (&"two\n".into(), &4.into()));
    listener.hear("run.finished").await;
    run_that(&server, &id, |run| run["state"] == "succeeded").await;
    let rest = output(&other, &id, 4).await;
    assert_eq!((&rest["data"], &rest["next"], &rest["done"]), (&"two\n".into(), &8.into(), &true.into()));
}

#[tokio::test]
async fn a_retry_goes_on_in_the_output_of_its_run() {
    let script = "echo try $MONOLITH_RUN_ATTEMPT; test $MONOLITH_RUN_ATTEMPT = 2";
    let server = start(&writes(script).replace("run =", "retry = { attempts = 2, initial = \"100ms\" }\nrun =")).await;
    let run = run(&server).await;
    assert_eq!(run["state"], "succeeded");
    let output = output(&server, run["id"].as_str().unwrap(), 0).await;
    assert_eq!(output["data"], "try 1\n--- attempt 2 ---\ntry 2\n");
    let beyond = format!("/api/admin/runs/{}/output?after={}", run["id"].as_str().unwrap(), u64::MAX);
    server.viewer().get(&beyond).await.refused(422, "invalid");
}

#[tokio::test]
async fn what_a_command_wrote_before_it_was_killed_is_kept() {
    let server = start(&writes("echo begun; exec sleep 600").replace("run =", "timeout = \"300ms\"\nrun =")).await;
    let run = run(&server).await;
    assert_eq!(run["state"], "timed_out");
    assert_eq!(output(&server, run["id"].as_str().unwrap(), 0).await["data"], "begun\n");
}

#[tokio::test]
async fn a_flood_is_told_in_bounded_pieces() {
    let server = start(&writes("yes 0123456789 | head -c 3000000; sleep 2; echo the end")).await;
    let mut listener = Listener::begin(&server, None).await;
    let id = ask(&server).await;
    let mut next = 0;
    while next < 3_000_008 {
        let told = listener.hear("run.output").await.data;
        assert!(told["data"]["data"].as_str().unwrap().len() <= 4_096);
        next = told["data"]["next"].as_u64().unwrap();
    }
    let waited =
        tokio::time::timeout(PATIENCE, run_that(&server, &id, |run| run["state"] == "succeeded")).await.unwrap();
    assert_eq!((&waited["output_bytes"], &waited["output_truncated"]), (&3_000_008.into(), &true.into()));
}
