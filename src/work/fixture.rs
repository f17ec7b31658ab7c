//! What the tests of this folder share: a ledger in a file or in memory, workers, an engine, waiting with a bound.
//! Nothing here is part of the program.

use super::event::Observer;
use super::handler::Handlers;
use super::ledger::{Ledger, Workers};
use super::view::RunView;
use super::{BaseEnv, Host, Identity, Plan, Work, WorkEvent};
use crate::clock::Timestamp;
use crate::name::{StoreName, WorkerName};
use crate::secret::Secret;
use crate::settings::Home;
use crate::settings::policy::Policy;
use crate::settings::schedule::Schedule;
use crate::settings::statement::Statement;
use crate::settings::stores::{Migrate, OnUnreachable, Pooler, Probe, Store, StoreKind};
use crate::settings::workers::{Action, History, Scheduler, Worker};
use crate::store::database::Kind;
use crate::store::postgres::Postgres;
use crate::store::sqlite::Sqlite;
use crate::store::{self, Database, schema};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
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

fn declared(kind: StoreKind) -> Store {
    Store {
        name: main_store(),
        kind,
        max_connections: 8,
        connect_timeout: Duration::from_secs(10),
        operation_timeout: Duration::from_secs(10),
        probe: Probe { every: Duration::from_secs(5), timeout: Duration::from_secs(2), down_after: 3, up_after: 1 },
        required: true,
        on_unreachable: OnUnreachable::Reject,
    }
}

/// The store `main` in a folder; opening it twice gives two pools on one file, like two processes.
pub(super) async fn file(folder: &Path) -> Database {
    let file = folder.join("main.db");
    let store = declared(StoreKind::Sqlite { file: file.clone(), migrate: Migrate::Auto });
    let database = Database::new(Home::Store(main_store()), Kind::Sqlite(Sqlite::open(&store, &file)));
    schema::migrate(&database).await.unwrap();
    database
}

/// The store `main` behind a URL of Postgres.
pub(super) async fn postgres(url: &str, pooler: Pooler) -> Database {
    let store = declared(StoreKind::Postgres { url: Secret::new(url), pooler, migrate: Migrate::Auto });
    let postgres = Postgres::open(&store, url, pooler).unwrap();
    let database = Database::new(Home::Store(main_store()), Kind::Postgres(postgres));
    schema::migrate(&database).await.unwrap();
    database
}

/// A Postgres for the tests of this process: the one that was given, or one of its own.
pub(super) fn postgres_server() -> &'static str {
    static SERVER: OnceLock<(String, Option<xtask::servers::Postgres>)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| match xtask::servers::Kind::Postgres.given_url() {
        Some(url) => (url, None),
        None => {
            let server = xtask::servers::Postgres::start().unwrap();
            (server.url().to_owned(), Some(server))
        }
    });
    url
}

/// A new, empty database on a server; its URL.
pub(super) async fn new_database(server: &str) -> String {
    let name = format!("t_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await.unwrap();
    let (address, _) = server.rsplit_once('/').unwrap();
    format!("{address}/{name}")
}

/// A ledger for one test, in either database: what is told of one is told of the other.
pub(super) enum On {
    Sqlite(TempDir),
    Postgres(String),
}

impl On {
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(super) async fn postgres() -> Self {
        Self::Postgres(new_database(postgres_server()).await)
    }

    /// Connections of their own to it, as another process would have.
    pub(super) async fn open(&self) -> Database {
        match self {
            Self::Sqlite(folder) => file(folder.path()).await,
            Self::Postgres(url) => postgres(url, Pooler::None).await,
        }
    }
}

/// Each rule by itself on SQLite, and all of them, one after the other, on one Postgres, which takes a second to start.
macro_rules! on_each_ledger {
    ($($rule:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(crate::work::fixture::On::sqlite()).await;
            })*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn all_the_same_on_postgres() {
            let mut broken = Vec::new();
            $({
                let on = crate::work::fixture::On::postgres().await;
                let here = tokio::task::LocalSet::new();
                let rule = here.run_until(async { tokio::task::spawn_local($rule(on)).await });
                if rule.await.is_err() {
                    broken.push(stringify!($rule));
                }
            })*
            assert!(broken.is_empty(), "on Postgres: {broken:?}");
        }
    };
}

