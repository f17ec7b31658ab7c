//! The sockets: bound while a reload is prepared, served from its commit on, retired without losing anyone.
//! What is spoken on them is the business of the [`Front`].

use super::App;
use super::Front;
use crate::settings::server::{Door, Server};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A bound socket that is to be served.
#[derive(Debug)]
pub struct Socket {
    /// Which part of the API it is for.
    pub door: Door,
    /// The socket itself. A reload that comes back to its address while it retires serves the very same one.
    pub listener: Arc<TcpListener>,
    /// Told when it has to go.
    pub ending: Ending,
}

/// The end of a socket, which comes in two steps, so that nobody loses a request: its clients are asked to leave while
/// it goes on accepting, and then it closes.
#[derive(Debug, Clone)]
pub struct Ending {
    leaving: Arc<AtomicBool>,
    close: CancellationToken,
}

impl Ending {
    /// Whether its clients are asked to leave: each answer closes its connection.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Returns once it must accept no longer.
    pub async fn close(&self) {
        self.close.cancelled().await;
    }
}

/// New sockets by door, bound and not yet served. Dropping them closes them.
pub(super) type Bound = BTreeMap<Door, Arc<TcpListener>>;

/// Why a socket cannot be had.
pub(super) struct Refusal {
    pub(super) key: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// The sockets that are served, and those that are about to close.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    served: BTreeMap<Door, Served>,
    leaving: Vec<(Door, Served)>,
}

#[derive(Debug)]
struct Served {
    /// The address as the settings have it; its port may be 0.
    wanted: SocketAddr,
    /// Gone once the socket is closed.
    listener: Weak<TcpListener>,
    ending: Ending,
}

impl Served {
    /// Where it really listens, while it does.
    fn address(&self) -> Option<SocketAddr> {
        self.listener.upgrade()?.local_addr().ok()
    }
}

impl Sockets {
    /// Whether there is nothing to bind for these settings.
    pub(super) fn serve_all_of(&self, server: &Server) -> bool {
        server.doors().all(|(door, address)| self.serve_at(door, address))
    }

    fn serve_at(&self, door: Door, address: SocketAddr) -> bool {
        self.served.get(&door).is_some_and(|served| served.wanted == address)
    }

    /// Binds what `server` wants and what is not served yet; nothing that is served is touched.
    pub(super) async fn bind(&self, server: &Server) -> (Bound, Vec<Refusal>) {
        let (mut bound, mut refusals) = (Bound::new(), Vec::new());
        for (door, address) in server.doors().filter(|(door, address)| !self.serve_at(*door, *address)) {
            match self.again(door, address) {
                Some(listener) => drop(bound.insert(door, listener)),
                None => match TcpListener::bind(address).await {
                    Ok(listener) => drop(bound.insert(door, Arc::new(listener))),
                    Err(error) => refusals.push(self.refusal(door, address, &error)),
                },
            }
        }
        (bound, refusals)
    }

    /// A socket on its way out is as good as a new one for whoever comes back to its address.
    fn again(&self, door: Door, address: SocketAddr) -> Option<Arc<TcpListener>> {
        let same = |(leaving, served): &&(Door, Served)| *leaving == door && served.wanted == address;
        let known = address.port() != 0;
        self.leaving.iter().rev().find(same).filter(|_| known).and_then(|(_, served)| served.listener.upgrade())
    }

    fn refusal(&self, door: Door, address: SocketAddr, error: &io::Error) -> Refusal {
        let key = door.key();
        let message = format!("cannot listen on {address}: {}", plainly(error));
        let ours = |served: &Served| served.address().is_some_and(|own| own.port() == address.port());
        let hint = if error.kind() != io::ErrorKind::AddrInUse {
            None
        } else if self.served.values().any(ours) {
            Some("this process itself listens on this port; choose another one, or restart the process".into())
        } else if self.leaving.iter().any(|(_, served)| ours(served)) {
            Some("this process is still leaving this port; reload again when server.drain_delay is over".into())
        } else {
            Some(format!("another process has this port; choose another one for {key}"))
        };
        Refusal { key, message, hint }
    }

    /// Serves the new sockets and retires those that nobody wants any more. Nothing here can fail.
    pub(super) fn commit(&mut self, bound: Bound, app: &Arc<App>, front: &Arc<dyn Front>) {
        let server = Arc::clone(&app.snapshot().settings.server);
        let wanted: BTreeMap<Door, SocketAddr> = server.doors().collect();
        let gone: Vec<Door> = self.served.keys().copied().filter(|door| !wanted.contains_key(door)).collect();
        for door in gone.into_iter().chain(bound.keys().copied()) {
            self.retire(door, app, &server);
        }
        for (door, listener) in bound {
            let Some(wanted) = wanted.get(&door) else { continue };
            self.serve(door, *wanted, listener, app, front);
        }
        self.leaving.retain(|(_, served)| served.listener.strong_count() > 0);
        let address = |door| self.served.get(&door).and_then(Served::address).map(Arc::new);
        app.address.store(address(Door::Main));
        app.admin_address.store(address(Door::Admin));
    }

    fn serve(
        &mut self,
        door: Door,
        wanted: SocketAddr,
        listener: Arc<TcpListener>,
        app: &Arc<App>,
        front: &Arc<dyn Front>,
    ) {
        let ending = Ending { leaving: Arc::default(), close: app.tasks.stopping().child_token() };
        let served = Served { wanted, listener: Arc::downgrade(&listener), ending: ending.clone() };
        if let Some(address) = served.address() {
            tracing::info!(%address, "listening on {address} for {}", door.purpose());
        }
        self.served.insert(door, served);
        let (front, app_of_front) = (Arc::clone(front), Arc::clone(app));
        let socket = Socket { door, listener, ending };
        app.tasks.spawn_graceful(move |_| front.serve(app_of_front, socket));
    }

    /// The old socket keeps accepting for a while, so that nobody who knew it is refused.
    fn retire(&mut self, door: Door, app: &Arc<App>, server: &Server) {
        let Some(old) = self.served.remove(&door) else { return };
        old.ending.leaving.store(true, Ordering::Relaxed);
        let (close, delay) = (old.ending.close.clone(), server.drain_delay);
        if let Some(address) = old.address() {
            tracing::info!(%address, "leaving {address}: accepting for {delay:?} more");
        }
        self.leaving.push((door, old));
        app.tasks.spawn(async move {
            tokio::time::sleep(delay).await;
            close.cancel();
        });
    }
}

/// The words of the operating system without its number.
fn plainly(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use".into(),
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address".into(),
        io::ErrorKind::PermissionDenied => "this process may not use this port".into(),
        _ => error.to_string(),
    }
}
