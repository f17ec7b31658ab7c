//! `GET /api/admin/api-keys/{kid}/usage`: how often a key was used, by day and by what came of it.
//! Days without a use are left out; what was counted in the last seconds is not written yet.

use super::answer::ApiError;
use super::body::{Params, Segment};
use super::caller::Viewer;
use crate::clock::Timestamp;
use crate::keys::Used;
use crate::name::Kid;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many days are answered where nobody says.
const DEFAULT_DAYS: u32 = 30;

/// How often a key was used, by day, the oldest first.
#[utoipa::path(get, path = "/api/admin/api-keys/{kid}/usage", tag = "keys", security(("token" = [])),
    params(("kid" = String, Path, description = "The public id of the key"), wire::UsageQuery),
    responses((status = 200, body = wire::List<wire::UsageDay>), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Segment(kid): Segment,
    Params(query): Params<wire::UsageQuery>,
) -> Result<Json<wire::List<wire::UsageDay>>, ApiError> {
    let kid = Kid::parse(&kid).ok().filter(|kid| app.keys.get(kid).is_some());
    let kid = kid.ok_or_else(|| ApiError::not_found("key"))?;
    let used = app.keys.usage(&kid, query.days.unwrap_or(DEFAULT_DAYS), Timestamp::now()).await?;
    Ok(Json(wire::List::whole(by_day(used))))
}

fn by_day(used: Vec<Used>) -> Vec<wire::UsageDay> {
    let mut days: BTreeMap<Timestamp, BTreeMap<String, u64>> = BTreeMap::new();
    for use_ in used {
        days.entry(use_.day).or_default().insert(use_.outcome, u64::try_from(use_.times).unwrap_or_default());
    }
    let date = |at: Timestamp| at.to_string().chars().take("2026-01-31".len()).collect();
    days.into_iter().map(|(day, outcomes)| wire::UsageDay { day: date(day), outcomes }).collect()
}
