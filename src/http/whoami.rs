//! `GET /api/admin/whoami`: whom the server takes the caller for.
//! The token itself never comes back.

use super::caller::Viewer;
use super::show;
use crate::auth::Role;
use crate::clock::Timestamp;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use std::sync::Arc;

/// Whom the server takes the caller for.
#[utoipa::path(get, path = "/api/admin/whoami", tag = "admin", security(("token" = [])),
    responses((status = 200, body = wire::Whoami), (status = 401, body = wire::ProblemBody)))]
pub(super) async fn whoami(State(app): State<Arc<App>>, Viewer(caller): Viewer) -> Json<wire::Whoami> {
    Json(wire::Whoami {
        sub: caller.claims.sub,
        role: match caller.claims.role {
            Role::Viewer => wire::Role::Viewer,
            Role::Operator => wire::Role::Operator,
            Role::Admin => wire::Role::Admin,
        },
        expires_at: show::time(Timestamp::from_millis(caller.claims.exp.saturating_mul(1000))),
        replica: app.replica.clone(),
    })
}
