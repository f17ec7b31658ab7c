//! Who asks, and what the role allows. The permission is an argument of the handler: forgetting it does not compile.
//! Tokens are judged by `auth`; an API key is never one.

use super::answer::ApiError;
use super::manners::{Peer, RequestId};
use crate::audit::Actor;
use crate::auth::{Claims, Refusal, Role};
use crate::clock::Timestamp;
use crate::runtime::App;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// Somebody with a valid token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) claims: Claims,
    pub(super) ip: Option<IpAddr>,
    pub(super) request_id: String,
}

/// Somebody who may read.
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
        let token = bearer(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        let snapshot = app.snapshot();
        let claims = snapshot.auth.verify(token, Timestamp::now()).map_err(|refusal| match refusal {
            Refusal::Unproved => ApiError::unauthorized(),
            Refusal::Lacking(what) => ApiError::token_lacks(what),
        })?;
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.as_str().to_owned()).unwrap_or_default();
        Ok(Self { claims, ip: client_ip(parts, &snapshot.settings.server.trusted_proxies), request_id })
    }

    fn with_role(self, needed: Role) -> Result<Self, ApiError> {
        if self.claims.role >= needed {
            return Ok(self);
        }
        let (has, needed) = (self.claims.role.as_str(), needed.as_str());
        Err(ApiError::forbidden(format!("this needs the role {needed}; the token has {has}")))
    }
}

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Caller::from_parts(parts, app)?.with_role(Role::Viewer).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Caller::from_parts(parts, app)?.with_role(Role::Operator).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Caller::from_parts(parts, app)?.with_role(Role::Admin).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Ok(Self(Caller::from_parts(parts, app).ok()))
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