pub(super) use on_each_ledger;

pub(super) async fn execute(database: &Database, sql: &str) {
    let done = match database.kind() {
        Kind::Sqlite(sqlite) => {
            let work = async |c: &mut SqliteConnection| {
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(c).await.map(drop)
            };
            sqlite.call("a test's statement", work).await
        }
        Kind::Postgres(postgres) => {
            let work =
                async |c: &mut PgConnection| sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(c).await.map(drop);
            postgres.call("a test's statement", work).await
        }
    };
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub(super) async fn number(database: &Database, sql: &str) -> i64 {
    let answer = match database.kind() {
        Kind::Sqlite(sqlite) => {
            let work =
                async |c: &mut SqliteConnection| sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(c).await;
            sqlite.call("a test's question", work).await
        }
        Kind::Postgres(postgres) => {
            let sql = format!("select ({sql})::bigint");
            let work = async |c: &mut PgConnection| sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(c).await;
            postgres.call("a test's question", work).await
        }
    };
    answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Moves an instant of a table relative to now, in milliseconds.
pub(super) async fn set_instant(database: &Database, table: &str, column: &str, millis: i64) {
    let instant = match database.kind() {
        Kind::Sqlite(_) => format!("cast(unixepoch('subsec') * 1000 as integer) + {millis}"),
        Kind::Postgres(_) => {
            format!("date_trunc('milliseconds', clock_timestamp()) + {millis} * interval '1 millisecond'")
        }
    };
    execute(database, &format!("update {table} set {column} = {instant} where {column} is not null")).await;
}

/// Makes every schedule due at the whole second so many seconds ago, and lets it begin right before.
pub(super) async fn due_ago(database: &Database, seconds: i64) {
    let at = (Timestamp::now().millis().div_euclid(1_000) - seconds) * 1_000;
    for (table, column, at) in [("work_schedule", "next_at", at), ("work_period", "since", at - 1)] {
        let instant = match database.kind() {
            Kind::Sqlite(_) => at.to_string(),
            Kind::Postgres(_) => format!("timestamptz 'epoch' + {at} * interval '1 millisecond'"),
        };
        execute(database, &format!("update {table} set {column} = {instant} where {column} is not null")).await;
    }
}

/// A column as milliseconds since the epoch.
pub(super) fn millis(database: &Database, column: &str) -> String {
    match database.kind() {
        Kind::Sqlite(_) => column.to_owned(),
        Kind::Postgres(_) => format!("(extract(epoch from {column}) * 1000)::bigint"),
    }
}

/// Makes every schedule due at an instant relative to now, in milliseconds.
pub(super) async fn due_in(database: &Database, millis: i64) {
    set_instant(database, "work_schedule", "next_at", millis).await;
}

/// Lets every lease run out.
pub(super) async fn expire(database: &Database) {
    set_instant(database, "work_run", "lease_until", -1_000).await;
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

/// A worker that is due so seldom that no tick comes in the way of a test, and may take a minute.
pub(super) fn worker(worker: &str, action: Action) -> Worker {
    Worker {
        name: name(worker),
        schedule: Schedule::every(Duration::from_secs(3_000 * 86_400)).unwrap(),
        timeout: Duration::from_secs(60),
        enabled: true,
        policy: Policy::default(),
        action,
        ping: None,
        alert: None,
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
    let connection = match database.kind() {
        Kind::Sqlite(sqlite) => store::Connection::Sqlite(sqlite.clone()),
        Kind::Postgres(postgres) => store::Connection::Postgres(postgres.clone()),
    };
    Plan {
        workers: workers(list),
        stores: BTreeMap::from([(main_store(), connection)]),
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
        let host = Host { env, handlers: Handlers::default() };
        let work = Work::new(Identity { replica: replica.into() }, host, plan, told.clone());
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
