//! The figures of the console: frames, the first useful frame, idle processor and bytes, an outage seen, memory.
//! `cargo bench -p monolith-tui` prints them; `-- --soak 60` goes on for so many minutes and prints a line for each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the answer of a bench")]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(unreachable_pub, reason = "the terminal is shared with the tests")]
#![allow(dead_code, reason = "the tests need more of the terminal")]

#[path = "../tests/console/pty.rs"]
mod pty;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pty::Terminal;

/// How long the idle console is watched.
const IDLE: Duration = Duration::from_secs(60);
/// What the kernel counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let minutes = args.iter().position(|arg| arg == "--soak").and_then(|place| args.get(place + 1)?.parse().ok());
    let server = Server::start();
    match minutes {
        Some(minutes) => soak(&server, minutes),
        None => figures(server),
    }
}

fn figures(mut server: Server) {
    for (rows, size) in [(100, (80, 24)), (10_000, (200, 50))] {
        let mut took = monolith_tui::bench::frames(rows, 5_000, size);
        took.sort_unstable();
        let at = |share: usize| took[(took.len() - 1) * share / 1000];
        let (p50, p99, most) = (at(500), at(990), at(1000));
        println!("frame, {rows} rows, {}x{}: p50 {p50:?}, p99 {p99:?}, most {most:?}", size.0, size.1);
    }
    let mut firsts: Vec<(Duration, Duration)> = (0..10).map(|_| first_frames(&server)).collect();
    firsts.sort_unstable();
    let (first, useful) = firsts[firsts.len() / 2];
    println!("first frame after {first:?}, first useful frame after {useful:?} (median of {})", firsts.len());
    let terminal = server.console();
    terminal.see("● OK");
    std::thread::park_timeout(Duration::from_secs(10));
    let (bytes, cpu) = watch(&terminal, IDLE);
    let samples = server.samples();
    println!("idle, {samples} samples: {cpu:.2} % of a core, {bytes:.0} bytes/s, {} kB resident", memory(&terminal));
    server.child.kill().unwrap();
    let seen = terminal.wait_for("an outage", |text| !text.contains("● OK"));
    println!("a killed server is shown after {seen:?}");
}

fn first_frames(server: &Server) -> (Duration, Duration) {
    let terminal = server.console();
    terminal.see("Overview");
    let first = terminal.since_start();
    terminal.see("● OK");
    (first, terminal.since_start())
}

/// Bytes a second and a share of a core, over a while.
fn watch(terminal: &Terminal, span: Duration) -> (f64, f64) {
    let (bytes, ticks, begun) = (terminal.bytes().len(), ticks(terminal), Instant::now());
    std::thread::park_timeout(span);
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = (terminal.bytes().len() - bytes) as f64 / seconds;
    (bytes, 100.0 * (self::ticks(terminal) - ticks) / TICKS_PER_SECOND / seconds)
}

fn soak(server: &Server, minutes: u32) {
    let terminal = server.console();
    terminal.see("● OK");
    for minute in 1..=minutes {
        let (bytes, cpu) = watch(&terminal, Duration::from_secs(60));
        println!("minute {minute}: {cpu:.2} % of a core, {bytes:.0} bytes/s, {} kB resident", memory(&terminal));
    }
    assert!(terminal.text().contains("● OK"));
}

fn proc(terminal: &Terminal, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{}/{file}", terminal.pid())).unwrap()
}

fn ticks(terminal: &Terminal) -> f64 {
    let stat = proc(terminal, "stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..=12].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum()
}

fn memory(terminal: &Terminal) -> u64 {
    let status = proc(terminal, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The server as it is shipped.
struct Server {
    child: Child,
    url: String,
    folder: PathBuf,
}

impl Server {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Path::new(env!("CARGO_BIN_EXE_monolith-tui")).parent().unwrap();
        let binaries = [built.join("monolith"), built.with_file_name("debug").join("monolith")];
        let binary = binaries.iter().find(|binary| binary.exists()).expect("build the server first: cargo build");
        let folder = std::env::temp_dir().join(format!("monolith-console-bench-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("profiles")).unwrap();
        for file in ["monolith.toml", "profiles/dev.toml"] {
            std::fs::copy(root.join(file), folder.join(file)).unwrap();
        }
        let mut command = Command::new(binary);
        command.args(["serve", "--bind", "127.0.0.1:0"]).current_dir(&folder).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned(), folder }
    }

    fn console(&self) -> Terminal {
        Terminal::start(&["--server", &self.url], &self.folder, (80, 24))
    }

    fn samples(&self) -> u64 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_monolith-tui"));
        command.args(["snapshot", "--json", "--server", &self.url]).current_dir(&self.folder);
        let whole: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        whole["targets"][0]["traffic"]["value"]["samples"].as_u64().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
