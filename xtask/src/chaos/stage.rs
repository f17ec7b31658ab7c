//! The stage of a storm: a database of its own with two tables that only the workers write to, the declared work, and the export of what
//! was recorded. Times leave it as milliseconds since 1970.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use xtask::bounded;
use xtask::servers::Postgres;

use super::Storm;

/// Exporting a long history takes its time.
const LIMIT: Duration = Duration::from_secs(300);
/// One worker of so many works outside the ledger's transaction.
const OUTSIDE_EVERY: usize = 5;
/// How far back a tick is caught up with: an outage must not make a lawful gap.
const CATCH_UP: &str = "catch_up = { policy = \"all\", max = 10000 }\noverlap = \"allow\"\n";

/// `hits`: effects in one transaction with the record of their run. `marks`: effects outside of it, each attempt its own.
const TABLES: &str = "create table hits (worker text, tick_at bigint, run_id text, attempt bigint);
                      create table marks (worker text, tick_at bigint, run_id text, attempt bigint);";

/// What is exported, as a query for either database; `{x}` stands for a time in milliseconds.
const EXPORTS: [(&str, &str); 5] = [
    ("runs", "select id, worker, {tick_at}, {due_at}, state, count from work_run where kind = 'tick'"),
    ("attempts", "select run_id, n, replica, {started_at}, {finished_at}, outcome from work_attempt"),
    ("schedules", "select worker, {next_at} from work_schedule"),
    ("hits", "select worker, tick_at, run_id, attempt from hits"),
    ("marks", "select worker, tick_at, run_id, attempt from marks"),
];

pub(super) enum Stage {
    Postgres(Postgres),
    Sqlite(PathBuf),
}

impl Stage {
    /// Makes the database and writes the configuration into the folder.
    pub(super) fn set(storm: &Storm, folder: &Path) -> Result<Self> {
        let stage =
            if storm.sqlite { Self::Sqlite(folder.join("main.db")) } else { Self::Postgres(Postgres::start()?) };
        match &stage {
            Self::Postgres(postgres) => postgres.sql(TABLES)?,
            Self::Sqlite(file) => {
                bounded::output(Command::new("sqlite3").arg(file).arg(TABLES), LIMIT)?;
            }
        }
        fs::write(folder.join("monolith.toml"), stage.configuration(storm))?;
        fs::create_dir_all(folder.join("profiles"))?;
        fs::write(folder.join("profiles/test.toml"), "[server]\ndrain_delay = \"0s\"\n")?;
        Ok(stage)
    }

    pub(super) const fn postgres(&self) -> Option<&Postgres> {
        match self {
            Self::Postgres(postgres) => Some(postgres),
            Self::Sqlite(_) => None,
        }
    }

    /// Takes away the second line of defence, once the program has made its tables.
    pub(super) fn drop_unique_ticks(&self) -> Result<()> {
        match self {
            Self::Postgres(postgres) => postgres.sql("drop index if exists work_run_tick_once"),
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Writes what was recorded into the folder.
    pub(super) fn export(&self, folder: &Path) -> Result<()> {
        for (name, query) in EXPORTS {
            let text = match self {
                Self::Postgres(postgres) => {
                    let query = query.replace('{', "(extract(epoch from ").replace('}', ") * 1000)::bigint");
                    let copy = format!("copy ({query}) to stdout with (format csv)");
                    bounded::output(Command::new("psql").args(["-X", "-q", postgres.url(), "-c", &copy]), LIMIT)?
                }
                Self::Sqlite(file) => {
                    let query = query.replace(['{', '}'], "");
                    bounded::output(Command::new("sqlite3").arg("-csv").arg(file).arg(query), LIMIT)?
                }
            };
            fs::write(folder.join(format!("{name}.csv")), text)?;
        }
        Ok(())
    }

    fn configuration(&self, storm: &Storm) -> String {
        let (store, millis) = match self {
            Self::Postgres(postgres) => (
                format!("kind = \"postgres\"\nurl = \"{}\"\n", postgres.url()),
                "(extract(epoch from :tick_at) * 1000)::bigint",
            ),
            Self::Sqlite(file) => (
                format!("kind = \"sqlite\"\nurl = \"sqlite:{}\"\n", file.display()),
                "cast(round(unixepoch(:tick_at, 'subsec') * 1000) as integer)",
            ),
        };
        let text = format!(
            "[stores.main]\n{store}[keys]\nstore = \"main\"\n[scheduler]\nstore = \"main\"\nlease = \"{}s\"\n\
             max_concurrent_runs = 64\n",
            storm.lease
        );
        let (connections, pause) = if storm.slow { (4, " where pg_sleep(0.2) is not null") } else { (10, "") };
        let mut text = text.replacen("[keys]", &format!("max_connections = {connections}\n[keys]"), 1);
        for n in 0..storm.workers {
            let (table, transactional) = if n % OUTSIDE_EVERY == 0 { ("marks", false) } else { ("hits", true) };
            text.push_str(&format!(
                "[workers.w{n}]\nevery = \"1s\"\n{CATCH_UP}run = {{ kind = \"sql\", store = \"main\", transactional = \
                 {transactional}, statement = \"insert into {table} select :worker, {millis}, :run_id, :attempt{pause}\" }}\n"
            ));
        }
        text
    }
}
