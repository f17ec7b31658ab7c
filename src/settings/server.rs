//! Sockets, limits and time-outs of the HTTP side.
//! Serving is `http`; binding and draining is `runtime`.

use ipnet::IpNet;
use std::net::SocketAddr;
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
