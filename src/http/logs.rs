//! `GET /api/admin/logs`: recent warnings and errors of this replica, newest first.
//! It shows what `telemetry` kept; nothing is kept here.

use super::answer::{ApiError, field};
use super::body::Params;
use super::caller::Viewer;
use super::show;
use crate::runtime::App;
use crate::telemetry::recent::{Level, Line};
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use std::sync::Arc;

/// Recent warnings and errors, for a look at three in the morning; secrets are masked, and nothing survives a restart.
#[utoipa::path(get, path = "/api/admin/logs", tag = "admin", security(("token" = [])), params(wire::LogsQuery),
    responses((status = 200, body = wire::List<wire::LogEntry>), (status = 401, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Params(query): Params<wire::LogsQuery>,
) -> Result<Json<wire::List<wire::LogEntry>>, ApiError> {
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, super::MAX_PAGE) as usize;
    let before = query.after.map(|after| after.parse::<u64>()).transpose();
    let before = before.map_err(|_| ApiError::invalid(vec![field("after", "is not a cursor of this list")]))?;
    let wanted = |line: &Line| {
        before.is_none_or(|n| line.n < n)
            && query.level.is_none_or(|worst| level(line.level) <= worst)
            && query.request_id.as_deref().is_none_or(|id| line.request_id.as_deref() == Some(id))
    };
    let mut lines = app.logs.newest(limit + 1, wanted);
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|line| line.n.to_string());
    Ok(Json(wire::List { items: lines.into_iter().map(shown).collect(), next }))
}

fn shown(line: Line) -> wire::LogEntry {
    wire::LogEntry {
        at: show::time(line.at),
        level: level(line.level),
        target: line.target,
        message: line.message,
        request_id: line.request_id,
        fields: line.fields,
    }
}

const fn level(level: Level) -> wire::LogLevel {
    match level {
        Level::Error => wire::LogLevel::Error,
        Level::Warn => wire::LogLevel::Warn,
    }
}
