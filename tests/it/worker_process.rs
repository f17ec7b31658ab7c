//! `monolith worker` beside `monolith serve --no-workers`: one ledger, each process with its own part of the work.
//! What a run is and what becomes of it is tested in `workers`.

use crate::harness::{Builder, IN_MEMORY, TestMonolith, monolith, stderr};
use serde_json::{Value, json};

/// A worker that is never due by itself, on a ledger in this store.
fn base(store: &str) -> String {
    format!(
        "[server]\nadmin_bind = \"127.0.0.1:1\"\n[stores.main]\n{store}\n[scheduler]\nstore = \"main\"\nlease = \"1s\"\n\
         [workers.it]\nschedule = \"0 0 1 1 *\"\n\
         run = {{ kind = \"sql\", store = \"main\", statement = \"select 1\" }}\n"
    )
}

fn server_of(store: &str) -> Builder {
    monolith(&base(store).replace("admin_bind = \"127.0.0.1:1\"\n", "")).arg("--no-workers")
}

/// The run that the server was asked for, once somebody made it.
async fn run_now(server: &TestMonolith) -> Value {
    server.viewer().wait_for("/api/admin/workers", |answer| answer.status == 200).await;
    let asked = server.operator().post("/api/admin/workers/it/run", json!({})).await.ok();
    let run = format!("/api/admin/runs/{}", asked["run_id"].as_str().unwrap());
    server.viewer().wait_for(&run, |answer| answer.json()["state"] == "succeeded").await.json()
}

async fn replica(process: &TestMonolith) -> Value {
    process.anyone().get("/health").await.ok()["replica"].clone()
}

async fn does_what_the_server_was_asked_for(store: &str) {
    let server = server_of(store).ready().await;
    let worker = monolith(&base(store)).worker().ready().await;
    let first = run_now(&server).await;
    assert_eq!(first["replica"], replica(&worker).await, "the server runs nothing: {first}");

    drop(worker.crash());
    let another = monolith(&base(store)).worker().ready().await;
    let second = run_now(&server).await;
    assert_eq!(second["replica"], replica(&another).await, "another one took over: {second}");
    assert_eq!(another.terminate(), Some(0));
}

#[tokio::test]
async fn on_sqlite_a_worker_does_what_the_server_was_asked_for_and_another_takes_over_when_it_dies() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db");
    does_what_the_server_was_asked_for(&format!("kind = \"sqlite\"\nurl = \"sqlite:{}\"", file.display())).await;
}

#[tokio::test]
async fn on_postgres_a_worker_does_what_the_server_was_asked_for_and_another_takes_over_when_it_dies() {
    let postgres = xtask::servers::Postgres::start().unwrap();
    does_what_the_server_was_asked_for(&format!("kind = \"postgres\"\nurl = \"{}\"", postgres.url())).await;
}

#[tokio::test]
async fn a_worker_answers_for_itself_alone_wherever_its_servers_listen() {
    let worker = monolith(&base("kind = \"sqlite\"\nurl = \"sqlite:it.db\"")).worker().ready().await;
    let health = worker.viewer().get("/health").await.ok();
    assert_eq!((&health["role"], &health["status"]), (&json!("worker"), &json!("ok")), "{health}");
    assert_eq!(health["workers"]["total"], 1);
    let metrics = worker.anyone().get("/metrics").await.text;
    assert!(metrics.contains("monolith_runs_in_progress 0") && !metrics.contains("monolith_keys{"), "{metrics}");
    for elsewhere in ["/api/admin/workers", "/api/admin/api-keys", "/docs", "/openapi.json"] {
        worker.admin().get(elsewhere).await.refused(404, "not_found");
    }
    worker.anyone().post("/api/keys/verify", json!({ "key": "k" })).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_worker_takes_an_edit_up_without_a_restart() {
    let text = base("kind = \"sqlite\"\nurl = \"sqlite:it.db\"");
    let worker = monolith(&text).worker().ready().await;
    worker.write_base(&text.replace("schedule = \"0 0 1 1 *\"", "every = \"1s\""));
    let ran = "monolith_worker_runs_total{outcome=\"succeeded\",worker=\"it\"}";
    worker.wait_for("/metrics", |answer| answer.text.contains(ran)).await;
    let health = worker.wait_for_health(|health| health["generation"] == 2).await;
    assert_eq!(health["config"]["disk_matches_running"], true);
}

#[test]
fn a_worker_whose_ledger_nobody_else_could_see_does_not_start() {
    for (part, args) in [("worker", vec!["worker"]), ("serve", vec!["serve", "--no-workers"])] {
        let output = monolith(IN_MEMORY).env("MONOLITH_PROFILE", "dev").file("profiles/dev.toml", "").run(&args);
        assert_eq!(output.status.code(), Some(3), "{part}: {output:?}");
        let said = stderr(&output);
        assert!(said.contains("scheduler.store: is \"memory\"") && said.contains("hint: "), "{part}: {said}");
    }
}

#[test]
fn an_address_that_a_worker_cannot_have_is_named_by_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = monolith(&base("kind = \"sqlite\"\nurl = \"sqlite:it.db\"")).run(&["worker", "--bind", &address]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--bind") && said.contains("the port is in use"), "{said}");
}
