//! The routes, each with its description in one line, and the document made of them.
//! The document is a snapshot in the tests: no change of the API is accidental.

mod fields; // what the fields of a request must look like
mod refusals; // what a route's own description cannot say

use super::answer::ApiError;
use super::caller::Viewer;
use super::meter::Meter;
use super::{
    assertion, audit, config, docs, embedded, events, forward_auth, health, import, keys, logs, metrics, replicas,
    stores, tokens, usage, verify, whoami, workers,
};
use crate::runtime::{App, Part};
use crate::settings::server::{Docs, Door, Server};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{Method, StatusCode};
use monolith_client::wire;
use std::sync::Arc;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

/// What every route may answer, whoever asks.
const DESCRIPTION: &str = "Refusals are RFC 9457 problems with a stable `code`. Every answer carries `X-Request-Id` and \
                           `X-Monolith-Replica`. Admin routes take `Authorization: Bearer <token>`.";

/// The routes, by who may come in at a door. A route that a door does not have is as unknown there as any other.
#[derive(Debug)]
pub(super) struct Routers {
    whole: Router,
    clients: Router,
    administrators: Router,
}

/// Whom a route is for, where administrators have a door of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Services and gateways.
    Clients,
    /// Administrators, scrapers and whoever develops against the API.
    Administrators,
    /// Both.
    Everybody,
}

impl Audience {
    /// What nobody has thought of is not for everybody.
    fn of(pattern: &str) -> Self {
        let under =
            |root: &str| pattern.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if under("/health") || under("/api/keys/verify") {
            Self::Everybody
        } else if under("/api/forward-auth") || under("/.well-known") {
            Self::Clients
        } else {
            Self::Administrators
        }
    }
}

/// Whether a route is also served by a process that only runs workers.
fn tells_of_the_process(pattern: &str) -> bool {
    pattern == "/metrics" || pattern.split('/').nth(1) == Some("health")
}

impl Routers {
    /// Every route counted, and everything that is not a route refused in the same manner.
    /// Those of an embedding program are for clients.
    pub(super) fn new(app: &Arc<App>, embedded: &embedded::Routes) -> Self {
        let serves = app.part == Part::Serve;
        let here = |pattern: &str| serves || tells_of_the_process(pattern);
        let without = |whom: Audience| move |pattern: &str| here(pattern) && Audience::of(pattern) != whom;
        let (beside, nothing) = (embedded.clone(), embedded::Routes::new());
        let beside = if serves { &beside } else { &nothing };
        Self {
            whole: router(app, here, beside),
            clients: router(app, without(Audience::Administrators), beside),
            administrators: router(app, without(Audience::Clients), &nothing),
        }
    }

    /// The routes behind a door under these settings.
    pub(super) const fn behind(&self, door: Door, server: &Server) -> &Router {
        match (door, server.admin_bind) {
            (Door::Admin, _) => &self.administrators,
            (Door::Main, Some(_)) => &self.clients,
            (Door::Main, None) => &self.whole,
        }
    }
}

fn router(app: &Arc<App>, is_wanted: impl Fn(&str) -> bool, embedded: &embedded::Routes) -> Router {
    let (router, _) = described(Some(app), is_wanted).split_for_parts();
    let unmatched = axum::routing::any(not_found).with_state(());
    let router = router.method_not_allowed_fallback(method_not_allowed);
    let router = match embedded::around(embedded, app) {
        Some(beside) => {
            let beside = beside.method_not_allowed_fallback(method_not_allowed);
            router.fallback_service(beside.fallback_service(unmatched))
        }
        None => router.fallback_service(unmatched),
    };
    router.with_state(Arc::clone(app))
}

/// The description of the API.
#[must_use]
pub fn document() -> OpenApi {
    described(None, |_| true).split_for_parts().1
}

