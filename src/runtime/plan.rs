//! What posted texts would change in this process: read, compiled and compared as by a reload, and nothing else.
//! No secret is looked up, no file, connection or command is opened; the ledger is asked, and only asked.

use super::App;
use super::prepare::needs_restart;
use crate::clock::Timestamp;
use crate::config::posted::{self, Posted};
use crate::name::WorkerName;
use crate::problem::{Place, Problem};
use crate::settings::diff::{Change, Meant, diff};
use crate::settings::{self, Settings};
use crate::work::{RunKind, RunState, RunView, WorkError};
use std::sync::Arc;

/// How many of a worker's newest runs are looked at for those that wait.
const LOOK_AT: u32 = 500;

/// What posted texts would change.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Why they would not be applied, with places inside the texts.
    pub problems: Vec<Problem>,
    /// What would change; empty where the texts mean nothing.
    pub changes: Vec<Change>,
    /// How many waiting runs would never be made.
    pub withdrawn_runs: u64,
}

impl App {
    /// What these texts would change.
    ///
    /// # Errors
    /// What the ledger says, where runs might be withdrawn and it cannot be asked.
    pub async fn plan(self: &Arc<Self>, texts: Posted) -> Result<Planned, WorkError> {
        let app = Arc::clone(self);
        let judged = tokio::task::spawn_blocking(move || app.judge(&texts)).await.unwrap_or_else(|error| {
            let why = Problem::new(Place::Nowhere, "", format!("the reading broke off: {error}"));
            (vec![why], Vec::new(), Vec::new())
        });
        let (problems, changes, stopped) = judged;
        let mut withdrawn_runs = 0;
        for (worker, gone) in &stopped {
            let waiting = |run: &&RunView| would_be_withdrawn(run, *gone);
            let runs = self.work.runs(worker, LOOK_AT, None).await?;
            withdrawn_runs += runs.items.iter().filter(waiting).count() as u64;
        }
        Ok(Planned { problems, changes, withdrawn_runs })
    }

    fn judge(&self, texts: &Posted) -> (Vec<Problem>, Vec<Change>, Vec<(WorkerName, bool)>) {
        let running = self.snapshot.load_full();
        let loaded = posted::read(texts, running.frame(), &self.sources);
        let settings = match settings::compile(&loaded, Timestamp::now()) {
            Ok((settings, _)) => settings,
            Err(problems) => return (problems.errors(), Vec::new(), Vec::new()),
        };
        let changes = diff(Some(running.meant()), Meant { settings: &settings, said: loaded.said() });
        let restarts = changes.iter().flat_map(|change| &change.restarts);
        let problems =
            restarts.map(|key| needs_restart(&loaded, &settings.server, Some(&running.settings), key)).collect();
        (problems, changes, stopped(&running.settings, &settings))
    }
}

/// The workers whose clock would start anew, and whether they would be gone.
fn stopped(running: &Settings, candidate: &Settings) -> Vec<(WorkerName, bool)> {
    let stops = |name: &WorkerName| match (running.workers.get(name), candidate.workers.get(name)) {
        (Some(_), None) => Some(true),
        (Some(old), Some(new)) if old.schedule != new.schedule || (old.enabled && !new.enabled) => Some(false),
        _ => None,
    };
    running.workers.keys().filter_map(|name| Some((name.clone(), stops(name)?))).collect()
}

/// As the ledger withdraws: what somebody asked for survives an edit of the schedule, but not the end of its worker.
fn would_be_withdrawn(run: &RunView, gone: bool) -> bool {
    let waits = matches!(run.state, RunState::Queued | RunState::Claimed | RunState::Retrying);
    waits && (gone || (run.started_at.is_none() && run.kind != RunKind::Manual))
}
