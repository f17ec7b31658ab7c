//! `POST /api/admin/api-keys/import` and `/explain`: keys of elsewhere taken over by their hash, and why a key is refused.
//! What fits and what is judged is `crate::keys`.

use super::answer::{ApiError, field};
use super::body::Json as Body;
use super::caller::{Admin, Operator};
use super::keys::networks;
use super::verify;
use crate::clock::Timestamp;
use crate::keys::{
    FieldError, Foreign, ImportMode, Imported, MAX_IMPORT, Need, NewKey, Step, StepOutcome, Unfit, WhichKey,
};
use crate::name::Kid;
use crate::runtime::App;
use axum::Json;
use axum::extract::State;
use monolith_client::wire;
use std::sync::Arc;

/// Takes over keys that were issued elsewhere, by the hash of their whole text; all or none, unless asked otherwise.
#[utoipa::path(post, path = "/api/admin/api-keys/import", tag = "keys", security(("token" = [])), request_body = wire::ImportKeys,
    responses((status = 200, body = wire::ImportedKeys), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn import(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    Body(wanted): Body<wire::ImportKeys>,
) -> Result<Json<wire::ImportedKeys>, ApiError> {
    if wanted.keys.is_empty() || wanted.keys.len() > MAX_IMPORT {
        return Err(ApiError::invalid(vec![field("keys", format!("must be 1 to {MAX_IMPORT}"))]));
    }
    let mode = match (wanted.dry_run, wanted.partial) {
        (true, _) => ImportMode::DryRun,
        (false, true) => ImportMode::Partial,
        (false, false) => ImportMode::AllOrNothing,
    };
    let kids: Vec<String> = wanted.keys.iter().map(|key| key.kid.clone()).collect();
    let keys: Vec<_> = wanted.keys.into_iter().map(foreign).collect();
    let Imported { count, unfit } = app.keys.import(keys, mode, &caller.actor(), Timestamp::now()).await?;
    if mode == ImportMode::AllOrNothing && !unfit.is_empty() {
        return Err(ApiError::invalid(
            unfit.iter().flat_map(|unfit| problems(unfit, &format!("keys[{}].", unfit.n))).collect(),
        ));
    }
    let refused = unfit.iter().map(|unfit| wire::ImportRefusal {
        n: unfit.n as u64,
        kid: kids.get(unfit.n).cloned().unwrap_or_default(),
        errors: problems(unfit, ""),
    });
    Ok(Json(wire::ImportedKeys { dry_run: wanted.dry_run, imported: count as u64, refused: refused.collect() }))
}

/// Why a key is good or is not, step by step; nothing is counted.
#[utoipa::path(post, path = "/api/admin/api-keys/explain", tag = "keys", security(("token" = [])), request_body = wire::ExplainKey,
    responses((status = 200, body = wire::KeyExplanation), (status = 400, body = wire::ProblemBody),
              (status = 401, body = wire::ProblemBody), (status = 403, body = wire::ProblemBody),
              (status = 413, body = wire::ProblemBody), (status = 415, body = wire::ProblemBody),
              (status = 422, body = wire::ProblemBody)))]
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Operator(_): Operator,
    Body(asked): Body<wire::ExplainKey>,
) -> Result<Json<wire::KeyExplanation>, ApiError> {
    let snapshot = app.snapshot().clone();
    let wire::ExplainKey { key, kid, policy, scopes, ip } = asked;
    let (policy, ip) = verify::checked(policy.as_deref(), scopes.as_deref(), ip.as_deref(), &snapshot.settings)?;
    let need = Need { scopes: scopes.as_deref().unwrap_or_default(), policy, ip };
    let kid = kid.map(|kid| Kid::parse(&kid)).transpose();
    let kid = kid.map_err(|error| ApiError::invalid(vec![field("kid", error.to_string())]))?;
    let which = match (&key, &kid) {
        (Some(key), None) => WhichKey::Text(key.expose()),
        (None, Some(kid)) => WhichKey::Kid(kid),
        _ => return Err(ApiError::invalid(vec![field("", "say which key by exactly one of key and kid")])),
    };
    let explained = app.keys.explain(which, need, Timestamp::now()).await;
    let code = explained.verdict.code().and_then(wire::VerifyCode::parse);
    Ok(Json(wire::KeyExplanation {
        valid: code == Some(wire::VerifyCode::Valid),
        code,
        kid: explained.verdict.record().map(|record| record.kid.to_string()),
        steps: explained.steps.into_iter().map(step).collect(),
    }))
}

fn step(step: Step) -> wire::ExplainStep {
    wire::ExplainStep {
        step: step.name.to_owned(),
        outcome: match step.outcome {
            StepOutcome::Passed => wire::StepOutcome::Passed,
            StepOutcome::Refused => wire::StepOutcome::Refused,
            StepOutcome::Skipped => wire::StepOutcome::Skipped,
        },
        detail: step.detail,
    }
}

fn problems(unfit: &Unfit, before: &str) -> Vec<wire::Problem> {
    unfit.errors.iter().map(|error| field(&format!("{before}{}", error.key), error.message.clone())).collect()
}

/// The key as it is meant, or what cannot be meant.
fn foreign(key: wire::ImportKey) -> Result<Foreign, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut instant = |name: &str, text: Option<&str>| {
        let parsed = text.map(Timestamp::parse);
        if parsed == Some(None) {
            errors.push(field(name, "must be an instant such as 2026-12-31T00:00:00Z"));
        }
        parsed.flatten()
    };
    let created_at = instant("created_at", key.created_at.as_deref());
    let expires_at = instant("expires_at", key.expires_at.as_deref());
    let ip_allow = networks(&key.ip_allow, &mut errors);
    if !errors.is_empty() {
        return Err(errors.into_iter().map(|error| FieldError { key: error.key, message: error.message }).collect());
    }
    let wire::ImportKey { kid, hash, algorithm, pepper, name, owner, scopes, rate_limit, metadata, .. } = key;
    let wish = NewKey { name, owner, scopes, ttl: None, expires_at, ip_allow, rate_limit, metadata };
    Ok(Foreign { kid, hash, algorithm, pepper, created_at, wish })
}
