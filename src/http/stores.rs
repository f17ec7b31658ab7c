//! `GET /api/admin/stores`: the declared stores and how they are.
//! No address and no login of a store is shown.

use super::caller::Viewer;
use super::show;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use std::sync::Arc;

/// The declared stores and how they are.
#[utoipa::path(get, path = "/api/admin/stores", tag = "admin", security(("token" = [])),
    responses((status = 200, body = wire::List<wire::Store>), (status = 401, body = wire::ProblemBody)))]
pub(super) async fn list(State(app): State<Arc<App>>, Viewer(_): Viewer) -> Json<wire::List<wire::Store>> {
    let snapshot = app.snapshot();
    let stores = snapshot.stores.iter().map(|(name, store)| {
        wire::Store::new(name.as_str(), show::store_state(store.health().state), show::store(store))
    });
    Json(wire::List::whole(stores.collect()))
}
