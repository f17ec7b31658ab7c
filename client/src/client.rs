//! Asks a server: every call is bounded in time and in size, and every answer is taken for what it is or refused.
//! It never retries, never follows a redirect and never sends a token anywhere but to the address it was given.

/// Reads answers: whole, bounded, and as what they claim to be.
mod answer;
/// One method a route.
mod routes;

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::{Error, Token};
use answer::Answer;

/// How long a connection may take: a server on the same continent answers in well under a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a call may take in all: a revocation may wait two seconds for its replicas, and everything else is quicker.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reload may take in all: it logs in to every changed store, each with its own time-out.
pub const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one stream of events is listened to; its reader notices earlier when it falls silent.
pub const EVENTS_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// The largest body that is read: 500 runs with their attempts are below 2 MiB, and no answer may fill the memory.
pub const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// Whose certificates are good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system vouches for.
    System,
    /// Those, and the ones in this PEM text: an authority of one's own, or the server's very certificate.
    Also(Vec<u8>),
    /// Anybody's: only where nothing secret is sent and the answer decides nothing that matters to others.
    Anybody,
}

/// What a stream of events calls itself.
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// A server, and the token it is asked with.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Token>,
}

impl Client {
    /// A client for the server at an address such as `http://127.0.0.1:8000`; nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Address`] where the text is not the address of a server.
    pub fn new(base_url: &str, token: Option<Token>) -> Result<Self, Error> {
        let base = parse_base(base_url)?;
        let refused = |e: reqwest::Error| Error::Address { what: base.to_string(), why: innermost(&e) };
        let http = builder(&base).build().map_err(refused)?;
        Ok(Self { http, base, token })
    }

    /// The same for a server whose certificate the system does not vouch for.
    ///
    /// # Errors
    /// [`Error::Address`] as for [`Self::new`], and where the certificates of `trust` are not PEM.
    pub fn trusting(base_url: &str, trust: &Trust) -> Result<Self, Error> {
        let base = parse_base(base_url)?;
        let refused = |e: reqwest::Error| Error::Address { what: "the certificate".into(), why: innermost(&e) };
        let builder = match (base.scheme(), trust) {
            ("http", _) | (_, Trust::System) => builder(&base),
            (_, Trust::Also(pem)) => {
                let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(refused)?;
                if certificates.is_empty() {
                    let why = "it holds none in PEM, which begins with -----BEGIN CERTIFICATE-----".into();
                    return Err(Error::Address { what: "the certificate".into(), why });
                }
                builder(&base).tls_certs_merge(certificates)
            }
            (_, Trust::Anybody) => builder(&base).tls_danger_accept_invalid_certs(true),
        };
        Ok(Self { http: builder.build().map_err(refused)?, base, token: None })
    }

    /// The address that is asked, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether the address is one of this machine's own.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    /// The same client with a token.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Whether calls carry a token.
    #[must_use]
    pub const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// A request to a path of encoded segments, with the token.
    fn at(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Error> {
        let request = self.anonymous_at(method, path)?;
        Ok(match &self.token {
            Some(token) => request.header(AUTHORIZATION, token.header()),
            None => request,
        })
    }

    /// The same without the token.
    fn anonymous_at(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Error> {
        let mut url = self.base.clone();
        if let Some(&odd) = path.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
            // A URL resolves these away, and the call would reach another route.
            return Err(Error::Address { what: format!("{odd:?}"), why: "it is not a name or an id".into() });
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ok(self.http.request(method, url))
    }

    /// Sends a request and takes its answer for a `T`.
    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        self.send(request).await?.json()
    }

    /// Sends a request and reads the whole answer, whatever its status.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let (client, request) = request.build_split();
        let request = request.map_err(|e| Error::Address { what: "the request".into(), why: innermost(&e) })?;
        let what = format!("{} {}", request.method(), request.url().path());
        let limit = request.timeout().copied().unwrap_or(CALL_TIMEOUT);
        let response = client.execute(request).await.map_err(|e| self.not_answered(&e, limit))?;
        Answer::read(what, response, |e| self.not_answered(e, limit)).await
    }

    /// Sends a request whose answer has no end; what is not a success is read whole.
    async fn stream(&self, request: RequestBuilder) -> Result<reqwest::Response, Error> {
        let (client, request) = request.build_split();
        let request = request.map_err(|e| Error::Address { what: "the request".into(), why: innermost(&e) })?;
        let what = format!("{} {}", request.method(), request.url().path());
        let response = client.execute(request).await.map_err(|e| self.not_answered(&e, CALL_TIMEOUT))?;
        let events = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(EVENT_STREAM));
        match (response.status().is_success(), events) {
            (true, true) => Ok(response),
            (true, false) => Err(Error::Unreadable { what, why: "it is no stream of events".into() }),
            (false, _) => Err(Answer::read(what, response, |e| self.not_answered(e, CALL_TIMEOUT)).await?.into_error()),
        }
    }

    /// Asks a probe: 200 is yes, 503 is no, and everything else is not the answer of a probe.
    async fn probe(&self, path: &[&str]) -> Result<bool, Error> {
        let answer = self.send(self.anonymous_at(Method::GET, path)?).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::SERVICE_UNAVAILABLE => Ok(false),
            _ => Err(answer.into_error()),
        }
    }

    fn not_answered(&self, error: &reqwest::Error, limit: Duration) -> Error {
        let url = self.base_url().to_owned();
        if error.is_connect() && error.is_timeout() {
            let cause = format!("no connection within {} s", CONNECT_TIMEOUT.as_secs());
            return Error::Unreachable { url, cause, sent: false };
        }
        if error.is_timeout() {
            return Error::TimedOut { url, limit };
        }
        Error::Unreachable { url, cause: innermost(error), sent: !error.is_connect() }
    }
}

fn builder(base: &Url) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("monolith-client/", env!("CARGO_PKG_VERSION")));
    let builder = match base.scheme() {
        // No certificate will be looked at, so a machine without any can still ask over plain HTTP.
        "http" => builder.tls_certs_only([]),
        _ => builder,
    };
    // A proxy of the environment is for other machines, not for this one.
    if is_loopback(base) { builder.no_proxy() } else { builder }
}

fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn parse_base(text: &str) -> Result<Url, Error> {
    // The text is not repeated before it is known to hold no login.
    let refuse = |what: &str, why: &str| Error::Address { what: what.to_owned(), why: why.to_owned() };
    let no_scheme = "it does not start with http:// or https://";
    let url = Url::parse(text.trim()).map_err(|_| refuse("the server's address", no_scheme))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("the server's address", "it holds a login; a token goes into a file or MONOLITH_TOKEN"));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(url.as_str(), no_scheme));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("the server's address", "it holds a query or a fragment"));
    }
    Ok(url)
}

/// The cause at the bottom of an error: what the operating system said, without an address that may hold a query.
fn innermost(error: &reqwest::Error) -> String {
    let mut text = None;
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    text.unwrap_or_else(|| "the call failed".to_owned())
}

#[cfg(test)]
mod tests;
