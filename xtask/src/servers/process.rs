//! Process trees and the signals to them: a Postgres gives each of its backends a session of its own, so that a process
//! group does not reach them. It must only ever be given pids of processes that this crate started.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bounded;

/// Signals are delivered at once; this bounds the wait for a machine that is busy.
const SIGNAL_LIMIT: Duration = Duration::from_secs(5);

/// One line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    pid: u32,
    parent: u32,
    /// As `ps` writes it: `T` stopped, `Z` dead and not yet collected.
    state: char,
}

/// Stops a process and all its descendants, and returns when each stands still.
pub(super) fn pause_tree(root: u32) -> Result<()> {
    // The root first, so that it forks nothing while its children are counted.
    send(root, Signal::SIGSTOP);
    wait_until_still(&[root])?;
    let tree = tree(root);
    for &pid in &tree {
        send(pid, Signal::SIGSTOP);
    }
    wait_until_still(&tree)
}

/// Lets a process and all its descendants run on.
pub(super) fn resume_tree(root: u32) {
    // Children first: a root that wakes before them may take them for hanging.
    for pid in tree(root).into_iter().rev() {
        send(pid, Signal::SIGCONT);
    }
}

/// Kills a process and all its descendants; they are gone afterwards, except that the caller must still collect the root.
pub(crate) fn kill_tree(root: u32) {
    send(root, Signal::SIGSTOP);
    let tree = tree(root);
    for &pid in tree.iter().rev() {
        send(pid, Signal::SIGKILL);
    }
    bounded::poll(SIGNAL_LIMIT, || {
        let table = table();
        let alive = tree.iter().any(|pid| table.iter().any(|row| row.pid == *pid && row.state != 'Z'));
        (!alive).then_some(())
    });
}

/// Sends a signal; a process that is gone already is what most callers want anyway.
pub(super) fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        kill(Pid::from_raw(pid), signal).ok();
    }
}

fn wait_until_still(pids: &[u32]) -> Result<()> {
    let still = bounded::poll(SIGNAL_LIMIT, || {
        let table = table();
        let moving =
            pids.iter().any(|pid| table.iter().any(|row| row.pid == *pid && !matches!(row.state, 'T' | 't' | 'Z')));
        (!moving).then_some(())
    });
    if still.is_none() {
        bail!("some of the processes {pids:?} did not stop within {} s", SIGNAL_LIMIT.as_secs());
    }
    Ok(())
}

/// The root and its descendants, parents before children.
fn tree(root: u32) -> Vec<u32> {
    let table = table();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(table.iter().filter(|row| row.parent == parent && row.pid != parent).map(|row| row.pid));
        next += 1;
    }
    found
}

fn table() -> Vec<Row> {
    fs::read_dir("/proc/self").map_or_else(|_| table_of_ps(), |_| table_of_proc())
}

fn table_of_proc() -> Vec<Row> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter_map(|entry| row_of_stat(&fs::read_to_string(entry.path().join("stat")).ok()?))
        .collect()
}

/// `pid (name) state parent ...`, where the name may itself hold brackets and blanks.
fn row_of_stat(stat: &str) -> Option<Row> {
    let (pid, rest) = stat.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some(Row { pid: pid.parse().ok()?, parent: fields.next()?.parse().ok()?, state })
}

/// For systems without /proc.
fn table_of_ps() -> Vec<Row> {
    let ps = bounded::output(std::process::Command::new("ps").args(["-axo", "pid=,ppid=,stat="]), SIGNAL_LIMIT);
    ps.unwrap_or_default().lines().filter_map(row_of_ps).collect()
}

fn row_of_ps(line: &str) -> Option<Row> {
    let mut fields = line.split_whitespace();
    let (pid, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Row { pid, parent, state: fields.next()?.chars().next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_named_anything() {
        let row = row_of_stat("42 (a) R (b) S 7 42 42 0 -1").unwrap();
        assert_eq!(row, Row { pid: 42, parent: 7, state: 'S' });
        assert_eq!(row_of_ps("  42     7 T+"), Some(Row { pid: 42, parent: 7, state: 'T' }));
    }

    #[test]
    fn the_table_holds_this_process() {
        assert!(table().iter().any(|row| row.pid == std::process::id()));
    }
}
