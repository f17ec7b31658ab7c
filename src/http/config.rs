//! `/api/admin/config`: what is running, whether the files say the same, what other texts would change, and the wish for a reload.
//! Values are masked by `config`; nothing here reads a file.

use super::answer::{ApiError, field};
use super::audit;
use super::body::{self, Params};
use super::caller::{Operator, Viewer};
use super::show;
use crate::audit::Outcome;
use crate::config::posted::Posted;
use crate::runtime::App;
use crate::runtime::report::{Ending, RELOAD, Trigger};
use crate::runtime::revisions::Revision;
use crate::secret::Secret;
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use std::sync::Arc;

/// What is running, and what is wrong with the files.
#[utoipa::path(get, path = "/api/admin/config", tag = "config", security(("token" = [])),
    responses((status = 200, body = wire::Config), (status = 401, body = wire::ProblemBody)))]
pub(super) async fn running(State(app): State<Arc<App>>, Viewer(_): Viewer) -> Json<wire::Config> {
    let (snapshot, disk) = (app.snapshot(), app.disk());
    let layers = snapshot.layers.iter().map(|layer| wire::Layer {
        name: layer.name.clone(),
        source: Some(layer.source.clone()),
        hash: Some(layer.hash.clone()),
    });
    Json(wire::Config {
        generation: snapshot.generation,
        hash: snapshot.settings.hash.to_string(),
        profile: snapshot.settings.profile.to_string(),
        layers: layers.collect(),
        disk: wire::Disk {
            hash: if disk.matches { Some(snapshot.settings.hash.to_string()) } else { disk.hash.clone() },
            matches: disk.matches,
            problems: disk.problems.iter().map(show::problem).collect(),
        },
        values: snapshot.values.clone(),
    })
}

/// Where a value comes from: the layer that won, and every layer that lost.
#[utoipa::path(get, path = "/api/admin/config/explain", tag = "config", security(("token" = [])),
    params(wire::ExplainQuery),
    responses((status = 200, body = wire::Explanation), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody)))]
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Params(query): Params<wire::ExplainQuery>,
) -> Result<Json<wire::Explanation>, ApiError> {
    let found =
        app.snapshot().explain.key(&query.key).ok_or_else(|| ApiError::not_found("key in the configuration"))?;
    let layers = found.layers.into_iter().map(|voice| wire::ExplainedLayer {
        layer: voice.layer,
        place: voice.place.map(|place| place.to_string()),
        value: voice.value,
        wins: voice.wins,
    });
    Ok(Json(wire::Explanation { key: found.key, value: found.value, masked: found.masked, layers: layers.collect() }))
}

/// What these texts would change in this process, were they its files. Nothing is changed, looked up, opened or run.
#[utoipa::path(post, path = "/api/admin/config/plan", tag = "config", security(("token" = [])),
    request_body = wire::PlanConfig,
    responses((status = 200, body = wire::Plan), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody)))]
pub(super) async fn plan(
    State(app): State<Arc<App>>,
    Operator(_): Operator,
    body::Json(texts): body::Json<wire::PlanConfig>,
) -> Result<Json<wire::Plan>, ApiError> {
    let texts = Posted { base: Secret::new(texts.base), profile: texts.profile.map(Secret::new) };
    let planned = app.plan(texts).await?;
    Ok(Json(wire::Plan {
        valid: planned.problems.is_empty(),
        problems: planned.problems.iter().map(show::problem).collect(),
        changes: planned.changes.iter().map(|c| show::change(&c.node, c.effect, &c.keys)).collect(),
        withdrawn_runs: planned.withdrawn_runs,
    }))
}

/// What was made of the settings, newest first: who, why, when, what came of it, what differs.
#[utoipa::path(get, path = "/api/admin/config/revisions", tag = "config", security(("token" = [])),
    params(wire::PageQuery),
    responses((status = 200, body = wire::List<wire::Revision>), (status = 401, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody)))]
pub(super) async fn revisions(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Params(query): Params<wire::PageQuery>,
) -> Result<Json<wire::List<wire::Revision>>, ApiError> {
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, super::MAX_PAGE) as usize;
    let before = query.after.map(|after| after.parse::<u64>()).transpose();
    let before = before.map_err(|_| ApiError::invalid(vec![field("after", "is not a cursor of this list")]))?;
    let (revisions, next) = app.revisions.page(limit, before);
    let shown = |revision: &Arc<Revision>| wire::Revision {
        revision: revision.revision,
        diff: revision.report.nodes.iter().map(|node| show::change(&node.node, node.effect, &node.keys)).collect(),
        outcome: show::outcome(&revision.report),
    };
    Ok(Json(wire::List { items: revisions.iter().map(shown).collect(), next: next.map(|n| n.to_string()) }))
}

/// Reads the files again and applies them as a whole, or changes nothing.
#[utoipa::path(post, path = "/api/admin/config/reload", tag = "config", security(("token" = [])),
    responses((status = 200, body = wire::Outcome), (status = 401, body = wire::ProblemBody),
              (status = 403, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody)))]
pub(super) async fn reload(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
) -> Result<Json<wire::Outcome>, ApiError> {
    let report = app.reload(Trigger::Api, Some(caller.claims.sub.clone())).await;
    let report = report.ok_or_else(|| ApiError::unavailable("busy", "too many reloads are waiting; try again"))?;
    let ended = if report.ending == Ending::Rejected { Outcome::Failed } else { Outcome::Ok };
    audit::record(&app, &caller, (RELOAD, &report.hash), ended, report.audited().into()).await;
    match report.ending {
        Ending::Rejected => Err(ApiError::rejected(&report)),
        Ending::Applied | Ending::Unchanged => Ok(Json(show::outcome(&report))),
    }
}
