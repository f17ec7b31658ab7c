//! The keys at rest as a whole: one number for all rows, and which rows are gone.
//! It only tells the kinds apart; what a difference means is for `keys::check` to say.

use super::{postgres, sqlite};
use crate::keys::check::Whole;
use crate::name::Kid;
use crate::store::{Database, StoreError, database::Kind};

/// How many ids are asked about at once.
const PART: usize = 1_000;

/// The number of the last event, how many rows there are, and their fingerprints added up, at one moment.
pub(in crate::keys) async fn whole(database: &Database) -> Result<Whole, StoreError> {
    match database.kind() {
        Kind::Postgres(postgres) => postgres::whole(postgres).await,
        // It has no function that makes one number of a text, and is no network away.
        Kind::Sqlite(sqlite) => {
            let (mut count, mut sum) = (0, 0i64);
            let mut add = |row: super::Row| {
                count += 1;
                sum = sum.wrapping_add(row.fingerprint);
            };
            let seq = sqlite::load(sqlite, super::Hold::Nothing, &mut add).await?.seq;
            Ok(Whole { seq, count, sum })
        }
    }
}

/// Those of some ids that have no row.
pub(in crate::keys) async fn absent(database: &Database, kids: Vec<Kid>) -> Result<Vec<Kid>, StoreError> {
    let mut absent = Vec::new();
    for part in kids.chunks(PART) {
        let present = match database.kind() {
            Kind::Postgres(postgres) => postgres::present(postgres, part).await?,
            Kind::Sqlite(sqlite) => sqlite::present(sqlite, part).await?,
        };
        absent.extend(part.iter().filter(|kid| !present.contains(kid.as_str())).cloned());
    }
    Ok(absent)
}

/// Those of some keys whose rows have an older version than is known.
pub(in crate::keys) async fn older_than(database: &Database, known: Vec<(Kid, i64)>) -> Result<Vec<Kid>, StoreError> {
    let mut older = Vec::new();
    for part in known.chunks(PART) {
        let kids: Vec<Kid> = part.iter().map(|(kid, _)| kid.clone()).collect();
        let versions = match database.kind() {
            Kind::Postgres(postgres) => postgres::versions(postgres, &kids).await?,
            Kind::Sqlite(sqlite) => sqlite::versions(sqlite, &kids).await?,
        };
        let is_older = |(kid, version): &&(Kid, i64)| versions.get(kid.as_str()).is_some_and(|found| found < version);
        older.extend(part.iter().filter(is_older).map(|(kid, _)| kid.clone()));
    }
    Ok(older)
}
