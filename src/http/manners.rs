//! What surrounds every request: an id, a time limit, a net for panics, the headers of every answer.
//! It knows no route; counting by route is `meter`.

use super::answer::{ApiError, PROBLEM_JSON};
use super::headers;
use super::openapi::Routers;
use crate::runtime::sockets::Ending;
use crate::runtime::{App, RELOAD_LIMIT};
use crate::settings::server::{Door, Server};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::FutureExt;
use http::{HeaderValue, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tower::Service;

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// What the number in an id of ours takes at most, in hexadecimal.
const NUMBER_DIGITS: usize = 16;

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) HeaderValue);

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Who is at the other end of the connection, in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Answers the requests of one socket.
pub(super) struct Manners {
    app: Arc<App>,
    routers: Arc<Routers>,
    door: Door,
    ending: Ending,
    replica: HeaderValue,
    /// The beginning of the ids that we make: another one in each process.
    prefix: String,
    made: AtomicU64,
}

impl Manners {
    pub(super) fn new(app: Arc<App>, routers: Arc<Routers>, door: Door, ending: Ending) -> Self {
        let replica = HeaderValue::from_str(&app.replica).unwrap_or(HeaderValue::from_static("monolith"));
        let prefix: String = uuid::Uuid::now_v7().simple().to_string().chars().skip(16).collect();
        Self { app, routers, door, ending, replica, prefix, made: AtomicU64::new(0) }
    }

    pub(super) const fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers one request, whatever happens.
    pub(super) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response, Infallible> {
        let id = self.request_id(&request);
        request.extensions_mut().insert(RequestId(id.clone()));
        request.extensions_mut().insert(Peer(peer));
        let is_http1 = request.version() < Version::HTTP_2;
        let (limit, mut router, is_secure) = {
            let snapshot = self.app.snapshot();
            let server = &snapshot.settings.server;
            // A router is only read; cloning it clones one pointer.
            (limit(&request, server), self.routers.behind(self.door, server).clone(), snapshot.tls.is_some())
        };
        let answering = AssertUnwindSafe(router.call(request.map(Body::new))).catch_unwind();
        let mut response = match tokio::time::timeout(limit, answering).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_)) => ApiError::internal("a handler panicked").into_response(),
            Err(_) => ApiError::unavailable("timed_out", "the request took longer than server.request_timeout")
                .into_response(),
        };
        if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
            write_out(&mut response, error, &id);
        }
        let headers = response.headers_mut();
        headers.reserve(headers::MOST);
        headers::add(headers);
        if is_secure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, headers::ONLY_SECURE);
        }
        headers.insert(headers::REQUEST_ID, id);
        headers.insert(headers::REPLICA, self.replica.clone());
        if is_http1 && (self.ending.is_leaving() || self.app.is_draining()) {
            // Its client comes again on a socket that stays, or at another replica.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// The client's own id, where it is one that cannot hurt a log; else a new one.
    fn request_id(&self, request: &Request<Incoming>) -> HeaderValue {
        let fine = |id: &&HeaderValue| {
            (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(|byte| matches!(byte, 0x21..=0x7e))
        };
        request.headers().get(headers::REQUEST_ID).filter(fine).cloned().unwrap_or_else(|| {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let mut id = BytesMut::with_capacity(self.prefix.len() + NUMBER_DIGITS);
            id.extend_from_slice(self.prefix.as_bytes());
            // Writing into a buffer that grows cannot fail.
            let _infallible = write!(id, "{number:08x}");
            HeaderValue::from_maybe_shared(id.freeze()).unwrap_or(HeaderValue::from_static("-"))
        })
    }
}

/// How long a request may take. A reload logs in to every changed store, each within its own limits.
fn limit(request: &Request<Incoming>, server: &Server) -> Duration {
    match request.uri().path() {
        "/api/admin/config/reload" => RELOAD_LIMIT,
        _ => server.request_timeout,
    }
}

/// Writes a refusal out. This is where a cause inside the server is logged, once.
fn write_out(response: &mut Response, error: Arc<ApiError>, id: &HeaderValue) {
    let id = id.to_str().unwrap_or_default();
    let error = Arc::unwrap_or_clone(error);
    if let Some(cause) = &error.cause {
        let status = response.status().as_u16();
        tracing::error!(request_id = id, status, cause, "request {id} failed: {cause}");
    }
    match serde_json::to_vec(&error.body(id)) {
        Ok(body) => {
            // axum wrote the length of the empty answer that carried the refusal.
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
            *response.body_mut() = Body::from(body);
        }
        Err(error) => {
            tracing::error!(request_id = id, %error, "a refusal could not be written");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
}
