//! What surrounds every request: an id, a time limit, a net for panics, the headers of every answer.
//! It knows no route but the busiest; what is counted of a request is counted here, to the route that `meter` was told.

use super::answer::{ApiError, PROBLEM_JSON};
use super::awaited::Awaited;
use super::headers;
use super::meter::{Asked, Count, Meter};
use super::openapi::Routers;
use super::sent::Sent;
use super::verify;
use crate::runtime::sockets::Ending;
use crate::runtime::{App, Part, RELOAD_LIMIT};
use crate::settings::server::{Door, Server};
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::BytesMut;
use futures_util::{FutureExt, poll};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tower::Service;

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// What the number in an id of ours takes at most, in hexadecimal.
const NUMBER_DIGITS: usize = 16;

/// How many numbers a connection takes at once for the ids of its requests.
const NUMBERS: u64 = 256;

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

/// Where a request comes from, and what it is called.
pub(super) struct Origin {
    id: RequestId,
    peer: Peer,
}

impl Origin {
    /// For whoever extracts it.
    pub(super) fn write_into(&self, extensions: &mut Extensions) {
        extensions.insert(self.id.clone());
        extensions.insert(self.peer);
    }
}

/// By which way a request is answered.
enum Way {
    Router(Router, Asked),
    /// The busiest question of all.
    Verify,
}

/// Answers the requests of one socket.
pub(super) struct Manners {
    app: Arc<App>,
    routers: Arc<Routers>,
    door: Door,
    ending: Ending,
    replica: HeaderValue,
    /// The beginning of the ids that we make: another one in each process.
    prefix: String,
    /// The numbers that connections have taken.
    taken: AtomicU64,
    /// What every verdict carries; to be completed by the id of its request and the replica.
    with_verdict: HeaderMap,
    verdicts: Meter,
    /// What no route was found for.
    unmatched: Meter,
}

/// Whoever is at the other end of one connection. It has its own of what each request touches: two processors that count
/// in the same place wait for each other.
pub(super) struct Guest {
    manners: Arc<Manners>,
    peer: SocketAddr,
    replica: HeaderValue,
    /// The number of the next request; where a stretch begins, it is not taken yet.
    number: AtomicU64,
}

impl Guest {
    pub(super) fn new(manners: Arc<Manners>, peer: SocketAddr) -> Self {
        // A copy: a clone would be counted where all connections count.
        let replica = HeaderValue::from_bytes(manners.replica.as_bytes()).unwrap_or(headers::EMPTY);
        Self { manners, peer, replica, number: AtomicU64::new(0) }
    }

    /// Answers one request, whatever happens.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
        let origin = Origin { id: RequestId(self.request_id(&request)), peer: Peer(self.peer) };
        let mut response = self.manners.answer(request, &origin).await;
        let headers = response.headers_mut();
        headers.insert(headers::REQUEST_ID, origin.id.0);
        headers.insert(headers::REPLICA, self.replica.clone());
        Ok(response)
    }

    /// The client's own id, where it is one that cannot hurt a log; else a new one.
    fn request_id(&self, request: &Request<Incoming>) -> HeaderValue {
        let fine = |id: &&HeaderValue| {
            (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(|byte| matches!(byte, 0x21..=0x7e))
        };
        request.headers().get(headers::REQUEST_ID).filter(fine).cloned().unwrap_or_else(|| {
            let prefix = &self.manners.prefix;
            let mut id = BytesMut::with_capacity(prefix.len() + NUMBER_DIGITS);
            id.extend_from_slice(prefix.as_bytes());
            // Writing into a buffer that grows cannot fail.
            let _infallible = write!(id, "{:08x}", self.next_number());
            HeaderValue::from_maybe_shared(id.freeze()).unwrap_or(HeaderValue::from_static("-"))
        })
    }

    /// Only the task of the connection asks: no two ask at once.
    fn next_number(&self) -> u64 {
        let mut number = self.number.load(Ordering::Relaxed);
        if number.is_multiple_of(NUMBERS) {
            number = self.manners.taken.fetch_add(NUMBERS, Ordering::Relaxed);
        }
        self.number.store(number + 1, Ordering::Relaxed);
        number
    }
}

impl Manners {
    pub(super) fn new(app: Arc<App>, routers: Arc<Routers>, door: Door, ending: Ending) -> Self {
        let replica = HeaderValue::from_str(&app.replica).unwrap_or(HeaderValue::from_static("monolith"));
        let prefix: String = uuid::Uuid::now_v7().simple().to_string().chars().skip(16).collect();
        let meter = |pattern| Meter::new(&app.metrics, pattern);
        let (verdicts, unmatched) = (meter(verify::PATH), meter("unmatched"));
        let (with_verdict, taken) = (with_verdict(), AtomicU64::new(0));
        Self { app, routers, door, ending, replica, prefix, taken, with_verdict, verdicts, unmatched }
    }

