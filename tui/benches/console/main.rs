//! The figures of the console, each a line with its bound: `cargo bench -p monolith-tui` prints them all, `-- idle keys` some,
//! `-- soak 60` and `-- monkey 100000` go on for so many minutes and keys. It judges nothing: a shared machine is no referee.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the answer of a bench")]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(unreachable_pub, reason = "the terminal and the scripted server are shared with the tests")]
#![allow(dead_code, reason = "the tests need more of both")]

/// The real server.
mod monolith;
/// How long outages and their ends take to be seen.
mod outage;
/// What a process costs.
mod process;
/// The terminal that nobody sits at.
#[path = "../../tests/console/pty.rs"]
mod pty;
/// The server that does as it is told.
#[path = "../../tests/console/server.rs"]
mod server;
/// Runs that take an hour.
mod soak;

use std::path::Path;
use std::time::{Duration, Instant};

use monolith::Monolith;
use pty::Terminal;
use server::{Does, Server};

/// How long the idle console is watched.
const IDLE: Duration = Duration::from_secs(60);
/// A start is over by then: what is counted by the second at first is counted by the minute.
const SETTLED: Duration = Duration::from_secs(70);
/// Keys that are timed.
const KEYS: usize = 200;
/// The slow line of a bad hotel.
const SLOW: usize = 2_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["soak", minutes] => soak::soak(minutes.parse().expect("minutes")),
        ["monkey", keys] => soak::monkey(keys.parse().expect("a number of keys")),
        names => {
            let figures: [(&str, fn()); 8] = [
                ("frames", frames),
                ("parser", parser),
                ("start", start),
                ("keys", keys),
                ("outage", outage::outage),
                ("exit", exit),
                ("slow", slow),
                ("idle", idle),
            ];
            let wanted = |name: &str| names.is_empty() || names.contains(&name);
            figures.iter().filter(|(name, _)| wanted(name)).for_each(|(_, figure)| figure());
        }
    }
}

fn frames() {
    for (rows, size) in [(100, (80, 24)), (10_000, (200, 50))] {
        let took = monolith_tui::bench::frames(rows, 5_000, size);
        let title = |what| format!("a frame for {what}, {rows} rows, {}x{}", size.0, size.1);
        let all = [took.keys.clone(), took.lists.clone()].concat();
        for (what, took) in [("a key", took.keys), ("a new list", took.lists), ("all of them", all)] {
            let bound = "p50 2 ms, p99 5 ms, never over 16 ms";
            say(&spread(&title(what), took.iter().map(|took| took.wall).collect()), bound);
            let own = format!("{}, on the processor", title(what));
            say(&spread(&own, took.iter().map(|took| took.processor).collect()), bound);
        }
    }
}

fn parser() {
    let text = server::samples(10_000);
    let took = (0..50).map(|_| {
        let begun = Instant::now();
        assert_eq!(monolith_tui::bench::parse(&text), Ok(10_000));
        begun.elapsed()
    });
    say(
        &spread("10,000 samples are read", took.collect()),
        "5 ms with a parser of our own; ~500 samples with this one",
    );
}

fn start() {
    let monolith = Monolith::start();
    let starts = (0..10).map(|_| {
        let terminal = monolith.console();
        terminal.see("Overview");
        let first = terminal.since_start();
        terminal.see("● OK");
        (first, terminal.since_start())
    });
    let (firsts, useful): (Vec<_>, Vec<_>) = starts.unzip();
    say(&spread("first frame", firsts), "50 ms");
    say(&spread("first useful frame", useful), "150 ms");
}

/// From a key to the screen that it asks for, as a terminal sees it.
fn keys() {
    let folder = folder();
    for (what, does) in
        [("while 10,000 samples a second are read", Does::Counts), ("while the server hangs", Does::Hangs)]
    {
        let server = Server::that(does);
        let mut terminal = console(&server, &folder);
        terminal.see(if does == Does::Hangs { "UNREACHABLE" } else { "● OK" });
        let took = (0..KEYS).map(|turn| {
            // Not in step with the pollers.
            std::thread::park_timeout(Duration::from_millis(37 + turn as u64 % 11));
            let begun = Instant::now();
            terminal.press(if turn % 2 == 0 { "8" } else { "`" });
            terminal.wait_for("the other screen", |text| text.contains("WHAT IS WRONG") == (turn % 2 == 0));
            begun.elapsed()
        });
        say(&spread(&format!("key to screen {what}"), took.collect()), "p99 20 ms");
        let cost = process::watch(&terminal, Duration::from_secs(10));
        say(&format!("memory {what}: {} kB resident", cost.resident_kb), "60 MB");
    }
}

fn exit() {
    let folder = folder();
    for (way, does) in [("q", Does::Hangs), ("q", Does::Well), ("TERM", Does::Hangs), ("TERM", Does::Well)] {
        let server = Server::that(does);
        let took = (0..5).map(|_| {
            let mut terminal = console(&server, &folder);
            terminal.see(if does == Does::Hangs { "CONNECTING" } else { "● OK" });
            if way == "q" {
                terminal.press(way)
            } else {
                terminal.signal(way)
            }
            let (code, took) = terminal.end();
            assert_eq!((code, terminal.left_open()), (0, Vec::new()));
            took
        });
        say(&spread(&format!("{way} to the end, the server {does:?}"), took.collect()), "100 ms");
    }
}

/// Keys are pressed faster than a slow line can show what comes of them.
fn slow() {
    let folder = folder();
    let server = Server::that(Does::Well);
    let mut terminal = console(&server, &folder);
    terminal.see("● OK");
    terminal.pace(pty::Pace::Slow(SLOW));
    let before = terminal.bytes().len();
    for key in "27456".repeat(20).chars() {
        terminal.press(&key.to_string());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let begun = Instant::now();
    terminal.press("8");
    terminal.wait_for("the newest frame", |text| text.contains("WHAT IS WRONG"));
    let behind = begun.elapsed();
    let bytes = terminal.bytes().len() - before;
    let frames = pty::frames(&terminal.bytes()[before..]);
    let text =
        format!("at {SLOW} bytes/s, after 100 keys in 5 s: newest frame {behind:?} after its key, {frames} frames");
    say(&format!("{text}, {bytes} bytes"), "one frame queued, the last is the newest");
}

fn idle() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console();
    terminal.see("● OK");
    std::thread::park_timeout(SETTLED);
    let idle = process::watch(&terminal, IDLE);
    say(&format!("idle, 80x24, {} samples: {idle}", monolith.samples()), "0.5 % of a core, 100 bytes/s");
    terminal.press(" ");
    terminal.see("FROZEN");
    std::thread::park_timeout(Duration::from_secs(10));
    say(&format!("frozen: {}", process::watch(&terminal, IDLE)), "0.1 % of a core, 0 bytes/s");
}

/// A line with its bound.
fn say(figure: &str, bound: &str) {
    println!("{figure}{}{bound}", if bound.is_empty() { "" } else { "   | bound: " });
}

/// The middle, the worst but one of a hundred, and the worst.
fn spread(what: &str, mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    format!("{what}: p50 {:?}, p99 {:?}, most {:?} (of {})", at(50), at(99), at(100), took.len())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "tok").unwrap();
    folder
}

fn console(server: &Server, folder: &tempfile::TempDir) -> Terminal {
    let path: &Path = folder.path();
    Terminal::start(&["--server", &server.url, "--token-file", "token"], path, (100, 30))
}
