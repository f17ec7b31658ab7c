//! The bodies of the API against literal JSON: what the contract shows is read, and written back unchanged.
//! Nothing here connects.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

/// The funnel: JSON that the contract allows becomes a value, and the value becomes the same JSON.
fn travels<T: Serialize + DeserializeOwned>(body: Value) -> T {
    let value: T = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(serde_json::to_value(&value).unwrap(), body);
    value
}

fn refused<T: DeserializeOwned>(body: Value) -> String {
    match serde_json::from_value::<T>(body) {
        Ok(_) => panic!("the body was accepted"),
        Err(error) => error.to_string(),
    }
}

fn health() -> Value {
    json!({
        "status": "degraded", "version": "0.1.0", "commit": null, "profile": "dev", "replica": "r1",
        "role": "serve", "started_at": "2026-01-31T08:15:00.000Z", "uptime_s": 12, "generation": 3, "ready": true,
        "config": {"hash": "ab12", "disk_matches_running": false,
                   "last_reload": {"at": "2026-01-31T08:15:10.000Z", "outcome": "rejected", "trigger": "file"}},
        "keys": {"store": "main", "persistent": true, "count": 7, "fresh": true, "age_ms": 40},
        "stores": {"main": "up", "cache": "down", "docs": "unknown"},
        "workers": {"total": 2, "running": 1, "failing": 0, "overdue": 0, "paused": 1}
    })
}

fn key() -> Value {
    json!({
        "kid": "0123456789ab", "name": "ci", "owner": "team-a", "environment": "test", "scopes": ["orders:read"],
        "state": "retiring", "created_at": "2026-01-31T08:15:00.000Z", "created_by": "ana", "expires_at": null,
        "last_used_at": null, "disabled_at": null, "revoked_at": null, "revoke_reason": null,
        "rotated_to": "ba9876543210", "grace_until": "2026-01-31T09:15:00.000Z", "ip_allow": ["10.0.0.0/8"],
        "rate_limit": "100/s", "metadata": {"ticket": "OPS-1"}, "version": 2
    })
}

fn run() -> Value {
    json!({
        "id": "018f", "worker": "expire_sessions", "kind": "tick", "tick_at": "2026-01-31T08:15:00.000Z",
        "due_at": "2026-01-31T08:15:00.000Z", "state": "timed_out", "reason": null, "replica": "r1", "attempt": 1,
        "attempts": [{"n": 1, "replica": "r1", "started_at": "2026-01-31T08:15:00.002Z",
                      "finished_at": null, "outcome": null, "error": null}],
        "started_at": null, "finished_at": null, "duration_ms": null, "lateness_ms": 2, "exit_code": null,
        "result": {"rows": 3}, "error": null, "output_bytes": 0, "output_truncated": false, "requested_by": null
    })
}

fn outcome() -> Value {
    json!({
        "attempt": 4, "outcome": "rejected", "generation": 3, "hash": "ab12", "trigger": "api", "actor": "ana",
        "at": "2026-01-31T08:15:10.000Z", "duration_ms": 20,
        "nodes": [{"node": "server.bind", "effect": "restart", "error": null}],
        "problems": [{"key": "server.bind", "message": "needs a restart", "hint": null,
                      "file": "monolith.toml", "line": 2, "column": 8, "env": null}]
    })
}

#[test]
fn health_without_a_token_has_no_causes() {
    let health: Health = travels(health());
    assert_eq!(health.status, HealthStatus::Degraded);
    assert_eq!(health.store_details, None);
}

#[test]
fn health_with_a_token_has_causes() {
    let mut body = health();
    body["store_details"] = json!({"main": {"kind": "postgres", "required": true, "since": null, "latency_ms": 1,
        "error": null, "pool": {"size": 10, "idle": 9}}});
    body["findings"] = json!([{"code": "store_down", "severity": "error", "subject": "cache",
        "since": "2026-01-31T08:15:00.000Z", "message": "connection refused"}]);
    let health: Health = travels(body);
    assert_eq!(health.findings.unwrap()[0].severity, Severity::Error);
}

#[test]
fn fields_that_come_later_do_not_break_an_older_client() {
    let mut body = health();
    body["keys"]["shards"] = json!(4);
    body["weather"] = json!("fine");
    assert!(serde_json::from_value::<Health>(body).is_ok());
}

#[test]
fn a_key_travels_in_lists_and_alone() {
    let list: List<Key> = travels(json!({"items": [key()], "next": "c2"}));
    assert_eq!(list.items[0].state, KeyState::Retiring);
}

#[test]
fn an_issued_key_is_its_record_and_its_text() {
    let mut body = key();
    body["key"] = json!("mono_test_secret");
    let issued: IssuedKey = travels(body);
    assert_eq!(issued.key.unwrap().expose(), "mono_test_secret");
}

#[test]
fn a_whole_key_is_never_printed() {
    let question: VerifyKey = serde_json::from_value(json!({"key": "mono_test_secret"})).unwrap();
    let mut body = key();
    body["key"] = json!("mono_test_secret");
    let issued: IssuedKey = serde_json::from_value(body).unwrap();
    let text = format!("{question:?} {issued:?} {issued:#?}");
    assert!(!text.contains("secret") && text.contains("[redacted]"), "{text}");
}