    pub(super) const fn app(&self) -> &Arc<App> {
        &self.app
    }

    async fn answer(&self, request: Request<Incoming>, origin: &Origin) -> Response<Sent> {
        let is_http1 = request.version() < Version::HTTP_2;
        let (limit, way, is_secure) = {
            let snapshot = self.app.snapshot();
            let server = &snapshot.settings.server;
            (limit(&request, server), self.way(&request, server), snapshot.tls.is_some())
        };
        let count = match &way {
            Way::Verify => Count::to(&self.verdicts, request.method()),
            Way::Router(_, asked) => Count::to_asked(asked.clone(), &self.unmatched, request.method()),
        };
        let mut response = self.in_time(request, way, origin, limit).await;
        count.answered(response.status());
        let headers = response.headers_mut();
        if is_secure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, headers::ONLY_SECURE);
        }
        if is_http1 && (self.ending.is_leaving() || self.app.is_draining()) {
            // Its client comes again on a socket that stays, or at another replica.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Answers within the limit, whatever a handler does.
    async fn in_time(&self, request: Request<Incoming>, way: Way, origin: &Origin, limit: Duration) -> Response<Sent> {
        let mut answering = pin!(AssertUnwindSafe(self.answered(request, way, origin)).catch_unwind());
        // Most are there at once, and setting a timer costs as much as judging a key.
        let answered = match poll!(answering.as_mut()) {
            Poll::Ready(answered) => Ok(answered),
            Poll::Pending => tokio::time::timeout(limit, answering).await,
        };
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => plain(ApiError::internal("a handler panicked").into_response(), origin),
            Err(_) => {
                let detail = "the request took longer than server.request_timeout";
                plain(ApiError::unavailable("timed_out", detail).into_response(), origin)
            }
        }
    }

    fn way(&self, request: &Request<Incoming>, server: &Server) -> Way {
        if self.app.part == Part::Serve && verify::is_asked(request) {
            return Way::Verify;
        }
        // A router is only read; cloning it clones one pointer.
        Way::Router(self.routers.behind(self.door, server).clone(), Asked::default())
    }

    async fn answered(&self, mut request: Request<Incoming>, way: Way, origin: &Origin) -> Response<Sent> {
        match way {
            Way::Verify => self.verdict(request, origin).await,
            Way::Router(mut router, asked) => {
                origin.write_into(request.extensions_mut());
                request.extensions_mut().insert(asked);
                if !changes_something(&request) {
                    let Ok(response) = router.call(request.map(Body::new)).await;
                    return plain(response, origin);
                }
                // What was asked for whole is finished and recorded, whether or not its client waits.
                let (parts, body) = request.into_parts();
                let (body, _waiting) = Awaited::new(Body::new(body));
                let answering = router.call(Request::from_parts(parts, Body::new(body)));
                match self.app.tasks.spawn_whole(answering).await {
                    Some(Ok(response)) => plain(response, origin),
                    None => plain(ApiError::internal("a handler panicked").into_response(), origin),
                }
            }
        }
    }

    async fn verdict(&self, request: Request<Incoming>, origin: &Origin) -> Response<Sent> {
        match verify::direct(&self.app, request, origin).await {
            Ok(body) => {
                let mut response = Response::new(Sent::Whole(body));
                response.headers_mut().clone_from(&self.with_verdict);
                response
            }
            Err(error) => plain(error.into_response(), origin),
        }
    }
}

/// Whether a request is for a change by an administrator.
fn changes_something<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with("/api/admin/") && !request.method().is_safe()
}

/// With room for what is added to it: a map that has to grow hashes everything again.
fn with_verdict() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(headers::MOST + 1);
    headers.insert(header::CONTENT_TYPE, verify::JSON);
    headers::add(&mut headers);
    headers.insert(headers::REQUEST_ID, headers::EMPTY);
    headers.insert(headers::REPLICA, headers::EMPTY);
    headers
}

/// What a route answered, or a refusal, with what every answer carries.
fn plain(mut response: axum::response::Response, origin: &Origin) -> Response<Sent> {
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        write_out(&mut response, error, &origin.id);
    }
    let headers = response.headers_mut();
    headers.reserve(headers::MOST);
    headers::add(headers);
    response.map(Sent::Routed)
}

/// How long a request may take. A reload logs in to every changed store, each within its own limits.
fn limit(request: &Request<Incoming>, server: &Server) -> Duration {
    match request.uri().path() {
        "/api/admin/config/reload" => RELOAD_LIMIT,
        _ => server.request_timeout,
    }
}

/// Writes a refusal out. This is where a cause inside the server is logged, once.
fn write_out(response: &mut axum::response::Response, error: Arc<ApiError>, id: &RequestId) {
    let id = id.as_str();
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
