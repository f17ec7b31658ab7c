//! The scheduler as a whole: ticks in time, two replicas on one file, overlap, shutdown, an outage of the ledger.
//! Single rules are tested in `ledger` and `due`.

use crate::settings::stores::Pooler;
use crate::settings::workers::Worker;
use crate::store::Database;
use crate::store::database::Kind;
use crate::work::fixture::{
    On, Replica, due_in, execute, expire, file, ledger, memory, new_database, number, on_each_ledger, plan, postgres,
    shell, sql, until, with_lease, worker,
};
use crate::work::ledger::{Finish, Occasion};
use crate::work::run::Done;
use crate::work::{RunKind, RunState, WorkEvent, WorkerState};
use std::time::Duration;
use tempfile::tempdir;

async fn two_replicas_run_each_tick_once(on: On) {
    let (here, there) = (on.open().await, on.open().await);
    execute(&here, "create table hits (worker text, tick text, run text)").await;
    let list =
        || (0..200).map(|n| worker(&format!("w{n}"), sql("insert into hits values (:worker, :tick_at, :run_id)")));
    let (a, b) = (Replica::start("a", plan(&here, list())), Replica::start("b", plan(&there, list())));
    a.ready(&here).await;
    due_in(&here, 100).await;
    until(async || number(&here, "select count(*) from work_run where state = 'succeeded'").await >= 200).await;
    assert_eq!(number(&here, "select count(*) from hits").await, 200);
    assert_eq!(number(&here, "select count(distinct worker || tick) from hits").await, 200);
    assert_eq!(number(&here, "select count(*) from work_run").await, 200);
    drop((a, b));
}

async fn a_statement_and_the_record_of_its_end_are_one_transaction(on: On) {
    let database = on.open().await;
    execute(&database, "create table hits (run text, attempt integer)").await;
    // The statement sees its own run in progress; only a commit of both shows the effect together with the end.
    let inserts = "insert into hits select :run_id, :attempt from work_run where id = :run_id and state = 'running'";
    let strict = "create unique index hits_once on hits (attempt)";
    let a = Replica::start("a", plan(&database, [worker("good", sql(inserts))]));
    let good = a.run_now("good").await;
    assert_eq!((good.state, good.result.as_deref()), (RunState::Succeeded, Some("1 row affected")));
    execute(&database, strict).await;
    let again = a.run_now("good").await;
    assert_eq!(again.state, RunState::Failed, "{again:?}");
    assert!(again.error.unwrap().starts_with("refused: "));
    assert_eq!(number(&database, "select count(*) from hits").await, 1);
}

async fn a_lost_lease_rolls_the_statement_back(on: On) {
    let database = on.open().await;
    execute(&database, "create table hits (run text)").await;
    steal_on_insert(&database).await;
    let a = Replica::start("a", plan(&database, [worker("one", sql("insert into hits values (:run_id)"))]));
    a.work.run_now(&crate::work::fixture::name("one"), "ada").await.unwrap();
    until(async || a.told.events().iter().any(|event| matches!(event, WorkEvent::LeaseLost { .. }))).await;
    assert_eq!(number(&database, "select count(*) from hits").await, 0);
}

/// A statement takes its own lease away, as another replica would have.
async fn steal_on_insert(database: &Database) {
    let steal = match database.kind() {
        Kind::Sqlite(_) => "create trigger steal after insert on hits begin update work_run set epoch = epoch + 1; end",
        Kind::Postgres(_) => {
            "create function steal() returns trigger language plpgsql as
               $$ begin update work_run set epoch = epoch + 1; return new; end $$;
             create trigger steal after insert on hits for each row execute function steal()"
        }
    };
    execute(database, steal).await;
}

async fn a_statement_that_takes_too_long_is_stopped_by_the_database(on: On) {
    let database = on.open().await;
    execute(&database, "create table hits (n integer)").await;
    let slow = Worker { timeout: Duration::from_millis(300), ..worker("one", sql(endless(&database))) };
    let a = Replica::start("a", plan(&database, [slow]));
    let run = a.run_now("one").await;
    assert_eq!((run.state, run.error.as_deref()), (RunState::TimedOut, Some("took longer than 300ms")));
    assert!(run.duration_ms.unwrap() < 4_000, "{run:?}");
    // It holds nothing, and on the server nothing of it goes on.
    execute(&database, "insert into hits values (1)").await;
    assert_eq!(number(&database, still_at_work(&database)).await, 0);
}

async fn a_replica_that_stops_stops_its_statements_in_the_database(on: On) {
    let database = on.open().await;
    execute(&database, "create table hits (n integer)").await;
    let a = Replica::start("a", plan(&database, [worker("one", sql(endless(&database)))]));
    let id = a.work.run_now(&crate::work::fixture::name("one"), "ada").await.unwrap();
    until(async || a.work.run_view(id).await.unwrap().state == RunState::Running).await;
    a.stop.cancel();
    a.cut.cancel();
    until(async || a.task.is_finished()).await;
    let run = a.work.run_view(id).await.unwrap();
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Retrying, Some("shutdown")));
    assert_eq!(number(&database, still_at_work(&database)).await, 0);
}

