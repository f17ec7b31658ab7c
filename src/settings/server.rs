//! Sockets, limits and time-outs of the HTTP side.
//! Serving is `http`; binding and draining is `runtime`.

use super::tls::Tls;
use super::{advice, compile::Compiler};
use crate::config::written;
use ipnet::IpNet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How the server listens and what it allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The address it listens on.
    pub bind: SocketAddr,
    /// A second address: then the administrator's part of the API is served there and nowhere else.
    pub admin_bind: Option<SocketAddr>,
    /// Where the embedded database, dev secrets and the spool are kept; absolute.
    pub data_dir: PathBuf,
    /// Who may read the API's description.
    pub docs: Docs,
    /// The longest a request may take, from its header to its answer.
    pub request_timeout: Duration,
    /// The longest a client may take to send a header; also how long an idle connection is kept.
    pub header_timeout: Duration,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// The most connections at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// How long it keeps serving after SIGTERM while it says that it is not ready.
    pub drain_delay: Duration,
    /// How long what was accepted may take to finish after that.
    pub drain_timeout: Duration,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate that is shown; without one it speaks plain HTTP.
    pub tls: Option<Tls>,
}

/// A socket's part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// `server.bind`: for services and gateways; for administrators, too, where they have no door of their own.
    Main,
    /// `server.admin_bind`: for administrators and scrapers.
    Admin,
}

impl Door {
    /// The key of its address.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Main => "server.bind",
            Self::Admin => "server.admin_bind",
        }
    }

    /// Whom it is for, in words.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Main => "clients",
            Self::Admin => "administrators",
        }
    }
}

impl Server {
    /// The scheme of its addresses.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The addresses to listen on.
    pub fn doors(&self) -> impl Iterator<Item = (Door, SocketAddr)> {
        [(Door::Main, Some(self.bind)), (Door::Admin, self.admin_bind)]
            .into_iter()
            .filter_map(|(door, address)| Some((door, address?)))
    }

    /// An address that other machines can reach, where there is one.
    #[must_use]
    pub fn abroad(&self) -> Option<SocketAddr> {
        self.doors().map(|(_, address)| address).find(|address| !address.ip().is_loopback())
    }

    /// The keys whose change to these settings takes a restart.
    #[must_use]
    pub fn restarts(&self, new: &Self) -> Vec<&'static str> {
        let data_dir = (self.data_dir != new.data_dir).then_some("server.data_dir");
        let held = new.doors().filter(|(door, address)| self.holds(*door, *address).is_some());
        data_dir.into_iter().chain(held.map(|(door, _)| door.key())).collect()
    }

    /// The address that is listened on and that another one cannot be bound beside.
    #[must_use]
    pub fn holds(&self, door: Door, address: SocketAddr) -> Option<SocketAddr> {
        let mut doors = self.doors();
        doors.find(|held| *held != (door, address) && overlap(held.1, address)).map(|(_, held)| held)
    }

    /// Whether a socket has to be bound or closed on the way to these settings.
    #[must_use]
    pub fn moves(&self, new: &Self) -> bool {
        self.bind != new.bind || self.admin_bind != new.admin_bind
    }
}

/// Whether two sockets cannot be bound at once. Port 0 is another port each time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && covers
}

/// Who may read `/openapi.json` and `/docs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Docs {
    /// Nobody.
    Off,
    /// The holder of an admin token.
    Admin,
    /// Anyone.
    Public,
}

impl Compiler<'_> {
    pub(super) fn server(&mut self, written: &written::Server) -> Server {
        let zero = Duration::ZERO;
        let tick = Duration::from_millis(100);
        let bind = self.address("server.bind", &written.bind);
        let admin_bind = written.admin_bind.as_deref().map(|text| self.address("server.admin_bind", text));
        if admin_bind.is_some_and(|admin| overlap(admin, bind)) {
            let message = format!("overlaps server.bind ({bind}): two sockets cannot have one port");
            self.error_with_hint("server.admin_bind", message, "choose another port");
        }
        Server {
            bind,
            admin_bind,
            data_dir: self.loaded.base_dir.join(&written.data_dir),
            docs: match written.docs {
                written::Docs::Off => Docs::Off,
                written::Docs::Admin => Docs::Admin,
                written::Docs::Public => self.public_docs(),
            },
            request_timeout: self.duration("server.request_timeout", &written.request_timeout, tick),
            header_timeout: self.duration("server.header_timeout", &written.header_timeout, tick),
            body_limit: self.size("server.body_limit", &written.body_limit),
            max_connections: self.positive("server.max_connections", written.max_connections) as usize,
            drain_delay: self.duration("server.drain_delay", &written.drain_delay, zero),
            drain_timeout: self.duration("server.drain_timeout", &written.drain_timeout, zero),
            trusted_proxies: self.networks("server.trusted_proxies", &written.trusted_proxies),
            tls: written.tls.as_ref().and_then(|tls| self.tls(tls)),
        }
    }

    fn address(&mut self, key: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            let message =
                format!("must be an address and a port such as 127.0.0.1:8000 or [::]:8000, found \"{text}\"");
            self.error_with_advice(key, message, advice::address(text));
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        })
    }

    fn public_docs(&mut self) -> Docs {
        if !self.profile.is_dev() {
            self.warn("server.docs", "the API's description is open to anyone, outside of dev");
        }
        Docs::Public
    }

    fn networks(&mut self, key: &str, texts: &[String]) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for (n, text) in texts.iter().enumerate() {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(_) => {
                    let message = format!("must be a CIDR such as 10.0.0.0/8, found \"{text}\"");
                    self.error_with_advice(&format!("{key}[{n}]"), message, advice::network(text));
                }
            }
        }
        networks
    }
}
