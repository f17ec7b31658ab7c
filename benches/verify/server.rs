//! A server under measurement: its process, its port, and the CPU time that it has used.
//! It is killed when the bench is over, whatever happened.

use super::keys::{Bench, monolith};
use super::load;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// From one look at a starting server to the next, and how many are taken.
const READY_LOOK: Duration = Duration::from_millis(100);
const READY_LOOKS: usize = 300;
/// The kernel counts CPU time in hundredths of a second on every Linux that Rust runs on (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) fn monolith(bench: &Bench) -> Result<Self> {
        let mut command = monolith(bench.folder.path());
        command.args(["serve", "--bind", "127.0.0.1:0"]);
        Self::start(command)
    }

    pub(crate) fn bare(kind: &str, bench: &Bench) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", kind]).arg(bench.folder.path());
        Self::start(command)
    }

    pub(crate) fn peer(command: Command) -> Result<Self> {
        Self::start(command)
    }

    /// One that says nothing and was told its port.
    pub(crate) fn on(mut command: Command, port: u16) -> Result<Self> {
        Ok(Self { child: command.stdin(Stdio::null()).spawn()?, port })
    }

    /// Its first line on standard output is its address.
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        ensure!(!line.is_empty(), "the server did not start");
        let port = line.trim().rsplit(':').next().context("no address")?.parse()?;
        Ok(Self { child, port })
    }

    /// Waits until it knows the keys: a server that was just started says 503 until then.
    pub(crate) async fn ready(&self, bench: &Bench) -> Result<()> {
        let request = bench.requests.first().context("there are no keys")?;
        for _ in 0..READY_LOOKS {
            if load::one(self.port, request).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(READY_LOOK).await;
        }
        load::one(self.port, request).await.map(drop)
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        ensure!(Command::new("kill").arg(self.child.id().to_string()).status()?.success(), "it is gone already");
        self.child.wait()?;
        Ok(())
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// In user and in kernel mode, of all its threads.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("no such format")?.1;
        let mut fields = after_name.split_whitespace().skip(11);
        let mut ticks = || -> Result<f64> { Ok(fields.next().context("too few fields")?.parse()?) };
        Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
