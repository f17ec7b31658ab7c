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

/// A store as a table of the file, and what keeps it alive.
enum Ledger {
    Sqlite(tempfile::TempDir),
    Postgres(Box<xtask::servers::Postgres>),
}

impl Ledger {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(Box::new(xtask::servers::Postgres::start().unwrap()))
    }

    /// A file with the ledger in this store and one worker.
    fn with(&self, worker: &str) -> String {
        let store = match self {
            Self::Sqlite(folder) => {
                format!("kind = \"sqlite\"\nurl = \"sqlite:{}\"", folder.path().join("ledger.db").display())
            }
            Self::Postgres(postgres) => format!("kind = \"postgres\"\nurl = \"{}\"", postgres.url()),
        };
        format!("[stores.main]\n{store}\n[scheduler]\nstore = \"main\"\n[workers.it]\n{worker}\n")
    }
}

const SELECT: &str = "timeout = \"900ms\"\nrun = { kind = \"sql\", store = \"main\", statement = \"select 1\" }";
const TICKS: &str = "/api/admin/workers/it/ticks?limit=500";

/// Starts it and waits until it runs its worker or leaves it to others.
async fn started(text: &str) -> TestMonolith {
    let server = monolith(text).ready().await;
    server.taken_over("it").await;
    server
}

/// How many ticks ended in some way for some reason.
fn ticks(answer: &crate::harness::Answer, outcome: &str, reason: Option<&str>) -> u64 {
    let items = answer.json()["items"].as_array().cloned().unwrap_or_default();
    let meant = items.iter().filter(|item| item["outcome"] == outcome && item["reason"].as_str() == reason);
    meant.map(|item| item["count"].as_u64().unwrap()).sum()
}

/// Every expected tick stands in exactly one item.
#[track_caller]
fn adds_up(answer: &Value) {
    let counted: u64 = answer["items"].as_array().unwrap().iter().map(|item| item["count"].as_u64().unwrap()).sum();
    assert_eq!(Some(counted), answer["expected"].as_u64(), "{answer}");
}

