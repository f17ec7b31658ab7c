//! The transaction around the rules, in either database. It bounds how long a replica that was frozen in the middle can hold up the
//! others: their rows come free, and their leases are renewed, before a lease is over.

use crate::store::postgres::Postgres;
use std::time::Duration;

/// A third of a lease, after which Postgres ends a transaction whose client does nothing: others that wait for its rows still renew
/// their leases, which they do each third, in time.
const IDLE_PARTS: u32 = 3;
/// No shorter than that: a busy machine may keep a healthy replica off the processor for a moment.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);

/// Work that changes something, in one transaction of its own.
macro_rules! change {
    ($ledger:expr, $what:literal, |$book:ident| $work:expr) => {
        match $ledger.database.kind() {
            Kind::Sqlite(sqlite) => {
                let work = async |c: &mut sqlx::SqliteConnection| {
                    let mut tx = c.begin_with("begin immediate").await?;
                    let $book = &mut *tx;
                    let done = $work.await?;
                    tx.commit().await?;
                    Ok(done)
                };
                sqlite.call($what, work).await
            }
            Kind::Postgres(postgres) => {
                let begin = crate::work::ledger::frames::begin(postgres, $ledger.lease);
                let work = async |c: &mut sqlx::PgConnection| {
                    let mut tx = c.begin_with(sqlx::AssertSqlSafe(begin)).await?;
                    let $book = &mut PostgresBook::new(&mut tx, postgres.pooler());
                    let done = $work.await?;
                    tx.commit().await?;
                    Ok(done)
                };
                postgres.call($what, work).await
            }
        }
    };
}

/// Work that only reads: it takes no lock. A pooler in transaction mode wants a transaction for it all the same.
macro_rules! look {
    ($ledger:expr, $what:literal, |$book:ident| $work:expr) => {
        match $ledger.database.kind() {
            Kind::Sqlite(sqlite) => {
                let work = async |c: &mut sqlx::SqliteConnection| {
                    let mut tx = c.begin().await?;
                    let $book = &mut *tx;
                    $work.await
                };
                sqlite.call($what, work).await
            }
            Kind::Postgres(postgres) if postgres.pooler() == Pooler::None => {
                let work = async |c: &mut sqlx::PgConnection| {
                    let $book = &mut PostgresBook::new(c, Pooler::None);
                    $work.await
                };
                postgres.call($what, work).await
            }
            Kind::Postgres(postgres) => {
                let work = async |c: &mut sqlx::PgConnection| {
                    let mut tx = c.begin().await?;
                    let $book = &mut PostgresBook::new(&mut tx, Pooler::Transaction);
                    let done = $work.await?;
                    tx.commit().await?;
                    Ok(done)
                };
                postgres.call($what, work).await
            }
        }
    };
}

pub(super) use {change, look};

/// Each statement of the ledger names its rows, so that an index leads to them. The planner, who takes a list for a hundred rows and knows
/// little of tables that change this fast, would rather read all of them, or sort all that waits to take a few; and only a plain scan of
/// an index marks its dead entries, which the next one then passes over.
const BY_INDEX: &str = "set local enable_seqscan = off; set local enable_bitmapscan = off; \
                        set local enable_hashjoin = off; set local enable_mergejoin = off";

/// How a transaction of the ledger begins in Postgres: one message. The limits are the transaction's own, so that a pooler can carry it.
pub(super) fn begin(postgres: &Postgres, lease: Duration) -> String {
    format!(
        "begin; set local idle_in_transaction_session_timeout = {}; {}",
        idle_limit(lease).as_millis(),
        settle(postgres.operation_timeout())
    )
}

/// What a transaction is told before it becomes the ledger's, after a statement of a worker.
pub(in crate::work) fn settle(statement_timeout: Duration) -> String {
    format!("set local statement_timeout = {}; {BY_INDEX}", statement_timeout.as_millis())
}

/// How long a transaction may wait for its client.
pub(in crate::work) fn idle_limit(lease: Duration) -> Duration {
    (lease / IDLE_PARTS).max(SHORTEST_IDLE)
}
