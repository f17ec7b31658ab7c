//! Scheduled work on the running program: due by the clock, by hand, recorded, bounded, once.
//! The ledger's own rules are tested beside `work`.

use crate::harness::{TestMonolith, monolith};
use serde_json::{Value, json};

const SQLITE: &str = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:ledger.db\"\n[scheduler]\nstore = \"main\"\n";

fn base(worker: &str) -> String {
    format!("{SQLITE}[workers.it]\nevery = \"1s\"\ntimeout = \"500ms\"\n{worker}")
}

/// The first run that is as wanted.
async fn run_of(server: &TestMonolith, wanted: impl Fn(&Value) -> bool) -> Value {
    let runs = |answer: &crate::harness::Answer| answer.json()["items"].as_array().cloned().unwrap_or_default();
    let found = |answer: &crate::harness::Answer| runs(answer).iter().any(&wanted);
    let answer = server.viewer().wait_for("/api/admin/workers/it/runs", found).await;
    runs(&answer).into_iter().find(|run| wanted(run)).unwrap()
}

#[tokio::test]
async fn a_statement_runs_each_second_and_what_it_found_is_kept() {
    let run = "run = { kind = \"sql\", store = \"main\", statement = \"select 'alive' as status, :worker as who\" }\n";
    let server = monolith(&base(run)).ready().await;
    let ran = run_of(&server, |run| run["state"] == "succeeded" && run["kind"] == "tick").await;
    assert_eq!(ran["tick_at"], ran["due_at"]);
    let shown = server.viewer().get(&format!("/api/admin/runs/{}", ran["id"].as_str().unwrap())).await.ok();
    assert_eq!(shown["attempts"][0]["outcome"], "succeeded");
    let output = server.viewer().get(&format!("/api/admin/runs/{}/output", ran["id"].as_str().unwrap())).await.ok();
    assert!(
        shown["result"].to_string().contains("alive") || output["data"].to_string().contains("alive"),
        "{shown} {output}"
    );
    let worker = server.viewer().get("/api/admin/workers/it").await.ok();
    assert_eq!(worker["next"].as_array().unwrap().len(), 5, "{worker}");
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_its_children_and_one_that_fails_says_so() {
    let hangs = "run = { kind = \"command\", argv = [\"sh\", \"-c\", \"echo begun; sleep 600 & sleep 600\"] }\n";
    let server = monolith(&base(hangs)).ready().await;
    let run = run_of(&server, |run| run["state"] == "timed_out").await;
    let output = server.viewer().get(&format!("/api/admin/runs/{}/output", run["id"].as_str().unwrap())).await.ok();
    assert!(output["data"].as_str().unwrap().contains("begun"), "{output}");
    server.write_base(&base("run = { kind = \"command\", argv = [\"sh\", \"-c\", \"exit 7\"] }\n"));
    let run = run_of(&server, |run| run["state"] == "failed").await;
    assert_eq!(run["exit_code"], 7, "{run}");
    let health = server.wait_for_health(|health| health["workers"]["failing"] == 1).await;
    assert_eq!(health["workers"]["total"], 1);
}

#[tokio::test]
async fn a_run_can_be_asked_for_by_hand() {
    let run = "enabled = true\nrun = { kind = \"sql\", store = \"main\", statement = \"select 1\" }\n";
    let server = monolith(&base(run).replace("every = \"1s\"", "schedule = \"0 0 1 1 *\"")).ready().await;
    // A replica is ready before its ledger is: the answer until then is 503.
    server.viewer().wait_for("/api/admin/workers", |answer| answer.status == 200).await;
    let asked = server.operator().post("/api/admin/workers/it/run", json!({})).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let id = asked.json()["run_id"].clone();
    let run = run_of(&server, |run| run["state"] == "succeeded").await;
    assert_eq!((&run["id"], &run["kind"], &run["tick_at"]), (&id, &json!("manual"), &Value::Null));
    assert_eq!(run["requested_by"], "test-operator");
    server.operator().post("/api/admin/workers/nothing/run", json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_command_sees_its_own_variables_and_nothing_else() {
    let script = "env; test \\\"$TOKEN\\\" = for-the-child";
    let run = format!(
        "run = {{ kind = \"command\", argv = [\"sh\", \"-c\", \"{script}\"], env = {{ TOKEN = \"${{secrets.t}}\" }} }}\n"
    );
    let run = run + "[secrets]\nt = { literal = \"for-the-child\" }\n";
    let server = monolith(&base(&run)).env("UNRELATED", "stays-outside").ready().await;
    let ran = run_of(&server, |run| run["state"] == "succeeded").await;
    let output = server.viewer().get(&format!("/api/admin/runs/{}/output", ran["id"].as_str().unwrap())).await.ok();
    let text = output["data"].as_str().unwrap();
    assert!(text.contains("TOKEN=[redacted]") && text.contains("MONOLITH_RUN_WORKER=it"), "{text}");
    assert!(!text.contains("UNRELATED") && !text.contains("JWT_SECRET"), "{text}");
}

#[tokio::test]
async fn a_ledger_that_waits_for_an_operator_says_so_and_is_no_fault() {
    let run = "run = { kind = \"sql\", store = \"main\", statement = \"select 1\" }\n";
    let server = monolith(&base(run).replace("url =", "migrate = \"manual\"\nurl =")).ready().await;
    let waiting = server.viewer().get("/api/admin/workers").await;
    waiting.refused(503, "schema_behind");
    assert!(server.run(&["migrate"]).status.success());
    server.viewer().wait_for("/api/admin/workers", |answer| answer.status == 200).await;
    run_of(&server, |run| run["state"] == "succeeded").await;
}
