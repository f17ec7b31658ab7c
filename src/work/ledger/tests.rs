//! What is recorded: unique ticks, claims, leases, fencing, the taking over of schedules, missed stretches.
//! Nothing here waits for a clock.

use super::*;
use crate::settings::schedule::Schedule;
use crate::work::fixture::{
    On, due_in, execute, expire, ledger, memory, millis, number, on_each_ledger, plan, set_instant, shell, until,
    with_lease, worker, workers,
};
use crate::work::run::{RunState, Verdict};
use sqlx::PgConnection;

fn seconds(period: u64) -> Schedule {
    Schedule::every(Duration::from_secs(period)).unwrap()
}

fn one() -> Vec<Worker> {
    vec![worker("one", shell("true"))]
}

async fn start(ledger: &Ledger, workers: &Workers) -> TakenOver {
    ledger.take_over(workers, Occasion::Start).await.unwrap()
}

async fn reload(ledger: &Ledger, before: &Workers, after: &Workers) -> TakenOver {
    ledger.take_over(after, Occasion::Reload(before)).await.unwrap()
}

/// A ledger with one worker whose tick is due now, claimed by replica `a`.
async fn claimed(database: &Database) -> (Plan, Ledger, Claim) {
    let plan = with_lease(plan(database, one()), Duration::from_secs(15));
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    due_in(database, 0).await;
    a.materialise(&plan.workers).await.unwrap();
    let claim = a.claim(&plan.workers, 16).await.unwrap().pop().unwrap();
    (plan, a, claim)
}

async fn a_tick_is_recorded_once_whoever_comes_second(on: On) {
    let (here, there) = (on.open().await, on.open().await);
    let list = (0..50).map(|n| worker(&format!("w{n}"), shell("true")));
    let plan = plan(&here, list);
    let (a, b) = (ledger(&plan, "a"), Ledger { database: there, ..ledger(&plan, "b") });
    start(&a, &plan.workers).await;
    due_in(&here, 0).await;
    let (first, second) = tokio::join!(a.materialise(&plan.workers), b.materialise(&plan.workers));
    assert_eq!(first.unwrap().queued + second.unwrap().queued, 50);
    let (mine, theirs) = tokio::join!(a.claim(&plan.workers, 100), b.claim(&plan.workers, 100));
    assert_eq!(mine.unwrap().len() + theirs.unwrap().len(), 50);
}

async fn the_database_refuses_a_tick_that_is_already_there(on: On) {
    let database = on.open().await;
    let (_, _, _) = claimed(&database).await;
    execute(&database, "update work_schedule set next_at = (select tick_at from work_run)").await;
    let plan = plan(&database, one());
    assert_eq!(ledger(&plan, "b").materialise(&plan.workers).await.unwrap().queued, 0);
}

async fn a_replica_with_an_older_declaration_cannot_advance_an_edited_schedule(on: On) {
    let database = on.open().await;
    let old = plan(&database, one());
    let edited = plan(
        &database,
        [Worker { spec_hash: "two".into(), schedule: seconds(2_999 * 86_400), ..worker("one", shell("true")) }],
    );
    start(&ledger(&old, "old"), &old.workers).await;
    reload(&ledger(&edited, "new"), &old.workers, &edited.workers).await;
    due_in(&database, 0).await;
    assert_eq!(ledger(&old, "old").materialise(&old.workers).await.unwrap().queued, 0);
    assert_eq!(ledger(&edited, "new").materialise(&edited.workers).await.unwrap().queued, 1);
    assert!(ledger(&old, "old").claim(&old.workers, 9).await.unwrap().is_empty());
}

async fn an_edited_schedule_withdraws_what_was_queued_and_starts_afresh(on: On) {
    let database = on.open().await;
    let before = plan(&database, one());
    let a = ledger(&before, "a");
    start(&a, &before.workers).await;
    due_in(&database, 0).await;
    a.materialise(&before.workers).await.unwrap();
    let edited = workers([Worker { spec_hash: "two".into(), schedule: seconds(7200), ..worker("one", shell("true")) }]);
    let recorded = reload(&a, &before.workers, &edited).await.recorded;
    assert_eq!((recorded[0].state, recorded[0].reason, recorded[0].count), (RunState::Skipped, "withdrawn", 1));
    let next_at = format!("select {} from work_schedule", millis(&database, "next_at"));
    assert_eq!(number(&database, &next_at).await % 7_200_000, 0);
}

