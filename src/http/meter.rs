//! Requests counted by method, route and status, with handles that are looked up once per route and not per request.
//! A route says that it was asked, and the count is made where the answer leaves: one that takes too long, panics or loses
//! its client is counted, too. Labels hold route patterns, never what a caller sent.

use crate::telemetry::lanes::Lanes;
use crate::telemetry::metrics::{Counter, Metrics};
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use prometheus::Histogram;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;
use tower::{Layer, Service};

/// The methods that have a label of their own.
const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT, Method::HEAD, Method::OPTIONS];

/// The status of a request whose client did not wait for its answer, as nginx has it.
const CLIENT_LEFT: &str = "499";

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
}

/// The route that a request came to, in its extensions: the route itself writes it down.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<OnceLock<At>>);

/// Where a request arrived.
enum At {
    /// A route with a meter.
    Metered(Meter),
    /// A route of an embedding program, by its pattern.
    Pattern(Arc<Metrics>, String),
}

impl Asked {
    /// A route without a meter says that it is the one.
    pub(super) fn is(&self, metrics: &Arc<Metrics>, pattern: &str) {
        // The first word counts: a route that passes a request on is still the one that was asked.
        let _told_before = self.0.set(At::Pattern(Arc::clone(metrics), pattern.to_owned()));
    }
}

/// One request, counted once, whatever becomes of it: dropped without a status, its client went before the answer.
pub(super) struct Count<'a> {
    whose: Whose<'a>,
    method: usize,
    began: Instant,
    status: Option<StatusCode>,
}

/// To which route a request is counted.
enum Whose<'a> {
    Known(&'a Meter),
    /// To the one that says so; else to what no route is.
    Told(Asked, &'a Meter),
}

impl<'a> Count<'a> {
    /// Begins to count a request to a route.
    pub(super) fn to(meter: &'a Meter, method: &Method) -> Self {
        Self::new(Whose::Known(meter), method)
    }

    /// Begins to count a request to whichever route writes itself down; to the meter where none does.
    pub(super) fn to_asked(asked: Asked, unmatched: &'a Meter, method: &Method) -> Self {
        Self::new(Whose::Told(asked, unmatched), method)
    }

    fn new(whose: Whose<'a>, method: &Method) -> Self {
        let method = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        Self { whose, method, began: Instant::now(), status: None }
    }

    /// It was answered.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        let meter = match &self.whose {
            Whose::Known(meter) => *meter,
            Whose::Told(asked, unmatched) => match asked.0.get() {
                Some(At::Metered(meter)) => meter,
                Some(At::Pattern(metrics, pattern)) => {
                    return record(metrics, pattern, self.method, self.status, self.began);
                }
                None => *unmatched,
            },
        };
        meter.0.record(self.method, self.status, self.began);
    }
}

/// Counts one request of a route that has no meter of its own.
fn record(metrics: &Metrics, pattern: &str, method: usize, status: Option<StatusCode>, began: Instant) {
    let (name, word) = (label(pattern), word(method));
    metrics.http_duration.here().with_label_values(&[word, &name]).observe(began.elapsed().as_secs_f64());
    metrics.http_requests.here().with_label_values(&[word, &name, told(status.as_ref())]).inc();
}

/// A status as the value of a label.
fn told(status: Option<&StatusCode>) -> &str {
    status.map_or(CLIENT_LEFT, StatusCode::as_str)
}

/// A method as the value of a label.
fn word(method: usize) -> &'static str {
    METHODS.get(method).map_or("OTHER", Method::as_str)
}

/// A pattern as the value of a label: braces are not allowed there.
fn label(pattern: &str) -> String {
    pattern.replace("{*", ":").replace('{', ":").replace('}', "")
}

impl Route {
    fn record(&self, method: usize, status: Option<StatusCode>, began: Instant) {
        let word = word(method);
        let Some(cell) = self.methods.get(method) else { return };
        let handles = cell.get_or_init(|| Handles {
            duration: self.metrics.http_duration.map(|times| times.with_label_values(&[word, &self.name])),
            ok: self.metrics.http_requests.map(|counters| counters.with_label_values(&[word, &self.name, "200"])),
        });
        handles.duration.here().observe(began.elapsed().as_secs_f64());
        if status == Some(StatusCode::OK) {
            handles.ok.here().inc();
        } else {
            self.metrics.http_requests.here().with_label_values(&[word, &self.name, told(status.as_ref())]).inc();
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
{
    type Response = Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Some(asked) = request.extensions().get::<Asked>() {
            let _told_before = asked.0.set(At::Metered(self.meter.clone()));
        }
        self.inner.call(request)
    }
}
