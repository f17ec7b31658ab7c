//! The ledger's statements for Postgres: lists travel as JSON, times as milliseconds since the epoch, so that no date crate stands
//! between. Locks are taken in the order that `book` sets; what others hold is skipped where somebody else does the same work.
//! No rule stands here.

mod accounts; // what became of each expected tick
mod claims; // runs up to their start
mod controls; // what operators do, and which replica declares what
mod ends; // the ends of runs
mod history; // what was recorded, and how long it is kept
mod schedules; // workers and their ticks

use super::rows::{instant, run_id, small};
use crate::settings::stores::Pooler;
use sqlx::PgConnection;

/// A connection as the rules see it.
pub(in crate::work) struct PostgresBook<'c> {
    connection: &'c mut PgConnection,
    /// Whether the server keeps a statement under a name, so that it is parsed and planned once for each connection. Behind a pooler in
    /// transaction mode another client's names would meet it.
    keeps: bool,
}

impl<'c> PostgresBook<'c> {
    pub(in crate::work) fn new(connection: &'c mut PgConnection, pooler: Pooler) -> Self {
        Self { connection, keeps: pooler == Pooler::None }
    }
}

/// A column as milliseconds since the epoch.
macro_rules! ms {
    ($column:literal) => {
        concat!("(extract(epoch from ", $column, ") * 1000)::bigint")
    };
}

/// Milliseconds since the epoch as an instant.
macro_rules! at {
    ($millis:literal) => {
        concat!("(timestamptz 'epoch' + ", $millis, " * interval '1 millisecond')")
    };
}

use {at, ms};
