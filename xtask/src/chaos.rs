//! The chaos proof of scheduled work: processes on one Postgres that are killed, frozen and cut off, and a checker that reads nothing
//! but what was recorded. It knows the program only from outside: its file, its signals, its tables.

#![expect(clippy::print_stdout, reason = "it talks to whoever sits at the shell")]

/// What the recorded tables must say, and the proof that the checker would notice.
mod checker;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use xtask::servers::Postgres;

/// How long a process may take to end by itself.
const END_LIMIT: Duration = Duration::from_secs(40);
/// How long what is under way at the end may take.
const SETTLE: Duration = Duration::from_secs(5);
/// Between two looks whether a process has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Kill, freeze and cut off processes that run workers on one Postgres, then check what was recorded
///
/// Exit code 0: no tick was doubled or lost, nothing was written by a zombie, and the checker noticed every forgery.
#[derive(Args)]
pub(crate) struct Chaos {
    /// The program under test
    #[arg(long, default_value = "target/release/monolith")]
    binary: PathBuf,
    /// How many processes
    #[arg(long, default_value_t = 3)]
    processes: usize,
    /// How many workers, each due every second
    #[arg(long, default_value_t = 1_000)]
    workers: usize,
    /// How many kills
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// Seconds from one kill to the next
    #[arg(long, default_value_t = 3)]
    every: u64,
    /// The lease in seconds
    #[arg(long, default_value_t = 5)]
    lease: u64,
    /// Every so many kills a process is frozen beyond its lease instead
    #[arg(long, default_value_t = 10)]
    freeze_every: usize,
    /// Every so many kills Postgres is restarted
    #[arg(long, default_value_t = 25)]
    restart_every: usize,
    /// For how many seconds Postgres is stopped once, half way
    #[arg(long, default_value_t = 30)]
    outage: u64,
    /// Where chance begins: the same number makes the same choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Chaos {
    pub(crate) fn run(&self) -> Result<()> {
        if self.processes == 0 || !self.binary.exists() {
            bail!("{} is not there: cargo build --release", self.binary.display());
        }
        let binary = self.binary.canonicalize().context("cannot find the program")?;
        let postgres = Postgres::start()?;
        postgres.sql("create table hits (worker text, tick_at timestamptz, run_id text, attempt integer)")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("monolith.toml"), self.configuration(postgres.url()))?;
        fs::create_dir(folder.path().join("profiles"))?;
        fs::write(folder.path().join("profiles/test.toml"), "[server]\ndrain_delay = \"0s\"\n")?;
        let mut fleet = Fleet { binary, folder, running: Vec::new(), started: 0 };
        for _ in 0..self.processes {
            fleet.start()?;
        }
        let before = Instant::now();
        self.storm(&mut fleet, &postgres)?;
        println!("{} kills in {} s; settling", self.kills, before.elapsed().as_secs());
        rest(SETTLE + Duration::from_secs(self.lease));
        fleet.stop()?;
        checker::check(&postgres, self.lease)
    }

    fn configuration(&self, url: &str) -> String {
        let mut text = format!(
            "[stores.main]\nkind = \"postgres\"\nurl = \"{url}\"\n[keys]\nstore = \"main\"\n[scheduler]\nstore = \"main\"\n\
             lease = \"{}s\"\nmax_concurrent_runs = 64\n",
            self.lease
        );
        for n in 0..self.workers {
            text.push_str(&format!(
                "[workers.w{n}]\nevery = \"1s\"\ncatch_up = {{ policy = \"all\", max = 10000 }}\noverlap = \"allow\"\n\
                 run = {{ kind = \"sql\", store = \"main\", statement = \"insert into hits values (:worker, :tick_at, :run_id, :attempt)\" }}\n"
            ));
        }
        text
    }

    fn storm(&self, fleet: &mut Fleet, postgres: &Postgres) -> Result<()> {
        let mut chance = Chance(self.seed);
        for n in 1..=self.kills {
            rest(Duration::from_secs(self.every));
            let victim = chance.below(fleet.running.len());
            if self.freeze_every > 0 && n % self.freeze_every == 0 {
                fleet.freeze(victim, Duration::from_secs(self.lease + 2))?;
            } else {
                fleet.kill(victim)?;
            }
            if self.restart_every > 0 && n % self.restart_every == 0 {
                postgres.kill()?;
                postgres.restart()?;
            }
            if self.outage > 0 && n == self.kills / 2 {
                postgres.pause()?;
                rest(Duration::from_secs(self.outage));
                postgres.resume()?;
            }
            if n % 10 == 0 {
                println!("{n} of {}", self.kills);
            }
        }
        Ok(())
    }
}

/// The processes.
struct Fleet {
    binary: PathBuf,
    folder: TempDir,
    running: Vec<Child>,
    started: usize,
}

impl Fleet {
    fn start(&mut self) -> Result<()> {
        let log = self.folder.path().join(format!("log-{}", self.started));
        self.started += 1;
        let child = Command::new(&self.binary)
            .args(["serve", "--bind", "127.0.0.1:0", "--profile", "test", "--config", "monolith.toml"])
            .args(["--set", "telemetry.log=warn"])
            .current_dir(self.folder.path())
            .env_clear()
            .env("JWT_SECRET", "0123456789abcdef0123456789abcdef")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start the program")?;
        self.running.push(child);
        self.alive(&log)
    }

    /// A process that ends at once says why.
    fn alive(&mut self, log: &Path) -> Result<()> {
        rest(LOOK);
        match self.running.last_mut().map(Child::try_wait).transpose()?.flatten() {
            None => Ok(()),
            Some(status) => bail!("a process ended with {status}: {}", fs::read_to_string(log).unwrap_or_default()),
        }
    }

    fn kill(&mut self, victim: usize) -> Result<()> {
        let mut child = self.running.swap_remove(victim);
        let killed = child.kill();
        child.wait()?;
        killed?;
        self.start()
    }

    fn freeze(&self, victim: usize, length: Duration) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.running.get(victim).context("there is no such process")?.id())?);
        kill(pid, Signal::SIGSTOP)?;
        rest(length);
        Ok(kill(pid, Signal::SIGCONT)?)
    }

    fn stop(&mut self) -> Result<()> {
        for child in &self.running {
            kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        }
        let give_up = Instant::now() + END_LIMIT;
        while self.running.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
            if Instant::now() > give_up {
                bail!("a process did not end within {} s", END_LIMIT.as_secs());
            }
            rest(LOOK);
        }
        self.running.clear();
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Waits as long as it takes: here time itself is what is waited for.
fn rest(length: Duration) {
    let end = Instant::now() + length;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// A linear congruential generator (Knuth, MMIX): chance that can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % n.max(1)
    }
}
