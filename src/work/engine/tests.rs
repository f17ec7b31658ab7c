//! The scheduler as a whole: ticks in time, two replicas on one file, overlap, shutdown, an outage of the ledger.
//! Single rules are tested in `ledger` and `due`.

use crate::settings::workers::Worker;
use crate::work::fixture::{
    Replica, due_in, execute, file, memory, number, plan, shell, sql, until, with_lease, worker,
};
use crate::work::{RunKind, RunState, WorkEvent, WorkerState};
use std::time::Duration;
use tempfile::tempdir;

#[tokio::test]
async fn two_replicas_on_one_file_run_each_tick_once() {
    let folder = tempdir().unwrap();
    let (here, there) = (file(folder.path()).await, file(folder.path()).await);
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
