//! A Redis command on a connection of its own: one that blocks must hold up nobody, and one that is given up ends with its connection.
//! The answer is kept as bounded text.

use super::Job;
use super::shown::Shown;
use crate::name::StoreName;
use crate::settings::template::Template;
use crate::store::Connection;
use crate::work::run::{Done, Verdict};
use redis::{Cmd, Value};
use std::fmt::{self, Write};

/// How much of an answer is kept.
const MOST_KEPT: usize = 4 * 1024;
/// How deep an answer is shown.
const DEEPEST: usize = 8;

pub(super) async fn run(job: &Job, store: &StoreName, command: &[Template]) -> Done {
    let Some(Connection::Redis(redis)) = job.plan.stores.get(store) else {
        return Done::failed(format!("store `{store}` is not open"));
    };
    let mut wanted = Cmd::new();
    for word in command {
        wanted.arg(job.filled(word));
    }
    let work = async {
        match redis.call_alone("the command", job.driver_limit(), &wanted).await {
            Ok(answer) => judge(&answer),
            Err(error) => Done::failed(error.to_string()),
        }
    };
    job.within_its_time(work).await
}

fn judge(answer: &Value) -> Done {
    let mut shown = Shown::new(MOST_KEPT);
    // An error only says that it is full.
    show(&mut shown, answer, 0).unwrap_or_default();
    let result = Some(shown.finish());
    match first_error(answer) {
        None => Done::succeeded(result),
        Some(error) => Done { verdict: Verdict::Failed, error: Some(error), ..Done::succeeded(result) },
    }
}

/// A transaction's answer may hold the error of one of its commands.
fn first_error(answer: &Value) -> Option<String> {
    match answer {
        Value::ServerError(error) => Some(format!("refused: {} {}", error.code(), error.details().unwrap_or_default())),
        Value::Array(items) => items.iter().find_map(first_error),
        _ => None,
    }
}

fn show(out: &mut Shown, value: &Value, depth: usize) -> fmt::Result {
    if depth > DEEPEST {
        return out.write_str("...");
    }
    match value {
        Value::Nil => out.write_str("(nil)"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Double(number) => write!(out, "{number}"),
        Value::Boolean(truth) => write!(out, "{truth}"),
        Value::Okay => out.write_str("OK"),
        Value::BulkString(bytes) => out.write_str(&Shown::of_bytes(bytes, MOST_KEPT)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => out.write_str(text),
        Value::Array(items) | Value::Set(items) => show_all(out, items.iter().map(|item| (None, item)), depth),
        Value::Map(pairs) => show_all(out, pairs.iter().map(|(name, value)| (Some(name), value)), depth),
        Value::ServerError(error) => write!(out, "(error) {}", error.code()),
        other => write!(out, "{other:?}"),
    }
}

fn show_all<'v>(
    out: &mut Shown,
    items: impl ExactSizeIterator<Item = (Option<&'v Value>, &'v Value)>,
    depth: usize,
) -> fmt::Result {
    if items.len() == 0 {
        return out.write_str("(empty)");
    }
    for (n, (name, value)) in items.enumerate() {
        if n > 0 || depth > 0 {
            write!(out, "\n{:indent$}", "", indent = 2 * depth)?;
        }
        write!(out, "{}) ", n + 1)?;
        if let Some(name) = name {
            show(out, name, depth + 1)?;
            out.write_str(": ")?;
        }
        show(out, value, depth + 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value) -> String {
        judge(value).result.unwrap()
    }

    #[test]
    fn an_answer_reads_as_a_person_would_write_it() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        assert_eq!(text(&Value::Okay), "OK");
        assert_eq!(text(&Value::Int(3)), "3");
        assert_eq!(text(&Value::Nil), "(nil)");
        assert_eq!(text(&Value::BulkString(vec![0xff, 1])), "(2 bytes)");
        let nested = Value::Array(vec![bulk("0"), Value::Array(vec![bulk("a"), bulk("b")])]);
        assert_eq!(text(&nested), "1) 0\n2) \n  1) a\n  2) b");
        assert_eq!(text(&Value::Array(Vec::new())), "(empty)");
        assert_eq!(text(&Value::Map(vec![(bulk("k"), Value::Int(1))])), "1) k: 1");
    }

    #[test]
    fn a_large_or_deep_answer_is_bounded() {
        let long = Value::Array((0..100_000).map(Value::Int).collect());
        assert!(text(&long).len() < MOST_KEPT + 100 && text(&long).ends_with("not shown)"));
        let deep = (0..1_000).fold(Value::Nil, |inner, _| Value::Array(vec![inner]));
        assert!(text(&deep).ends_with("..."));
    }
}
