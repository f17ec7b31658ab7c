//! A program of somebody's own around Monolith: `examples/embedded.rs`, run as its author would run it.
//! Cargo builds examples with the tests, beside the binary.

use crate::harness::{TestMonolith, monolith, stderr};
use crate::runs::{cancel, output, run_that};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_monolith")).with_file_name("examples").join("embedded");
    assert!(path.exists(), "{} is not there: cargo build --example embedded", path.display());
    path
}

async fn embedded() -> TestMonolith {
    let text = include_str!("../../examples/embedded.toml");
    let server = monolith(text).program(&program()).ready().await;
    server.viewer().wait_for("/api/admin/workers", |answer| answer.status == 200).await;
    server
}

async fn ask(server: &TestMonolith, worker: &str) -> String {
    let asked = server.operator().post(&format!("/api/admin/workers/{worker}/run"), json!({})).await;
    asked.ok()["run_id"].as_str().unwrap().to_owned()
}

async fn run(server: &TestMonolith, worker: &str) -> Value {
    let id = ask(server, worker).await;
    run_that(server, &id, |run| !run["finished_at"].is_null()).await
}

#[tokio::test]
async fn a_handler_does_its_work_on_a_declared_store_and_its_lines_are_the_output_of_the_run() {
    let server = embedded().await;
    let run = run(&server, "count").await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let written = output(&server, run["id"].as_str().unwrap(), 0).await;
    assert_eq!(written["data"], "attempt 1 of count: 1 counted\n");
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_run_and_nothing_else() {
    let server = embedded().await;
    let failed = run(&server, "stumble").await;
    assert_eq!(
        (&failed["state"], &failed["error"]),
        (&"failed".into(), &"the handler panicked: this handler always stumbles".into())
    );
    assert_eq!(run(&server, "count").await["state"], "succeeded");
}

#[tokio::test]
async fn a_handler_is_told_to_stop_at_its_time_out_and_when_somebody_cancels() {
    let server = embedded().await;
    let ended = run(&server, "wait").await;
    assert_eq!(ended["state"], "timed_out");
    assert_eq!(output(&server, ended["id"].as_str().unwrap(), 0).await["data"], "waiting\ntold to stop\n");
    let id = ask(&server, "wait").await;
    run_that(&server, &id, |run| run["state"] == "running").await;
    assert_eq!(cancel(&server, &id).await["state"], "cancelled");
}

#[tokio::test]
async fn a_route_knows_its_caller_and_is_counted_bounded_and_answered_as_every_route() {
    let server = embedded().await;
    server.anyone().get("/visits/home").await.refused(401, "unauthorized");
    let answer = server.viewer().get("/visits/home").await;
    assert_eq!((&answer.ok()["page"], &answer.ok()["asked_by"]), (&"home".into(), &"test-viewer".into()));
    assert!(answer.headers.contains_key("x-request-id") && answer.headers.contains_key("x-monolith-replica"));
    let metrics = server.viewer().get("/metrics").await.text;
    for status in ["200", "401"] {
        let line = format!("http_requests_total{{method=\"GET\",route=\"/visits/:page\",status=\"{status}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    server.viewer().get("/nowhere").await.refused(404, "not_found");
    server.viewer().post("/visits/home", json!({})).await.refused(405, "method_not_allowed");
    assert_eq!(server.anyone().get("/health/live").await.status, 200, "its own routes are all there");
}

#[tokio::test]
async fn a_handler_that_nobody_registered_is_told_before_anything_starts() {
    let text = "[workers.it]\nevery = \"5m\"\nrun = { kind = \"handler\", name = \"count_visit\" }\n";
    let checked = monolith(text).program(&program()).run(&["check"]);
    assert_eq!(checked.status.code(), Some(3));
    let told = stderr(&checked);
    assert!(
        told.contains("no handler `count_visit` is registered") && told.contains("did you mean `count_visits`?"),
        "{told}"
    );
}
