//! `GET /api/admin/audit`: who changed what, newest first; and how a handler records a change that is not a key's.
//! Keys and tokens are recorded in the transaction that changes them; whether the chain holds is `monolith audit verify`.

use super::answer::{ApiError, field};
use super::body::Params;
use super::caller::{Caller, Viewer};
use super::show;
use crate::audit::{Change, Entry, Outcome, chain};
use crate::clock::Timestamp;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Who changed what, from where, by which request, and what came of it; newest first.
#[utoipa::path(get, path = "/api/admin/audit", tag = "admin", security(("token" = [])), params(wire::PageQuery),
    responses((status = 200, body = wire::List<wire::AuditEntry>), (status = 401, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Params(query): Params<wire::PageQuery>,
) -> Result<Json<wire::List<wire::AuditEntry>>, ApiError> {
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, super::MAX_PAGE);
    let before = query.after.map(|after| after.parse::<i64>()).transpose();
    let before = before.map_err(|_| ApiError::invalid(vec![field("after", "is not a cursor of this list")]))?;
    let mut entries = chain::before(&app.keys.database(), before, limit + 1).await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| more).map(|entry| entry.seq.to_string());
    Ok(Json(wire::List { items: entries.iter().map(shown).collect(), next }))
}

/// Records what came of a change, and hands it on. What was refused because it does not fit changed nothing and is not
/// recorded; what went wrong on our side may have changed something and is.
pub(super) async fn recorded<T, E: Into<ApiError>>(
    app: &App,
    caller: &Caller,
    (action, subject): (&str, &str),
    outcome: Result<T, E>,
    told: impl FnOnce(&T) -> Value,
) -> Result<T, ApiError> {
    let outcome = outcome.map_err(Into::into);
    let (ended, changes) = match &outcome {
        Ok(made) => (Outcome::Ok, told(made)),
        Err(error) if error.is_ours() => (Outcome::Failed, Value::Null),
        Err(_) => return outcome,
    };
    record(app, caller, (action, subject), ended, changes).await;
    outcome
}

/// Records a change by a caller.
pub(super) async fn record(
    app: &App,
    caller: &Caller,
    (action, subject): (&str, &str),
    outcome: Outcome,
    changes: Value,
) {
    let changes = match changes {
        Value::Object(changes) => changes,
        _ => Map::new(),
    };
    let (action, subject) = (action.to_owned(), subject.to_owned());
    app.record(Change { at: Timestamp::now(), actor: caller.actor(), action, subject, outcome, changes }).await;
}

fn shown(entry: &Entry) -> wire::AuditEntry {
    let (outcome, changes) = entry.outcome();
    wire::AuditEntry {
        seq: u64::try_from(entry.seq).unwrap_or_default(),
        at: show::time(entry.at),
        actor: entry.actor.clone(),
        role: wire::Role::parse(&entry.role),
        ip: entry.ip.clone(),
        request_id: Some(entry.request_id.clone()).filter(|id| !id.is_empty()),
        action: entry.kind.clone(),
        subject: entry.subject.clone(),
        outcome: match outcome {
            Outcome::Ok => wire::AuditOutcome::Ok,
            Outcome::Denied => wire::AuditOutcome::Denied,
            Outcome::Failed => wire::AuditOutcome::Failed,
        },
        changes: if changes.is_empty() { Value::Null } else { Value::Object(changes) },
        prev_hash: (entry.seq > 1).then(|| hex(&entry.prev_hash)),
        hash: hex(&entry.hash),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
