//! The columns of each list: what stands in them, what they are sorted by, and which rows there are.
//! A cell is text and a tone; where and in which colour it is drawn is the view's business.

/// The configuration, its revisions, the replicas.
mod config;
/// API keys.
mod keys;
/// Findings, messages and targets: what the console itself makes.
mod own;
/// Audit, log lines, routes.
mod trail;
/// Stores, workers and runs.
mod work;

pub(crate) use config::reload_tone;
pub(crate) use keys::KeyRow;
pub(crate) use own::severity_tone;
pub(crate) use work::run_tone;

use monolith_client::wire::Time;
use serde_json::Value;

use super::Model;
use super::rows::{Cell, Cx, List, Rank, Visit};
use crate::clock::unix_ms;
use crate::theme::Tone;
use crate::words;

/// One value of the configuration.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct ValueRow {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The values of a configuration by their whole keys.
pub(crate) fn value_rows(values: &Value) -> Vec<ValueRow> {
    let mut rows = Vec::new();
    flatten(values, String::new(), &mut rows);
    rows
}

fn flatten(value: &Value, key: String, rows: &mut Vec<ValueRow>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(member, key, rows);
            }
        }
        Value::String(text) => rows.push(ValueRow { key, value: text.clone() }),
        other => rows.push(ValueRow { key, value: other.to_string() }),
    }
}

/// Hands the rows of a list to a visitor.
pub(crate) fn visit<V: Visit>(model: &Model, list: List, visitor: V) -> V::Out {
    let target = model.shown();
    match list {
        List::Findings => visitor.rows(&target.findings),
        List::Routes => visitor.rows(&target.history.routes),
        List::Stores => visitor.rows(all(target.stores.value())),
        List::Workers => visitor.rows(all(target.workers.value())),
        List::Runs => visitor.rows(model.runs()),
        List::Values => visitor.rows(&target.values),
        List::Revisions => visitor.rows(all(target.revisions.value())),
        List::Replicas => visitor.rows(all(target.replicas.value())),
        List::Audit => visitor.rows(all(target.audit.value())),
        List::Logs => visitor.rows(model.logs()),
        List::Keys => visitor.rows(target.keys.value().map_or(&[], |keys| keys.items.as_slice())),
        List::Targets => visitor.rows(&model.targets),
        List::Messages => visitor.rows(&model.messages),
    }
}

/// What changes when the rows of a list change; `None` where it is so short that nobody has to know.
pub(crate) fn stamp(model: &Model, list: List) -> Option<u64> {
    let target = model.shown();
    let version = match list {
        List::Findings | List::Targets => return None,
        List::Routes => target.metrics.version,
        List::Stores => target.stores.version,
        List::Workers => target.workers.version,
        List::Runs => target.runs.version,
        List::Values => target.config.version,
        List::Revisions => target.revisions.version,
        List::Replicas => target.replicas.version,
        List::Audit => target.audit.version,
        List::Logs => target.logs.version,
        List::Keys => target.keys.version,
        List::Messages => model.messages_total,
    };
    // Another target, a frozen picture of the same, or another worker or request has other rows at the same version.
    let place = (model.current as u64) << 2 | u64::from(model.frozen.is_some()) << 1 | u64::from(model.is_other(list));
    Some(version << 12 | place)
}

fn all<T>(rows: Option<&Vec<T>>) -> &[T] {
    rows.map_or(&[], Vec::as_slice)
}

/// How long ago an instant was: `3m`.
fn ago(time: &str, cx: &Cx) -> String {
    let Some(then) = unix_ms(time) else { return "?".to_owned() };
    words::steps(std::time::Duration::from_millis(u64::try_from(cx.server_ms - then).unwrap_or(0)))
}

/// What comes, or came, within this is not counted by the second: it would be most of what an idle screen writes.
const SOON_MS: i64 = 10_000;

