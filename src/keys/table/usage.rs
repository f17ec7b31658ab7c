//! How keys are used, at rest: what is asked of a database, whichever it is.
//! It only tells the kinds apart; what is counted, and for how long it is kept, is for `keys::usage` to say.

mod postgres; // the statements for Postgres
mod sqlite; // the statements for SQLite

use crate::clock::Timestamp;
use crate::keys::usage::{OUTCOMES, Tally, Used};
use crate::name::Kid;
use crate::store::{Database, StoreError, database::Kind};

/// How much later a use must be than the one that is written for the row to be written again, in milliseconds: a key in
/// steady use costs its row one write a minute, whatever the number of its uses.
const WORTH_A_WRITE_MS: i64 = 60_000;

/// Adds counts, and moves the last use of keys forward.
pub(in crate::keys) async fn write(database: &Database, tallies: &[(Kid, Tally)]) -> Result<(), StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::write(postgres, tallies).await,
        Kind::Sqlite(sqlite) => sqlite::write(sqlite, tallies).await,
    }
}

/// When keys were used last, of those used since an instant.
pub(in crate::keys) async fn used_since(
    database: &Database,
    since: Timestamp,
) -> Result<Vec<(Kid, Timestamp)>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::used_since(postgres, since).await,
        Kind::Sqlite(sqlite) => sqlite::used_since(sqlite, since).await,
    }
}

/// How a key was used since a day.
pub(in crate::keys) async fn of(database: &Database, kid: &Kid, first_day: i64) -> Result<Vec<Used>, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::of(postgres, kid, first_day).await,
        Kind::Sqlite(sqlite) => sqlite::of(sqlite, kid, first_day).await,
    }
}

/// Deletes what was counted before a day.
pub(in crate::keys) async fn forget_before(database: &Database, first_day: i64) -> Result<(), StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::forget_before(postgres, first_day).await,
        Kind::Sqlite(sqlite) => sqlite::forget_before(sqlite, first_day).await,
    }
}

/// A count that is not zero, as a row: key, day, outcome, how often.
fn rows(tallies: &[(Kid, Tally)]) -> impl Iterator<Item = (&str, i64, &'static str, i64)> {
    tallies.iter().flat_map(|(kid, tally)| {
        let counted = OUTCOMES.iter().zip(tally.counts).filter(|(_, n)| *n > 0);
        counted.map(|(outcome, n)| (kid.as_str(), tally.day, *outcome, i64::from(n)))
    })
}

/// The last good use of each key.
fn last_uses(tallies: &[(Kid, Tally)]) -> impl Iterator<Item = (&str, i64)> {
    tallies.iter().filter_map(|(kid, tally)| Some((kid.as_str(), tally.last_valid?.millis())))
}
