//! `monolith migrate`: brings the schema of keys and ledger up to date, or says where it stands.
//! It does what the server does at start with `migrate = "auto"`, for those who want to do it themselves.

use super::report::{self, Failure};
use crate::clock::Timestamp;
use crate::config::{self, Sources};
use crate::settings::{self, Home, Settings};
use crate::store::{Database, Store, StoreError, schema};
use clap::Args;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Only say what was applied and what is missing; exit code 1 where something is missing.
    #[arg(long)]
    status: bool,
}

impl Migrate {
    pub(super) fn run(&self, sources: &Sources) -> Result<ExitCode, Failure> {
        super::install_cryptography();
        let loaded = config::load(&super::with_commands(sources));
        let (settings, warnings) =
            settings::compile(&loaded, Timestamp::now()).map_err(|problems| Failure::configuration(&problems))?;
        report::warnings(&warnings);
        super::runtime()?.block_on(self.all(&settings))
    }

    async fn all(&self, settings: &Settings) -> Result<ExitCode, Failure> {
        let homes = homes(settings).map_err(Failure::failed)?;
        if homes.is_empty() {
            report::words("nothing to migrate: keys and ledger are kept in memory\n");
        }
        let mut behind = false;
        for database in homes {
            let home = database.home().clone();
            let failed = |error: StoreError| Failure::failed(format!("the store {home} {error}"));
            if self.status {
                let status = schema::status(&database).await.map_err(failed)?;
                status.applied.iter().for_each(|name| report::data(format_args!("{home}\t{name}\tapplied")));
                status.pending.iter().for_each(|name| report::data(format_args!("{home}\t{name}\tpending")));
                behind |= !status.pending.is_empty();
            } else {
                let applied = schema::migrate(&database).await.map_err(failed)?;
                applied.iter().for_each(|name| report::data(format_args!("{home}\t{name}\tapplied")));
                if applied.is_empty() {
                    report::words(format_args!("{home} is up to date\n"));
                }
            }
        }
        Ok(if behind { ExitCode::from(report::FAILED) } else { ExitCode::SUCCESS })
    }
}

/// The stores that keys and ledger live in, each once.
fn homes(settings: &Settings) -> Result<Vec<Database>, StoreError> {
    let mut databases: Vec<Database> = Vec::new();
    for home in [&settings.keys.store, &settings.scheduler.store] {
        let Home::Store(name) = home else { continue };
        let known = databases.iter().any(|database| database.home() == home);
        if let (Some(store), false) = (settings.stores.get(name), known) {
            databases.extend(Store::open(Arc::clone(store))?.database());
        }
    }
    Ok(databases)
}
