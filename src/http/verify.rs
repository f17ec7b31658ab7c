//! `POST /api/keys/verify`: always 200 with a verdict, 503 only where nobody can tell.
//! A key that is malformed or invalid tells nothing else; what it was asked with is never logged.

use super::answer::{ApiError, field};
use super::body::Json as Body;
use super::caller::{Anyone, bearer};
use super::show;
use crate::clock::Timestamp;
use crate::keys::{Need, Record, Refused, Verdict};
use crate::runtime::App;
use crate::settings::Settings;
use crate::settings::access::Access;
use crate::settings::keys::VerifyAccess;
use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use monolith_client::wire;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The scope of a key that may ask about other keys.
const VERIFY_SCOPE: &str = "monolith:verify";
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
    headers: HeaderMap,
    anyone: Anyone,
    Body(question): Body<wire::VerifyKey>,
) -> Result<Json<wire::Verdict>, ApiError> {
    let now = Timestamp::now();
    if app.snapshot().settings.keys.verify == VerifyAccess::Token {
        may_ask(&app, &headers, &anyone, now)?;
    }
    let snapshot = app.snapshot().clone();
    let (policy, scopes, ip) = (question.policy.as_deref(), question.scopes.as_deref(), question.ip.as_deref());
    let (policy, ip) = checked(policy, scopes, ip, &snapshot.settings)?;
    let need = Need { scopes: scopes.unwrap_or_default(), policy, ip };
    let began = Instant::now();
    let (verdict, standing) = app.keys.verify(question.key.expose(), need, now).await;
    app.metrics.key_verify.observe(began.elapsed().as_secs_f64());
    let Some(code) = verdict.code() else {
        app.metrics.key_verifications.with_label_values(&["undecidable"]).inc();
        let detail = "the key index was not proved fresh for too long; nobody can tell whether this key is good";
        return Err(ApiError::unavailable("undecidable", detail));
    };
    app.metrics.key_verifications.with_label_values(&[code]).inc();
    Ok(Json(wire::Verdict {
        rate_limit: standing.map(show::standing),
        ..shown(verdict, app.keys.age().map(show::millis))
    }))
}

/// Where verify is not open, an admin token or a key with the scope for it.
fn may_ask(app: &App, headers: &HeaderMap, Anyone(caller): &Anyone, now: Timestamp) -> Result<(), ApiError> {
    if caller.is_some() {
        return Ok(());
    }
    let key = bearer(headers).or_else(|| headers.get("x-api-key")?.to_str().ok());
    let need = Need { scopes: &[VERIFY_SCOPE.to_owned()], ..Need::default() };
    match key.map(|key| app.keys.judge(key, need, now)) {
        Some(Verdict::Valid(_)) => Ok(()),
        _ => Err(ApiError::unauthorized()),
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

fn shown(verdict: Verdict, stale_ms: Option<u64>) -> wire::Verdict {
    let (code, record) = match verdict {
        Verdict::Malformed => return wire::Verdict::bare(wire::VerifyCode::Malformed),
        Verdict::Invalid | Verdict::Undecidable => return wire::Verdict::bare(wire::VerifyCode::Invalid),
        Verdict::Valid(record) => (wire::VerifyCode::Valid, record),
        Verdict::Refused(Refused::Revoked, record) => (wire::VerifyCode::Revoked, record),
        Verdict::Refused(Refused::Disabled, record) => (wire::VerifyCode::Disabled, record),
        Verdict::Refused(Refused::Expired, record) => (wire::VerifyCode::Expired, record),
        Verdict::Refused(Refused::IpDenied, record) => (wire::VerifyCode::IpDenied, record),
        Verdict::Refused(Refused::ScopeMissing, record) => (wire::VerifyCode::ScopeMissing, record),
        Verdict::Refused(Refused::RateLimited, record) => (wire::VerifyCode::RateLimited, record),
    };
    with_record(code, &record, stale_ms)
}

fn with_record(code: wire::VerifyCode, record: &Record, stale_ms: Option<u64>) -> wire::Verdict {
    wire::Verdict {
        kid: Some(record.kid.to_string()),
        name: record.name.as_deref().map(str::to_owned),
        owner: record.owner.as_deref().map(str::to_owned),
        environment: record.environment.map(show::environment),
        scopes: Some(record.scopes.iter().map(ToString::to_string).collect()),
        expires_at: record.expires_at.map(show::time),
        stale_ms,
        ..wire::Verdict::bare(code)
    }
}
