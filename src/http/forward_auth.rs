//! `/api/forward-auth`: a gateway asks whether its caller may come in; the key is in the header that the policy names.
//! A gateway's answer carries everything that is known of the key, and each refusal in the form that this gateway can carry.

use super::answer::ApiError;
use super::assertion;
use super::caller::{bearer, client_ip};
use super::headers;
use crate::clock::Timestamp;
use crate::keys::{Need, Record, Refused, Standing, Verdict};
use crate::runtime::App;
use crate::settings::access::Carrier;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// How the paths of all gateways begin.
pub(super) const BEGINNING: &str = "/api/forward-auth/";

const KID: HeaderName = HeaderName::from_static("x-monolith-kid");
const NAME: HeaderName = HeaderName::from_static("x-monolith-name");
const OWNER: HeaderName = HeaderName::from_static("x-monolith-owner");
const ENVIRONMENT: HeaderName = HeaderName::from_static("x-monolith-environment");
const SCOPES: HeaderName = HeaderName::from_static("x-monolith-scopes");
/// The same, signed; empty where nothing is.
const ASSERTION: HeaderName = HeaderName::from_static("x-monolith-assertion");
/// The status that was meant, where a gateway can carry only some: nginx takes 401 and 403 and calls all others 500.
const STATUS: HeaderName = HeaderName::from_static("x-monolith-status");

/// What of a name or an owner is percent-encoded in a header: everything but visible ASCII, and the sign itself.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');

/// Which gateway asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One that passes a refusal on as it is: Traefik, Caddy, APISIX, Envoy.
    Plain,
    /// `auth_request` of nginx.
    Nginx,
}

/// Asked by Traefik, Caddy or APISIX.
#[utoipa::path(method(get, post, put, patch, delete, head, options), path = "/api/forward-auth/{policy}", tag = "gateways",
    params(("policy" = String, Path, description = "The name of a declared policy")),
    responses((status = 200), (status = 401, body = monolith_client::wire::ProblemBody),
              (status = 403, body = monolith_client::wire::ProblemBody), (status = 429, body = monolith_client::wire::ProblemBody),
              (status = 503, body = monolith_client::wire::ProblemBody)))]
pub(super) async fn plain(State(app): State<Arc<App>>, parts: Parts) -> Response {
    answer(&app, &parts).await
}

/// Asked by nginx, which carries 401 and 403 only.
#[utoipa::path(method(get, post, put, patch, delete, head, options), path = "/api/forward-auth/nginx/{policy}", tag = "gateways",
    params(("policy" = String, Path, description = "The name of a declared policy")),
    responses((status = 200), (status = 401, body = monolith_client::wire::ProblemBody),
              (status = 403, body = monolith_client::wire::ProblemBody), (status = 503, body = monolith_client::wire::ProblemBody)))]
pub(super) async fn nginx(State(app): State<Arc<App>>, parts: Parts) -> Response {
    answer(&app, &parts).await
}

/// Asked by Envoy, which puts the path of the request behind its prefix.
#[utoipa::path(method(get, post, put, patch, delete, head, options), path = "/api/forward-auth/envoy/{policy}/{*rest}", tag = "gateways",
    params(("policy" = String, Path, description = "The name of a declared policy"),
           ("rest" = String, Path, description = "The path that the caller asked for; it is not looked at")),
    responses((status = 200), (status = 401, body = monolith_client::wire::ProblemBody),
              (status = 403, body = monolith_client::wire::ProblemBody), (status = 429, body = monolith_client::wire::ProblemBody),
              (status = 503, body = monolith_client::wire::ProblemBody)))]
pub(super) async fn envoy(State(app): State<Arc<App>>, parts: Parts) -> Response {
    answer(&app, &parts).await
}

/// Asked by Envoy about the path `/`.
#[utoipa::path(method(get, post, put, patch, delete, head, options), path = "/api/forward-auth/envoy/{policy}/", tag = "gateways",
    params(("policy" = String, Path, description = "The name of a declared policy")),
    responses((status = 200), (status = 401, body = monolith_client::wire::ProblemBody),
              (status = 403, body = monolith_client::wire::ProblemBody), (status = 429, body = monolith_client::wire::ProblemBody),
              (status = 503, body = monolith_client::wire::ProblemBody)))]
pub(super) async fn envoy_root(State(app): State<Arc<App>>, parts: Parts) -> Response {
    answer(&app, &parts).await
}

/// Asked with a method of which a description cannot tell, such as PROPFIND: Envoy passes on its caller's.
pub(super) async fn any(State(app): State<Arc<App>>, parts: Parts) -> Response {
    answer(&app, &parts).await
}

