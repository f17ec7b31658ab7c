//! The accept loop: one task a connection, a limit on how many, and an end that loses no request.
//! `axum::serve` sets no timer, so that its header time-out never fires (axum #2741); `connection` does.

use super::connection::{self, Peers};
use super::manners::Manners;
use super::openapi::Routers;
use crate::runtime::App;
use crate::runtime::sockets::Socket;
use futures_util::FutureExt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// The first and the longest pause after a failed accept, as when there are no file descriptors left.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Accepts until the socket's end, then empties its queue and waits for what was accepted.
pub(super) async fn serve(app: Arc<App>, routers: Arc<Routers>, socket: Socket) {
    let Socket { door, listener, ending } = socket;
    let places = Arc::new(Places::default());
    let peers = Peers::new(ending.clone());
    let manners = Arc::new(Manners::new(Arc::clone(&app), routers, door, ending.clone()));
    let begin = |accepted| begin(&manners, &peers, &places, accepted);
    let mut pause = ACCEPT_PAUSE.0;
    loop {
        tokio::select! {
            () = ending.close() => break,
            () = places.one_is_free(&app) => {}
        }
        let accepted = tokio::select! {
            () = ending.close() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                pause = ACCEPT_PAUSE.0;
                begin(accepted);
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
        begin(accepted);
    }
    drop(listener);
    finish(&app, &peers).await;
}

/// Waits for the connections. Idle ones go within `header_timeout`; who is slower than `drain_timeout` after that is
/// cut off, for otherwise one reader that never reads would keep a socket's task for ever.
async fn finish(app: &App, peers: &Peers) {
    let server = Arc::clone(&app.snapshot().settings.server);
    peers.tracker.close();
    if tokio::time::timeout(server.header_timeout + server.drain_timeout, peers.tracker.wait()).await.is_err() {
        tracing::warn!(left = peers.tracker.len(), "connections of a closed socket are cut off");
        peers.cut.cancel();
        peers.tracker.wait().await;
    }
}

fn begin(manners: &Arc<Manners>, peers: &Peers, places: &Arc<Places>, (stream, peer): (TcpStream, SocketAddr)) {
    let place = Place::taken(places);
    let serving = connection::serve(Arc::clone(manners), peers.clone(), stream, peer);
    drop(peers.tracker.spawn(async move {
        serving.await;
        drop(place);
    }));
}

/// The connections of a socket, counted against `server.max_connections`; more wait in the kernel's queue.
#[derive(Default)]
struct Places {
    taken: AtomicUsize,
    freed: Notify,
}

impl Places {
    /// Returns when another connection may come, under the limit of this very moment.
    async fn one_is_free(&self, app: &App) {
        loop {
            let (freed, committed) = (self.freed.notified(), app.committed());
            tokio::pin!(freed, committed);
            // Both listen before the look, so that nothing that happens in between is missed.
            freed.as_mut().enable();
            committed.as_mut().enable();
            if self.taken.load(Ordering::Acquire) < app.snapshot().settings.server.max_connections {
                return;
            }
            tokio::select! {
                () = freed => {}
                () = committed => {}
            }
        }
    }
}

struct Place(Arc<Places>);

impl Place {
    fn taken(places: &Arc<Places>) -> Self {
        places.taken.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(places))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
