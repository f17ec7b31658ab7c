//! Sockets, limits and time-outs of the HTTP side.
//! Serving is `http`; binding and draining is `runtime`.

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
        Server {
            bind: self.address("server.bind", &written.bind),
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