async fn an_edit_that_leaves_the_schedule_keeps_its_clock_and_its_queue(on: On) {
    let database = on.open().await;
    let before = plan(&database, one());
    let a = ledger(&before, "a");
    start(&a, &before.workers).await;
    due_in(&database, 0).await;
    a.materialise(&before.workers).await.unwrap();
    let edited = workers([Worker { spec_hash: "two".into(), ..worker("one", shell("false")) }]);
    assert!(reload(&a, &before.workers, &edited).await.recorded.is_empty());
    assert_eq!(a.claim(&edited, 9).await.unwrap().len(), 1);
}

async fn a_worker_that_is_gone_is_retired_and_comes_back(on: On) {
    let database = on.open().await;
    let plan = plan(&database, one());
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    reload(&a, &plan.workers, &Workers::new()).await;
    assert_eq!(
        number(&database, "select count(*) from work_schedule where retired_at is not null and next_at is null").await,
        1
    );
    start(&a, &plan.workers).await;
    assert_eq!(
        number(&database, "select count(*) from work_schedule where retired_at is null and next_at is not null").await,
        1
    );
}

async fn ends_that_come_together_are_each_recorded_as_what_they_were(on: On) {
    let database = on.open().await;
    let list = (0..40).map(|n| worker(&format!("w{n}"), shell("true")));
    let plan = plan(&database, list);
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    due_in(&database, 0).await;
    a.materialise(&plan.workers).await.unwrap();
    let claims = a.claim(&plan.workers, 99).await.unwrap();
    a.start(&claims).await.unwrap();
    execute(&database, "update work_run set epoch = 9 where worker = 'w7'").await;
    let end = async |claim: &Claim| {
        let done = if claim.worker.name.as_str() == "w3" { Done::failed("no") } else { Done::succeeded(None) };
        a.finish(claim, &done).await.unwrap()
    };
    let finishes = futures_util::future::join_all(claims.iter().map(end)).await;
    for (claim, finish) in claims.iter().zip(finishes) {
        match claim.worker.name.as_str() {
            "w7" => assert_eq!(finish, Finish::Lost),
            "w3" => assert!(matches!(finish, Finish::Recorded { state: RunState::Failed, .. })),
            _ => assert!(matches!(finish, Finish::Recorded { state: RunState::Succeeded, .. })),
        }
    }
    assert_eq!(number(&database, "select count(*) from work_run where state = 'succeeded'").await, 38);
}

async fn an_end_that_the_database_refuses_does_not_take_others_with_it(on: On) {
    let database = on.open().await;
    let plan = plan(&database, [worker("one", shell("true")), worker("two", shell("true"))]);
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    due_in(&database, 0).await;
    a.materialise(&plan.workers).await.unwrap();
    let claims = a.claim(&plan.workers, 9).await.unwrap();
    a.start(&claims).await.unwrap();
    let refuse = match &on {
        On::Sqlite(_) => {
            "create trigger no before update on work_run when new.error = 'bad' begin select raise(abort, 'no'); end"
        }
        On::Postgres(_) => "alter table work_run add constraint no check (error is distinct from 'bad')",
    };
    execute(&database, refuse).await;
    let (bad, good) = (Done::failed("bad"), Done::succeeded(None));
    let (bad, good) = tokio::join!(a.finish(&claims[0], &bad), a.finish(&claims[1], &good));
    assert!(!bad.unwrap_err().is_outage());
    assert!(matches!(good, Ok(Finish::Recorded { .. })), "{good:?}");
}

