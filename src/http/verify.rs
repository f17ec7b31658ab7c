//! `POST /api/keys/verify`: always 200 with a verdict, 503 only where nobody can tell.
//! A key that is malformed or invalid tells nothing else; what it was asked with is never logged.

use super::answer::{ApiError, field};
use super::body::{self, Json as Body};
use super::caller::{Anyone, bearer, client_ip};
use super::manners::Origin;
use super::show;
use crate::clock::Timestamp;
use crate::keys::{Need, Standing, Verdict};
use crate::runtime::App;
use crate::settings::Settings;
use crate::settings::access::Access;
use crate::settings::keys::{Environment, VerifyAccess};
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use monolith_client::wire;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The path of the question.
pub(super) const PATH: &str = "/api/keys/verify";
/// The scope of a key that may ask about other keys.
const VERIFY_SCOPE: &str = "monolith:verify";
/// What an answer about a key takes, with a name and a few scopes, in bytes; more grows.
const ANSWER_ROOM: usize = 512;
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The most scopes in one question.
const MAX_SCOPES: usize = 64;

/// Whether a key is good, and for what.
#[utoipa::path(post, path = "/api/keys/verify", tag = "keys", security((), ("token" = [])), request_body = wire::VerifyKey,
    responses((status = 200, body = wire::Verdict), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 413, body = wire::ProblemBody),
              (status = 415, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    _may_ask: MayAsk,
    Body(question): Body<wire::VerifyKey>,
) -> Result<Response, ApiError> {
    Ok(([(header::CONTENT_TYPE, JSON)], told(&app, &question).await?).into_response())
}

/// Whether a request is this question. It is answered past the router, whose way costs as much as the answer.
pub(super) fn is_asked<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST && request.uri().path() == PATH
}

/// Answers the request of somebody who may ask.
pub(super) async fn direct(app: &Arc<App>, request: Request<Incoming>, origin: &Origin) -> Result<Bytes, ApiError> {
    let (mut parts, body) = request.into_parts();
    let (access, limit) = {
        let snapshot = app.snapshot();
        (snapshot.settings.keys.verify, snapshot.settings.server.body_limit)
    };
    if access != VerifyAccess::Open {
        origin.write_into(&mut parts.extensions);
        MayAsk::from_request_parts(&mut parts, app).await?;
    }
    told(app, &body::json(&parts.headers, body, limit).await?).await
}

async fn told(app: &App, question: &wire::VerifyKey) -> Result<Bytes, ApiError> {
    // A limit that is shared waits for its store; the settings of this moment are held meanwhile. A clone would be counted
    // where all verifications count.
    let snapshot = app.snapshot();
    let (policy, scopes, ip) = (question.policy.as_deref(), question.scopes.as_deref(), question.ip.as_deref());
    let (policy, ip) = checked(policy, scopes, ip, &snapshot.settings)?;
    let need = Need { scopes: scopes.unwrap_or_default(), policy, ip };
    let (now, began) = (Timestamp::now(), Instant::now());
    let (verdict, standing) = app.keys.verify(question.key.expose(), need, now).await;
    let judged = Instant::now();
    app.metrics.key_verify.here().observe(judged.duration_since(began).as_secs_f64());
    app.metrics.key_verifications.count(verdict.code().unwrap_or("undecidable"));
    let Some(answer) = Answer::of(&verdict, standing, app.keys.age_at(judged)) else {
        return Err(undecidable());
    };
    let mut body = Vec::with_capacity(ANSWER_ROOM);
    serde_json::to_writer(&mut body, &answer).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(body.into())
}

fn undecidable() -> ApiError {
    let detail = "the key index was not proved fresh for too long; nobody can tell whether this key is good";
    ApiError::unavailable("undecidable", detail)
}

/// Whoever may ask about keys: anybody, or, where verify is not open, an admin token or a key with the scope for it.
pub(super) struct MayAsk;

impl FromRequestParts<Arc<App>> for MayAsk {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let settings = Arc::clone(&app.snapshot().settings);
        if settings.keys.verify == VerifyAccess::Open {
            return Ok(Self);
        }
        let Anyone(caller) = Anyone::from_request_parts(parts, app).await?;
        if caller.is_some() {
            return Ok(Self);
        }
        let key = bearer(&parts.headers).or_else(|| parts.headers.get("x-api-key")?.to_str().ok());
        let ip = client_ip(parts, &settings.server.trusted_proxies);
        let need = Need { scopes: &[VERIFY_SCOPE.to_owned()], ip, policy: None };
        match key.map(|key| app.keys.judge(key, need, Timestamp::now())) {
            Some(Verdict::Valid(_)) => Ok(Self),
            Some(Verdict::Undecidable) => Err(undecidable()),
            _ => Err(ApiError::unauthorized()),
        }
    }
}

/// What is asked of a key beside being one, where it can be asked.
pub(super) fn checked<'a>(
    policy: Option<&str>,
    scopes: Option<&[String]>,
    ip: Option<&str>,
    settings: &'a Settings,
) -> Result<(Option<&'a Access>, Option<IpAddr>), ApiError> {
    let policy = policy.map(|name| {
        let known = settings.policies.get(name).map(|policy| &**policy);
        known.ok_or_else(|| ApiError::invalid(vec![field("policy", "there is no such policy")]))
    });
    if scopes.is_some_and(|scopes| scopes.len() > MAX_SCOPES) {
        return Err(ApiError::invalid(vec![field("scopes", format!("must be at most {MAX_SCOPES}"))]));
    }
    let ip = ip.map(str::parse).transpose();
    let wrong = || ApiError::invalid(vec![field("ip", "must be an address such as 203.0.113.7 or 2001:db8::7")]);
    Ok((policy.transpose()?, ip.map_err(|_| wrong())?))
}

/// [`wire::Verdict`], field by field, read out of the record that was judged: the busiest answer of all copies nothing.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    valid: bool,
    code: &'static str,
    kid: Option<&'a str>,
    name: Option<&'a str>,
    owner: Option<&'a str>,
    environment: Option<&'static str>,
    scopes: Option<&'a [Box<str>]>,
    expires_at: Option<String>,
    rate_limit: Option<wire::RateLimit>,
    stale_ms: Option<u64>,
}

impl<'a> Answer<'a> {
    /// `None` where nobody can tell.
    fn of(verdict: &'a Verdict, standing: Option<Standing>, age: Option<Duration>) -> Option<Self> {
        let code = verdict.code()?;
        let record = match verdict {
            Verdict::Valid(record) | Verdict::Refused(_, record) => Some(&**record),
            Verdict::Malformed | Verdict::Invalid | Verdict::Undecidable => None,
        };
        Some(Self {
            valid: matches!(verdict, Verdict::Valid(_)),
            code,
            kid: record.map(|record| record.kid.as_str()),
            name: record.and_then(|record| record.name.as_deref()),
            owner: record.and_then(|record| record.owner.as_deref()),
            environment: record.and_then(|record| record.environment).map(Environment::as_str),
            scopes: record.map(|record| &*record.scopes),
            expires_at: record.and_then(|record| record.expires_at).map(show::time),
            rate_limit: record.and(standing).map(show::standing),
            stale_ms: record.and(age).map(show::millis),
        })
    }
}

#[cfg(test)]
mod tests;
