//! A MongoDB of the test's own: the real one where the machine has it, else the stand-in.
//! It never hides which of the two it is.

use std::ffi::OsString;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::port::Port;
use super::server::{Plan, Server};
use super::stand_in::StandIn;
use super::{machine, wire};

/// A private MongoDB on 127.0.0.1; the ways to break it are those of [`Server`].
#[derive(Debug)]
pub struct Mongo {
    server: Server,
    stand_in: bool,
}

impl Mongo {
    /// Starts one: `mongodb://127.0.0.1:PORT`.
    ///
    /// # Errors
    /// When there is neither `mongod` nor the stand-in here, or it does not answer within 30 seconds.
    pub fn start() -> Result<Self> {
        match binary() {
            Some(mongod) => Self::start_real(mongod),
            None => Self::start_stand_in(&StandIn::installed()?),
        }
    }

    /// Whether this is the stand-in, which answers commands it does not know with ok and checks no login.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        self.stand_in
    }

    fn start_real(program: PathBuf) -> Result<Self> {
        let arguments = |data: &Path, port: u16| {
            let mut arguments: Vec<OsString> = vec!["--dbpath".into(), data.into()];
            arguments.extend(["--port".into(), port.to_string().into()]);
            arguments.extend(["--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"].map(OsString::from));
            arguments.extend(["--wiredTigerCacheSizeGB", "0.25"].map(OsString::from));
            arguments
        };
        Self::start_with(program, false, arguments)
    }

    pub(super) fn start_stand_in(stand_in: &StandIn) -> Result<Self> {
        Self::start_with(stand_in.python(), true, |data, port| stand_in.arguments(data, port))
    }

    fn start_with(program: PathBuf, stand_in: bool, arguments: impl Fn(&Path, u16) -> Vec<OsString>) -> Result<Self> {
        let folder = machine::folder_for(None)?;
        let port = Port::reserve()?;
        let data = folder.path().join("data");
        fs::create_dir(&data).context("cannot create the data folder")?;
        let plan = Plan {
            program,
            arguments: arguments(&data, port.number()),
            account: None,
            polite: Signal::SIGTERM,
            fast: Signal::SIGKILL,
            probe: |port| wire::mongo(&format!("127.0.0.1:{port}")).map(drop),
            url: format!("mongodb://127.0.0.1:{}", port.number()),
        };
        Ok(Self { server: Server::start(plan, folder, port)?, stand_in })
    }
}

/// Where the real server's program is.
pub(super) fn binary() -> Option<PathBuf> {
    machine::program("mongod")
}

impl Deref for Mongo {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
