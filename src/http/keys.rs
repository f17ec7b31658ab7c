//! `/api/admin/api-keys`: create, list, show, patch, rotate, revoke, one or many.
//! The whole key is answered once, at its creation, and never again.

use super::answer::{ApiError, field};
use super::body::{Json as Body, Optional, Params, Segment};
use super::caller::{Admin, Operator, Viewer};
use super::show;
use crate::clock::{self, Timestamp};
use crate::keys::{self, Filter, KeyState, KeysError, NewKey, Patch, Record};
use crate::name::Kid;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use monolith_client::wire;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The header that makes a creation repeatable.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Creates a key; the answer is the only time the whole key is told.
#[utoipa::path(post, path = "/api/admin/api-keys", tag = "keys", security(("token" = [])), request_body = wire::CreateKey,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same again: 200, and no second key")),
    responses((status = 201, body = wire::IssuedKey), (status = 200, body = wire::IssuedKey),
              (status = 400, body = wire::ProblemBody), (status = 401, body = wire::ProblemBody),
              (status = 403, body = wire::ProblemBody), (status = 409, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    headers: HeaderMap,
    Body(wanted): Body<wire::CreateKey>,
) -> Result<(StatusCode, Json<wire::IssuedKey>), ApiError> {
    let now = Timestamp::now();
    let repeat = headers.get(IDEMPOTENCY_KEY).map(|id| id.to_str().unwrap_or_default());
    let created = app.keys.create(new_key(wanted)?, &caller.actor(), repeat, now).await?;
    let status = if created.key.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let key = created.key.map(|key| wire::KeyText::new(key.expose()));
    Ok((status, Json(wire::IssuedKey { record: shown(&created.record, now), key })))
}

/// The keys, newest first; never a secret or a hash.
#[utoipa::path(get, path = "/api/admin/api-keys", tag = "keys", security(("token" = [])), params(wire::KeysQuery),
    responses((status = 200, body = wire::List<wire::Key>), (status = 401, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Params(query): Params<wire::KeysQuery>,
) -> Result<Json<wire::List<wire::Key>>, ApiError> {
    let now = Timestamp::now();
    let limit = query.limit.unwrap_or(super::DEFAULT_PAGE).clamp(1, super::MAX_PAGE) as usize;
    let filter = Filter {
        state: query.state.map(state_of),
        owner: query.owner,
        scope: query.scope,
        text: query.q,
        sort: query.sort,
    };
    let turn = app.keys.turn().await;
    let looking = Arc::clone(&app);
    let page = spawn_blocking(move || {
        let _turn = turn;
        looking.keys.list(&filter, limit, query.after.as_deref(), now)
    });
    let page = page.await.map_err(|error| ApiError::internal(format!("listing keys broke off: {error}")))??;
    let items = page.items.iter().map(|record| shown(record, now)).collect();
    Ok(Json(wire::List { items, next: page.next }))
}

/// One key.
#[utoipa::path(get, path = "/api/admin/api-keys/{kid}", tag = "keys", security(("token" = [])),
    params(("kid" = String, Path, description = "The public id of the key")),
    responses((status = 200, body = wire::Key), (status = 401, body = wire::ProblemBody), (status = 404, body = wire::ProblemBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Viewer(_): Viewer,
    Segment(kid): Segment,
) -> Result<Json<wire::Key>, ApiError> {
    let record = app.keys.get(&kid_of(&kid)?).ok_or_else(|| ApiError::not_found("key"))?;
    Ok(Json(shown(&record, Timestamp::now())))
}

/// Revokes a key, waits at most two seconds for the replicas, and answers a receipt; again: the same instant.
#[utoipa::path(delete, path = "/api/admin/api-keys/{kid}", tag = "keys", security(("token" = [])),
    params(("kid" = String, Path, description = "The public id of the key"), wire::RevokeQuery),
    responses((status = 200, body = wire::Receipt), (status = 401, body = wire::ProblemBody),
              (status = 403, body = wire::ProblemBody), (status = 404, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(kid): Segment,
    Params(query): Params<wire::RevokeQuery>,
) -> Result<Json<wire::Receipt>, ApiError> {
    let actor = caller.actor();
    let ended = app.keys.revoke(&kid_of(&kid)?, query.reason.as_deref(), &actor, Timestamp::now()).await?;
    let (record, reach) = (ended.record, ended.reach);
    Ok(Json(wire::Receipt {
        kid: record.kid.to_string(),
        revoked_at: record.rare.revoked_at.map(show::time).unwrap_or_default(),
        reason: record.rare.revoke_reason.as_deref().map(str::to_owned),
        replicas_known: reach.known,
        replicas_acked: reach.acked,
        lag_ms: reach.lag.map(show::millis),
        complete: reach.is_complete(),
        bound_ms: reach.bound.map(show::millis),
    }))
}

/// Changes some fields of a key; null clears, what is absent stays.
#[utoipa::path(patch, path = "/api/admin/api-keys/{kid}", tag = "keys", security(("token" = [])), request_body = wire::PatchKey,
    params(("kid" = String, Path, description = "The public id of the key"),
           ("If-Match" = Option<String>, Header, description = "The version that the patch was made for; another one: 412")),
    responses((status = 200, body = wire::Key), (status = 400, body = wire::ProblemBody), (status = 401, body = wire::ProblemBody),
              (status = 403, body = wire::ProblemBody), (status = 404, body = wire::ProblemBody),
              (status = 409, body = wire::ProblemBody), (status = 412, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(kid): Segment,
    headers: HeaderMap,
    Body(wanted): Body<wire::PatchKey>,
) -> Result<Json<wire::Key>, ApiError> {
    let now = Timestamp::now();
    let kid = kid_of(&kid)?;
    // Of a key that is not there, nothing else is wrong.
    let or_none = |error| if app.keys.get(&kid).is_some() { error } else { ApiError::not_found("key") };
    let patch = Patch { version: version(&headers)?, ..patch_of(wanted).map_err(or_none)? };
    let record = app.keys.patch(&kid, &patch, &caller.actor(), now).await?;
    Ok(Json(shown(&record, now)))
}

/// Makes a successor with the same rights; the old key is good for `grace` longer, never beyond its own end.
#[utoipa::path(post, path = "/api/admin/api-keys/{kid}/rotate", tag = "keys", security(("token" = [])), request_body = wire::RotateKey,
    params(("kid" = String, Path, description = "The public id of the key to replace")),
    responses((status = 201, body = wire::IssuedKey), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 404, body = wire::ProblemBody), (status = 409, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Segment(kid): Segment,
    Optional(wanted): Optional<wire::RotateKey>,
) -> Result<(StatusCode, Json<wire::IssuedKey>), ApiError> {
    let now = Timestamp::now();
    let grace = match wanted.grace.as_deref().map(clock::parse_duration) {
        None => keys::DEFAULT_GRACE,
        Some(Some(grace)) => grace,
        Some(None) => {
            return Err(ApiError::invalid(vec![field("grace", "must be a length of time such as 0s, 1h or 7d")]));
        }
    };
    let created = app.keys.rotate(&kid_of(&kid)?, grace, &caller.actor(), now).await?;
    let key = created.key.map(|key| wire::KeyText::new(key.expose()));
    Ok((StatusCode::CREATED, Json(wire::IssuedKey { record: shown(&created.record, now), key })))
}

/// Revokes all keys of an owner, with a scope, or by their ids; a dry run only says which.
#[utoipa::path(post, path = "/api/admin/api-keys/bulk-revoke", tag = "keys", security(("token" = [])), request_body = wire::BulkRevoke,
    responses((status = 200, body = wire::BulkRevoked), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn bulk_revoke(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    Body(wanted): Body<wire::BulkRevoke>,
) -> Result<Json<wire::BulkRevoked>, ApiError> {
    let now = Timestamp::now();
    let matched = matched(&app, &wanted, now)?;
    let revoked = if wanted.dry_run {
        Vec::new()
    } else {
        app.keys.revoke_all(&matched, &wanted.reason, &caller.actor(), now).await?
    };
    Ok(Json(wire::BulkRevoked {
        matched: matched.len() as u64,
        revoked: revoked.len() as u64,
        kids: matched.iter().map(ToString::to_string).collect(),
    }))
}

/// The keys that a bulk revocation is about: exactly one of the three ways to say it.
fn matched(app: &App, wanted: &wire::BulkRevoke, now: Timestamp) -> Result<Vec<Kid>, ApiError> {
    let kids = match (&wanted.owner, &wanted.scope, &wanted.kids) {
        (Some(owner), None, None) => {
            app.keys.to_revoke(&Filter { owner: Some(owner.clone()), ..Filter::default() }, now)
        }
        (None, Some(scope), None) => {
            app.keys.to_revoke(&Filter { scope: Some(scope.clone()), ..Filter::default() }, now)
        }
        (None, None, Some(kids)) => {
            let parsed = kids.iter().map(|kid| Kid::parse(kid));
            let known =
                parsed.flatten().filter(|kid| app.keys.get(kid).is_some_and(|record| record.rare.revoked_at.is_none()));
            // Whoever names a key twice means it once.
            known.collect::<BTreeSet<_>>().into_iter().collect()
        }
        _ => return Err(ApiError::invalid(vec![field("", "say which keys by exactly one of owner, scope and kids")])),
    };
    if kids.len() > keys::MAX_BULK {
        let message = format!("{} keys are too many at once; narrow it to {}", kids.len(), keys::MAX_BULK);
        return Err(ApiError::invalid(vec![field("", message)]));
    }
    Ok(kids)
}

/// The version that a patch was made for, as `3` or `"3"`.
fn version(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(http::header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
    match text.parse() {
        Ok(version) => Ok(Some(version)),
        Err(_) => Err(ApiError::invalid(vec![field("If-Match", "must be the version of the key, such as 3")])),
    }
}

fn patch_of(wanted: wire::PatchKey) -> Result<Patch, ApiError> {
    let mut errors = Vec::new();
    if matches!(wanted.revoked_at, Some(None)) {
        return Err(KeysError::Conflict("a revocation is for good; make a new key".into()).into());
    }
    if wanted.revoked_at.is_some() {
        errors.push(field("revoked_at", "to revoke a key, DELETE it"));
    }
    let enabled = match (wanted.state, &wanted.disabled_at) {
        (None, None) => None,
        (Some(wire::KeyState::Active), None) | (None, Some(None)) => Some(true),
        (Some(wire::KeyState::Disabled), None) => Some(false),
        (_, Some(Some(_))) => {
            errors.push(field("disabled_at", "must be null; to switch the key off, set state to disabled"));
            None
        }
        _ => {
            errors.push(field("state", "must be active or disabled"));
            None
        }
    };
    let expires_at = match wanted.expires_at {
        None => None,
        Some(None) => {
            errors.push(field("expires_at", "every key has an end (keys.max_ttl)"));
            None
        }
        Some(Some(text)) => {
            let parsed = Timestamp::parse(&text);
            if parsed.is_none() {
                errors.push(field("expires_at", "must be an instant such as 2026-12-31T00:00:00Z"));
            }
            parsed
        }
    };
    let ip_allow = wanted.ip_allow.map(|texts| networks(&texts.unwrap_or_default(), &mut errors));
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    Ok(Patch {
        name: wanted.name,
        owner: wanted.owner,
        scopes: wanted.scopes.map(Option::unwrap_or_default),
        enabled,
        expires_at,
        ip_allow,
        rate_limit: wanted.rate_limit,
        metadata: wanted.metadata,
        version: None,
    })
}

pub(super) fn networks(texts: &[String], errors: &mut Vec<wire::Problem>) -> Vec<ipnet::IpNet> {
    let mut networks = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        match text.parse::<ipnet::IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into)) {
            Ok(network) => networks.push(network),
            Err(_) => errors.push(field(&format!("ip_allow[{n}]"), "must be an address or a CIDR such as 10.0.0.0/8")),
        }
    }
    networks
}

fn kid_of(text: &str) -> Result<Kid, ApiError> {
    Kid::parse(text).map_err(|_| ApiError::not_found("key"))
}

fn new_key(wanted: wire::CreateKey) -> Result<NewKey, ApiError> {
    let mut errors = Vec::new();
    let ttl = wanted.ttl.as_deref().map(clock::parse_duration);
    if ttl == Some(None) {
        errors.push(field("ttl", "must be a length of time such as 12h or 90d"));
    }
    let expires_at = wanted.expires_at.as_deref().map(Timestamp::parse);
    if expires_at == Some(None) {
        errors.push(field("expires_at", "must be an instant such as 2026-12-31T00:00:00Z"));
    }
    let ip_allow = networks(&wanted.ip_allow, &mut errors);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    Ok(NewKey {
        name: wanted.name,
        owner: wanted.owner,
        scopes: wanted.scopes,
        ttl: ttl.flatten(),
        expires_at: expires_at.flatten(),
        ip_allow,
        rate_limit: wanted.rate_limit,
        metadata: wanted.metadata,
    })
}

pub(super) fn shown(record: &Record, now: Timestamp) -> wire::Key {
    let text = |text: Option<&str>| text.map(str::to_owned);
    wire::Key {
        kid: record.kid.to_string(),
        name: text(record.name.as_deref()),
        owner: text(record.owner.as_deref()),
        environment: record.environment.map(show::environment),
        scopes: record.scopes.iter().map(ToString::to_string).collect(),
        state: match record.state(now) {
            KeyState::Active => wire::KeyState::Active,
            KeyState::Disabled => wire::KeyState::Disabled,
            KeyState::Expired => wire::KeyState::Expired,
            KeyState::Revoked => wire::KeyState::Revoked,
            KeyState::Retiring => wire::KeyState::Retiring,
        },
        created_at: show::time(record.created_at),
        created_by: text(record.created_by.as_deref()),
        expires_at: record.expires_at.map(show::time),
        last_used_at: record.last_used_at.map(show::time),
        disabled_at: record.rare.disabled_at.map(show::time),
        revoked_at: record.rare.revoked_at.map(show::time),
        revoke_reason: text(record.rare.revoke_reason.as_deref()),
        rotated_to: record.rare.rotated_to.as_ref().map(ToString::to_string),
        grace_until: record.rare.grace_until.map(show::time),
        ip_allow: record.rare.ip_allow.iter().map(ToString::to_string).collect(),
        rate_limit: text(record.rare.rate_limit.as_deref()),
        metadata: record.rare.metadata.clone(),
        version: u64::try_from(record.version).unwrap_or_default(),
    }
}

const fn state_of(state: wire::KeyState) -> KeyState {
    match state {
        wire::KeyState::Active => KeyState::Active,
        wire::KeyState::Disabled => KeyState::Disabled,
        wire::KeyState::Expired => KeyState::Expired,
        wire::KeyState::Revoked => KeyState::Revoked,
        wire::KeyState::Retiring => KeyState::Retiring,
    }
}

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::NotFound => Self::not_found("key"),
            KeysError::Stale(_) => Self::new(StatusCode::PRECONDITION_FAILED, "stale", error.to_string()),
            KeysError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            KeysError::Invalid(errors) => {
                Self::invalid(errors.into_iter().map(|error| field(&error.key, error.message)).collect())
            }
            KeysError::Store(error) => Self::not_recorded(error),
        }
    }
}
