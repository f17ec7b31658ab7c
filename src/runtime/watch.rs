//! Notices that a file of the configuration changed: by its content, each second, and sooner where the system tells.
//! Events are hints only (a ConfigMap's swap, an overflow and a bind mount all look different); what counts is the hash.

use crate::config::files;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often the files are read.
const POLL: Duration = Duration::from_secs(1);
/// Between two readings that must agree: an editor that writes in two steps takes less.
const SETTLE: Duration = Duration::from_millis(50);
/// How often two readings are tried before the change waits for the next poll.
const MAX_READINGS: usize = 20;

/// Watches the files of one reading.
pub(super) struct Watch {
    hint: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Begins with no files. Where the system has no events to give, polling alone does it.
    #[must_use]
    pub(super) fn new() -> Self {
        let hint = Arc::new(Notify::new());
        let told = Arc::clone(&hint);
        let watcher = notify::recommended_watcher(move |event| {
            if may_change(&event) {
                told.notify_one();
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "file events are not available; changes are noticed within a second");
        }
        Self { hint, watcher: watcher.ok(), folders: BTreeSet::new() }
    }

    /// Follows the folders of these files: a file that is replaced or comes back is seen there.
    pub(super) fn follow(&mut self, watched: &BTreeSet<PathBuf>) {
        let folders: BTreeSet<PathBuf> =
            watched.iter().filter_map(|file| file.parent().map(Path::to_path_buf)).collect();
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(&folders) {
            // It may have been deleted with its watch; there is nothing left to undo then.
            drop(watcher.unwatch(gone));
        }
        for folder in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, folder = %folder.display(), "no events for this folder");
            }
        }
        self.folders = folders;
    }

    /// Waits for a hint, or for the next poll.
    pub(super) async fn hint(&self) {
        tokio::select! {
            () = self.hint.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Whether an event can mean new content. Opening and reading a file are events, too: a watcher that answers them by
/// reading the file keeps itself busy for ever.
const fn may_change(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(Event { kind: EventKind::Access(AccessKind::Close(AccessMode::Write)), .. }) | Err(_) => true,
        Ok(Event { kind: EventKind::Access(_), .. }) => false,
        Ok(_) => true,
    }
}

/// The content of these files, once two readings agree; `None` where they keep changing.
pub(super) async fn settled(base_dir: &Path, watched: &BTreeSet<PathBuf>) -> Option<[u8; 32]> {
    let mut before = digest(base_dir, watched).await;
    for _ in 0..MAX_READINGS {
        tokio::time::sleep(SETTLE).await;
        let now = digest(base_dir, watched).await;
        if now == before {
            return Some(now);
        }
        before = now;
    }
    None
}

/// The content of these files now.
pub(super) async fn digest(base_dir: &Path, watched: &BTreeSet<PathBuf>) -> [u8; 32] {
    let (base_dir, watched) = (base_dir.to_path_buf(), watched.clone());
    // Reading blocks; a mount that hangs must not hold up a request.
    tokio::task::spawn_blocking(move || files::digest(&base_dir, &watched)).await.unwrap_or_default()
}

/// The content of one file now, within the bounds for all of them: it may have become a pipe that never ends.
pub(super) async fn content(base_dir: &Path, file: PathBuf) -> Vec<u8> {
    let mut reader = files::Reader::new(base_dir);
    tokio::task::spawn_blocking(move || reader.read(&file).unwrap_or_default()).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// How many of many looks a hint of the watcher and not the poll brought, while the files are only read.
    async fn hints_while_reading(watch: &Watch, file: &Path) -> usize {
        let mut hints = 0;
        for _ in 0..20 {
            drop(fs::read(file));
            let hinted = tokio::time::timeout(Duration::from_millis(20), watch.hint.notified()).await;
            hints += usize::from(hinted.is_ok());
        }
        hints
    }

    #[tokio::test]
    async fn reading_a_file_is_no_reason_to_read_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("monolith.toml");
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::new();
        watch.follow(&BTreeSet::from([file.clone()]));
        assert_eq!(hints_while_reading(&watch, &file).await, 0);
        fs::write(&file, "b").unwrap();
        let hinted = tokio::time::timeout(Duration::from_secs(10), watch.hint.notified()).await;
        assert!(hinted.is_ok(), "writing is");
    }
}
