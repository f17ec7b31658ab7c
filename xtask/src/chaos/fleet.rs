//! The processes under test, and a note of everything that is done to them, with the time. It sees them from outside only: their first
//! line on stdout, a header of their answers, their exit.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::history::What;
use super::{now_millis, rest};

/// How long a process may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a process may take to end by itself.
const END_LIMIT: Duration = Duration::from_secs(60);
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether a process has ended or begun.
const LOOK: Duration = Duration::from_millis(20);

pub(super) struct Fleet {
    binary: PathBuf,
    folder: PathBuf,
    bug: Option<String>,
    running: Vec<Process>,
    started: usize,
    events: Mutex<File>,
}

struct Process {
    child: Child,
    /// Its id in the ledger.
    replica: String,
}

impl Fleet {
    pub(super) fn new(binary: PathBuf, folder: &Path, bug: Option<&str>) -> Result<Self> {
        let events = Mutex::new(File::create(folder.join("events.csv"))?);
        let (folder, bug) = (folder.to_owned(), bug.map(ToOwned::to_owned));
        Ok(Self { binary, folder, bug, running: Vec::new(), started: 0, events })
    }

    pub(super) fn start(&mut self) -> Result<()> {
        let name = |kind: &str| self.folder.join(format!("{kind}-{:03}.log", self.started));
        let (out, log) = (name("stdout"), name("stderr"));
        self.started += 1;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--bind", "127.0.0.1:0", "--profile", "test", "--config", "monolith.toml"])
            .args(["--set", "telemetry.log=warn"])
            .current_dir(&self.folder)
            .env_clear()
            .env("JWT_SECRET", "0123456789abcdef0123456789abcdef")
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&log)?);
        if let Some(bug) = &self.bug {
            command.env("MONOLITH_SEEDED_BUG", bug);
        }
        let mut child = command.spawn().context("cannot start the program")?;
        let replica = match known(&mut child, &out, &log) {
            Ok(replica) => replica,
            Err(error) => {
                drop(child.kill());
                drop(child.wait());
                return Err(error);
            }
        };
        self.note(What::Started, &replica)?;
        self.running.push(Process { child, replica });
        Ok(())
    }

    pub(super) fn kill(&mut self, victim: usize) -> Result<()> {
        let mut process = self.running.swap_remove(victim % self.running.len().max(1));
        let killed = process.child.kill();
        self.note(What::Killed, &process.replica)?;
        process.child.wait()?;
        killed?;
        self.start()
    }

    pub(super) fn freeze(&self, victim: usize, length: Duration) -> Result<()> {
        let process = self.running.get(victim).context("there is no such process")?;
        let pid = Pid::from_raw(i32::try_from(process.child.id())?);
        self.note(What::Frozen, &process.replica)?;
        kill(pid, Signal::SIGSTOP)?;
        rest(length);
        kill(pid, Signal::SIGCONT)?;
        self.note(What::Thawed, &process.replica)
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        for process in &self.running {
            self.note(What::Stopped, &process.replica)?;
            kill(Pid::from_raw(i32::try_from(process.child.id())?), Signal::SIGTERM)?;
        }
        let give_up = Instant::now() + END_LIMIT;
        while self.running.iter_mut().any(|process| matches!(process.child.try_wait(), Ok(None))) {
            if Instant::now() > give_up {
                bail!("a process did not end within {} s", END_LIMIT.as_secs());
            }
            rest(LOOK);
        }
        self.running.clear();
        Ok(())
    }

    /// Writes down what happens, at once: the history outlives this program.
    pub(super) fn note(&self, what: What, replica: &str) -> Result<()> {
        let mut events = self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(writeln!(events, "{},{},{replica}", now_millis(), what.as_str())?)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for process in &mut self.running {
            drop(process.child.kill());
            drop(process.child.wait());
        }
    }
}

/// The id of a process that has just been started, once it answers; one that ends instead says why.
fn known(child: &mut Child, out: &Path, log: &Path) -> Result<String> {
    let give_up = Instant::now() + START_LIMIT;
    while Instant::now() < give_up {
        if let Some(status) = child.try_wait()? {
            bail!("a process ended with {status}: {}", fs::read_to_string(log).unwrap_or_default());
        }
        let said = fs::read_to_string(out).unwrap_or_default();
        let address = said
            .lines()
            .next()
            .and_then(|line| line.split_once("://"))
            .map(|(_, address)| address.trim_end_matches('/'));
        if let Some(replica) = address.and_then(|address| asked(address).ok()) {
            return Ok(replica);
        }
        rest(LOOK);
    }
    bail!(
        "a process did not answer within {} s: {}",
        START_LIMIT.as_secs(),
        fs::read_to_string(log).unwrap_or_default()
    )
}

fn asked(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    write!(stream, "GET /health/live HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-monolith-replica").then(|| value.trim().to_owned())
    };
    answer.lines().find_map(header).context("the answer does not say whose it is")
}
