//! What a running console costs: processor, memory, bytes to its terminal, descriptors. It reads what the kernel counts.
//! It changes nothing of what it watches.

use std::fmt;
use std::time::{Duration, Instant};

use crate::pty::Terminal;

/// What the kernel counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

/// What it cost over a while, and what it holds at its end.
pub struct Cost {
    /// A share of a core.
    pub percent: f64,
    pub bytes_per_second: f64,
    pub resident_kb: u64,
    pub descriptors: usize,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percent, bytes_per_second, resident_kb, descriptors } = self;
        let first = format!("{percent:.2} % of a core, {bytes_per_second:.1} bytes/s");
        write!(f, "{first}, {resident_kb} kB resident, {descriptors} descriptors")
    }
}

/// Looks on for a while.
pub fn watch(terminal: &Terminal, span: Duration) -> Cost {
    let (bytes, before, begun) = (terminal.bytes().len(), ticks(terminal), Instant::now());
    std::thread::park_timeout(span);
    let seconds = begun.elapsed().as_secs_f64();
    Cost {
        percent: 100.0 * (ticks(terminal) - before) / TICKS_PER_SECOND / seconds,
        bytes_per_second: (terminal.bytes().len() - bytes) as f64 / seconds,
        resident_kb: memory(terminal),
        descriptors: std::fs::read_dir(format!("/proc/{}/fd", terminal.pid())).unwrap().count(),
    }
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
