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

/// Adds the counts of a parameter, at the instant of another one, to the outcomes of its hour.
macro_rules! count {
    ($counts:literal, $now:literal) => {
        concat!(
            "insert into work_counts (worker, hour, outcome, n)
             select worker, date_trunc('hour', timestamptz 'epoch' + ",
            $now,
            "::bigint * interval '1 millisecond', 'UTC'), outcome, sum(n)::bigint from json_to_recordset(",
            $counts,
            "::json) as j(worker text, outcome text, n bigint)
             group by worker, outcome order by worker, outcome
             on conflict (worker, hour, outcome) do update set n = work_counts.n + excluded.n"
        )
    };
}

/// Writes what the ends of a parameter say about the health of their workers, at the instant of another one.
macro_rules! health {
    ($health:literal, $now:literal) => {
        concat!(
            "update work_schedule s set
               consecutive_failures = case when j.succeeded then 0 else s.consecutive_failures end + j.failures,
               last_success_at = case when j.succeeded then timestamptz 'epoch' + ",
            $now,
            "::bigint * interval '1 millisecond' else s.last_success_at end
             from json_to_recordset(",
            $health,
            "::json) as j(worker text, succeeded boolean, failures bigint) where s.worker = j.worker"
        )
    };
}

use {at, count, health, ms};
