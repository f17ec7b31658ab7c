//! Requests counted by method, route and status, with handles that are looked up once per route and not per request.
//! Labels hold route patterns, never what a caller sent.

use crate::telemetry::lanes::Lanes;
use crate::telemetry::metrics::{Counter, Metrics};
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use prometheus::Histogram;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tower::{Layer, Service};

/// The methods that have a label of their own.
const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT, Method::HEAD, Method::OPTIONS];

/// The counters of one route.
#[derive(Clone)]
pub(super) struct Meter(Arc<Route>);

struct Route {
    name: String,
    metrics: Arc<Metrics>,
    methods: [OnceLock<Handles>; METHODS.len() + 1],
}

/// The counters of one method of one route; the status that matters most has a handle of its own.
struct Handles {
    duration: Lanes<Histogram>,
    ok: Counter,
}

impl Meter {
    /// Counts under a route's pattern, written with `:name`: label values must not hold braces.
    pub(super) fn new(metrics: &Arc<Metrics>, pattern: &str) -> Self {
        Self(Arc::new(Route { name: label(pattern), metrics: Arc::clone(metrics), methods: Default::default() }))
    }

    /// Counts one request that came another way than through the router.
    pub(super) fn count(&self, method: &Method, status: StatusCode, began: Instant) {
        self.0.record(position(method), status, began);
    }
}

fn position(method: &Method) -> usize {
    METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len())
}

/// Counts one request of a route that has no meter of its own.
pub(super) fn record(metrics: &Metrics, pattern: &str, method: &Method, status: StatusCode, began: Instant) {
    let name = label(pattern);
    let word = if METHODS.contains(method) { method.as_str() } else { "OTHER" };
    metrics.http_duration.here().with_label_values(&[word, &name]).observe(began.elapsed().as_secs_f64());
    metrics.http_requests.here().with_label_values(&[word, &name, status.as_str()]).inc();
}

/// A pattern as the value of a label: braces are not allowed there.
fn label(pattern: &str) -> String {
    pattern.replace("{*", ":").replace('{', ":").replace('}', "")
}

impl Route {
    fn record(&self, method: usize, status: StatusCode, began: Instant) {
        let word = METHODS.get(method).map_or("OTHER", Method::as_str);
        let Some(cell) = self.methods.get(method) else { return };
        let handles = cell.get_or_init(|| Handles {
            duration: self.metrics.http_duration.map(|times| times.with_label_values(&[word, &self.name])),
            ok: self.metrics.http_requests.map(|counters| counters.with_label_values(&[word, &self.name, "200"])),
        });
        handles.duration.here().observe(began.elapsed().as_secs_f64());
        if status == StatusCode::OK {
            handles.ok.here().inc();
        } else {
            self.metrics.http_requests.here().with_label_values(&[word, &self.name, status.as_str()]).inc();
        }
    }
}

impl<S> Layer<S> for Meter {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner, meter: self.clone() }
    }
}

/// A route that is counted.
#[derive(Clone)]
pub(super) struct Metered<S> {
    inner: S,
    meter: Meter,
}

impl<S> Service<Request> for Metered<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Metering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let began = Instant::now();
        let method = position(request.method());
        Metering { answering: self.inner.call(request), meter: self.meter.clone(), method, began }
    }
}

/// An answer on its way, counted when it is there. It stands beside the answer rather than in a box around it: this is
/// on the path of every request.
pub(super) struct Metering<F> {
    answering: F,
    meter: Meter,
    method: usize,
    began: Instant,
}

impl<F, E> Future for Metering<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let response = ready!(Pin::new(&mut self.answering).poll(cx))?;
        self.meter.0.record(self.method, response.status(), self.began);
        Poll::Ready(Ok(response))
    }
}