/// In how long an instant will be: `in 3m`, `in <10s`, `now`, or `3m ago` where it is over.
fn ahead(time: &str, cx: &Cx) -> String {
    let Some(then) = unix_ms(time) else { return "?".to_owned() };
    match then - cx.server_ms {
        0..SOON_MS => "in <10s".to_owned(),
        wait if wait < -SOON_MS => format!("{} ago", ago(time, cx)),
        wait => match u64::try_from(wait) {
            Ok(wait) => format!("in {}", words::steps(std::time::Duration::from_millis(wait))),
            Err(_) => "now".to_owned(),
        },
    }
}

fn ago_cell(time: Option<&Time>, cx: &Cx) -> Cell {
    Cell::quiet(time.map_or_else(|| "-".to_owned(), |time| ago(time, cx)))
}

fn time_rank(time: Option<&Time>) -> Rank<'_> {
    // Instants of the API sort as text.
    time.map_or(Rank::Nothing, |time| Rank::text(time.as_str()))
}

#[expect(clippy::cast_precision_loss, reason = "rows are sorted by it, nothing is counted")]
fn number(value: Option<u64>) -> Rank<'static> {
    value.map_or(Rank::Nothing, |value| Rank::Number(value as f64))
}

fn clean(text: &str) -> String {
    words::clean(text).into_owned()
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rows::Row;

    #[test]
    fn values_stand_under_their_whole_keys() {
        let values =
            serde_json::json!({"server": {"bind": "127.0.0.1:8000", "limits": {}}, "workers": {"a": {"n": 5}}});
        let rows: Vec<_> = value_rows(&values).into_iter().map(|row| format!("{}={}", row.key, row.value)).collect();
        assert_eq!(rows, ["server.bind=127.0.0.1:8000", "server.limits={}", "workers.a.n=5"]);
    }

    #[test]
    fn what_is_over_is_ago_and_what_comes_is_in() {
        let cx = Cx { server_ms: unix_ms("2026-01-31T08:15:00.000Z").unwrap(), at: std::time::Duration::ZERO };
        let times = ["08:14:00", "08:14:55", "08:15:00", "08:15:09", "08:15:10", "08:20:00"];
        let seen = times.map(|time| ahead(&format!("2026-01-31T{time}Z"), &cx));
        assert_eq!(seen, ["1m ago", "now", "in <10s", "in <10s", "in 10s", "in 5m"]);
        assert_eq!(ahead("soon", &cx), "?");
    }

    #[test]
    fn a_revoked_key_still_says_when_it_expires() {
        let cx = Cx { server_ms: unix_ms("2026-01-31T08:30:00.000Z").unwrap(), at: std::time::Duration::ZERO };
        let mut key = crate::fixture::key("9zTr5vHs47Ef", None, "revoked");
        assert_eq!(KeyRow::from(key.clone()).cell(8, &cx).text, "in 2d 0h");
        key.expires_at = None;
        assert_eq!(KeyRow::from(key).cell(8, &cx).text, "never");
    }

    #[test]
    fn a_replica_that_says_nothing_is_not_ready() {
        let payloads = crate::fixture::payloads(false);
        let found = payloads.into_iter().find_map(|(_, payload)| match payload {
            crate::message::Payload::Replicas(replicas) => replicas.into_iter().next(),
            _ => None,
        });
        let replica = found.unwrap();
        let seen = unix_ms(&replica.seen_at).unwrap();
        let word = |ms| replica.cell(2, &Cx { server_ms: seen + ms, at: std::time::Duration::ZERO }).text;
        assert_eq!([word(30_000), word(30_001), word(300_001)], ["ready", "silent", "gone"]);
        let tone = |ms| replica.cell(2, &Cx { server_ms: seen + ms, at: std::time::Duration::ZERO }).tone;
        assert_eq!([tone(30_001), tone(300_001)], [Tone::Doubtful, Tone::Quiet]);
    }
}
