//! The accept loop: one task a connection, a limit on how many, a time limit on headers, and an orderly end.
//! `axum::serve` sets no timer, so that its header time-out never fires (axum #2741); this one does.

use super::manners::Manners;
use crate::runtime::App;
use axum::Router;
use futures_util::FutureExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest header section, in bytes: a token of 4 KiB, a key, and what gateways add.
const MAX_HEADER: usize = 32 * 1024;
/// The most header lines of a request.
const MAX_HEADERS: usize = 100;
/// The most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;
/// The first and the longest pause after a failed accept, as when there are no file descriptors left.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Accepts until `stop`, then empties the socket's queue and waits for what was accepted.
pub(super) async fn serve(app: Arc<App>, router: Router, listener: TcpListener, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(app.snapshot().settings.server.max_connections));
    let manners = Arc::new(Manners::new(Arc::clone(&app), router));
    let mut pause = ACCEPT_PAUSE.0;
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            // The semaphore is never closed.
            slot = Arc::clone(&slots).acquire_owned() => slot.ok(),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                pause = ACCEPT_PAUSE.0;
                begin(&manners, &connections, accepted, slot, &stop);
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE.1);
            }
        }
    }
    // Whoever is in the queue already was promised an answer by the kernel.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        begin(&manners, &connections, accepted, None, &stop);
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn begin(
    manners: &Arc<Manners>,
    connections: &TaskTracker,
    (stream, peer): (TcpStream, SocketAddr),
    slot: Option<OwnedSemaphorePermit>,
    stop: &CancellationToken,
) {
    let task = connection(Arc::clone(manners), stream, peer, stop.clone());
    drop(connections.spawn(async move {
        task.await;
        drop(slot);
    }));
}

async fn connection(manners: Arc<Manners>, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return;
    }
    let open = manners.app().metrics.http_connections.clone();
    open.inc();
    let header_timeout = manners.app().snapshot().settings.server.header_timeout;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER).unwrap_or(u32::MAX))
        .keep_alive_interval(header_timeout)
        .keep_alive_timeout(header_timeout);
    let service = service_fn(move |request| Arc::clone(&manners).answer(request, peer));
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
    open.dec();
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
