//! A Redis of the test's own. It keeps its data over a kill, so that a test can tell an outage from a loss.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::port::Port;
use super::server::{Plan, Server};
use super::{machine, wire};

/// A private Redis on 127.0.0.1; the ways to break it are those of [`Server`].
#[derive(Debug)]
pub struct Redis(Server);

impl Redis {
    /// Starts one that lets everybody in: `redis://127.0.0.1:PORT`.
    ///
    /// # Errors
    /// When there is no `redis-server` here or it does not answer within 30 seconds.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// Starts one that wants a password; its URL holds it: `redis://:PASSWORD@127.0.0.1:PORT`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_password(password: &str) -> Result<Self> {
        Self::start_with(Some(password))
    }

    fn start_with(password: Option<&str>) -> Result<Self> {
        let program =
            binary().context("there is no redis-server on this machine (Debian: apt-get install redis-server)")?;
        let folder = machine::folder_for(None)?;
        let port = Port::reserve()?;
        let configuration = folder.path().join("redis.conf");
        fs::write(&configuration, configure(&port, password)).context("cannot write redis.conf")?;
        let login = password.map(|password| format!(":{password}@")).unwrap_or_default();
        let plan = Plan {
            program,
            arguments: vec![configuration.into()],
            account: None,
            polite: Signal::SIGTERM,
            fast: Signal::SIGKILL,
            probe: |port| wire::redis(&format!("127.0.0.1:{port}")).map(drop),
            url: format!("redis://{login}127.0.0.1:{}", port.number()),
        };
        Ok(Self(Server::start(plan, folder, port)?))
    }
}

/// Every write is in the system's hands before it is answered; only the disk may be late, which outlives a kill.
fn configure(port: &Port, password: Option<&str>) -> String {
    let mut lines = format!(
        "bind 127.0.0.1\nport {}\ndaemonize no\nsave \"\"\nappendonly yes\nappendfsync no\ndatabases 64\nmaxclients 1000\n",
        port.number()
    );
    if let Some(password) = password {
        let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
        lines.push_str(&format!("requirepass \"{quoted}\"\n"));
    }
    lines
}

/// Where the server's program is.
pub(super) fn binary() -> Option<PathBuf> {
    machine::program("redis-server")
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}
