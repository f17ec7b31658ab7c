//! Entries that wait on this machine's disk because the chain cannot be reached: JSON lines, synced, bounded.
//! They are given back in the order they came; each has an id, so that nothing is chained twice.

use super::{Actor, Change, Outcome};
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The most entries that wait: days of an operator's work, and a few megabytes.
pub(super) const MAX_WAITING: usize = 10_000;
/// How many processes may share one folder, each with a file of its own.
const MAX_FILES: u32 = 16;

/// A change and its own id.
pub(super) type Waiting = (String, Change);

/// What waits, in memory and in a file that this process alone holds.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    waiting: VecDeque<Waiting>,
    file: Option<File>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    at: i64,
    actor: String,
    role: String,
    ip: Option<String>,
    request_id: String,
    action: String,
    subject: String,
    outcome: String,
    changes: Map<String, Value>,
}

impl Spool {
    /// A spool in a folder, with what processes before this one left there.
    pub(super) fn open(folder: &Path) -> Self {
        let mut spool = Self { folder: folder.to_owned(), waiting: VecDeque::new(), file: None };
        for n in 0..MAX_FILES {
            let Ok(mut file) = OpenOptions::new().read(true).write(true).open(file_of(folder, n)) else { continue };
            // Whoever holds it lives, and looks after it.
            if file.try_lock().is_err() {
                continue;
            }
            let left = read(&mut file);
            match &mut spool.file {
                None => spool.file = Some(file),
                Some(own) => {
                    if let Err(error) = move_to(own, &file, &left) {
                        tracing::error!(%error, "entries of the audit that waited could not be moved to one file");
                    }
                }
            }
            spool.waiting.extend(left);
        }
        spool
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps an entry; on return it is on the disk.
    pub(super) fn push(&mut self, id: String, change: Change) -> io::Result<()> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(io::Error::other(format!("{MAX_WAITING} entries wait already")));
        }
        let line = line_of(&id, &change)?;
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(&self.folder)?),
        };
        file.seek(io::SeekFrom::End(0))?;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        self.waiting.push_back((id, change));
        Ok(())
    }

    /// The oldest ones; they stay until they are [`done`](Self::done).
    pub(super) fn oldest(&self, count: usize) -> Vec<Waiting> {
        self.waiting.iter().take(count).cloned().collect()
    }

    /// Lets the oldest ones go. The file is emptied when nothing waits any more, never cut in between.
    pub(super) fn done(&mut self, count: usize) -> io::Result<()> {
        self.waiting.drain(..count.min(self.waiting.len()));
        match &mut self.file {
            Some(file) if self.waiting.is_empty() => file.set_len(0),
            _ => Ok(()),
        }
    }
}

/// Writes entries to our own file, and empties the one they came from. What is there twice for a moment is chained once.
fn move_to(own: &mut File, from: &File, left: &[Waiting]) -> io::Result<()> {
    let lines = left.iter().map(|(id, change)| line_of(id, change)).collect::<io::Result<String>>()?;
    own.seek(io::SeekFrom::End(0))?;
    own.write_all(lines.as_bytes())?;
    own.sync_data()?;
    from.set_len(0)
}

fn file_of(folder: &Path, n: u32) -> PathBuf {
    folder.join(if n == 0 { "audit.spool".to_owned() } else { format!("audit.{n}.spool") })
}

/// The first file that nobody else holds.
fn create(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    for n in 0..MAX_FILES {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(file_of(folder, n))?;
        if file.try_lock().is_ok() {
            return Ok(file);
        }
    }
    Err(io::Error::other(format!("{MAX_FILES} other processes keep entries there")))
}

fn read(file: &mut File) -> Vec<Waiting> {
    let mut text = String::new();
    if let Err(error) = file.read_to_string(&mut text) {
        tracing::error!(%error, "entries of the audit that waited cannot be read");
        return Vec::new();
    }
    let (good, torn): (Vec<_>, Vec<_>) = text.lines().map(change_of).partition(Option::is_some);
    if !torn.is_empty() {
        tracing::warn!(
            "{} lines of the audit's spool were cut off when the process died; they are in its log",
            torn.len()
        );
    }
    if !text.is_empty() && !text.ends_with('\n') {
        // What comes next must not become part of the line that was cut off.
        drop(file.write_all(b"\n"));
    }
    good.into_iter().flatten().take(MAX_WAITING).collect()
}

fn line_of(id: &str, change: &Change) -> io::Result<String> {
    let line = Line {
        id: id.to_owned(),
        at: change.at.millis(),
        actor: change.actor.subject.clone(),
        role: change.actor.role.to_owned(),
        ip: change.actor.ip.map(|ip| ip.to_string()),
        request_id: change.actor.request_id.clone(),
        action: change.action.clone(),
        subject: change.subject.clone(),
        outcome: change.outcome.as_str().to_owned(),
        changes: change.changes.clone(),
    };
    Ok(serde_json::to_string(&line).map_err(io::Error::other)? + "\n")
}

fn change_of(text: &str) -> Option<Waiting> {
    let line: Line = serde_json::from_str(text).ok()?;
    let role = ["viewer", "operator", "admin"].into_iter().find(|role| *role == line.role).unwrap_or_default();
    let ip = line.ip.and_then(|ip| ip.parse().ok());
    let change = Change {
        at: Timestamp::from_millis(line.at),
        actor: Actor { subject: line.actor, role, ip, request_id: line.request_id },
        action: line.action,
        subject: line.subject,
        outcome: Outcome::parse(&line.outcome)?,
        changes: line.changes,
    };
    Some((line.id, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(n: i64) -> Change {
        Change {
            at: Timestamp::from_millis(n),
            actor: Actor { subject: "ann".into(), role: "operator", ip: None, request_id: "r".into() },
            action: "worker.pause".into(),
            subject: format!("w{n}"),
            outcome: Outcome::Failed,
            changes: Map::from_iter([("reason".to_owned(), Value::from("late\nand long"))]),
        }
    }

    #[test]
    fn what_waits_survives_the_process_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path());
        for n in 0..3 {
            spool.push(format!("id{n}"), change(n)).unwrap();
        }
        drop(spool);
        let mut again = Spool::open(folder.path());
        assert_eq!(again.oldest(2), [("id0".to_owned(), change(0)), ("id1".to_owned(), change(1))]);
        again.done(3).unwrap();
        drop(again);
        assert_eq!(Spool::open(folder.path()).len(), 0);
    }

    #[test]
    fn two_processes_in_one_folder_do_not_take_each_others_entries_while_both_live() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (Spool::open(folder.path()), Spool::open(folder.path()));
        one.push("a".into(), change(1)).unwrap();
        two.push("b".into(), change(2)).unwrap();
        assert_eq!(Spool::open(folder.path()).len(), 0, "both are held");
        drop((one, two));
        let both = Spool::open(folder.path());
        assert_eq!(both.len(), 2, "what the dead left is taken over");
        drop(both);
        assert_eq!(Spool::open(folder.path()).len(), 2);
    }

    #[test]
    fn a_line_that_was_cut_off_costs_itself_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path());
        spool.push("a".into(), change(1)).unwrap();
        drop(spool);
        let mut file = OpenOptions::new().append(true).open(folder.path().join("audit.spool")).unwrap();
        file.write_all(b"{\"id\":\"b\",\"at\"").unwrap();
        drop(file);
        let mut again = Spool::open(folder.path());
        again.push("c".into(), change(2)).unwrap();
        drop(again);
        assert_eq!(Spool::open(folder.path()).len(), 2);
    }
}