/// Nothing helps against this on SQLite, whose lock belongs to the frozen process.
#[tokio::test]
async fn a_replica_that_is_frozen_in_a_transaction_holds_nobody_up_for_a_lease() {
    let on = On::postgres().await;
    let (database, there) = (on.open().await, on.open().await);
    let (plan, frozen, claim) = claimed(&database).await;
    let lease = Duration::from_secs(3);
    let frozen = Ledger { lease, database: there, ..frozen };
    let hold = async {
        change!(&frozen, "freezing", |book| async {
            book.lock_workers(&["one"]).await?;
            std::future::pending::<Result<(), sqlx::Error>>().await
        })
    };
    let locked =
        "select count(*) from pg_stat_activity where state = 'idle in transaction' and datname = current_database()";
    let other = async {
        until(async || number(&database, locked).await == 1).await;
        let waited = std::time::Instant::now();
        let starts = ledger(&with_lease(plan.clone(), lease), "a").start(&[claim]).await.unwrap();
        (starts, waited.elapsed())
    };
    tokio::select! {
        frozen = hold => panic!("{frozen:?}"),
        (starts, waited) = other => {
            assert!(matches!(starts[..], [Start::Started { .. }]));
            assert!(waited < lease, "{waited:?}");
        }
    }
}

async fn a_zombie_cannot_finish_a_run_that_was_taken_from_it(on: On) {
    let database = on.open().await;
    let (plan, a, zombie) = claimed(&database).await;
    assert!(matches!(a.start(std::slice::from_ref(&zombie)).await.unwrap()[0], Start::Started { attempt: 1, .. }));
    expire(&database).await;
    let b = ledger(&plan, "b");
    b.reap(&plan.workers).await.unwrap();
    assert_eq!(a.finish(&zombie, &Done::succeeded(None)).await.unwrap(), Finish::Lost);
    let claim = b.claim(&plan.workers, 1).await.unwrap().pop().unwrap();
    assert!(matches!(b.start(std::slice::from_ref(&claim)).await.unwrap()[0], Start::Started { attempt: 2, .. }));
    assert_eq!(a.finish(&zombie, &Done::succeeded(None)).await.unwrap(), Finish::Lost);
    assert!(a.heartbeat(&[(zombie.run, zombie.epoch)]).await.unwrap().is_empty());
    let wrote = |text: &str| Output { text: text.into(), bytes: text.len() as u64, truncated: false };
    b.write_output(&claim, &wrote("alive")).await.unwrap();
    a.write_output(&zombie, &wrote("from the grave")).await.unwrap();
    assert_eq!(b.output(claim.run, 0).await.unwrap().unwrap().data, "alive");
    assert!(matches!(
        b.finish(&claim, &Done::succeeded(None)).await.unwrap(),
        Finish::Recorded { state: RunState::Succeeded, .. }
    ));
    let run = b.run(claim.run).await.unwrap().unwrap();
    let outcomes: Vec<_> = run.attempts.iter().map(|attempt| attempt.outcome.as_deref().unwrap()).collect();
    assert_eq!((run.state, outcomes), (RunState::Succeeded, vec!["crashed", "succeeded"]));
}

async fn a_run_that_was_claimed_and_not_started_goes_back_at_no_cost(on: On) {
    let database = on.open().await;
    let (plan, a, claim) = claimed(&database).await;
    expire(&database).await;
    ledger(&plan, "b").reap(&plan.workers).await.unwrap();
    assert_eq!(number(&database, "select count(*) from work_run where state = 'queued' and crashes = 0").await, 1);
    assert_eq!(a.start(&[claim]).await.unwrap(), [Start::Lost]);
}

async fn the_sixth_crash_loses_a_run(on: On) {
    let database = on.open().await;
    let (plan, a, mut claim) = claimed(&database).await;
    for crash in 1..=6 {
        a.start(std::slice::from_ref(&claim)).await.unwrap();
        expire(&database).await;
        let recorded = a.reap(&plan.workers).await.unwrap();
        if crash < 6 {
            assert!(recorded.is_empty());
            claim = a.claim(&plan.workers, 1).await.unwrap().pop().unwrap();
        } else {
            assert_eq!((recorded[0].state, recorded[0].reason), (RunState::Lost, "crashed"));
        }
    }
    assert_eq!(a.overview().await.unwrap().workers["one"].counts_24h.lost, 1);
}

async fn a_run_released_by_a_shutdown_costs_no_attempt(on: On) {
    let database = on.open().await;
    let (plan, a, claim) = claimed(&database).await;
    a.start(std::slice::from_ref(&claim)).await.unwrap();
    a.finish(&claim, &Done::released()).await.unwrap();
    let run = a.run(claim.run).await.unwrap().unwrap();
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Retrying, Some("shutdown")));
    assert_eq!(number(&database, "select tries + crashes from work_run").await, 0);
    assert_eq!(ledger(&plan, "b").claim(&plan.workers, 1).await.unwrap().len(), 1);
}

