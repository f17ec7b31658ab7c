//! A PgBouncer of the test's own, in transaction mode: what a session keeps between two transactions is lost behind it.
//! It carries a private Postgres and never anything else.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::machine::Account;
use super::port::Port;
use super::server::{Plan, Server};
use super::{Postgres, machine, wire};

/// A private PgBouncer on 127.0.0.1; the ways to break it are those of [`Server`].
#[derive(Debug)]
pub struct Pgbouncer(Server);

impl Pgbouncer {
    /// Whether one can be started here.
    #[must_use]
    pub fn installed() -> bool {
        binary().is_some()
    }

    /// Starts one in front of a Postgres, with so many connections to it for each database, however many clients there are:
    /// `postgres://test@127.0.0.1:PORT/postgres`.
    ///
    /// # Errors
    /// When there is no `pgbouncer` here or it does not answer within 30 seconds.
    pub fn start(postgres: &Postgres, connections: u32) -> Result<Self> {
        let program = binary().context("there is no pgbouncer on this machine (Debian: apt-get install pgbouncer)")?;
        let account = Account::other_than_root()?;
        let folder = machine::folder_for(account.as_ref())?;
        let port = Port::reserve()?;
        let configuration = folder.path().join("pgbouncer.ini");
        fs::write(&configuration, configure(&port, postgres.port(), connections))?;
        fs::set_permissions(&configuration, fs::Permissions::from_mode(0o644))?;
        let plan = Plan {
            program,
            arguments: vec![configuration.into()],
            account,
            polite: Signal::SIGINT,
            fast: Signal::SIGTERM,
            probe: |port| wire::Postgres::connect(&format!("127.0.0.1:{port}"), "test", "postgres").map(drop),
            url: format!("postgres://test@127.0.0.1:{}/postgres", port.number()),
        };
        Ok(Self(Server::start(plan, folder, port)?))
    }
}

/// The defaults of PgBouncer where nothing is said: it refuses what it does not know at connect.
fn configure(port: &Port, postgres: u16, connections: u32) -> String {
    format!(
        "[databases]\n* = host=127.0.0.1 port={postgres} user=test\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
         unix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_client_conn = 200\ndefault_pool_size = {connections}\n\
         server_tls_sslmode = disable\nserver_round_robin = 1\n",
        port.number()
    )
}

/// Where the program is; distributions keep it where only root looks.
fn binary() -> Option<PathBuf> {
    let in_sbin = PathBuf::from("/usr/sbin/pgbouncer");
    machine::program("pgbouncer").or_else(|| in_sbin.exists().then_some(in_sbin))
}

impl Deref for Pgbouncer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}
