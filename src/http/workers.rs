//! `/api/admin/workers` and `/api/admin/runs`: what is declared, what was recorded, and a run now.
//! Everything shown comes from the ledger; nothing is decided here.

use super::answer::{ApiError, field};
use super::audit::recorded;
use super::body::{Json as Body, Params, Segment};
use super::caller::{Operator, Viewer};
use super::show;
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::runtime::App;
use crate::work::{
    AttemptView, RunId, RunKind, RunState, RunView, TickOutcome, TickSpan, WorkError, WorkerState, WorkerView,
};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use monolith_client::wire;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The longest reason for a pause, in characters.
const MAX_REASON: usize = 500;
/// Over how long ticks are told where no time is named.
const DAY: Duration = Duration::from_secs(86_400);

/// The declared workers and how they are.
#[utoipa::path(get, path = "/api/admin/workers", tag = "workers", security(("token" = [])), params(wire::PageQuery),
    responses((status = 200, body = wire::List<wire::Worker>), (status = 401, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Params(page): Params<wire::PageQuery>,
) -> Result<Json<wire::List<wire::Worker>>, ApiError> {
    let limit = limit(&page) as usize;
    let after = page.after.unwrap_or_default();
    let mut workers = app.work.workers().await?;
    workers.retain(|worker| worker.name.as_str() > after.as_str());
    let more = workers.len() > limit;
    workers.truncate(limit);
    let next = workers.last().filter(|_| more).map(|worker| worker.name.to_string());
    Ok(Json(wire::List { items: workers.into_iter().map(worker).collect(), next }))
}

/// One worker.
#[utoipa::path(get, path = "/api/admin/workers/{name}", tag = "workers", security(("token" = [])),
    params(("name" = String, Path, description = "The worker's name")),
    responses((status = 200, body = wire::Worker), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Segment(name): Segment,
) -> Result<Json<wire::Worker>, ApiError> {
    Ok(Json(worker(app.work.worker(&name_of(&name)?).await?)))
}

/// Queues a run now, also of a disabled worker.
#[utoipa::path(post, path = "/api/admin/workers/{name}/run", tag = "workers", security(("token" = [])),
    params(("name" = String, Path, description = "The worker's name")),
    responses((status = 202, body = wire::RunStarted), (status = 401, body = wire::ProblemBody),
              (status = 403, body = wire::ProblemBody), (status = 404, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn run_now(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(name): Segment,
) -> Result<(StatusCode, Json<wire::RunStarted>), ApiError> {
    let name = name_of(&name)?;
    let made = app.work.run_now(&name, &caller.claims.sub).await;
    let told = |run: &RunId| json!({ "run_id": run.to_string() });
    let run = recorded(&app, &caller, ("worker.run", name.as_str()), made, told).await?;
    let (actor, request_id) = (&caller.claims.sub, &caller.request_id);
    tracing::info!(worker = %name, run = %run, actor, request_id, "{actor} asked for a run of {name}");
    Ok((StatusCode::ACCEPTED, Json(wire::RunStarted { run_id: run.to_string() })))
}

/// Pauses a worker: no tick starts, runs in progress go on, and what is left out is recorded.
#[utoipa::path(post, path = "/api/admin/workers/{name}/pause", tag = "workers", security(("token" = [])),
    params(("name" = String, Path, description = "The worker's name")), request_body = wire::PauseWorker,
    responses((status = 200, body = wire::Worker), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 409, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(name): Segment,
    Body(wanted): Body<wire::PauseWorker>,
) -> Result<Json<wire::Worker>, ApiError> {
    let name = name_of(&name)?;
    let reason = wanted.reason.trim();
    let until = wanted.until.as_deref().map(|text| instant("until", text)).transpose()?;
    let is_short = wanted.reason.chars().count() <= MAX_REASON;
    if reason.is_empty() || !is_short || wanted.reason.chars().any(char::is_control) {
        let message = format!("must have 1 to {MAX_REASON} printable characters");
        return Err(ApiError::invalid(vec![field("reason", message)]));
    }
    if until.is_some_and(|until| until <= Timestamp::now()) {
        return Err(ApiError::invalid(vec![field("until", "must lie ahead")]));
    }
    let made = app.work.pause(&name, &caller.claims.sub, reason, until).await;
    let told = |_: &WorkerView| json!({ "reason": reason, "until": until.map(show::time) });
    let paused = recorded(&app, &caller, ("worker.pause", name.as_str()), made, told).await?;
    let (actor, request_id) = (&caller.claims.sub, &caller.request_id);
    tracing::info!(worker = %name, actor, request_id, reason, "{actor} paused {name}: {reason}");
    Ok(Json(worker(paused)))
}

/// Ends the pause of a worker.
#[utoipa::path(post, path = "/api/admin/workers/{name}/resume", tag = "workers", security(("token" = [])),
    params(("name" = String, Path, description = "The worker's name")),
    responses((status = 200, body = wire::Worker), (status = 401, body = wire::ProblemBody),
              (status = 403, body = wire::ProblemBody), (status = 404, body = wire::ProblemBody),
              (status = 409, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(name): Segment,
) -> Result<Json<wire::Worker>, ApiError> {
    let name = name_of(&name)?;
    let made = app.work.resume(&name).await;
    let resumed = recorded(&app, &caller, ("worker.resume", name.as_str()), made, |_| Value::Null).await?;
    let (actor, request_id) = (&caller.claims.sub, &caller.request_id);
    tracing::info!(worker = %name, actor, request_id, "{actor} resumed {name}");
    Ok(Json(worker(resumed)))
}

/// Queues ticks of the past that did not run, oldest first.
#[utoipa::path(post, path = "/api/admin/workers/{name}/backfill", tag = "workers", security(("token" = [])),
    params(("name" = String, Path, description = "The worker's name")), request_body = wire::Backfill,
    responses((status = 202, body = wire::BackfillStarted), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 409, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn backfill(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(name): Segment,
    Body(wanted): Body<wire::Backfill>,
) -> Result<(StatusCode, Json<wire::BackfillStarted>), ApiError> {
    let name = name_of(&name)?;
    let time = (instant("from", &wanted.from)?, instant("to", &wanted.to)?);
    if wanted.max == 0 {
        return Err(ApiError::invalid(vec![field("max", "must be at least 1")]));
    }
    let made = app.work.backfill(&name, ordered(time)?, wanted.max, &caller.claims.sub).await;
    let told = |runs: &_| json!({ "from": wanted.from, "to": wanted.to, "runs": runs });
    let runs = recorded(&app, &caller, ("worker.backfill", name.as_str()), made, told).await?;
    let (actor, request_id) = (&caller.claims.sub, &caller.request_id);
    tracing::info!(worker = %name, runs, actor, request_id, "{actor} backfills {runs} ticks of {name}");
    Ok((StatusCode::ACCEPTED, Json(wire::BackfillStarted { runs })))
}

/// What became of each tick that was expected; the last day where no time is named.
#[utoipa::path(get, path = "/api/admin/workers/{name}/ticks", tag = "workers", security(("token" = [])),
    params(("name" = String, Path, description = "The worker's name"), wire::TicksQuery),
    responses((status = 200, body = wire::Ticks), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn ticks(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Segment(name): Segment,
    Params(query): Params<wire::TicksQuery>,
) -> Result<Json<wire::Ticks>, ApiError> {
    let named = |key: &str, text: &Option<wire::Time>| text.as_deref().map(|text| instant(key, text)).transpose();
    let to = named("to", &query.to)?.unwrap_or_else(Timestamp::now);
    let from = named("from", &query.from)?.unwrap_or_else(|| to.before(DAY));
    let after = named("after", &query.after)?;
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE);
    let ticks = app.work.ticks(&name_of(&name)?, ordered((from, to))?, after, limit).await?;
    Ok(Json(wire::Ticks {
        expected: ticks.expected,
        items: ticks.items.into_iter().map(span).collect(),
        next: ticks.next.map(show::time),
    }))
}

/// Cancels a run; one in progress is stopped by the replica that has it.
#[utoipa::path(post, path = "/api/admin/runs/{id}/cancel", tag = "workers", security(("token" = [])),
    params(("id" = String, Path, description = "The run's id")),
    responses((status = 202, body = wire::Run), (status = 401, body = wire::ProblemBody),
              (status = 403, body = wire::ProblemBody), (status = 404, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(id): Segment,
) -> Result<(StatusCode, Json<wire::Run>), ApiError> {
    let made = app.work.cancel(run_id(&id)?, &caller.claims.sub).await;
    let told = |run: &RunView| json!({ "worker": run.worker.as_str() });
    let run = recorded(&app, &caller, ("run.cancel", &id), made, told).await?;
    let (actor, request_id) = (&caller.claims.sub, &caller.request_id);
    tracing::info!(worker = %run.worker, run = %run.id, actor, request_id, "{actor} cancelled a run of {}", run.worker);
    Ok((StatusCode::ACCEPTED, Json(run_of(run))))
}

/// The runs of a worker, newest first.
#[utoipa::path(get, path = "/api/admin/workers/{name}/runs", tag = "workers", security(("token" = [])),
    params(("name" = String, Path, description = "The worker's name"), wire::PageQuery),
    responses((status = 200, body = wire::List<wire::Run>), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn runs(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Segment(name): Segment,
    Params(page): Params<wire::PageQuery>,
) -> Result<Json<wire::List<wire::Run>>, ApiError> {
    let after = match page.after.as_deref() {
        None => None,
        Some(text) => match RunId::parse(text) {
            Some(id) => Some(id),
            None => return Err(ApiError::invalid(vec![field("after", "is not a cursor of this list")])),
        },
    };
    let found = app.work.runs(&name_of(&name)?, limit(&page), after).await?;
    let next = found.next.map(|id| id.to_string());
    Ok(Json(wire::List { items: found.items.into_iter().map(run_of).collect(), next }))
}

/// One run.
#[utoipa::path(get, path = "/api/admin/runs/{id}", tag = "workers", security(("token" = [])),
    params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = wire::Run), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn run(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Segment(id): Segment,
) -> Result<Json<wire::Run>, ApiError> {
    Ok(Json(run_of(app.work.run_view(run_id(&id)?).await?)))
}

/// What a run wrote, from an offset on.
#[utoipa::path(get, path = "/api/admin/runs/{id}/output", tag = "workers", security(("token" = [])),
    params(("id" = String, Path, description = "The run's id"), wire::OutputQuery),
    responses((status = 200, body = wire::RunOutput), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn output(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Segment(id): Segment,
    Params(query): Params<wire::OutputQuery>,
) -> Result<Json<wire::RunOutput>, ApiError> {
    let (id, after) = (run_id(&id)?, query.after.unwrap_or(0));
    if i64::try_from(after).is_err() {
        return Err(ApiError::invalid(vec![field("after", "is not a place in an output")]));
    }
    let output = app.work.output(id, after).await?;
    Ok(Json(wire::RunOutput { data: output.data, next: output.next, done: output.done }))
}

fn limit(page: &wire::PageQuery) -> u32 {
    page.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, super::MAX_PAGE)
}

fn instant(key: &str, text: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse(text)
        .ok_or_else(|| ApiError::invalid(vec![field(key, "must be an instant such as 2026-11-24T03:00:00Z")]))
}

fn ordered(time: (Timestamp, Timestamp)) -> Result<(Timestamp, Timestamp), ApiError> {
    if time.0 < time.1 { Ok(time) } else { Err(ApiError::invalid(vec![field("to", "must lie after `from`")])) }
}

fn span(span: TickSpan) -> wire::TickSpan {
    wire::TickSpan {
        from: show::time(span.from),
        to: show::time(span.to),
        count: span.count,
        outcome: match span.outcome {
            TickOutcome::Ran => wire::TickOutcome::Ran,
            TickOutcome::Skipped => wire::TickOutcome::Skipped,
            TickOutcome::Missed => wire::TickOutcome::Missed,
            TickOutcome::Lost => wire::TickOutcome::Lost,
            TickOutcome::Pending => wire::TickOutcome::Pending,
        },
        reason: span.reason,
        run_id: span.run.map(|id| id.to_string()),
    }
}

fn name_of(text: &str) -> Result<WorkerName, ApiError> {
    WorkerName::parse(text).map_err(|_| ApiError::not_found("worker"))
}

fn run_id(text: &str) -> Result<RunId, ApiError> {
    RunId::parse(text).ok_or_else(|| ApiError::not_found("run"))
}

fn worker(view: WorkerView) -> wire::Worker {
    let counts = view.counts_24h;
    wire::Worker {
        name: view.name.to_string(),
        kind: wire::ActionKind::parse(view.kind).unwrap_or(wire::ActionKind::Command),
        enabled: view.enabled,
        schedule: view.schedule,
        every_ms: view.every_ms,
        timezone: view.timezone.unwrap_or_else(|| "UTC".to_owned()),
        state: match view.state {
            WorkerState::Idle => wire::WorkerState::Idle,
            WorkerState::Running => wire::WorkerState::Running,
            WorkerState::Paused => wire::WorkerState::Paused,
            WorkerState::Disabled => wire::WorkerState::Disabled,
            WorkerState::ConfigSplit => wire::WorkerState::ConfigSplit,
        },
        next: view.next.into_iter().map(show::time).collect(),
        last_run: view.last_run.map(run_of),
        consecutive_failures: u64::from(view.consecutive_failures),
        lateness_ms: view.lateness_ms,
        outlasts: view.outlasts.map(|outlasts| wire::Outlasts {
            took_ms: show::millis(outlasts.took),
            interval_ms: show::millis(outlasts.interval),
        }),
        overdue_since: view.overdue_since.map(show::time),
        paused: view.paused.map(|pause| wire::Paused {
            by: pause.by,
            at: show::time(pause.at),
            reason: pause.reason.unwrap_or_default(),
            until: pause.until.map(show::time),
        }),
        spec_hash: view.spec_hash,
        counts_24h: wire::Counts {
            succeeded: counts.succeeded,
            failed: counts.failed,
            skipped: counts.skipped,
            missed: counts.missed,
            lost: counts.lost,
        },
    }
}

fn run_of(view: RunView) -> wire::Run {
    wire::Run {
        id: view.id.to_string(),
        worker: view.worker.to_string(),
        kind: match view.kind {
            RunKind::Tick => wire::RunKind::Tick,
            RunKind::Manual => wire::RunKind::Manual,
            RunKind::Backfill => wire::RunKind::Backfill,
        },
        tick_at: view.tick_at.map(show::time),
        due_at: show::time(view.due_at),
        state: state(view.state),
        reason: view.reason,
        replica: view.replica,
        attempt: view.attempt,
        attempts: view.attempts.into_iter().map(attempt).collect(),
        started_at: view.started_at.map(show::time),
        finished_at: view.finished_at.map(show::time),
        duration_ms: view.duration_ms,
        lateness_ms: view.lateness_ms,
        exit_code: view.exit_code,
        result: view.result.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))),
        error: view.error,
        output_bytes: view.output_bytes,
        output_truncated: view.output_truncated,
        requested_by: view.requested_by,
    }
}

const fn state(state: RunState) -> wire::RunState {
    match state {
        RunState::Queued => wire::RunState::Queued,
        RunState::Claimed => wire::RunState::Claimed,
        RunState::Running => wire::RunState::Running,
        RunState::Retrying => wire::RunState::Retrying,
        RunState::Succeeded => wire::RunState::Succeeded,
        RunState::Failed => wire::RunState::Failed,
        RunState::TimedOut => wire::RunState::TimedOut,
        RunState::Cancelled => wire::RunState::Cancelled,
        RunState::Skipped => wire::RunState::Skipped,
        RunState::Missed => wire::RunState::Missed,
        RunState::Lost => wire::RunState::Lost,
    }
}

fn attempt(view: AttemptView) -> wire::Attempt {
    wire::Attempt {
        n: view.n,
        replica: view.replica,
        started_at: show::time(view.started_at),
        finished_at: view.finished_at.map(show::time),
        // The ledger calls a replica's death by its name; the API's word for an attempt that ended so is `lost`.
        outcome: view.outcome.map(|word| wire::AttemptOutcome::parse(&word).unwrap_or(wire::AttemptOutcome::Lost)),
        error: view.error,
    }
}

impl From<WorkError> for ApiError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::UnknownWorker(_) => Self::not_found("worker"),
            WorkError::UnknownRun(_) => Self::not_found("run"),
            WorkError::NotTakenOver(_) => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            WorkError::TooLong(_) => Self::invalid(vec![field("to", error.to_string())]),
            WorkError::Ledger(error) => error.into(),
        }
    }
}