async fn a_tick_that_is_due_while_a_run_is_in_progress_is_skipped(on: On) {
    let database = on.open().await;
    let (plan, a, first) = claimed(&database).await;
    a.start(&[first]).await.unwrap();
    due_in(&database, 0).await;
    a.materialise(&plan.workers).await.unwrap();
    let second = a.claim(&plan.workers, 1).await.unwrap().pop().unwrap();
    let id = second.run;
    assert_eq!(a.start(&[second]).await.unwrap(), [Start::Overlapped]);
    let run = a.run(id).await.unwrap().unwrap();
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Skipped, Some("overlap")));
}

async fn three_days_away_write_two_records_and_run_the_newest(on: On) {
    let database = on.open().await;
    let plan = plan(&database, [Worker { schedule: seconds(1), ..worker("one", shell("true")) }]);
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    let next_at = number(&database, &format!("select {} from work_schedule", millis(&database, "next_at"))).await;
    due_in(&database, -3 * 86_400_000 + 999 - Timestamp::now().millis() % 1000 - next_at % 1000).await;
    let done = a.materialise(&plan.workers).await.unwrap();
    assert!((3 * 86_400 - 5..=3 * 86_400 + 5).contains(&(done.recorded[0].count as i64)), "{done:?}");
    assert_eq!(number(&database, "select count(*) from work_run where finished_at is not null").await, 1);
    assert!(number(&database, "select count(*) from work_run").await <= 5, "the stretch, the newest, and those ahead");
    let newest = format!("select {} from work_run where late and state = 'queued'", millis(&database, "tick_at"));
    assert!(Timestamp::now().millis() - number(&database, &newest).await < 2_000);
}

async fn a_caught_up_tick_waits_for_the_run_in_progress(on: On) {
    let database = on.open().await;
    let (plan, a, first) = claimed(&database).await;
    a.start(std::slice::from_ref(&first)).await.unwrap();
    due_in(&database, -60_000).await;
    a.materialise(&plan.workers).await.unwrap();
    assert!(a.claim(&plan.workers, 9).await.unwrap().is_empty());
    a.finish(&first, &Done::succeeded(None)).await.unwrap();
    let late = a.claim(&plan.workers, 9).await.unwrap();
    assert!(matches!(a.start(&late).await.unwrap()[..], [Start::Started { .. }]));
}

async fn a_worker_shows_its_health_without_counting_runs(on: On) {
    let database = on.open().await;
    let plan = plan(&database, one());
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    for verdict in [Verdict::Succeeded, Verdict::Failed, Verdict::TimedOut] {
        a.run_now(&plan.workers["one"], "ada").await.unwrap();
        let claims = a.claim(&plan.workers, 1).await.unwrap();
        a.start(&claims).await.unwrap();
        a.finish(&claims[0], &Done { verdict, ..Done::failed("x") }).await.unwrap();
    }
    let overview = a.overview().await.unwrap();
    let record = &overview.workers["one"];
    assert_eq!((record.consecutive_failures, record.counts_24h.succeeded, record.counts_24h.failed), (2, 1, 2));
    assert_eq!(record.last_run.as_ref().unwrap().state, RunState::TimedOut);
    assert!(record.last_success_at.is_some() && !record.running && record.waiting_since.is_none());
}

async fn runs_are_listed_newest_first_in_parts(on: On) {
    let database = on.open().await;
    let plan = plan(&database, one());
    let a = ledger(&plan, "a");
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(a.run_now(&plan.workers["one"], "ada").await.unwrap());
    }
    made.reverse();
    let name = crate::work::fixture::name("one");
    let first = a.runs(&name, 3, None).await.unwrap();
    let second = a.runs(&name, 3, first.next).await.unwrap();
    let listed: Vec<_> = first.items.iter().chain(&second.items).map(|run| run.id).collect();
    assert_eq!((listed, second.next), (made, None));
}

