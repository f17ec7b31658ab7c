//! A PostgreSQL of the test's own: as fast as it can be without losing what was committed when it is killed.
//! It never touches a cluster of the machine.

use std::ffi::OsString;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::machine::Account;
use super::port::Port;
use super::server::{Plan, Server};
use super::{machine, wire};
use crate::bounded;

/// The superuser, whom the server trusts from 127.0.0.1.
const USER: &str = "test";
const DATABASE: &str = "postgres";

/// Usually a second; a slow disk may take its time.
const INITDB_LIMIT: Duration = Duration::from_secs(60);

/// It only asks the kernel.
const IPCRM_LIMIT: Duration = Duration::from_secs(5);

/// `fsync` matters when the machine loses its power, not when the process is killed; a commit still waits until its log
/// is written. Shared memory in files goes with the folder, whatever happens to the server.
const SETTINGS: [&str; 11] = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=on",
    "shared_buffers=32MB",
    "dynamic_shared_memory_type=mmap",
    "max_connections=200",
    "max_wal_size=256MB",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "listen_addresses=127.0.0.1",
];

/// A private PostgreSQL on 127.0.0.1; the ways to break it are those of [`Server`].
#[derive(Debug)]
pub struct Postgres(Server);

impl Postgres {
    /// Starts one that trusts everybody on this machine: `postgres://test@127.0.0.1:PORT/postgres`, a superuser.
    ///
    /// # Errors
    /// When there is no PostgreSQL here or it does not answer within 30 seconds.
    pub fn start() -> Result<Self> {
        Self::start_with_hba(&[])
    }

    /// Starts one with lines of `pg_hba.conf` that come before the one that trusts everybody: the first that fits counts.
    /// The user `test` must stay trusted from 127.0.0.1.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_hba(lines: &[&str]) -> Result<Self> {
        Self::start_with(lines, &[])
    }

    /// Starts one with `pg_hba.conf` lines and server settings (`name=value`), which win over this program's own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(hba: &[&str], settings: &[&str]) -> Result<Self> {
        let binaries =
            binaries().context("there is no PostgreSQL on this machine (Debian: apt-get install postgresql)")?;
        let account = Account::other_than_root()?;
        let folder = machine::folder_for(account.as_ref())?;
        let port = Port::reserve()?;
        let data = folder.path().join("data");
        initialise(&binaries, &data, account.as_ref())?;
        write_hba(&data, hba)?;
        let plan = Plan {
            program: binaries.join("postgres"),
            arguments: arguments(&data, folder.path(), port.number(), settings),
            account,
            polite: Signal::SIGINT,
            fast: Signal::SIGQUIT,
            probe: |port| wire::Postgres::connect(&format!("127.0.0.1:{port}"), USER, DATABASE).map(drop),
            url: format!("postgres://{USER}@127.0.0.1:{}/{DATABASE}", port.number()),
        };
        Ok(Self(Server::start(plan, folder, port)?))
    }

    /// Starts one with a role that must log in with a password (SCRAM) and may create databases.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_password_role(role: &str, password: &str) -> Result<Self> {
        let server = Self::start_with_hba(&[&format!("host all \"{role}\" 127.0.0.1/32 scram-sha-256")])?;
        let password = password.replace('\'', "''");
        server.sql(&format!("create role \"{role}\" login createdb password '{password}'"))?;
        Ok(server)
    }

    /// The URL for another database and user of this server; the parts must be percent-encoded where needed.
    #[must_use]
    pub fn url_for(&self, login: &str, database: &str) -> String {
        format!("postgres://{login}@127.0.0.1:{}/{database}", self.port())
    }

    /// Runs statements as the superuser over a connection of their own.
    ///
    /// # Errors
    /// When one fails; then it says why.
    pub fn sql(&self, statements: &str) -> Result<()> {
        let address = format!("127.0.0.1:{}", self.port());
        let mut connection = wire::Postgres::connect(&address, USER, DATABASE)?;
        connection.run(statements).with_context(|| format!("in: {statements}"))
    }
}

fn initialise(binaries: &Path, data: &Path, account: Option<&Account>) -> Result<()> {
    let mut initdb = Command::new(binaries.join("initdb"));
    initdb
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
        .arg(format!("--username={USER}"))
        .arg("--pgdata")
        .arg(data)
        .current_dir("/");
    if let Some(account) = account {
        account.dress(&mut initdb);
    }
    bounded::output(&mut initdb, INITDB_LIMIT).map(drop).context("cannot create a PostgreSQL cluster")
}

fn write_hba(data: &Path, lines: &[&str]) -> Result<()> {
    let mut all = lines.join("\n");
    all.push_str("\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\nlocal all all trust\n");
    fs::write(data.join("pg_hba.conf"), all).context("cannot write pg_hba.conf")
}

fn arguments(data: &Path, sockets: &Path, port: u16, settings: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-D".into(), data.into(), "-k".into(), sockets.into()];
    arguments.extend(["-p".into(), port.to_string().into()]);
    for setting in SETTINGS.iter().chain(settings) {
        arguments.extend(["-c".into(), setting.into()]);
    }
    arguments
}

/// The folder of the newest server's programs. Distributions keep them off the PATH, one folder for each major version.
pub(super) fn binaries() -> Option<PathBuf> {
    machine::newest_version(Path::new("/usr/lib/postgresql"), "bin")
        .into_iter()
        .chain(machine::program("postgres").and_then(|program| Some(program.canonicalize().ok()?.parent()?.to_owned())))
        .find(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
}

impl Drop for Postgres {
    /// A server that was killed leaves a segment of shared memory behind, which it would reuse when started again.
    /// The system has only so many (4096 on Linux), and nothing else would ever collect it.
    fn drop(&mut self) {
        if self.pid().is_some() {
            return;
        }
        let lock = fs::read_to_string(self.folder().join("data").join("postmaster.pid")).unwrap_or_default();
        // The seventh line: key and identity of the segment (PostgreSQL, src/include/utils/pidfile.h).
        if let Some(segment) = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            bounded::output(Command::new("ipcrm").args(["-m", segment]), IPCRM_LIMIT).ok();
        }
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}
