//! What happened, for whoever counts or shows it.
//! Counting and showing are not done here.

use super::run::{RunId, RunState};
use crate::clock::Timestamp;
use crate::name::WorkerName;
use std::time::Duration;

/// Something happened on this replica.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkEvent {
    /// An attempt was started.
    Started {
        /// Whose run it is.
        worker: WorkerName,
        /// Which run.
        run: RunId,
        /// How late, against when it should have started; zero for retries.
        lateness: Duration,
    },
    /// An attempt wrote something.
    Output {
        /// Whose run it is.
        worker: WorkerName,
        /// Which run.
        run: RunId,
        /// What it wrote, bounded: the end of it.
        text: String,
        /// Where that ends, in bytes since the run began to write.
        next: u64,
    },
    /// An attempt ended, and what the ledger holds of the run since.
    Finished {
        /// Whose run it is.
        worker: WorkerName,
        /// Which run.
        run: RunId,
        /// Where it stands now: final, or `retrying`.
        state: RunState,
        /// How long the attempt took.
        took: Duration,
        /// When, by the database's clock.
        at: Timestamp,
    },
    /// Somebody outside was told of a success, or was not.
    Pinged {
        /// Whose success.
        worker: WorkerName,
        /// Which run.
        run: RunId,
        /// Why it came to nothing, without the address.
        error: Option<String>,
    },
    /// Ticks came to their end without an attempt of ours: skipped, missed, lost.
    Recorded {
        /// Whose ticks they are.
        worker: WorkerName,
        /// What became of them.
        state: RunState,
        /// Why.
        reason: &'static str,
        /// How many.
        count: u64,
    },
    /// The lease of a run was lost while it was in progress; what it did is recorded by somebody else.
    LeaseLost {
        /// Whose run it is.
        worker: WorkerName,
        /// Which run.
        run: RunId,
    },
    /// The ledger stopped answering.
    LedgerAway {
        /// What it said.
        error: String,
    },
    /// The ledger answers again.
    LedgerBack,
}

/// Somebody who is told at once what happened. It must return quickly and never block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, event: &WorkEvent);
}

impl<F: Fn(&WorkEvent) + Send + Sync> Observer for F {
    fn observe(&self, event: &WorkEvent) {
        self(event);
    }
}
