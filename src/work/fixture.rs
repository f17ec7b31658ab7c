//! What the tests of this folder share: a ledger in a file or in memory, workers, an engine, waiting with a bound.
//! Nothing here is part of the program.

use super::event::Observer;
use super::ledger::{Ledger, Workers};
use super::view::RunView;
use super::{BaseEnv, Identity, Plan, Work, WorkEvent};
use crate::name::{StoreName, WorkerName};
use crate::settings::Home;
use crate::settings::policy::Policy;
use crate::settings::schedule::Schedule;
use crate::settings::statement::Statement;
use crate::settings::stores::{Migrate, OnUnreachable, Probe, Store, StoreKind};
use crate::settings::workers::{Action, History, Scheduler, Worker};
use crate::store::database::Kind;
use crate::store::sqlite::Sqlite;
use crate::store::{Database, schema};
use sqlx::{AssertSqlSafe, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn name(text: &str) -> WorkerName {
    WorkerName::parse(text).unwrap()
}

fn main_store() -> StoreName {
    StoreName::parse("main").unwrap()
}

pub(super) async fn memory() -> Database {
    let database = Database::in_memory();
    schema::migrate(&database).await.unwrap();
    database
}

/// The store `main` in a folder; opening it twice gives two pools on one file, like two processes.
pub(super) async fn file(folder: &Path) -> Database {
    let file = folder.join("main.db");
    let store = Store {
        name: main_store(),
        kind: StoreKind::Sqlite { file: file.clone(), migrate: Migrate::Auto },
        max_connections: 8,
        connect_timeout: Duration::from_secs(10),
        operation_timeout: Duration::from_secs(10),
        probe: Probe { every: Duration::from_secs(5), timeout: Duration::from_secs(2), down_after: 3, up_after: 1 },
        required: true,
        on_unreachable: OnUnreachable::Reject,
    };
    let database = Database::new(Home::Store(main_store()), Kind::Sqlite(Sqlite::open(&store, &file)));
    schema::migrate(&database).await.unwrap();
    database
}

fn sqlite(database: &Database) -> &Sqlite {
    match database.kind() {
        Kind::Sqlite(sqlite) => sqlite,
        Kind::Postgres(_) => panic!("tests run on sqlite"),
    }
}

pub(super) async fn execute(database: &Database, sql: &str) {
    let work = async |c: &mut SqliteConnection| sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(c).await.map(drop);
    sqlite(database).call("a test's statement", work).await.unwrap();
}

pub(super) async fn number(database: &Database, sql: &str) -> i64 {
    let work = async |c: &mut SqliteConnection| sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(c).await;
    sqlite(database).call("a test's question", work).await.unwrap()
}

/// Makes every schedule due at an instant relative to now, in milliseconds.
pub(super) async fn due_in(database: &Database, millis: i64) {
    let sql = format!("update work_schedule set next_at = cast(unixepoch('subsec') * 1000 as integer) + {millis}");
    execute(database, &sql).await;
}

pub(super) fn sql(statement: &str) -> Action {
    Action::Sql { store: main_store(), statement: Statement::parse(statement).unwrap(), transactional: true }
}

pub(super) fn shell(script: &str) -> Action {
    command(&["sh", "-c", script])
}

pub(super) fn command(argv: &[&str]) -> Action {
    Action::Command {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: BTreeMap::new(),
        cwd: "/".into(),
    }
}

/// A worker that is due each hour and may take a minute.
pub(super) fn worker(worker: &str, action: Action) -> Worker {
    Worker {
        name: name(worker),
        schedule: Schedule::every(Duration::from_secs(3600)).unwrap(),
        timeout: Duration::from_secs(60),
        enabled: true,
        policy: Policy::default(),
        action,
        spec_hash: "one".into(),
    }
}

pub(super) fn workers(list: impl IntoIterator<Item = Worker>) -> Workers {
    list.into_iter().map(|worker| (worker.name.clone(), Arc::new(worker))).collect()
}

pub(super) fn plan(database: &Database, list: impl IntoIterator<Item = Worker>) -> Plan {
    let scheduler = Scheduler {
        store: database.home().clone(),
        max_concurrent_runs: 16,
        lease: Duration::from_secs(15),
        history: History { keep: Duration::from_secs(30 * 86_400), max_runs_per_worker: 10_000, max_output: 64 * 1024 },
    };
    Plan {
        workers: workers(list),
        stores: BTreeMap::from([(main_store(), database.clone())]),
        ledger: database.clone(),
        scheduler: Arc::new(scheduler),
    }
}

pub(super) fn with_lease(mut plan: Plan, lease: Duration) -> Plan {
    let scheduler = Scheduler { lease, ..Scheduler::clone(&plan.scheduler) };
    plan.scheduler = Arc::new(scheduler);
    plan
}

/// A replica's view of the ledger, without an engine.
pub(super) fn ledger(plan: &Plan, replica: &str) -> Ledger {
    Ledger::new(plan, &Identity { replica: replica.into() })
}

/// What an engine told.
#[derive(Default)]
pub(super) struct Told(Mutex<Vec<WorkEvent>>);

impl Told {
    pub(super) fn events(&self) -> Vec<WorkEvent> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Told {
    fn observe(&self, event: &WorkEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A running engine. Dropping it without `stop` is a crash.
pub(super) struct Replica {
    pub(super) work: Work,
    pub(super) told: Arc<Told>,
    pub(super) stop: CancellationToken,
    pub(super) cut: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl Replica {
    pub(super) fn start(replica: &str, plan: Plan) -> Self {
        let told = Arc::new(Told::default());
        let env = BaseEnv { path: Some("/usr/local/bin:/usr/bin:/bin".into()), ..BaseEnv::default() };
        let work = Work::new(Identity { replica: replica.into() }, env, plan, told.clone());
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let (handle, stopped, cut_off) = (work.clone(), stop.clone(), cut.clone());
        let task = tokio::spawn(async move { handle.run(stopped, cut_off).await });
        Self { work, told, stop, cut, task }
    }

    pub(super) async fn run_now(&self, worker: &str) -> RunView {
        let id = self.work.run_now(&name(worker), "ada").await.unwrap();
        until(async || self.work.run_view(id).await.unwrap().state.is_final()).await;
        self.work.run_view(id).await.unwrap()
    }

    pub(super) async fn runs(&self, worker: &str) -> Vec<RunView> {
        self.work.runs(&name(worker), 500, None).await.unwrap().items
    }

    /// Waits until the ledger was taken over.
    pub(super) async fn ready(&self, database: &Database) {
        let declared = self.work.workers().await.unwrap().len();
        let taken_over = "select count(*) from work_schedule";
        until(async || number(database, taken_over).await == i64::try_from(declared).unwrap()).await;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn until(condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it did not happen in time");
}
