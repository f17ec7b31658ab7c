//! Servers for tests: what they answer when all is well and when it is not, and consoles that have been told.
//! No test that uses them asks a server.

use std::time::Duration;

use monolith_client::wire::{Health, Key, Run};
use serde_json::{Value, json};

use crate::clock::{At, Now, unix_ms};
use crate::feed::{Source, Trouble};
use crate::keymap::Keymap;
use crate::message::{Answer, Keys, Msg, Payload, Piece};
use crate::metrics;
use crate::model::tables::KeyRow;
use crate::model::target::Target;
use crate::model::{Look, Model};
use crate::theme::Theme;
use crate::update::update;

/// The moment that every picture is taken at.
const WALL: &str = "2026-01-31T08:30:00.000Z";
/// How long the console has been running then.
pub(crate) const AT: At = Duration::from_secs(100);

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    Healthy,
    Degraded,
    Stale,
    Unreachable,
    Unauthorized,
}

impl Scene {
    pub(crate) const ALL: [Self; 5] =
        [Self::Healthy, Self::Degraded, Self::Stale, Self::Unreachable, Self::Unauthorized];
}

pub(crate) fn now(at: At) -> Now {
    let wall = unix_ms(WALL).unwrap();
    Now { at, unix_ms: wall + i64::try_from(at.as_millis()).unwrap() - i64::try_from(AT.as_millis()).unwrap() }
}

fn from<T: serde::de::DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

/// A console with two targets that was told nothing yet.
pub(crate) fn console() -> Model {
    let target = |name: &str, url: &str| Target::new(name, url, Duration::from_secs(1));
    let targets = vec![target("prod-eu", "https://mono-1.example:8443"), target("staging", "http://127.0.0.1:8000")];
    Model::new(targets, Keymap::default(), Look { theme: Theme::Default, ascii: false })
}

/// Tells a console one answer.
pub(crate) fn tell(model: &mut Model, target: usize, source: Source, at: At, outcome: Result<Payload, Trouble>) {
    let answer = Answer { target, source, asked_at: at, next_in: Duration::from_secs(1), outcome };
    update(model, Msg::Answer(Box::new(answer)), now(at));
}

/// A console that has been watching a server in such a state, for a while.
pub(crate) fn scene(scene: Scene) -> Model {
    let mut model = console();
    let last = match scene {
        Scene::Stale => AT.saturating_sub(Duration::from_secs(12)),
        Scene::Unreachable => AT.saturating_sub(Duration::from_secs(75)),
        _ => AT,
    };
    let earlier = last.saturating_sub(Duration::from_secs(20));
    let bad = scene == Scene::Degraded;
    for look in 0..10_u64 {
        let reading = reading(1_000 + 1_624 * look, if bad { 200 * look } else { 0 });
        let at = earlier + Duration::from_secs(2 * look);
        tell(&mut model, 0, Source::Metrics, at, Ok(Payload::Metrics(reading)));
    }
    for (source, payload) in payloads(bad) {
        let refused = scene == Scene::Unauthorized && source.needs_token();
        let expired = || Trouble::Unauthorized("the token expired (request 018f-77)".into());
        let payload = match payload {
            Payload::Health(mut health) => {
                health.uptime_s -= AT.saturating_sub(last).as_secs();
                Payload::Health(health)
            }
            other => other,
        };
        tell(&mut model, 0, source, last, if refused { Err(expired()) } else { Ok(payload) });
    }
    if scene == Scene::Unreachable {
        for second in 1..=6_u64 {
            let silent = Trouble::Silent("connection refused".into());
            tell(&mut model, 0, Source::Health, last + Duration::from_secs(second), Err(silent.clone()));
            tell(&mut model, 0, Source::Stores, last + Duration::from_secs(second), Err(silent));
        }
    }
    tell(&mut model, 1, Source::Health, AT, Ok(Payload::Health(Box::new(health(false)))));
    // Nobody has chosen a row yet.
    model.lists.clear();
    update(&mut model, Msg::Tick, now(AT));
    model
}

