//! One connection: its protocol, its time limits, and an end after an answer rather than in the middle of a request.
//! Which request it is and what comes of it is `manners` and the routes.

use super::late::Alarm;
use super::manners::{Guest, Manners};
use crate::runtime::sockets::Ending;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::IntGauge;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest header section, in bytes: a token of 4 KiB, a key, and what gateways add.
const MAX_HEADER: usize = 32 * 1024;
/// The most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;

/// What the connections of one socket share.
#[derive(Clone)]
pub(super) struct Peers {
    pub(super) tracker: TaskTracker,
    /// Cancelled when whoever is still there must go in the middle of whatever it does.
    pub(super) cut: CancellationToken,
    ending: Ending,
}

impl Peers {
    pub(super) fn new(ending: Ending) -> Self {
        Self { tracker: TaskTracker::new(), cut: CancellationToken::new(), ending }
    }
}

/// What was heard on a connection so far.
#[derive(Default)]
struct Heard(AtomicU8);

impl Heard {
    const NOTHING: u8 = 0;
    const HTTP1: u8 = 1;
    const HTTP2: u8 = 2;

    fn request(&self, version: http::Version) {
        self.0.store(if version == http::Version::HTTP_2 { Self::HTTP2 } else { Self::HTTP1 }, Ordering::Relaxed);
    }

    fn is(&self, what: u8) -> bool {
        self.0.load(Ordering::Relaxed) == what
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(manners: Arc<Manners>, peers: Peers, stream: TcpStream, peer: SocketAddr) {
    let _open = Open::counted(&manners.app().metrics.http_connections);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return;
    }
    let (header_timeout, tls) = {
        let snapshot = manners.app().snapshot();
        (snapshot.settings.server.header_timeout, snapshot.tls.clone())
    };
    let Some(tls) = tls else { return speak(manners, &peers, stream, peer, header_timeout).await };
    let stream = tokio::select! {
        () = peers.cut.cancelled() => None,
        stream = shake_hands(tls, stream, peer, header_timeout) => stream,
    };
    if let Some(stream) = stream {
        speak(manners, &peers, stream, peer, header_timeout).await;
    }
}

async fn shake_hands(
    tls: Arc<ServerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
    limit: Duration,
) -> Option<TlsStream<TcpStream>> {
    match tokio::time::timeout(limit, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, %peer, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took longer than server.header_timeout");
            None
        }
    }
}

/// What a connection is told while it serves.
enum Told {
    /// It ends in the middle of whatever it does.
    Cut,
    /// The process stops: it ends after its answer.
    Stop,
    /// Its socket closes.
    Close,
    /// A first header had to be here by now.
    Late,
}

async fn speak<S>(manners: Arc<Manners>, peers: &Peers, stream: S, peer: SocketAddr, header_timeout: Duration)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let heard = Arc::new(Heard::default());
    let stopping = manners.app().tasks.stopping().clone();
    let builder = protocol(header_timeout);
    let (hearing, guest) = (Arc::clone(&heard), Arc::new(Guest::new(manners, peer)));
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        hearing.request(request.version());
        Arc::clone(&guest).answer(request)
    });
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Only those that were woken are looked at: three tokens that all connections share, asked at each request, cost
    // as much as the request.
    let mut words: FuturesUnordered<BoxFuture<'_, Told>> = FuturesUnordered::new();
    words.push(peers.cut.cancelled().map(|()| Told::Cut).boxed());
    words.push(stopping.cancelled().map(|()| Told::Stop).boxed());
    words.push(peers.ending.close().map(|()| Told::Close).boxed());
    words.push(tokio::time::sleep(header_timeout).map(|()| Told::Late).boxed());
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = serving.as_mut() => break outcome,
            Some(told) = words.next() => match told {
                Told::Cut => break Ok(()),
                Told::Stop => serving.as_mut().graceful_shutdown(),
                // HTTP/2 has a word for it that loses nothing. In HTTP/1 the next answer says so: an idle connection
                // that is closed just when its client sends would be a lost request.
                Told::Close if heard.is(Heard::HTTP2) => serving.as_mut().graceful_shutdown(),
                // hyper's own limit begins only once it knows the protocol, and a client may never tell.
                Told::Late if heard.is(Heard::NOTHING) => break Ok(()),
                Told::Close | Told::Late => {}
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

/// More than 100 header lines are refused by hyper of its own accord; said here once more, each request would cost more.
fn protocol(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(Alarm::new())
        // Answers are small: one buffer and one plain write are cheaper than a list of buffers.
        .writev(false)
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER).unwrap_or(u32::MAX))
        .keep_alive_interval(header_timeout)
        .keep_alive_timeout(header_timeout);
    builder
}

/// Counts a connection for as long as it lives, however it ends.
struct Open(IntGauge);

impl Open {
    fn counted(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
