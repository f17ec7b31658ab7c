//! `GET /api/admin/replicas`: the processes that share the keys, as each last wrote about itself.
//! Whether one lives is for the reader to judge by `seen_at`: a replica that was killed says nothing about it.

use super::answer::ApiError;
use super::caller::Viewer;
use super::show;
use crate::keys::Replica;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use std::sync::Arc;

/// The processes that share the keys, those that started last first.
#[utoipa::path(get, path = "/api/admin/replicas", tag = "admin", security(("token" = [])),
    responses((status = 200, body = wire::List<wire::Replica>), (status = 401, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
) -> Result<Json<wire::List<wire::Replica>>, ApiError> {
    let replicas = app.keys.replicas().await?;
    Ok(Json(wire::List::whole(replicas.into_iter().map(shown).collect())))
}

fn shown(replica: Replica) -> wire::Replica {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    wire::Replica {
        id: replica.id,
        role: if replica.role == "worker" { wire::ProcessRole::Worker } else { wire::ProcessRole::Serve },
        version: replica.version,
        started_at: show::time(replica.started_at),
        seen_at: show::time(replica.seen_at),
        generation: count(replica.generation),
        hash: replica.hash,
        ready: replica.ready,
        index_age_ms: replica.index_age_ms.map(count),
        acked_seq: replica.acked_seq.map(count),
        clock_skew_ms: replica.clock_skew_ms,
        running: count(replica.running),
    }
}
