//! Scheduled work: recorded once in a ledger, started by one replica at a time, shown as it happened.
//! It knows neither HTTP nor the file; what is declared comes in as a [`Plan`], what happened goes out as views and events.

pub mod event; // what happened, for metrics and the event stream
pub mod handler; // Rust functions as work, and what they are told
pub mod run; // the identity, the state and the end of a run
pub mod view; // workers and runs as they are shown

mod action; // doing what a worker says
mod cadence; // whether runs take longer than the time between ticks
#[cfg(test)]
mod fixture; // what the tests of this folder share

mod due; // what becomes of ticks: which run, which were missed
mod engine; // the loop that finds, starts, renews and records
mod foretell; // what will become of ticks, through an outage
mod ledger; // what is recorded, and by which rules
mod outbound; // the HTTP client of actions and pings
mod ping; // tells somebody outside of a success
mod plan; // what is declared, as one value
mod seeded; // bugs on purpose, for the chaos checker
mod show; // a worker as declared and as recorded

pub use action::BaseEnv;
pub use engine::Work;
pub use event::{Observer, WorkEvent};
pub use foretell::{Fate, Foretold, Outage, foretell};
pub use plan::{Host, Identity, Plan};
pub use run::{RunId, RunKind, RunState};
pub use view::{
    AttemptView, Counts, Outlasts, OutputView, Page, Pause, RunView, TickOutcome, TickSpan, Ticks, WorkerState,
    WorkerView,
};

use crate::name::WorkerName;
use crate::store::StoreError;

/// The oldest a tick or a waiting run gets before a worker is called overdue.
pub const OVERDUE_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// How many ticks of a worker are shown ahead.
pub const TICKS_FORETOLD: usize = 5;

/// Why something that was asked of the scheduler was not done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// There is no worker of this name in the running settings.
    #[error("there is no worker `{0}`")]
    UnknownWorker(WorkerName),
    /// There is no such run, or it is no longer kept.
    #[error("there is no run `{0}`")]
    UnknownRun(RunId),
    /// No replica that runs workers has taken it over yet, so there is nothing to change.
    #[error("no replica that runs workers has taken over `{0}` yet")]
    NotTakenOver(WorkerName),
    /// So many ticks are not counted at once.
    #[error("the time asked about is longer than {}", crate::clock::write_duration(*.0))]
    TooLong(std::time::Duration),
    /// The ledger did not answer.
    #[error("the ledger {0}")]
    Ledger(#[from] StoreError),
}
