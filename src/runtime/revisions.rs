//! What was made of this process' settings, one line each in `data_dir`: who, why, when, what came of it, what differs.
//! The newest applied texts stand there, too, for `serve --last-good`; they may hold secrets and are never shown.

use super::Part;
use super::report::{Ending, NodeReport, Report};
use crate::auth::dev::write_private;
use crate::config::compare::{Hidden, KeyChange, Said, Secrets, node_of};
use crate::secret::Secret;
use crate::settings::diff::Effect;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How many are kept.
pub const KEPT: usize = 50;
/// How many keys of one node a revision tells: a thousand workers can come and go in one edit.
const MAX_KEYS: usize = 200;
/// The largest file that is read back or written, in bytes: the largest texts, twice.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// One attempt that meant something else than what was running.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revision {
    /// Counts the revisions in `data_dir`.
    pub revision: u64,
    /// What came of it.
    pub report: Report,
}

/// A revision and, of the newest applied one, what it was made of.
#[derive(Debug, Clone)]
struct Line {
    revision: Arc<Revision>,
    applied: Option<Arc<Applied>>,
}

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    what: &'a Revision,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<&'a Applied>,
}

/// A line as it is read.
#[derive(Deserialize)]
struct Found {
    what: Revision,
    #[serde(default)]
    applied: Option<Applied>,
}

/// What an applied revision was made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Applied {
    /// The texts of the files, by the names they are shown under.
    #[serde(serialize_with = "exposed")]
    pub(super) texts: BTreeMap<String, Secret>,
    pub(super) profile: String,
    /// The merged values, masked.
    pub(super) values: Json,
}

/// The one place where the texts are written out: into a file that only its owner can read.
fn exposed<S: Serializer>(texts: &BTreeMap<String, Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(texts.iter().filter_map(|(name, text)| Some((name, text.expose_text()?))))
}

/// The revisions of this process and of those before it.
#[derive(Debug)]
pub struct Revisions {
    file: PathBuf,
    lines: Mutex<VecDeque<Line>>,
    /// Why the file could not be written, if it could not.
    trouble: Mutex<Option<String>>,
}

impl Revisions {
    /// Reads what is there. A line that was torn is left out; a file that cannot be read is as good as none.
    #[must_use]
    pub fn open(data_dir: &Path, part: Part) -> Self {
        let file = data_dir.join(match part {
            Part::Serve => "revisions.jsonl",
            Part::Worker => "revisions-worker.jsonl",
        });
        let text = read(&file).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, file = %file.display(), "the revisions before this start cannot be read");
            }
            String::new()
        });
        let found = text.lines().filter_map(|line| serde_json::from_str::<Found>(line).ok());
        let line = |found: Found| Line { revision: Arc::new(found.what), applied: found.applied.map(Arc::new) };
        let mut lines: Vec<Line> = found.map(line).collect();
        lines.sort_by_key(|line| line.revision.revision);
        Self { file, lines: Mutex::new(lines.into()), trouble: Mutex::new(None) }
    }

    /// Takes a report in. What changed nothing is no revision, nor is a start with what ran last.
    pub(super) fn add(&self, report: &Report, applied: impl FnOnce() -> Applied) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = (report.ending == Ending::Applied).then(|| Arc::new(applied()));
        let mut report = report.clone();
        if let Some(now) = applied.as_ref().filter(|_| report.generation == 1)
            && let Some(before) = lines.iter().rev().find_map(|line| line.applied.clone())
        {
            if before.values == now.values && before.texts == now.texts {
                return;
            }
            report.nodes = since(&before.values, &now.values);
        }
        report.nodes.iter_mut().for_each(|node| node.keys.truncate(MAX_KEYS));
        if applied.is_some() {
            lines.iter_mut().for_each(|line| line.applied = None);
        }
        let revision = lines.back().map_or(0, |line| line.revision.revision) + 1;
        lines.push_back(Line { revision: Arc::new(Revision { revision, report }), applied });
        prune(&mut lines);
    }

    /// Writes them down, whole or not at all.
    pub(super) fn write(&self) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let written = written(&lines).and_then(|text| {
            std::fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
            write_private(&self.file, &text)
        });
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Err(error), None) = (&written, &*trouble) {
            tracing::warn!(%error, file = %self.file.display(), "revisions cannot be kept");
        }
        *trouble = written.err().map(|error| format!("revisions cannot be kept in {}: {error}", self.file.display()));
    }

    /// Why they are not kept, if they are not.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Newest first, before a number.
    #[must_use]
    pub fn page(&self, limit: usize, before: Option<u64>) -> (Vec<Arc<Revision>>, Option<u64>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = lines.iter().rev().map(|line| &line.revision).filter(|r| before.is_none_or(|n| r.revision < n));
        let items: Vec<Arc<Revision>> = all.by_ref().take(limit).cloned().collect();
        let next = all.next().and(items.last()).map(|last| last.revision);
        (items, next)
    }

    /// The newest one that was applied, and what it was made of.
    pub(super) fn last_applied(&self) -> Option<(u64, Arc<Applied>)> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().rev().find_map(|line| Some((line.revision.revision, line.applied.clone()?)))
    }
}

/// What differs from what ran before this process; what that process hid cannot be compared.
fn since(before: &Json, now: &Json) -> Vec<NodeReport> {
    let (hidden, secrets) = (Hidden::new(), Secrets::new());
    let said = |values| Said { values, hidden: &hidden, secrets: &secrets };
    let mut nodes: BTreeMap<String, Vec<KeyChange>> = BTreeMap::new();
    for change in said(before).differences(&said(now)) {
        nodes.entry(node_of(&change.key).to_owned()).or_default().push(change);
    }
    let node = |(node, keys)| NodeReport { node, effect: Effect::Rebuild, keys, error: None };
    nodes.into_iter().map(node).collect()
}

/// Drops the oldest beyond what is kept, but never the one that could be started from.
fn prune(lines: &mut VecDeque<Line>) {
    while lines.len() > KEPT {
        let oldest = lines.iter().position(|line| line.applied.is_none()).unwrap_or(0);
        lines.remove(oldest);
    }
}

fn written(lines: &VecDeque<Line>) -> io::Result<String> {
    let line = |line: &Line| serde_json::to_string(&Written { what: &line.revision, applied: line.applied.as_deref() });
    let mut texts = lines.iter().map(line).collect::<Result<VecDeque<_>, _>>()?;
    // Only absurdly many mistakes come near this.
    while texts.len() > 1 && texts.iter().map(|text| text.len() + 1).sum::<usize>() > MAX_FILE {
        texts.pop_front();
    }
    Ok(texts.into_iter().map(|text| text + "\n").collect())
}

fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