fn described(app: Option<&Arc<App>>, is_wanted: impl Fn(&str) -> bool) -> OpenApiRouter<Arc<App>> {
    let routes: Vec<UtoipaMethodRouter<Arc<App>>> = vec![
        routes!(health::health),
        routes!(health::live),
        routes!(health::ready),
        routes!(metrics::metrics),
        routes!(verify::verify),
        routes!(forward_auth::plain),
        routes!(forward_auth::nginx),
        routes!(forward_auth::envoy),
        routes!(forward_auth::envoy_root),
        routes!(assertion::jwks),
        routes!(keys::list, keys::create),
        routes!(keys::bulk_revoke),
        routes!(import::import),
        routes!(import::explain),
        routes!(keys::show, keys::patch, keys::revoke),
        routes!(keys::rotate),
        routes!(usage::show),
        routes!(workers::list),
        routes!(workers::show),
        routes!(workers::run_now),
        routes!(workers::pause),
        routes!(workers::resume),
        routes!(workers::backfill),
        routes!(workers::ticks),
        routes!(workers::runs),
        routes!(workers::run),
        routes!(workers::output),
        routes!(workers::cancel),
        routes!(config::running),
        routes!(config::explain),
        routes!(config::plan),
        routes!(config::reload),
        routes!(config::revisions),
        routes!(events::listen),
        routes!(stores::list),
        routes!(replicas::list),
        routes!(tokens::deny),
        routes!(audit::list),
        routes!(logs::list),
        routes!(whoami::whoami),
        routes!(description),
        routes!(docs::docs),
    ];
    let base = OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Monolith").version(crate::VERSION).description(Some(DESCRIPTION)).build())
        .build();
    let mut router = OpenApiRouter::with_openapi(base);
    for (schemas, paths, methods) in routes {
        let pattern = paths.paths.keys().next().cloned().unwrap_or_default();
        if !is_wanted(&pattern) {
            continue;
        }
        let methods = match pattern.starts_with(forward_auth::BEGINNING) {
            true => methods.fallback(forward_auth::any),
            false => methods,
        };
        let methods = match app {
            Some(app) => methods.layer(Meter::new(&app.metrics, &pattern)),
            None => methods,
        };
        router = router.routes((schemas, paths, methods));
    }
    let openapi = router.get_openapi_mut();
    openapi.components.get_or_insert_default().add_security_scheme("token", admin_token());
    refusals::complete(openapi);
    fields::complete(openapi);
    router
}

fn admin_token() -> SecurityScheme {
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An admin token: `monolith token create`."))
            .build(),
    )
}

/// The description of the API.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", security((), ("token" = [])),
    responses((status = 200, body = serde_json::Value), (status = 401, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody)))]
pub(super) async fn description(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    may_be_read(&app, request).await?;
    Ok(Json(document()).into_response())
}

/// Whether `server.docs` lets this caller read the description.
pub(super) async fn may_be_read(app: &Arc<App>, request: Request) -> Result<(), ApiError> {
    let docs = app.snapshot().settings.server.docs;
    match docs {
        Docs::Off => Err(ApiError::not_found("path")),
        Docs::Admin => {
            let (mut parts, _) = request.into_parts();
            Viewer::from_request_parts(&mut parts, app).await.map(drop)
        }
        Docs::Public => Ok(()),
    }
}

async fn not_found() -> ApiError {
    ApiError::not_found("path")
}

async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("{method} is not served on this path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_meant_for_everybody_is_served_to_everybody() {
        for (path, audience) in [
            ("/health", Audience::Everybody),
            ("/health/ready", Audience::Everybody),
            ("/api/keys/verify", Audience::Everybody),
            ("/api/forward-auth/{policy}", Audience::Clients),
            ("/.well-known/jwks.json", Audience::Clients),
            ("/metrics", Audience::Administrators),
            ("/api/admin/api-keys", Audience::Administrators),
            ("/admin-ui/{*path}", Audience::Administrators),
            ("/docs", Audience::Administrators),
            ("/healthy", Audience::Administrators),
            ("/api/keys/verify-all", Audience::Administrators),
        ] {
            assert_eq!(Audience::of(path), audience, "{path}");
        }
    }
}
