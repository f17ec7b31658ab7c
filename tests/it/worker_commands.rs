//! `monolith workers` against a running server: what operators type at night, with exit codes that scripts can use.
//! What the routes do is tested in `workers`.

use crate::harness::{TestMonolith, monolith, stderr, stdout};
use std::process::Output;

/// A worker that talks and then ends as its script says.
async fn server_with(script: &str) -> TestMonolith {
    let server = monolith(&format!(
        "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:it.db\"\n[scheduler]\nstore = \"main\"\n\
         [workers.it]\nschedule = \"0 0 1 1 *\"\nrun = {{ kind = \"command\", argv = [\"sh\", \"-c\", \"{script}\"] }}\n"
    ));
    let server = server.ready().await;
    server.taken_over("it").await;
    server
}

/// A command with a token of a role, to its end; the test's own tasks go on meanwhile.
fn run(server: &TestMonolith, role: &str, args: &[&str]) -> Output {
    let mut command = server.command(&[&["workers"], args, &["--server", server.url()]].concat());
    command.env("MONOLITH_TOKEN", server.token(role)).output().unwrap()
}

#[tokio::test]
async fn a_run_is_followed_to_its_end_and_its_exit_code_tells_how_it_went() {
    let server = server_with("echo begun; exit 3").await;
    let output = run(&server, "operator", &["run", "it", "--wait"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), "begun\n"), "{output:?}");
    assert!(stderr(&output).contains("failed after"), "{}", stderr(&output));
    let json = run(&server, "operator", &["run", "it", "--wait", "--output", "json"]);
    let told: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!((told["exit_code"].as_i64(), json.status.code()), (Some(3), Some(1)));

    let fine = server_with("echo fine").await;
    let output = run(&fine, "operator", &["run", "it", "--wait"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "fine\n"), "{output:?}");
    let listed = stdout(&run(&fine, "viewer", &["runs", "it"]));
    assert!(listed.starts_with("RUN") && listed.contains("manual") && listed.contains("succeeded"), "{listed}");
}

#[tokio::test]
async fn a_run_that_takes_longer_than_somebody_waits_goes_on_and_can_be_cancelled() {
    let server = server_with("sleep 600").await;
    let output = run(&server, "operator", &["run", "it", "--wait", "--patience", "100ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("hint: the run goes on"), "{}", stderr(&output));
    let id = stderr(&output).split(' ').nth(1).unwrap().to_owned();
    let cancelled = run(&server, "operator", &["cancel", &id]);
    assert!(cancelled.status.success(), "{cancelled:?}");
    let path = format!("/api/admin/runs/{id}");
    server.viewer().wait_for(&path, |answer| answer.json()["state"] == "cancelled").await;
}

#[tokio::test]
async fn a_worker_is_paused_with_a_reason_that_everybody_reads_and_resumed() {
    let server = server_with("true").await;
    let paused = stdout(&run(&server, "operator", &["pause", "it", "--reason", "moving house", "--for", "2h"]));
    assert!(
        paused.starts_with("it is paused, paused by test-operator until 2") && paused.contains("moving house"),
        "{paused}"
    );
    let listed = stdout(&run(&server, "viewer", &["list"]));
    assert!(listed.starts_with("NAME") && listed.contains("moving house"), "{listed}");
    let resumed = stdout(&run(&server, "operator", &["resume", "it"]));
    assert!(resumed.starts_with("it is idle, next at "), "{resumed}");
}

#[tokio::test]
async fn ticks_are_accounted_for_and_what_was_never_run_is_backfilled() {
    let server = server_with("true").await;
    let time = ["--from", "2025-12-31", "--to", "2026-01-02"];
    let before = run(&server, "viewer", &[&["ticks", "it"], &time[..]].concat());
    assert!(stderr(&before).contains("ticks were expected"), "{before:?}");
    let queued = stdout(&run(&server, "operator", &[&["backfill", "it"], &time[..]].concat()));
    assert_eq!(queued, "1 runs queued\n");
    let ran = |answer: &crate::harness::Answer| answer.json()["items"][0]["state"] == "succeeded";
    server.viewer().wait_for("/api/admin/workers/it/runs", ran).await;
    let ticks = stdout(&run(&server, "viewer", &[&["ticks", "it"], &time[..]].concat()));
    assert!(ticks.contains("2026-01-01T00:00:00.000Z") && ticks.contains(" ran "), "{ticks}");
}

#[tokio::test]
async fn refusals_have_their_exit_codes() {
    let server = server_with("true").await;
    let code = |role: &str, args: &[&str]| run(&server, role, args).status.code();
    assert_eq!(code("viewer", &["run", "it"]), Some(1), "a viewer asks for nothing");
    assert_eq!(code("operator", &["run", "nobody"]), Some(1));
    assert_eq!(code("operator", &["pause", "it"]), Some(2), "a pause has a reason");
    assert_eq!(code("operator", &["run", "it", "--patience", "1m"]), Some(2), "patience is for waiting");
    let away = ["workers", "list", "--server", "http://127.0.0.1:1"];
    let output = server.command(&away).env("MONOLITH_TOKEN", server.token("viewer")).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let mut stranger = server.command(&["workers", "list", "--server", server.url()]);
    assert_eq!(stranger.env("MONOLITH_TOKEN", "not.a.token").output().unwrap().status.code(), Some(5));
}
