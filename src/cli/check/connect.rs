//! `monolith check --connect`: logs in to every declared store, all at once, each within its own limits.
//! It changes nothing: a SQLite file that is not there yet is not made.

use crate::clock::write_duration;
use crate::config::Places;
use crate::name::StoreName;
use crate::problem::{Problem, Problems};
use crate::settings::Settings;
use crate::settings::stores::{Store as Declared, StoreKind};
use crate::store::{Store, StoreError};
use futures_util::future::join_all;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A store did not answer.
const UNREACHABLE: u8 = 4;
/// A store refused the login.
const UNAUTHORIZED: u8 = 5;

/// What came of trying each store.
pub(super) struct Tried(Vec<(StoreName, &'static str, Result<Login, StoreError>)>);

/// How a store let us in.
pub(super) enum Login {
    /// It answered after this long.
    Answered(Duration),
    /// Its file will be made at the first start.
    WillBeMade,
}

/// Logs in to all stores; takes as long as the slowest of them.
pub(super) async fn connect(settings: &Settings) -> Tried {
    let tried = settings.stores.iter().map(|(name, declared)| async move {
        let outcome = login(declared).await;
        (name.clone(), declared.kind.as_str(), outcome)
    });
    Tried(join_all(tried).await)
}

async fn login(declared: &Arc<Declared>) -> Result<Login, StoreError> {
    if let StoreKind::Sqlite { file, .. } = &declared.kind
        && !file.exists()
    {
        return Ok(Login::WillBeMade);
    }
    let store = Store::open(Arc::clone(declared))?;
    let began = Instant::now();
    store.login().await?;
    Ok(Login::Answered(began.elapsed()))
}

impl Tried {
    /// What failed, where it was declared.
    pub(super) fn problems(&self, places: &Places) -> Problems {
        let mut problems = Problems::default();
        for (name, kind, outcome) in &self.0 {
            let Err(error) = outcome else { continue };
            let key = format!("stores.{name}.url");
            problems.error(Problem::new(places.of(&key), key, format!("the {kind} store {error}")));
        }
        problems
    }

    /// One line for each store that answered.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(name, kind, outcome)| {
            Some(match outcome.as_ref().ok()? {
                Login::Answered(took) => {
                    let took = Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
                    format!("stores.{name}: {kind}, logged in within {}", write_duration(took.max(MILLISECOND)))
                }
                Login::WillBeMade => format!("stores.{name}: {kind}, its file will be made at the first start"),
            })
        })
    }

    /// How the command ends: a store that did not answer weighs more than one that refused.
    pub(super) fn code(&self) -> ExitCode {
        let failed = || self.0.iter().filter_map(|(_, _, outcome)| outcome.as_ref().err());
        if failed().any(StoreError::is_outage) {
            ExitCode::from(UNREACHABLE)
        } else if failed().any(StoreError::is_login) {
            ExitCode::from(UNAUTHORIZED)
        } else if failed().next().is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
