//! What the service behind a gateway can verify by itself: a short-lived token about the caller's key, signed with Ed25519,
//! and the public half of the key that signed it. Headers can be forged by whoever gets past a gateway; this cannot.

use crate::clock::Timestamp;
use crate::keys::Record;
use crate::name::PolicyName;
use crate::runtime::App;
use crate::settings::Settings;
use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use monolith_client::wire;
use serde_json::json;
use std::sync::Arc;

/// For how long an assertion is good, in seconds: as long as the slowest request that it comes with.
const LIFE: i64 = 60;
/// Its own type, so that nobody takes it for another token (RFC 8725, section 3.11).
const TYPE: &str = "monolith-assertion+jwt";

/// The public keys that verify assertions; none where none are made.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "gateways", responses((status = 200, body = wire::Jwks)))]
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Json<wire::Jwks> {
    let snapshot = app.snapshot();
    let keys = snapshot.settings.forward_auth.assertion.iter().map(|key| wire::Jwk {
        kty: "OKP".into(),
        crv: "Ed25519".into(),
        x: key.x.clone(),
        kid: key.id.clone(),
        alg: "EdDSA".into(),
        usage: "sig".into(),
    });
    Json(wire::Jwks { keys: keys.collect() })
}

/// The assertion about a key that satisfied a policy; `None` where no key signs any.
pub(super) fn about(record: &Record, policy: &PolicyName, settings: &Settings, now: Timestamp) -> Option<String> {
    let key = settings.forward_auth.assertion.as_ref()?;
    let now = now.millis().div_euclid(1000);
    let header = json!({ "alg": "EdDSA", "typ": TYPE, "kid": key.id });
    let claims = json!({
        "iss": settings.admin.issuer,
        "aud": policy.as_str(),
        "sub": record.kid.as_str(),
        "kid": record.kid.as_str(),
        "name": record.name.as_deref(),
        "owner": record.owner.as_deref(),
        "environment": record.environment.map(crate::settings::keys::Environment::as_str),
        "scopes": record.scopes.iter().map(|scope| &**scope).collect::<Vec<&str>>(),
        "iat": now,
        "exp": now.saturating_add(LIFE),
    });
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    Some(format!("{message}.{signature}"))
}