async fn a_pause_is_kept_and_accounted_for(ledger: &Ledger) {
    let server = started(&ledger.with(&format!("every = \"1s\"\n{SELECT}"))).await;
    run_of(&server, |run| run["state"] == "succeeded").await;
    let (pause, resume) = ("/api/admin/workers/it/pause", "/api/admin/workers/it/resume");
    let paused = server.operator().post(pause, json!({ "reason": "moving house", "until": null })).await.ok();
    assert_eq!((&paused["state"], &paused["next"]), (&json!("paused"), &json!([])), "{paused}");
    assert_eq!(
        (&paused["paused"]["by"], &paused["paused"]["reason"]),
        (&json!("test-operator"), &json!("moving house"))
    );
    server.viewer().wait_for(TICKS, |answer| ticks(answer, "pending", Some("paused")) >= 2).await;
    let resumed = server.operator().post(resume, json!({})).await.ok();
    assert_eq!((&resumed["paused"], resumed["next"].as_array().unwrap().len()), (&Value::Null, 5), "{resumed}");
    let ticks = server.viewer().wait_for(TICKS, |answer| ticks(answer, "skipped", Some("paused")) >= 2).await;
    adds_up(&ticks.json());

    server.viewer().post(pause, json!({ "reason": "x" })).await.refused(403, "forbidden");
    for reason in [" ".to_owned(), "over\nnight".into(), "\u{1b}[2Jgone".into(), "x".repeat(501)] {
        server.operator().post(pause, json!({ "reason": reason })).await.refused(422, "invalid");
    }
    let past = json!({ "reason": "x", "until": "2020-01-01T00:00:00Z" });
    server.operator().post(pause, past).await.refused(422, "invalid");
    server.operator().post("/api/admin/workers/nobody/pause", json!({ "reason": "x" })).await.refused(404, "not_found");
    server.operator().post("/api/admin/workers/nobody/resume", json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn on_sqlite_a_pause_is_kept_until_it_is_ended_and_what_it_left_out_is_accounted_for() {
    a_pause_is_kept_and_accounted_for(&Ledger::sqlite()).await;
}

#[tokio::test]
async fn on_postgres_a_pause_is_kept_until_it_is_ended_and_what_it_left_out_is_accounted_for() {
    a_pause_is_kept_and_accounted_for(&Ledger::postgres()).await;
}

async fn a_run_in_progress_is_cancelled(ledger: &Ledger) {
    let sleeps =
        "schedule = \"0 0 1 1 *\"\ntimeout = \"10m\"\nrun = { kind = \"command\", argv = [\"sleep\", \"600\"] }";
    let server = started(&ledger.with(sleeps)).await;
    let asked = server.operator().post("/api/admin/workers/it/run", json!({})).await.ok();
    let run = format!("/api/admin/runs/{}", asked["run_id"].as_str().unwrap());
    server.viewer().wait_for(&run, |answer| answer.json()["state"] == "running").await;
    server.viewer().post(&format!("{run}/cancel"), json!({})).await.refused(403, "forbidden");
    let accepted = server.operator().post(&format!("{run}/cancel"), json!({})).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let ended = server.viewer().wait_for(&run, |answer| answer.json()["state"] == "cancelled").await.json();
    assert!(ended["finished_at"].is_string() && ended["error"].to_string().contains("test-operator"), "{ended}");
    assert_eq!(server.operator().post(&format!("{run}/cancel"), json!({})).await.ok()["state"], "cancelled", "twice");
    server.operator().post("/api/admin/runs/nothing/cancel", json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn on_sqlite_a_run_in_progress_is_cancelled_and_says_by_whom() {
    a_run_in_progress_is_cancelled(&Ledger::sqlite()).await;
}

#[tokio::test]
async fn on_postgres_a_run_in_progress_is_cancelled_and_says_by_whom() {
    a_run_in_progress_is_cancelled(&Ledger::postgres()).await;
}

async fn the_past_is_backfilled_once(ledger: &Ledger) {
    let server = started(&ledger.with(&format!("schedule = \"0 0 * * *\"\n{SELECT}"))).await;
    let backfill = "/api/admin/workers/it/backfill";
    let week = |max: u32| json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-08T00:00:00Z", "max": max });
    let first = server.operator().post(backfill, week(3)).await;
    assert_eq!((first.status.as_u16(), &first.json()["runs"]), (202, &json!(3)), "{}", first.text);
    let time = format!("{TICKS}&from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00Z");
    server.viewer().wait_for(&time, |answer| ticks(answer, "ran", None) == 3).await;
    assert_eq!(server.operator().post(backfill, week(100)).await.ok()["runs"], 4, "those that ran do not run again");
    let ran = server.viewer().wait_for(&time, |answer| ticks(answer, "ran", None) == 7).await.json();
    adds_up(&ran);
    assert_eq!(server.operator().post(backfill, week(100)).await.ok()["runs"], 0);

    server.viewer().post(backfill, week(1)).await.refused(403, "forbidden");
    server.operator().post(backfill, week(0)).await.refused(422, "invalid");
    let backwards = json!({ "from": "2026-01-08T00:00:00Z", "to": "2026-01-01T00:00:00Z", "max": 1 });
    server.operator().post(backfill, backwards).await.refused(422, "invalid");
    let ages = format!("{TICKS}&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z");
    assert_eq!(server.viewer().get(&ages).await.status, 422, "so many ticks are not counted at once");
    server.viewer().get("/api/admin/workers/nobody/ticks").await.refused(404, "not_found");
}

#[tokio::test]
async fn on_sqlite_the_past_is_backfilled_once_and_its_ticks_add_up() {
    the_past_is_backfilled_once(&Ledger::sqlite()).await;
}

#[tokio::test]
async fn on_postgres_the_past_is_backfilled_once_and_its_ticks_add_up() {
    the_past_is_backfilled_once(&Ledger::postgres()).await;
}

async fn the_one_with_the_older_file_says_so(ledger: &Ledger) {
    let first = started(&ledger.with(&format!("every = \"1s\"\n{SELECT}"))).await;
    run_of(&first, |run| run["state"] == "succeeded").await;
    let second = started(&ledger.with(&format!("every = \"2s\"\n{SELECT}"))).await;
    let split = second.viewer().wait_for("/api/admin/workers/it", |a| a.json()["state"] == "config_split").await.json();
    assert_eq!((&split["next"], &split["every_ms"]), (&json!([]), &json!(2000)), "{split}");
    let first_sees = first.viewer().get("/api/admin/workers/it").await.ok();
    assert_ne!(first_sees["state"], "config_split", "the fleet stands for it: {first_sees}");
    // The edit reaches the first one, too: then both stand for the same.
    first.write_base(&ledger.with(&format!("every = \"2s\"\n{SELECT}")));
    second.viewer().wait_for("/api/admin/workers/it", |a| a.json()["state"] != "config_split").await;
}

#[tokio::test]
async fn on_sqlite_a_replica_whose_file_differs_leaves_the_worker_alone_and_says_config_split() {
    the_one_with_the_older_file_says_so(&Ledger::sqlite()).await;
}

#[tokio::test]
async fn on_postgres_a_replica_whose_file_differs_leaves_the_worker_alone_and_says_config_split() {
    the_one_with_the_older_file_says_so(&Ledger::postgres()).await;
}

#[tokio::test]
async fn a_worker_whose_runs_outlast_its_interval_is_told_of() {
    let slow = "every = \"1s\"\ntimeout = \"5s\"\nrun = { kind = \"command\", argv = [\"sleep\", \"1.2\"] }";
    let server = started(&Ledger::sqlite().with(slow)).await;
    let told = |answer: &crate::harness::Answer| answer.text.contains("worker_outlasts_interval");
    let health = server.viewer().wait_for("/health", told).await.json();
    let finding = health["findings"].as_array().unwrap().iter().find(|f| f["code"] == "worker_outlasts_interval");
    assert_eq!(finding.unwrap()["subject"], "workers.it", "{health}");
    let worker = server.viewer().get("/api/admin/workers/it").await.ok();
    assert_eq!(worker["outlasts"]["interval_ms"], 1000, "{worker}");
    assert!(worker["outlasts"]["took_ms"].as_u64().unwrap() >= 1200, "{worker}");
}