async fn old_runs_are_deleted_by_age_and_by_number_but_never_the_last(on: On) {
    let database = on.open().await;
    let plan = plan(&database, one());
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    for _ in 0..4 {
        a.run_now(&plan.workers["one"], "ada").await.unwrap();
        let claims = a.claim(&plan.workers, 1).await.unwrap();
        a.start(&claims).await.unwrap();
        a.finish(&claims[0], &Done::succeeded(None)).await.unwrap();
    }
    let keep =
        |keep, max_runs_per_worker| History { keep: Duration::from_secs(keep), max_runs_per_worker, max_output: 1 };
    assert_eq!(a.retain(&keep(3600, 2)).await.unwrap(), 1);
    set_instant(&database, "work_run", "finished_at", -7_200_000).await;
    assert_eq!(a.retain(&keep(3600, 2)).await.unwrap(), 2);
    assert_eq!(number(&database, "select count(*) from work_run").await, 1);
    assert_eq!(number(&database, "select count(*) from work_attempt").await, 1);
}

async fn a_stopped_schedule_is_started_again(on: On) {
    let database = on.open().await;
    let plan = plan(&database, one());
    let a = ledger(&plan, "a");
    start(&a, &plan.workers).await;
    execute(&database, "update work_schedule set next_at = null").await;
    assert_eq!(a.watchdog(&plan.workers).await.unwrap().len(), 1);
    assert!(a.watchdog(&plan.workers).await.unwrap().is_empty());
}

on_each_ledger! {
    ends_that_come_together_are_each_recorded_as_what_they_were,
    an_end_that_the_database_refuses_does_not_take_others_with_it,
    a_tick_is_recorded_once_whoever_comes_second,
    the_database_refuses_a_tick_that_is_already_there,
    a_replica_with_an_older_declaration_cannot_advance_an_edited_schedule,
    an_edited_schedule_withdraws_what_was_queued_and_starts_afresh,
    an_edit_that_leaves_the_schedule_keeps_its_clock_and_its_queue,
    a_worker_that_is_gone_is_retired_and_comes_back,
    a_zombie_cannot_finish_a_run_that_was_taken_from_it,
    a_run_that_was_claimed_and_not_started_goes_back_at_no_cost,
    the_sixth_crash_loses_a_run,
    a_run_released_by_a_shutdown_costs_no_attempt,
    a_tick_that_is_due_while_a_run_is_in_progress_is_skipped,
    three_days_away_write_two_records_and_run_the_newest,
    a_caught_up_tick_waits_for_the_run_in_progress,
    a_worker_shows_its_health_without_counting_runs,
    runs_are_listed_newest_first_in_parts,
    old_runs_are_deleted_by_age_and_by_number_but_never_the_last,
    a_stopped_schedule_is_started_again,
}

#[tokio::test]
async fn the_schema_can_be_applied_by_hand_twice() {
    let database = memory().await;
    execute(&database, include_str!("../../../migrations/sqlite/0002_ledger.sql")).await;
}

/// A replica is frozen in the middle of starting a run; when it goes on, the lease that it writes is over, and a reaper has looked
/// at the run before and waits for the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_started_while_the_reaper_waited_is_judged_as_started() {
    let on = On::postgres().await;
    let On::Postgres(url) = &on else { panic!("it is Postgres") };
    let database = on.open().await;
    let (plan, _, claim) = claimed(&database).await;
    expire(&database).await;
    let mut frozen = PgConnection::connect(url).await.unwrap();
    let mut tx = frozen.begin().await.unwrap();
    sqlx::raw_sql("select 1 from work_schedule for no key update").execute(&mut *tx).await.unwrap();
    let (reaper, workers) = (ledger(&plan, "b"), plan.workers.clone());
    let reaping = tokio::spawn(async move { reaper.reap(&workers).await.unwrap() });
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until(async || number(&database, waits).await > 0).await;
    sqlx::raw_sql(
        "update work_run set state = 'running', attempt = 1, started_at = now();
         insert into work_attempt (run_id, n, replica, started_at) select id, 1, 'a', now() from work_run",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert!(reaping.await.unwrap().is_empty());
    let run = ledger(&plan, "b").run(claim.run).await.unwrap().unwrap();
    assert_eq!((run.state, run.attempts[0].outcome.as_deref()), (RunState::Retrying, Some("crashed")));
    assert_eq!(number(&database, "select crashes from work_run").await, 1);
}
