//! `/api/admin/tokens`: a token is refused before its time.
//! Tokens are made by `monolith token create`, from the signing key itself; no route makes one.

use super::answer::{ApiError, field};
use super::body::Json as Body;
use super::caller::Admin;
use super::show;
use crate::auth::MAX_SUBJECT;
use crate::auth::denied::{Denial, DenyError};
use crate::clock::Timestamp;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use monolith_client::wire;
use std::sync::Arc;

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// Denies a token by its id, or one that was found whole; every replica refuses it until it would have expired.
#[utoipa::path(post, path = "/api/admin/tokens/deny", tag = "admin", security(("token" = [])), request_body = wire::DenyToken,
    responses((status = 200, body = wire::DeniedToken), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 409, body = wire::ProblemBody), (status = 413, body = wire::ProblemBody),
              (status = 415, body = wire::ProblemBody), (status = 422, body = wire::ProblemBody),
              (status = 503, body = wire::ProblemBody)))]
pub(super) async fn deny(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    Body(wanted): Body<wire::DenyToken>,
) -> Result<Json<wire::DeniedToken>, ApiError> {
    let now = Timestamp::now();
    let denial = denial(&app, wanted, now)?;
    let expires_at = app.denied.deny(&app.keys.database(), &denial, &caller.actor(), now).await?;
    Ok(Json(wire::DeniedToken { jti: denial.jti, expires_at: show::time(expires_at) }))
}

/// What is meant: exactly one of a token and its id. Of an id alone nobody knows when it expires; no token outlives
/// `admin.max_token_ttl`.
fn denial(app: &App, wanted: wire::DenyToken, now: Timestamp) -> Result<Denial, ApiError> {
    let reason = wanted.reason;
    if reason.as_deref().is_some_and(|text| text.chars().count() > MAX_REASON || text.chars().any(char::is_control)) {
        return Err(wrong("reason", &format!("must be at most {MAX_REASON} printable characters")));
    }
    let snapshot = app.snapshot();
    let longest = now.after(snapshot.settings.admin.max_token_ttl);
    match (wanted.jti, wanted.token) {
        (Some(jti), None) if is_id(&jti) => Ok(Denial { jti, expires_at: longest, reason }),
        (Some(_), None) => Err(wrong("jti", &format!("must be 1 to {MAX_SUBJECT} characters"))),
        (None, Some(token)) => {
            let claims = snapshot.auth.verify(token.expose().trim(), now);
            let claims = claims.map_err(|refusal| wrong("token", &format!("is refused already: {refusal}")))?;
            let expires_at = Timestamp::from_millis(claims.exp.saturating_mul(1000));
            Ok(Denial { jti: claims.jti, expires_at, reason })
        }
        _ => Err(wrong("", "say which token by exactly one of jti and token")),
    }
}

fn is_id(jti: &str) -> bool {
    (1..=MAX_SUBJECT).contains(&jti.len()) && !jti.contains('\0')
}

fn wrong(key: &str, message: &str) -> ApiError {
    ApiError::invalid(vec![field(key, message)])
}

impl From<DenyError> for ApiError {
    fn from(error: DenyError) -> Self {
        match error {
            DenyError::TooMany => Self::new(StatusCode::CONFLICT, "too_many_denied", error.to_string()),
            DenyError::Store(error) => Self::not_recorded(error),
        }
    }
}
