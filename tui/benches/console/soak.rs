//! Runs that take long: an hour at three servers, and a monkey at a terminal. They look for what grows.
//! They end with a failure where something is wrong, and else with figures.

use std::time::Duration;

use crate::monolith::Monolith;
use crate::process::{Cost, watch};
use crate::pty::Terminal;
use crate::server::{Does, Server};
use crate::{console, folder, say};

/// Resident memory beyond this is a leak.
const RESIDENT_KB: u64 = 60_000;
/// Descriptors that come and go with connections.
const DESCRIPTORS_SPARE: usize = 8;

/// Looks at three servers for so many minutes, at another screen each.
pub fn soak(minutes: u32) {
    let servers = [Monolith::start(), Monolith::start(), Monolith::start()];
    let folder = folder();
    let target = |(number, server): (usize, &Monolith)| {
        let token = server.token_file();
        format!("[[targets]]\nname = \"s{number}\"\nurl = \"{}\"\ntoken = {{ file = {token:?} }}\n", server.url)
    };
    let text: String = servers.iter().enumerate().map(target).collect();
    std::fs::write(folder.path().join("console.toml"), text).unwrap();
    let mut terminal = Terminal::start(&["--config", "console.toml"], folder.path(), (80, 24));
    terminal.see("● OK");
    let mut costs: Vec<Cost> = Vec::new();
    for minute in 1..=minutes {
        terminal.press(&((minute - 1) % 8 + 1).to_string());
        let cost = watch(&terminal, Duration::from_secs(60));
        println!("minute {minute}: {cost}");
        costs.push(cost);
    }
    assert!(terminal.text().contains("● OK"), "{}", terminal.text());
    let (first, last) = (&costs[0], costs.last().unwrap());
    let mean = |of: fn(&Cost) -> f64| costs.iter().map(of).sum::<f64>() / costs.len() as f64;
    let (percent, bytes) = (mean(|cost| cost.percent), mean(|cost| cost.bytes_per_second));
    say(&format!("first minute: {first}"), "");
    say(&format!("last minute: {last}"), "60 MB resident");
    say(&format!("mean of {minutes} minutes at 3 servers: {percent:.2} % of a core, {bytes:.1} bytes/s"), "");
    assert!(last.resident_kb <= RESIDENT_KB, "{last}");
    assert!(last.descriptors <= first.descriptors + DESCRIPTORS_SPARE, "{first} -> {last}");
}

/// Presses so many keys at random, in sizes at random, while the server fails at random.
pub fn monkey(keys: usize) {
    const LETTERS: &[u8] = b"12345678`jkgGyYsSvnxRepfrmcW:/?!~ []az\t\r\x1b\x7f";
    const MOODS: [Does; 6] = [Does::Well, Does::Gateway, Does::Resets, Does::Page, Does::Unauthorized, Does::Forbidden];
    let (folder, server) = (folder(), Server::that(Does::Well));
    let mut terminal = console(&server, &folder);
    terminal.see("● OK");
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    for key in 0..keys {
        if key % 1_000 == 0 {
            server.now(MOODS[dice(&mut seed) % MOODS.len()]);
            terminal.resize(1 + (dice(&mut seed) % 300) as u16, 1 + (dice(&mut seed) % 100) as u16);
        }
        let letter = char::from(LETTERS[dice(&mut seed) % LETTERS.len()]);
        terminal.press(&letter.to_string());
        if key % 20 == 0 {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    terminal.resize(100, 30);
    server.now(Does::Well);
    terminal.see("● OK");
    let changes = server.changes.load(std::sync::atomic::Ordering::SeqCst);
    say(&format!("{keys} random keys: {} and {changes} changes sent", watch(&terminal, Duration::from_secs(1))), "0");
    terminal.press("\u{3}");
    assert_eq!((terminal.end().0, terminal.left_open(), changes), (0, Vec::new(), 0));
}

/// Numbers that are the same on every machine (xorshift64*).
fn dice(seed: &mut u64) -> usize {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    (seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
}