/// The metrics after so many requests, of which so many failed.
pub(crate) fn reading(requests: u64, failed: u64) -> metrics::Reading {
    let good = requests - failed;
    let text = format!(
        "# TYPE http_requests_total counter\n\
         http_requests_total{{method=\"GET\",route=\"/api/admin/api-keys\",status=\"200\"}} {good}\n\
         http_requests_total{{method=\"GET\",route=\"/api/admin/api-keys\",status=\"503\"}} {failed}\n\
         http_requests_total{{method=\"POST\",route=\"/api/keys/verify\",status=\"200\"}} {}\n\
         # TYPE http_request_duration_seconds histogram\n\
         http_request_duration_seconds_bucket{{method=\"POST\",route=\"/api/keys/verify\",le=\"0.005\"}} {}\n\
         http_request_duration_seconds_bucket{{method=\"POST\",route=\"/api/keys/verify\",le=\"0.05\"}} {}\n\
         http_request_duration_seconds_bucket{{method=\"POST\",route=\"/api/keys/verify\",le=\"+Inf\"}} {}\n\
         http_request_duration_seconds_sum{{method=\"POST\",route=\"/api/keys/verify\"}} 9\n\
         http_request_duration_seconds_count{{method=\"POST\",route=\"/api/keys/verify\"}} {}\n\
         monolith_key_verifications_total{{code=\"valid\"}} {}\n\
         http_connections 3\n",
        requests * 20,
        requests * 15,
        requests * 20,
        requests * 20,
        requests * 20,
        requests * 20,
    );
    metrics::read(&text).unwrap()
}

pub(crate) fn health(bad: bool) -> Health {
    let findings = json!([
        {"code": "store_down", "severity": "error", "subject": "cache", "since": "2026-01-31T08:27:46.000Z",
         "message": "connection refused"},
        {"code": "reload_rejected", "severity": "error", "subject": "config", "since": "2026-01-31T08:29:00.000Z",
         "message": "the file on disk was rejected: server.bind needs a restart"},
        {"code": "keys_in_memory", "severity": "info", "subject": "keys", "since": "2026-01-31T08:15:00.000Z",
         "message": "keys end at a restart"}
    ]);
    from(json!({
        "status": if bad { "degraded" } else { "ok" }, "version": "0.1.0", "commit": null, "profile": "prod",
        "replica": "r1", "role": "serve", "started_at": "2026-01-31T05:15:00.000Z", "uptime_s": 11_700,
        "generation": 41, "ready": true,
        "config": {"hash": "ab12cd34ef56", "disk_matches_running": !bad, "last_reload": {
            "at": "2026-01-31T08:29:00.000Z", "outcome": if bad { "rejected" } else { "applied" }, "trigger": "file"}},
        "keys": {"store": "main", "persistent": true, "count": 3, "fresh": !bad, "age_ms": 40},
        "stores": {"main": "up", "cache": if bad { "down" } else { "up" }},
        "workers": {"total": 2, "running": 0, "failing": u8::from(bad), "overdue": 0, "paused": u8::from(bad)},
        "findings": if bad { findings } else { json!([]) }
    }))
}

pub(crate) fn key(kid: &str, name: Option<&str>, state: &str) -> Key {
    let revoked = (state == "revoked").then_some("2026-01-31T07:00:00.000Z");
    from(json!({"kid": kid, "name": name, "owner": "orders", "environment": "live",
        "scopes": ["orders:read", "orders:write"], "state": state, "created_at": "2026-01-30T08:00:00.000Z",
        "created_by": "ana", "expires_at": "2026-02-02T08:30:00.000Z", "last_used_at": "2026-01-31T08:29:30.000Z",
        "disabled_at": null, "revoked_at": revoked, "revoke_reason": null, "rotated_to": null, "grace_until": null,
        "ip_allow": [], "rate_limit": null, "metadata": {}, "version": 1}))
}

pub(crate) fn keys() -> Keys {
    let items = vec![
        key("4fQm2xYz81Ab", Some("orders-ci"), "active"),
        key("7bNw0kLp93Cd", Some("billing-prod"), "active"),
        key("9zTr5vHs47Ef", None, "revoked"),
    ];
    Keys { items: items.into_iter().map(KeyRow::from).collect(), more: false }
}

pub(crate) fn run(id: &str, state: &str) -> Run {
    let bad = state == "failed";
    from(json!({"id": id, "worker": "rebuild_index", "kind": "tick", "tick_at": "2026-01-31T08:25:00.000Z",
        "due_at": "2026-01-31T08:25:00.000Z", "state": state, "reason": null, "replica": "r1", "attempt": 1,
        "attempts": [], "started_at": "2026-01-31T08:25:00.003Z", "finished_at": "2026-01-31T08:25:01.543Z",
        "duration_ms": 1540, "lateness_ms": 3, "exit_code": if bad { json!(1) } else { json!(0) }, "result": null,
        "error": bad.then_some("exit code 1"), "output_bytes": 27, "output_truncated": false, "requested_by": null}))
}

fn worker(name: &str, bad: bool) -> Value {
    json!({"name": name, "kind": "command", "enabled": true, "schedule": "*/5 * * * *", "every_ms": null,
        "timezone": "UTC", "state": "idle", "next": ["2026-01-31T08:35:00.000Z"],
        "last_run": serde_json::to_value(run("018f-1", if bad { "failed" } else { "succeeded" })).unwrap(),
        "consecutive_failures": if bad { 4 } else { 0 }, "lateness_ms": 3, "overdue_since": null, "paused": null,
        "spec_hash": "cd34", "counts_24h": {"succeeded": 284, "failed": if bad { 4 } else { 0 }, "skipped": 0,
        "missed": 0, "lost": 0}})
}

