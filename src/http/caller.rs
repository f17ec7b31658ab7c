//! Who asks, and what the role allows. The permission is an argument of the handler: forgetting it does not compile.
//! Tokens are judged by `auth`; an API key is never one.

use super::answer::ApiError;
use super::manners::{Peer, RequestId};
use crate::audit::{Actor, Change, Outcome};
use crate::auth::{Auth, Claims, Refusal, Role};
use crate::clock::Timestamp;
use crate::keys::KEY_BEGINNING;
use crate::runtime::App;
use axum::extract::{FromRequestParts, MatchedPath};
use http::request::Parts;
use http::{HeaderMap, header};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The longest segment of a path that is told of a denial, in bytes: every id of ours is shorter, and most keys of elsewhere
/// are longer.
const MAX_TOLD: usize = 40;

/// Somebody with a valid token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) claims: Claims,
    pub(super) ip: Option<IpAddr>,
    pub(super) request_id: String,
}

/// Somebody who may read, as anybody with a token may.
pub(super) struct Viewer(pub(super) Caller);
/// Somebody who may also act.
pub(super) struct Operator(pub(super) Caller);
/// Somebody who may also act on many things at once.
pub(super) struct Admin(pub(super) Caller);
/// Somebody, if they came with a valid token.
pub(super) struct Anyone(pub(super) Option<Caller>);

impl Caller {
    /// As changes are recorded.
    pub(super) fn actor(&self) -> Actor {
        Actor {
            subject: self.claims.sub.clone(),
            role: self.claims.role.as_str(),
            ip: self.ip,
            request_id: self.request_id.clone(),
        }
    }

    fn from_parts(parts: &Parts, app: &App) -> Result<Self, ApiError> {
        let snapshot = app.snapshot();
        let ip = client_ip(parts, &snapshot.settings.server.trusted_proxies);
        let judged = Self::judged(parts, app, &snapshot.auth);
        // Judged first: a valid token is never slowed, whoever else fails from the same address.
        let claims = judged.map_err(|refusal| slowed(app, parts, ip).unwrap_or(refusal))?;
        Ok(Self::of(claims, ip, parts))
    }

    fn of(claims: Claims, ip: Option<IpAddr>, parts: &Parts) -> Self {
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.as_str().to_owned()).unwrap_or_default();
        Self { claims, ip, request_id }
    }

    fn judged(parts: &Parts, app: &App, auth: &Auth) -> Result<Claims, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        let claims = auth.verify(token, Timestamp::now()).map_err(|refusal| match refusal {
            Refusal::Unproved(_) => ApiError::unauthorized(),
            Refusal::Lacking(what) => ApiError::token_lacks(what),
        })?;
        if app.denied.has(&claims.jti) { Err(ApiError::token_lacks("the token was denied".into())) } else { Ok(claims) }
    }

    /// The caller, where the role allows what is asked for; who may not is recorded.
    async fn may(parts: &Parts, app: &App, needed: Role) -> Result<Self, ApiError> {
        let caller = Self::from_parts(parts, app)?;
        if caller.claims.role >= needed {
            return Ok(caller);
        }
        let (has, needed) = (caller.claims.role.as_str(), needed.as_str());
        caller.record_denial(parts, app).await;
        Err(ApiError::forbidden(format!("this needs the role {needed}; the token has {has}")))
    }

    async fn record_denial(&self, parts: &Parts, app: &App) {
        let from = self.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if !app.denials.allows_another_failure(from) {
            let (actor, request_id) = (&self.claims.sub, &self.request_id);
            tracing::warn!(%actor, %request_id, "{actor} asks for what it may not too often for each time to be recorded");
            return;
        }
        let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
        app.record(Change {
            at: Timestamp::now(),
            actor: self.actor(),
            action: format!("{} {route}", parts.method),
            subject: without_keys(parts.uri.path()),
            outcome: Outcome::Denied,
            changes: serde_json::Map::new(),
        })
        .await;
    }
}

/// A path without what may be a whole key: an audit is read by many, and never forgets.
fn without_keys(path: &str) -> String {
    let masked = |segment: &str| {
        let text = percent_decode_str(segment).decode_utf8_lossy();
        if text.contains(KEY_BEGINNING) || text.len() > MAX_TOLD { "***".to_owned() } else { segment.to_owned() }
    };
    path.split('/').map(masked).collect::<Vec<_>>().join("/")
}

/// The answer to an address that failed too often.
fn slowed(app: &App, parts: &Parts, ip: Option<IpAddr>) -> Option<ApiError> {
    // Where a proxy names no address, its own failures count: nobody is unlimited.
    let from = ip.or_else(|| Some(parts.extensions.get::<Peer>()?.0.ip()))?;
    let slow = !app.failures.allows_another_failure(from);
    slow.then(ApiError::too_many_failures)
}

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Caller::from_parts(parts, app).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Caller::may(parts, app, Role::Operator).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Caller::may(parts, app, Role::Admin).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        // Most bring none, and a refusal that nobody reads costs.
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        // Whoever may ask without a token is not slowed for a bad one.
        let snapshot = app.snapshot();
        let Ok(claims) = Caller::judged(parts, app, &snapshot.auth) else { return Ok(Self(None)) };
        let ip = client_ip(parts, &snapshot.settings.server.trusted_proxies);
        Ok(Self(Some(Caller::of(claims, ip, parts))))
    }
}

/// The one token of a request. Two headers are as good as none: somebody else may have judged the other one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The address of the client: the peer's, or, where the peer is a trusted proxy, the right-most one in
/// `X-Forwarded-For` that is not.
pub(super) fn client_ip(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>()?.0.ip().to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let mut client = peer;
    let hops = parts.headers.get_all("x-forwarded-for").iter().rev();
    for hop in hops.filter_map(|value| value.to_str().ok()).flat_map(|list| list.rsplit(',')) {
        match hop.trim().parse::<IpAddr>() {
            Ok(ip) => client = ip.to_canonical(),
            // What a trusted proxy calls by another name than an address cannot be judged.
            Err(_) => return None,
        }
        if !is_trusted(&client) {
            break;
        }
    }
    Some(client)
}
