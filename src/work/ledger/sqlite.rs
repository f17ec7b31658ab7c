//! The ledger's statements for SQLite: one writer at a time, lists as JSON, times in milliseconds since the epoch.
//! No rule stands here.

mod accounts; // what became of each expected tick
mod claims; // runs up to their start
mod controls; // what operators do, and which replica declares what
mod ends; // the ends of runs
mod history; // what was recorded, and how long it is kept
mod schedules; // workers and their ticks

use super::rows::{instant, run_id, small};
