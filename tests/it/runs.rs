//! One worker, `it`, that is run by hand: what the tests of each kind of action share.
//! A run is asked for as an operator does, and waited for as anybody could.

use crate::harness::{Answer, TestMonolith, monolith};
use serde_json::{Value, json};

/// An embedded ledger, so that every record is what a user would find.
const LEDGER: &str =
    "[stores.ledger]\nkind = \"sqlite\"\nurl = \"sqlite:ledger.db\"\n[scheduler]\nstore = \"ledger\"\n";

/// A configuration with the worker `it`, which is due when no test runs any more; `rest` may hold other sections after it.
pub fn base(worker: &str) -> String {
    format!("{LEDGER}[workers.it]\nschedule = \"0 0 29 2 *\"\n{worker}\n")
}

/// Starts it and waits until runs can be asked for.
pub async fn start(text: &str) -> TestMonolith {
    let server = monolith(text).ready().await;
    // A replica is ready before its ledger is.
    server.viewer().wait_for("/api/admin/workers", |answer| answer.status == 200).await;
    server
}

/// Asks for a run of `it`; its id.
pub async fn ask(server: &TestMonolith) -> String {
    let asked = server.operator().post("/api/admin/workers/it/run", json!({})).await;
    asked.ok()["run_id"].as_str().unwrap().to_owned()
}

/// Waits until a run is as wanted.
pub async fn run_that(server: &TestMonolith, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = |answer: &Answer| answer.status == 200 && wanted(&answer.json());
    server.viewer().wait_for(&format!("/api/admin/runs/{id}"), found).await.json()
}

/// A run by hand, from its wish to its end.
pub async fn run(server: &TestMonolith) -> Value {
    let id = ask(server).await;
    run_that(server, &id, |run| !run["finished_at"].is_null()).await
}

/// Cancels a run and waits for its end.
pub async fn cancel(server: &TestMonolith, id: &str) -> Value {
    let cancelled = server.operator().post(&format!("/api/admin/runs/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    run_that(server, id, |run| !run["finished_at"].is_null()).await
}

/// What a run wrote, from an offset on.
pub async fn output(server: &TestMonolith, id: &str, after: u64) -> Value {
    server.viewer().get(&format!("/api/admin/runs/{id}/output?after={after}")).await.ok()
}

/// Everything that the server said of it: the run, its worker, the configuration and the log.
pub async fn everything_told(server: &TestMonolith) -> String {
    let mut told = server.log();
    for path in ["/api/admin/workers/it/runs", "/api/admin/workers/it", "/api/admin/config", "/metrics"] {
        told += &server.viewer().get(path).await.text;
    }
    told
}
