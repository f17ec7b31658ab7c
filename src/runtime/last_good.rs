//! `serve --last-good`: where the files are broken at the start, the texts that ran last take their place, and say so.
//! It is never the default: a process that quietly runs an old text is worse than one that does not start.

use super::Part;
use super::reload::Unread;
use super::revisions::Revisions;
use super::snapshot::Candidate;
use crate::clock::Timestamp;
use crate::config::{Loaded, Sources, posted};
use crate::problem::{Place, Problem, Problems};
use crate::settings;
use std::sync::Arc;

/// What is known of files that are broken while an older text runs.
pub(super) struct Broken {
    /// The revision that runs in their place.
    pub(super) revision: u64,
    /// What was read of them.
    pub(super) loaded: Loaded,
    /// What is wrong with them.
    pub(super) problems: Problems,
}

/// What ran last, where that was asked for; else, and where there is nothing, what is wrong with the files.
pub(super) fn instead(sources: &Sources, part: Part, unread: Unread) -> Result<(Candidate, Broken), Problems> {
    let mut problems = unread.why.problems;
    let Some(loaded) = unread.loaded.filter(|_| sources.last_good) else { return Err(problems) };
    let nowhere = |message: String| Problem::new(Place::Flag("--last-good".into()), "", message);
    let data_dir = loaded.written.as_ref().map_or("data", |written| written.server.data_dir.as_str());
    let data_dir = loaded.base_dir.join(data_dir);
    let Some((revision, applied)) = Revisions::open(&data_dir, part).last_applied() else {
        problems.error(nowhere(format!("there is no revision to start from in {}", data_dir.display())));
        return Err(problems);
    };
    if applied.profile != loaded.profile {
        let message = format!("revision {revision} ran with the profile {}, not {}", applied.profile, loaded.profile);
        problems.error(nowhere(message));
        return Err(problems);
    }
    let again = posted::read_again(applied.texts.clone(), &loaded.base_dir, &loaded.profile, sources);
    match settings::compile(&again, Timestamp::now()) {
        Ok((settings, warnings)) => {
            let candidate = Candidate { loaded: again, settings: Arc::new(settings), warnings };
            Ok((candidate, Broken { revision, loaded, problems }))
        }
        Err(why) => {
            let first = why.errors().first().map(Problem::to_string).unwrap_or_default();
            problems.error(nowhere(format!("revision {revision}, which ran last, cannot be started either: {first}")));
            Err(problems)
        }
    }
}