async fn answer(app: &App, parts: &Parts) -> Response {
    let (form, policy) = asked(parts.uri.path());
    match decide(app, parts, &policy).await {
        Ok(headers) => (StatusCode::OK, headers).into_response(),
        Err(Refusal { error, retry_after }) => refused(error, retry_after, form),
    }
}

/// Who asks, and for which policy. What Envoy puts behind it is its caller's, and need not even be text.
fn asked(path: &str) -> (Form, Cow<'_, str>) {
    let rest = path.strip_prefix(BEGINNING).unwrap_or_default();
    let (form, policy) = match rest.split_once('/') {
        Some(("nginx", policy)) => (Form::Nginx, policy),
        Some(("envoy", rest)) => (Form::Plain, rest.split('/').next().unwrap_or_default()),
        _ => (Form::Plain, rest),
    };
    (form, percent_decode_str(policy).decode_utf8_lossy())
}

/// Why a caller may not come in.
struct Refusal {
    error: ApiError,
    retry_after: Option<u64>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, retry_after: None }
    }
}

async fn decide(app: &App, parts: &Parts, policy: &str) -> Result<HeaderMap, Refusal> {
    let snapshot = app.snapshot().clone();
    let now = Timestamp::now();
    let Some(policy) = snapshot.settings.policies.get(policy) else {
        // Not 404: a gateway would take that for the answer of the service behind it.
        return Err(ApiError::new(StatusCode::FORBIDDEN, "unknown_policy", "there is no such policy").into());
    };
    let ip = client_ip(parts, &snapshot.settings.server.trusted_proxies);
    let need = Need { policy: Some(policy), ip, ..Need::default() };
    let began = Instant::now();
    let (verdict, standing) = match key(&parts.headers, policy.carrier) {
        Some(key) => app.keys.verify(key, need, now).await,
        None => (Verdict::Malformed, None),
    };
    app.metrics.key_verify.here().observe(began.elapsed().as_secs_f64());
    app.metrics.key_verifications.count(verdict.code().unwrap_or("undecidable"));
    match verdict {
        Verdict::Valid(record) => {
            let assertion = assertion::about(&record, &policy.name, &snapshot.settings, now);
            Ok(identity(&record, assertion.as_deref()))
        }
        other => Err(refusal(&other, standing)),
    }
}

/// The one key of a request. Two headers are as good as none: the service behind may read the other one.
fn key(headers: &HeaderMap, carrier: Carrier) -> Option<&str> {
    if carrier == Carrier::Bearer {
        return bearer(headers);
    }
    let mut values = headers.get_all("x-api-key").iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn refusal(verdict: &Verdict, standing: Option<Standing>) -> Refusal {
    let forbidden = |code, detail| ApiError::new(StatusCode::FORBIDDEN, code, detail).into();
    match verdict {
        Verdict::Refused(Refused::IpDenied, _) => forbidden("ip_denied", "the key may not be used from this address"),
        Verdict::Refused(Refused::ScopeMissing, _) => forbidden("scope_missing", "the key does not allow this"),
        Verdict::Refused(Refused::RateLimited, _) => {
            let seconds = standing.map_or(1, |standing| standing.retry_after.as_secs().saturating_add(1));
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "the key was used too often");
            Refusal { error, retry_after: Some(seconds) }
        }
        Verdict::Undecidable => {
            ApiError::unavailable("undecidable", "nobody can tell now whether this key is good").into()
        }
        // Which of the reasons it was is told to whoever holds the record, not to whoever holds the key.
        _ => ApiError::new(StatusCode::UNAUTHORIZED, "key_refused", "a valid API key is needed").into(),
    }
}

fn refused(error: ApiError, retry_after: Option<u64>, form: Form) -> Response {
    let mut response = error.into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if form == Form::Nginx && response.status() == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(STATUS, HeaderValue::from_static("429"));
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}

/// All of them, always: one that is left out would let the caller's own header through.
fn identity(record: &Record, assertion: Option<&str>) -> HeaderMap {
    let text = |text: Option<&str>| {
        let encoded = utf8_percent_encode(text.unwrap_or_default(), UNSAFE).to_string();
        HeaderValue::from_str(&encoded).unwrap_or(headers::EMPTY)
    };
    let scopes: Vec<&str> = record.scopes.iter().map(|scope| &**scope).collect();
    HeaderMap::from_iter([
        (KID, text(Some(record.kid.as_str()))),
        (NAME, text(record.name.as_deref())),
        (OWNER, text(record.owner.as_deref())),
        (ENVIRONMENT, text(record.environment.map(crate::settings::keys::Environment::as_str))),
        (SCOPES, text(Some(&scopes.join(" ")))),
        (ASSERTION, text(assertion)),
    ])
}
