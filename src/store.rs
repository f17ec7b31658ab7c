//! Live connections to the declared databases and what is known of their health.
//! Every call passes one seam that bounds it in time; what is kept in them is the business of `keys` and `work`.

pub mod database; // a database that keys or the ledger can live in: Postgres or SQLite
pub mod error; // why a call to a store failed, without its secrets
pub mod postgres; // PostgreSQL
pub mod schema; // brings a home's tables up to date
pub mod sqlite; // SQLite, in a file or in memory

pub use database::Database;
pub use error::StoreError;
