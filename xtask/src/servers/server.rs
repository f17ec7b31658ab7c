//! One running server: its process, folder and port, and the ways to break it.
//! It knows no protocol: the kinds say how to start it and how to ask whether it answers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::guardian::Guardian;
use super::machine::Account;
use super::port::Port;
use super::process;
use crate::bounded;

/// A cold disk and a busy machine included; usually it is well under two seconds.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long a server may take to end by itself before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How much of a server's log an error shows.
const LOG_TAIL_LINES: usize = 15;

/// What a kind of server knows of itself.
pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// Whom it runs as; none: as whoever runs the tests.
    pub(super) account: Option<Account>,
    /// Ends it in good order.
    pub(super) polite: Signal,
    /// Ends it as fast as it can clean up after itself.
    pub(super) fast: Signal,
    /// Whether it answers.
    pub(super) probe: fn(u16) -> io::Result<()>,
    pub(super) url: String,
}

/// A server of the test's own on 127.0.0.1. On drop it is stopped and its folder deleted, and just so when the test is killed.
pub struct Server {
    plan: Plan,
    port: Port,
    state: Mutex<State>,
    /// The last field: the folder goes when nobody uses it any more.
    folder: TempDir,
}

struct State {
    child: Option<Child>,
    guardian: Guardian,
}

impl Server {
    /// Starts it and waits until it answers.
    pub(super) fn start(plan: Plan, folder: TempDir, port: Port) -> Result<Self> {
        let guardian = Guardian::over(folder.path())?;
        let server = Self { plan, port, state: Mutex::new(State { child: None, guardian }), folder };
        server.spawn(&mut server.state())?;
        Ok(server)
    }

    /// Where it listens, as its drivers read it.
    pub fn url(&self) -> &str {
        &self.plan.url
    }

    /// The port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }

    /// Its temporary folder: data, configuration and log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged since it was first started.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Freezes it with all its processes: clients still connect, and no answer ever comes.
    ///
    /// # Errors
    /// When it does not run or does not stop.
    pub fn pause(&self) -> Result<()> {
        process::pause_tree(self.running(&self.state())?)
    }

    /// Lets it go on where [`pause`](Self::pause) froze it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        process::resume_tree(self.running(&self.state())?);
        Ok(())
    }

    /// Kills all its processes at once, as a power cut would. What was committed is there after a [`restart`](Self::restart).
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<()> {
        let mut state = self.state();
        process::kill_tree(self.running(&state)?);
        self.forget(&mut state)
    }

    /// Ends it in good order, paused or not; one that is stopped stays so.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn stop(&self) -> Result<()> {
        self.end(&mut self.state(), self.plan.polite)
    }

    /// Starts it again on the same port with the same data, after stopping it if it runs, and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer within 30 seconds.
    pub fn restart(&self) -> Result<()> {
        let mut state = self.state();
        self.end(&mut state, self.plan.polite)?;
        self.spawn(&mut state)
    }

    /// A test that panicked elsewhere must not keep this server from being stopped.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self, state: &State) -> Result<u32> {
        state.child.as_ref().map(Child::id).with_context(|| format!("{} is stopped", self.plan.url))
    }

    fn spawn(&self, state: &mut State) -> Result<()> {
        let child = self.command()?.spawn().with_context(|| format!("cannot run {}", self.plan.program.display()))?;
        state.guardian.watch(Some(child.id()));
        let child = state.child.insert(child);
        let ready = bounded::poll(READY_LIMIT, || match child.try_wait() {
            Ok(None) => (self.plan.probe)(self.port()).ok().map(Ok),
            Ok(Some(status)) => Some(Err(status)),
            Err(_) => None,
        });
        match ready {
            Some(Ok(())) => Ok(()),
            Some(Err(status)) => {
                self.forget(state)?;
                bail!("{} ended at once ({status}); its log ends:\n{}", self.plan.program.display(), self.log_tail())
            }
            None => {
                self.end(state, self.plan.fast)?;
                bail!(
                    "{} did not answer within {} s; its log ends:\n{}",
                    self.plan.url,
                    READY_LIMIT.as_secs(),
                    self.log_tail()
                )
            }
        }
    }

    fn command(&self) -> Result<Command> {
        let log =
            File::options().create(true).append(true).open(self.log_path()).context("cannot open the server's log")?;
        let mut command = Command::new(&self.plan.program);
        command
            .args(&self.plan.arguments)
            .current_dir(self.folder())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot open the server's log")?)
            .stderr(log)
            .process_group(0); // a Ctrl-C at the terminal must not end it before the tests
        if let Some(account) = &self.plan.account {
            account.dress(&mut command);
        }
        Ok(command)
    }

    /// Ends the process if there is one: by `signal` and, where that does not help, by force.
    fn end(&self, state: &mut State, signal: Signal) -> Result<()> {
        let Some(child) = &mut state.child else {
            return Ok(());
        };
        let pid = child.id();
        process::send(pid, signal);
        process::resume_tree(pid); // a paused process takes its signal only now
        let ended: Option<io::Result<ExitStatus>> = bounded::poll(STOP_LIMIT, || child.try_wait().transpose());
        if ended.is_none() {
            process::kill_tree(pid);
        }
        self.forget(state)
    }

    /// Collects the process, which is dead.
    fn forget(&self, state: &mut State) -> Result<()> {
        state.guardian.watch(None);
        if let Some(mut child) = state.child.take() {
            child.wait().with_context(|| format!("cannot wait for {}", self.plan.program.display()))?;
        }
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("server.log")
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(LOG_TAIL_LINES)).copied().collect::<Vec<_>>().join("\n")
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.plan.url).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = &mut state.child else { return };
        let pid = child.id();
        process::send(pid, self.plan.fast);
        process::resume_tree(pid);
        if bounded::poll(STOP_LIMIT, || child.try_wait().ok().flatten()).is_none() {
            process::kill_tree(pid);
            child.wait().ok();
        }
    }
}