#[test]
fn a_patch_tells_absent_from_null_from_a_value() {
    let patch: PatchKey = travels(json!({"owner": null, "rate_limit": "5/m", "metadata": {"a": null, "b": "2"}}));
    assert_eq!(patch.expires_at, None);
    assert_eq!(patch.owner, Some(None));
    assert_eq!(patch.rate_limit, Some(Some("5/m".into())));
    assert_eq!(patch.metadata.unwrap().unwrap()["a"], None);
}

#[test]
fn a_patch_cannot_clear_the_name() {
    assert!(refused::<PatchKey>(json!({"name": null})).contains("expected a string"));
}

#[test]
fn a_request_refuses_what_it_does_not_know() {
    assert!(refused::<CreateKey>(json!({"name": "a", "scope": []})).contains("unknown field `scope`"));
    assert!(refused::<PatchKey>(json!({"kid": "x"})).contains("unknown field"));
    assert!(refused::<VerifyKey>(json!({"key": "x", "ips": 1})).contains("unknown field"));
}

#[test]
fn nobody_revokes_in_bulk_by_leaving_dry_run_out() {
    assert!(refused::<BulkRevoke>(json!({"owner": "a", "reason": "leak"})).contains("missing field `dry_run`"));
}

#[test]
fn a_new_key_needs_only_a_name() {
    let create: CreateKey = serde_json::from_value(json!({"name": "ci"})).unwrap();
    assert_eq!(create, CreateKey { name: "ci".into(), ..CreateKey::default() });
}

#[test]
fn a_bare_verdict_tells_nothing_else() {
    let body = serde_json::to_value(Verdict::bare(VerifyCode::Malformed)).unwrap();
    let told = body.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()).count();
    assert_eq!((told, body.as_object().unwrap().len()), (2, 10));
}

#[test]
fn a_worker_and_its_run_travel() {
    let worker: Worker = travels(json!({
        "name": "expire_sessions", "kind": "sql", "enabled": true, "schedule": "*/5 * * * *", "every_ms": null,
        "timezone": "UTC", "state": "config_split", "next": ["2026-01-31T08:20:00.000Z"], "last_run": run(),
        "consecutive_failures": 1, "lateness_ms": 2, "overdue_since": null,
        "outlasts": {"took_ms": 900, "interval_ms": 500},
        "paused": {"by": "ana", "at": "2026-01-31T08:15:00.000Z", "reason": "incident", "until": null},
        "spec_hash": "cd34", "counts_24h": {"succeeded": 1, "failed": 2, "skipped": 3, "missed": 4, "lost": 5}
    }));
    assert!(worker.last_run.unwrap().state.is_final());
}

#[test]
fn a_rejected_reload_is_inside_its_problem() {
    let problem: ProblemBody = travels(json!({
        "type": "about:blank", "title": "the reload was rejected", "status": 422, "code": "reload_rejected",
        "detail": null, "request_id": "q1", "errors": [], "outcome": outcome()
    }));
    assert_eq!(problem.outcome.unwrap().nodes[0].effect, NodeEffect::Restart);
}

#[test]
fn a_revision_is_an_outcome_with_a_number() {
    let mut body = outcome();
    body["revision"] = json!(9);
    body["diff"] = json!([{"node": "stores.main", "effect": "rebuild", "keys": ["stores.main.url"], "values": []}]);
    assert_eq!(travels::<Revision>(body).outcome.attempt, 4);
}

#[test]
fn every_word_is_the_one_that_travels() {
    fn same<T: Serialize>(all: &[T], text: impl Fn(&T) -> &'static str) {
        for word in all {
            assert_eq!(serde_json::to_value(word).unwrap(), json!(text(word)));
        }
    }
    macro_rules! check { ($($name:ident)*) => { $(
        same($name::ALL, |word| word.as_str());
        assert!($name::ALL.iter().all(|&word| $name::parse(word.as_str()) == Some(word)));
    )* } }
    check!(HealthStatus ProcessRole Severity StoreState StoreKind Environment KeyState VerifyCode Role ActionKind
        WorkerState TickOutcome RunKind RunState AttemptOutcome ReloadOutcome Trigger NodeEffect AuditOutcome LogLevel);
}

#[cfg(feature = "openapi")]
#[test]
fn the_openapi_document_knows_a_time_when_it_sees_one() {
    use utoipa::PartialSchema;
    let key = serde_json::to_value(Key::schema()).unwrap();
    let (plain, nullable) = (&key["properties"]["created_at"], &key["properties"]["expires_at"]);
    assert_eq!((&plain["type"], &plain["format"]), (&json!("string"), &json!("date-time")));
    assert_eq!((&nullable["type"], &nullable["format"]), (&json!(["string", "null"]), &json!("date-time")));
    let text = serde_json::to_string(&[Worker::schema(), PatchKey::schema(), TicksQuery::schema()]).unwrap();
    assert!(!text.contains("schemas/String"), "{text}");
}
