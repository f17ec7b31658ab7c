//! What the exit code says, and two servers that other tests draw.
//! No test asks a server.

use monolith_client::wire::{Store, Worker};
use serde_json::{Value, json};

use super::*;

const AT: &str = "2026-01-31T08:15:00.000Z";

fn from<T: serde::de::DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn worker(name: &str, state: &str, last: &str, failures: u64, paused: Value) -> Worker {
    from(json!({
        "name": name, "kind": "sql", "enabled": true, "schedule": "*/5 * * * *", "every_ms": null,
        "timezone": "UTC", "state": state, "next": ["2026-01-31T08:20:00.000Z"],
        "last_run": {"id": "018f", "worker": name, "kind": "tick", "tick_at": AT, "due_at": AT, "state": last,
            "reason": null, "replica": "r1", "attempt": 1, "attempts": [], "started_at": AT, "finished_at": AT,
            "duration_ms": 3, "lateness_ms": 1, "exit_code": null, "result": null, "error": null,
            "output_bytes": 0, "output_truncated": false, "requested_by": null},
        "consecutive_failures": failures, "lateness_ms": 1, "overdue_since": null, "paused": paused,
        "spec_hash": "cd34", "counts_24h": {"succeeded": 1, "failed": 0, "skipped": 0, "missed": 0, "lost": 0}
    }))
}

fn store(name: &str, state: &str, kind: &str, latency: Option<u64>, error: Option<&str>) -> Store {
    from(json!({"name": name, "state": state, "kind": kind, "required": true, "since": AT,
        "latency_ms": latency, "error": error, "pool": latency.map(|_| json!({"size": 10, "idle": 9}))}))
}

/// A server on which all is well, asked with a token.
pub(crate) fn healthy() -> Status {
    let health = json!({
        "status": "ok", "version": "0.1.0", "commit": "1a2b3c4", "profile": "dev", "replica": "r1", "role": "serve",
        "started_at": AT, "uptime_s": 11_530, "generation": 3, "ready": true,
        "config": {"hash": "ab12cd34", "disk_matches_running": true, "last_reload": null},
        "keys": {"store": "main", "persistent": true, "count": 3, "fresh": true, "age_ms": 40},
        "stores": {"main": "up"},
        "workers": {"total": 1, "running": 0, "failing": 0, "overdue": 0, "paused": 0}, "findings": []
    });
    let requests = BTreeMap::from([("2xx".into(), 41_207), ("4xx".into(), 12)]);
    Status {
        target: "here".into(),
        server: "http://127.0.0.1:8000".into(),
        health: from(health),
        stores: Part::Known(vec![store("main", "up", "sqlite", Some(1), None)]),
        keys: Part::Known(KeyCount {
            seen: 3,
            more: false,
            states: BTreeMap::from([(KeyState::Active, 2), (KeyState::Revoked, 1)]),
        }),
        workers: Part::Known(vec![worker("expire_sessions", "idle", "succeeded", 0, Value::Null)]),
        traffic: Part::Known(Traffic {
            samples: 214,
            requests,
            connections: Some(3),
            memory_bytes: Some(24_641_536),
            verifications: BTreeMap::from([("valid".into(), 39_950), ("revoked".into(), 7)]),
        }),
    }
}

/// A server with a dead store, a rejected file, a failing worker and metrics that cannot be read.
pub(crate) fn degraded() -> Status {
    let mut status = healthy();
    let paused = json!({"by": "ana", "at": AT, "reason": "incident 42", "until": null});
    status.health.status = HealthStatus::Degraded;
    status.health.config.disk_matches_running = Some(false);
    status.health.keys = from(json!(
        {"store": "memory", "persistent": false, "count": 3, "fresh": false, "age_ms": 6200}));
    status.health.workers = from(json!({"total": 2, "running": 0, "failing": 1, "overdue": 0, "paused": 1}));
    status.health.findings = Some(from(json!([
        {"code": "keys_in_memory", "severity": "info", "subject": "keys", "since": AT, "message": "keys end at a restart"},
        {"code": "reload_rejected", "severity": "error", "subject": "config",
         "since": "2026-01-31T09:00:00.000Z", "message": "the file on disk was rejected: server.bind needs a restart"},
        {"code": "store_down", "severity": "error", "subject": "cache", "since": AT, "message": "connection refused"}
    ])));
    status.stores = Part::Known(vec![
        store("cache", "down", "redis", None, Some("connection refused")),
        store("main", "up", "postgres", Some(12), None),
    ]);
    status.workers = Part::Known(vec![
        worker("expire_sessions", "paused", "succeeded", 0, paused),
        worker("rebuild_index", "idle", "timed_out", 4, Value::Null),
    ]);
    status.keys = Part::NotServed;
    status.traffic = Part::Failed(Failed {
        why: "cannot read GET /metrics: 41 of its 42 samples could be read".into(),
        hint: None,
        exit_code: 6,
    });
    status
}

/// The same server asked by somebody without a token.
pub(crate) fn without_token() -> Status {
    let mut status = healthy();
    status.health.findings = None;
    (status.stores, status.keys, status.workers) = (Part::NeedsToken, Part::NeedsToken, Part::NeedsToken);
    status
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let mut down = healthy();
    down.health.status = HealthStatus::Down;
    assert_eq!([healthy(), without_token(), down, degraded()].map(|status| status.exit_code()), [0, 0, 1, 6]);
}

#[test]
fn a_reason_is_told_once() {
    let mut status = healthy();
    let failed = |why: &str| Failed { why: why.into(), hint: None, exit_code: UNAUTHORIZED };
    status.stores = Part::Failed(failed("not authorized: the token expired (request 1)"));
    status.keys = Part::Failed(failed("not authorized: the token expired (request 2)"));
    assert_eq!((status.failures().len(), status.exit_code()), (1, 5));
}

#[test]
fn findings_come_worst_first_then_oldest_first() {
    let status = degraded();
    let codes: Vec<_> = status.findings().unwrap().iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["store_down", "reload_rejected", "keys_in_memory"]);
}

#[test]
fn stores_are_told_from_the_health_where_the_route_is_missing() {
    let mut status = healthy();
    status.stores = Part::NotServed;
    assert_eq!(status.store_rows(), [("main".into(), StoreState::Up, None)]);
}

#[test]
fn an_empty_list_of_keys_counts_none() {
    assert_eq!(KeyCount::from(&Keys::default()), KeyCount::default());
}