/// What every source answers.
pub(crate) fn payloads(bad: bool) -> Vec<(Source, Payload)> {
    let mut paused = worker("expire_sessions", false);
    if bad {
        paused["state"] = json!("paused");
        paused["paused"] =
            json!({"by": "ana", "at": "2026-01-31T08:00:00.000Z", "reason": "incident 42", "until": null});
    }
    let store = |name: &str, kind: &str, down: bool| {
        json!({"name": name, "state": if down { "down" } else { "up" }, "kind": kind, "required": true,
            "since": "2026-01-31T08:27:46.000Z", "latency_ms": if down { None } else { Some(2) },
            "error": down.then_some("connection refused"), "pool": {"size": 10, "idle": 9}})
    };
    let outcome = json!({"attempt": 7, "outcome": if bad { "rejected" } else { "applied" }, "generation": 41,
        "hash": "ab12cd34ef56", "trigger": "file", "actor": "ci", "at": "2026-01-31T08:29:00.000Z", "duration_ms": 12,
        "nodes": [], "problems": []});
    let mut revision = outcome;
    revision["revision"] = json!(42);
    revision["diff"] = json!([{"node": "stores.cache", "effect": "rebuild", "keys": ["url"]}]);
    let problem = json!({"key": "server.bind", "message": "needs a restart", "hint": null,
        "file": "/etc/monolith/monolith.toml", "line": 6, "column": 8, "env": null});
    vec![
        (
            Source::Whoami,
            Payload::Whoami(from(json!({"sub": "alice", "role": "operator",
            "expires_at": "2026-01-31T09:11:00.000Z", "replica": "r1"}))),
        ),
        (Source::Health, Payload::Health(Box::new(health(bad)))),
        (Source::Metrics, Payload::Metrics(reading(17_240, if bad { 2_000 } else { 0 }))),
        (
            Source::Stores,
            Payload::Stores(from(json!([store("cache", "redis", bad), store("main", "postgres", false)]))),
        ),
        (Source::Workers, Payload::Workers(from(json!([paused, worker("rebuild_index", bad)])))),
        (Source::Keys, Payload::Keys(keys().into())),
        (
            Source::Config,
            Payload::Config(Box::new(from(json!({"generation": 41, "hash": "ab12cd34ef56",
            "profile": "prod", "layers": [{"name": "defaults", "source": null, "hash": null},
            {"name": "base", "source": "/etc/monolith/monolith.toml", "hash": "77"}],
            "disk": {"hash": if bad { None } else { Some("ab12cd34ef56") }, "matches": !bad,
                "problems": if bad { json!([problem]) } else { json!([]) }},
            "values": {"server": {"bind": "0.0.0.0:8000"}, "stores": {"main": {"url": "***"}}}})))),
        ),
        (Source::Revisions, Payload::Revisions(from(json!([revision])))),
        (
            Source::Replicas,
            Payload::Replicas(from(json!([{"id": "r1", "role": "serve", "version": "0.1.0",
            "started_at": "2026-01-31T05:15:00.000Z", "seen_at": "2026-01-31T08:29:59.000Z", "generation": 41,
            "hash": "ab12cd34ef56", "ready": true, "index_age_ms": 40, "acked_seq": 9, "clock_skew_ms": -1,
            "running": 0}]))),
        ),
        (
            Source::Audit,
            Payload::Audit(from(json!([{"seq": 9, "at": "2026-01-31T08:20:00.000Z", "actor": "bob",
            "role": "operator", "ip": "10.0.0.7", "request_id": "018f-70", "action": "key.revoked",
            "subject": "9zTr5vHs47Ef", "outcome": "ok", "changes": null, "prev_hash": null, "hash": "h"}]))),
        ),
        (
            Source::Logs,
            Payload::Logs(
                None,
                from(json!([{"at": "2026-01-31T08:27:46.000Z", "level": "warn",
            "target": "monolith::store", "message": "the store is down", "request_id": null,
            "fields": {"store": "cache"}}])),
            ),
        ),
    ]
}

/// A piece of output of a run.
pub(crate) fn piece(id: &str, after: u64, data: &str, done: bool) -> Payload {
    let next = after + data.len() as u64;
    Payload::Output(Box::new(Piece { run: run(id, "running"), after, data: data.into(), next, done }))
}

/// The next of a row of numbers that is the same on every machine (xorshift64*).
pub(crate) fn dice(seed: &mut u64) -> u64 {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
}