fn endless(database: &Database) -> &'static str {
    match database.kind() {
        Kind::Sqlite(_) => {
            "with recursive c(n) as (select 1 union all select n + 1 from c) insert into hits select n from c where n < 0"
        }
        Kind::Postgres(_) => "insert into hits select 1 from pg_sleep(100)",
    }
}

/// How many statements of this database are still at work beside the one that asks.
fn still_at_work(database: &Database) -> &'static str {
    match database.kind() {
        Kind::Sqlite(_) => "select 0",
        Kind::Postgres(_) => {
            "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(100)%'
               and pid <> pg_backend_pid()"
        }
    }
}

on_each_ledger! {
    two_replicas_run_each_tick_once,
    a_statement_and_the_record_of_its_end_are_one_transaction,
    a_lost_lease_rolls_the_statement_back,
    a_statement_that_takes_too_long_is_stopped_by_the_database,
    a_replica_that_stops_stops_its_statements_in_the_database,
}

/// With two connections for everybody, nothing that a session keeps survives from one transaction to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_a_pgbouncer_in_transaction_mode() {
    if !xtask::servers::Pgbouncer::installed() {
        println!("there is no pgbouncer here (Debian: apt-get install pgbouncer): left out");
        return;
    }
    let server = xtask::servers::Postgres::start().unwrap();
    let pooler = xtask::servers::Pgbouncer::start(&server, 2).unwrap();
    let straight = new_database(server.url()).await;
    let (_, name) = straight.rsplit_once('/').unwrap();
    let url = pooler.url().replace("/postgres", &format!("/{name}"));
    let (here, there) = (postgres(&url, Pooler::Transaction).await, postgres(&url, Pooler::Transaction).await);
    let look = postgres(&straight, Pooler::None).await;
    execute(&look, "create table hits (worker text, tick timestamptz, run text)").await;
    let insert = "insert into hits values (:worker, :tick_at, :run_id)";
    let list = || (0..100).map(|n| worker(&format!("w{n}"), sql(insert)));
    let (a, b) = (Replica::start("a", plan(&here, list())), Replica::start("b", plan(&there, list())));
    a.ready(&look).await;
    for round in 1..=3 {
        due_in(&look, 100).await;
        let done = "select count(*) from work_run where state = 'succeeded'";
        until(async || number(&look, done).await >= round * 100).await;
        here.ping().await.unwrap();
    }
    assert_eq!(number(&look, "select count(*) from hits").await, 300);
    let away = |replica: &Replica| replica.told.events().iter().any(|e| matches!(e, WorkEvent::LedgerAway { .. }));
    assert!(!away(&a) && !away(&b), "{:?} {:?}", a.told.events(), b.told.events());
    assert_eq!(a.work.workers().await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_run_whose_replica_died_is_made_by_another() {
    let folder = tempdir().unwrap();
    let (here, there) = (file(folder.path()).await, file(folder.path()).await);
    let marker = folder.path().join("second");
    let script = format!("test -e {0} && exit 0; touch {0}; exec sleep 100", marker.display());
    let lease = Duration::from_millis(600);
    let make = |database| with_lease(plan(database, [worker("one", shell(&script))]), lease);
    let a = Replica::start("a", make(&here));
    a.ready(&here).await;
    let id = a.work.run_now(&crate::work::fixture::name("one"), "ada").await.unwrap();
    until(async || marker.exists()).await;
    drop(a);
    let b = Replica::start("b", make(&there));
    until(async || b.work.run_view(id).await.unwrap().state == RunState::Succeeded).await;
    let run = b.work.run_view(id).await.unwrap();
    let made: Vec<_> =
        run.attempts.iter().map(|attempt| (attempt.replica.as_str(), attempt.outcome.as_deref())).collect();
    assert_eq!(made, [("a", Some("crashed")), ("b", Some("succeeded"))]);
}

#[tokio::test]
async fn a_replica_that_has_just_started_leaves_others_a_lease_to_renew() {
    let folder = tempdir().unwrap();
    let database = file(folder.path()).await;
    let make = || plan(&database, [worker("one", shell("true")), worker("two", shell("true"))]);
    let cut_off = ledger(&make(), "cut off");
    cut_off.take_over(&make().workers, Occasion::Start).await.unwrap();
    cut_off.run_now(&make().workers["one"], "ada").await.unwrap();
    let claims = cut_off.claim(&make().workers, 9).await.unwrap();
    cut_off.start(&claims).await.unwrap();
    expire(&database).await;
    let fresh = Replica::start("fresh", make());
    // By then it has had its look.
    assert_eq!(fresh.run_now("two").await.state, RunState::Succeeded);
    assert_eq!(cut_off.heartbeat(&[(claims[0].run, claims[0].epoch)]).await.unwrap().len(), 1);
    assert!(matches!(cut_off.finish(&claims[0], &Done::succeeded(None)).await, Ok(Finish::Recorded { .. })));
}

#[tokio::test]
async fn a_tick_starts_at_its_instant_and_not_at_a_poll() {
    let database = memory().await;
    let a = Replica::start("a", plan(&database, [worker("one", shell("true"))]));
    a.ready(&database).await;
    due_in(&database, 1_500).await;
    until(async || a.runs("one").await.first().is_some_and(|run| run.state == RunState::Succeeded)).await;
    let run = a.runs("one").await.remove(0);
    assert_eq!((run.kind, run.attempt), (RunKind::Tick, 1));
    assert!(run.lateness_ms.unwrap() < 500, "{run:?}");
    assert!(matches!(
        &a.told.events()[..],
        [WorkEvent::Started { .. }, WorkEvent::Finished { state: RunState::Succeeded, .. }]
    ));
}

#[tokio::test]
async fn a_run_by_hand_says_who_asked_and_what_came_out() {
    let database = memory().await;
    let a = Replica::start("a", plan(&database, [worker("one", shell("echo out; echo err >&2; exit 3"))]));
    let run = a.run_now("one").await;
    assert_eq!((run.kind, run.state, run.exit_code), (RunKind::Manual, RunState::Failed, Some(3)));
    assert_eq!((run.requested_by.as_deref(), run.error.as_deref()), (Some("ada"), Some("exited with 3")));
    assert_eq!(a.work.output(run.id, 0).await.unwrap().data, "out\nerr\n");
    assert_eq!(a.work.output(run.id, 4).await.unwrap().data, "err\n");
    assert_eq!(a.work.worker(&run.worker).await.unwrap().consecutive_failures, 1);
}

#[tokio::test]
async fn a_new_plan_takes_over_and_a_run_in_progress_keeps_its_own() {
    let folder = tempdir().unwrap();
    let database = file(folder.path()).await;
    let go = folder.path().join("go");
    let script = format!("until test -e {}; do sleep 0.05; done; echo old", go.display());
    let a = Replica::start("a", plan(&database, [worker("one", shell(&script))]));
    let id = a.work.run_now(&crate::work::fixture::name("one"), "ada").await.unwrap();
    until(async || a.work.run_view(id).await.unwrap().state == RunState::Running).await;
    a.work.set_plan(plan(&database, [Worker { spec_hash: "two".into(), ..worker("one", shell("echo new")) }]));
    until(async || a.work.workers().await.unwrap()[0].state == WorkerState::Running).await;
    std::fs::write(&go, "").unwrap();
    until(async || a.work.run_view(id).await.unwrap().state == RunState::Succeeded).await;
    assert_eq!(a.work.output(id, 0).await.unwrap().data, "old\n");
    let run = a.run_now("one").await;
    assert_eq!(a.work.output(run.id, 0).await.unwrap().data, "new\n");
}

#[tokio::test]
async fn a_replica_that_stops_puts_back_what_it_cannot_finish() {
    let database = memory().await;
    let a =
        Replica::start("a", plan(&database, [worker("slow", shell("exec sleep 100")), worker("quick", shell("true"))]));
    let id = a.work.run_now(&crate::work::fixture::name("slow"), "ada").await.unwrap();
    until(async || a.work.run_view(id).await.unwrap().state == RunState::Running).await;
    a.stop.cancel();
    let refused = a.work.run_now(&crate::work::fixture::name("quick"), "ada").await.unwrap();
    assert!(!a.task.is_finished());
    a.cut.cancel();
    until(async || a.task.is_finished()).await;
    let run = a.work.run_view(id).await.unwrap();
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Retrying, Some("shutdown")));
    assert_eq!(a.work.run_view(refused).await.unwrap().state, RunState::Queued);
    assert_eq!(a.work.in_progress(), 0);
}

#[tokio::test]
async fn a_ledger_that_fails_is_said_once_and_used_again_when_it_is_back() {
    let database = memory().await;
    let a = Replica::start("a", plan(&database, [worker("one", shell("true"))]));
    a.ready(&database).await;
    execute(&database, "alter table work_run rename to elsewhere").await;
    until(async || a.told.events().iter().any(|event| matches!(event, WorkEvent::LedgerAway { .. }))).await;
    execute(&database, "alter table elsewhere rename to work_run").await;
    until(async || a.told.events().contains(&WorkEvent::LedgerBack)).await;
    assert_eq!(a.run_now("one").await.state, RunState::Succeeded);
    let away = a.told.events().iter().filter(|event| matches!(event, WorkEvent::LedgerAway { .. })).count();
    assert_eq!(away, 1);
}
