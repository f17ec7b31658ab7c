//! Routes of an embedding program: behind the same door, limits, request ids and metrics, with our callers and stores as extractors.
//! Our own routes come first; nothing here is a route of ours.

use super::answer::ApiError;
use super::caller;
use super::meter::Asked;
use crate::auth::Role;
use crate::clock::Timestamp;
use crate::runtime::App;
use crate::store::handles::Stores;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http_body_util::Limited;
use std::net::IpAddr;
use std::sync::Arc;

/// The routes that a program brings.
pub type Routes = axum::Router;

/// Somebody who came with a valid token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token's subject.
    pub subject: String,
    /// What it allows.
    pub role: Role,
    /// Until when it is valid.
    pub expires_at: Timestamp,
    /// From where they asked; `None` where a trusted proxy does not say.
    pub ip: Option<IpAddr>,
    /// The id of the request, as it stands in the answer and in the log.
    pub request_id: String,
}

/// Somebody who may read. Without a valid token the answer is 401.
#[derive(Debug, Clone)]
pub struct Viewer(pub Caller);

/// Somebody who may also act. Without a valid token the answer is 401, with a lesser role 403.
#[derive(Debug, Clone)]
pub struct Operator(pub Caller);

/// Somebody who may also act on many things at once. Without a valid token the answer is 401, with a lesser role 403.
#[derive(Debug, Clone)]
pub struct Admin(pub Caller);

impl From<caller::Caller> for Caller {
    fn from(caller: caller::Caller) -> Self {
        Self {
            subject: caller.claims.sub,
            role: caller.claims.role,
            expires_at: Timestamp::from_millis(caller.claims.exp.saturating_mul(1_000)),
            ip: caller.ip,
            request_id: caller.request_id,
        }
    }
}

/// The permission, whatever state the program's own router has.
macro_rules! extractors {
    ($($name:ident),*) => {$(
        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Response;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
                let app = app(parts).ok_or_else(elsewhere)?;
                let caller::$name(found) = caller::$name::from_request_parts(parts, &app).await.map_err(IntoResponse::into_response)?;
                Ok(Self(found.into()))
            }
        }
    )*};
}

extractors!(Viewer, Operator, Admin);

impl<S: Send + Sync> FromRequestParts<S> for Stores {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let snapshot = app(parts).ok_or_else(elsewhere)?.snapshot().clone();
        let open = snapshot.stores.iter().map(|(name, store)| (name.clone(), store.connection().clone()));
        Ok(Self::new(open.collect()))
    }
}

/// The process that the request came to.
fn app(parts: &Parts) -> Option<Arc<App>> {
    parts.extensions.get::<Arc<App>>().cloned()
}

fn elsewhere() -> Response {
    ApiError::internal("an extractor was used outside of Builder::routes").into_response()
}

/// The routes, counted by their patterns and held to `server.body_limit`; `None` where there are none.
pub(super) fn around(routes: &Routes, app: &Arc<App>) -> Option<Routes> {
    let counting = from_fn_with_state(Arc::clone(app), counted);
    let around = |routes: Routes| routes.route_layer(counting).layer(DefaultBodyLimit::disable());
    routes.has_routes().then(|| around(routes.clone()).layer(Extension(Arc::clone(app))))
}

async fn counted(State(app): State<Arc<App>>, pattern: MatchedPath, request: Request, next: Next) -> Response {
    if let Some(asked) = request.extensions().get::<Asked>() {
        asked.is(&app.metrics, pattern.as_str());
    }
    let limit = app.snapshot().settings.server.body_limit;
    next.run(request.map(|body| Body::new(Limited::new(body, limit)))).await
}
