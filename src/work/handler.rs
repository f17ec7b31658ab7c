//! Work that an embedding program brings as Rust functions, and what such a function is told of its run.
//! When it is called is decided as for any other action; nothing here knows a schedule.

use super::action::Live;
use super::run::RunId;
use crate::clock::Timestamp;
use crate::name::WorkerName;
use crate::store::handles::Stores;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

type Ending = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Function = Arc<dyn Fn(Run) -> Ending + Send + Sync>;

/// The functions that workers may name, by name.
#[derive(Clone, Default)]
pub struct Handlers(Arc<BTreeMap<String, Function>>);

/// One attempt of a run, as its handler sees it. A clone is the same attempt.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) id: RunId,
    pub(super) worker: WorkerName,
    pub(super) tick_at: Option<Timestamp>,
    pub(super) attempt: u32,
    pub(super) cancel: CancellationToken,
    pub(super) stores: Stores,
    pub(super) live: Arc<Live>,
}

impl Handlers {
    /// Adds a function under a name; `false` where the name is taken.
    pub fn add<F, R, E>(&mut self, name: &str, function: F) -> bool
    where
        F: Fn(Run) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let function = Arc::new(function);
        let call = move |run| -> Ending {
            let function = Arc::clone(&function);
            // Called in there, so that a panic on the way to the future is a panic of the task.
            Box::pin(async move { function(run).await.map_err(|error| format!("{error:#}")) })
        };
        Arc::make_mut(&mut self.0).insert(name.to_owned(), Arc::new(call)).is_none()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }
}

impl Run {
    /// The id of the run: the same in each of its attempts, so that it can make what is done idempotent.
    #[must_use]
    pub const fn id(&self) -> RunId {
        self.id
    }

    /// Whose run it is.
    #[must_use]
    pub const fn worker(&self) -> &WorkerName {
        &self.worker
    }

    /// The nominal instant that it is for; `None` for a run that somebody asked for.
    #[must_use]
    pub const fn tick_at(&self) -> Option<Timestamp> {
        self.tick_at
    }

    /// Which attempt it is, counted from one.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The declared stores, as they were when the attempt began.
    #[must_use]
    pub const fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Fires when the attempt must end: its time is over, somebody cancelled it, or the process stops. Two seconds later it is
    /// dropped at its next `.await`.
    #[must_use]
    pub const fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Adds a line to the output of the run, which is kept with it and shown while it goes on.
    pub fn log(&self, line: impl fmt::Display) {
        self.live.push(format!("{line}\n").as_bytes());
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
