//! What policies, operators and other replicas do to the ledger, on SQLite and on Postgres.
//! Nothing here waits for a clock; what becomes of single runs is in `tests`.

use super::*;
use crate::settings::policy::{CatchUp, OnCrash, Overlap, Policy, Retry, Which};
use crate::settings::schedule::Schedule;
use crate::work::fixture::{
    On, due_ago, due_in, expire, ledger, millis, name, number, on_each_ledger, plan, set_instant, shell, worker,
    workers,
};
use crate::work::run::{RunKind, RunState};
use crate::work::view::TickOutcome;

/// A worker each second.
fn each_second(policy: Policy) -> Worker {
    let schedule = Schedule::every(Duration::from_secs(1)).unwrap();
    Worker { schedule, policy, ..worker("one", shell("true")) }
}

fn hourly(policy: Policy) -> Worker {
    Worker { policy, ..worker("one", shell("true")) }
}

struct Stage {
    database: Database,
    plan: Plan,
    a: Ledger,
}

impl Stage {
    async fn with(on: &On, worker: Worker) -> Self {
        let database = on.open().await;
        let plan = plan(&database, [worker]);
        let a = ledger(&plan, "a");
        a.take_over(&plan.workers, Occasion::Start).await.unwrap();
        Self { database, plan, a }
    }

    fn worker(&self) -> &Worker {
        &self.plan.workers["one"]
    }

    /// Makes the next tick due so long ago and records what becomes of it.
    async fn tick(&self, millis: i64) -> Materialised {
        due_in(&self.database, millis).await;
        self.a.materialise(&self.plan.workers).await.unwrap()
    }

    /// Makes the next tick due so many seconds ago and records what becomes of all since then.
    async fn missed(&self, seconds: i64) -> Materialised {
        due_ago(&self.database, seconds).await;
        self.a.materialise(&self.plan.workers).await.unwrap()
    }

    async fn claim(&self) -> Vec<Claim> {
        self.a.claim(&self.plan.workers, 99).await.unwrap()
    }

    /// Claims and starts what is due; what became of each.
    async fn go(&self) -> (Vec<Claim>, Vec<Start>) {
        let claims = self.claim().await;
        let starts = self.a.start(&claims).await.unwrap();
        (claims, starts)
    }

    async fn states(&self) -> Vec<(RunState, Option<String>)> {
        let runs = self.a.runs(&name("one"), 100, None).await.unwrap().items;
        runs.into_iter().rev().map(|run| (run.state, run.reason)).collect()
    }

    async fn ticks(&self, from: i64, to: i64) -> Ticks {
        let now = self.a.now().await.unwrap().millis();
        let (from, to) = (Timestamp::from_millis(now + from), Timestamp::from_millis(now + to));
        self.a.ticks(self.worker(), Asked { from, to, after: None, limit: 500 }).await.unwrap()
    }
}

fn started(starts: &[Start]) -> usize {
    starts.iter().filter(|start| matches!(start, Start::Started { .. })).count()
}

async fn a_queued_tick_runs_after_the_one_in_progress_and_a_third_is_skipped(on: On) {
    let stage = Stage::with(&on, hourly(Policy { overlap: Overlap::Queue, ..Policy::default() })).await;
    stage.tick(0).await;
    let (first, _) = stage.go().await;
    stage.tick(0).await;
    assert_eq!(stage.go().await.1, [Start::Waits]);
    stage.tick(0).await;
    assert_eq!(stage.go().await.1, [Start::Overlapped], "at most one waits");
    assert!(stage.claim().await.is_empty(), "what waits is not claimed again and again");
    stage.a.finish(&first[0], &Done::succeeded(None)).await.unwrap();
    let (_, starts) = stage.go().await;
    assert_eq!(started(&starts), 1);
}

async fn ticks_run_beside_each_other_where_overlap_is_allowed(on: On) {
    let stage = Stage::with(&on, hourly(Policy { overlap: Overlap::Allow, ..Policy::default() })).await;
    for _ in 0..3 {
        stage.tick(0).await;
        assert_eq!(started(&stage.go().await.1), 1);
    }
}

async fn two_replicas_do_not_start_two_runs_of_a_worker_at_once(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    let there = Ledger { database: on.open().await, ..ledger(&stage.plan, "b") };
    stage.tick(0).await;
    let mine = stage.claim().await;
    stage.tick(0).await;
    let theirs = there.claim(&stage.plan.workers, 9).await.unwrap();
    let (a, b) = tokio::join!(stage.a.start(&mine), there.start(&theirs));
    let both = [a.unwrap(), b.unwrap()].concat();
    assert_eq!((started(&both), both.contains(&Start::Overlapped)), (1, true), "{both:?}");
}

async fn all_missed_ticks_run_one_after_another_oldest_first(on: On) {
    let all = CatchUp { which: Which::All, max: 3, grace: Duration::from_secs(1), ..CatchUp::default() };
    let stage = Stage::with(&on, each_second(Policy { catch_up: all, ..Policy::default() })).await;
    let now = stage.a.now().await.unwrap().millis();
    let done = stage.missed(20).await;
    assert_eq!(done.recorded[0].state, RunState::Missed);
    let late = "select count(*) from work_run where late and state = 'queued'";
    assert_eq!(number(&stage.database, late).await, 3);
    let mut ran = Vec::new();
    for _ in 0..3 {
        let claims: Vec<Claim> = stage.claim().await.into_iter().filter(|claim| claim.at.millis() <= now).collect();
        assert_eq!(claims.len(), 1, "one after another");
        stage.a.start(&claims).await.unwrap();
        ran.push(claims[0].tick_at);
        stage.a.finish(&claims[0], &Done::succeeded(None)).await.unwrap();
    }
    assert!(ran.is_sorted() && ran.len() == 3, "{ran:?}");
}

async fn a_failed_run_waits_and_is_tried_again_as_often_as_declared(on: On) {
    let retry = Retry { attempts: 2, initial: Duration::from_secs(40), ..Retry::default() };
    let stage = Stage::with(&on, hourly(Policy { retry, ..Policy::default() })).await;
    stage.tick(0).await;
    let (claims, _) = stage.go().await;
    stage.a.finish(&claims[0], &Done::failed("no")).await.unwrap();
    assert_eq!(stage.states().await, [(RunState::Retrying, None)]);
    assert!(stage.claim().await.is_empty(), "it waits first");
    set_instant(&stage.database, "work_run", "available_at", -1).await;
    let (claims, starts) = stage.go().await;
    assert!(matches!(starts[..], [Start::Started { attempt: 2, .. }]));
    stage.a.finish(&claims[0], &Done::failed("no")).await.unwrap();
    assert_eq!(stage.states().await, [(RunState::Failed, None)]);
    let record = &stage.a.overview().await.unwrap().workers["one"];
    assert_eq!((record.consecutive_failures, record.counts_24h.failed), (1, 1), "a run fails once");
}

async fn a_tick_between_two_attempts_overlaps(on: On) {
    let retry = Retry { attempts: 2, initial: Duration::from_secs(40), ..Retry::default() };
    let stage = Stage::with(&on, hourly(Policy { retry, ..Policy::default() })).await;
    for end in ["failure", "crash", "shutdown"] {
        stage.tick(0).await;
        let (first, _) = stage.go().await;
        match end {
            "failure" => drop(stage.a.finish(&first[0], &Done::failed("no")).await.unwrap()),
            "crash" => {
                expire(&stage.database).await;
                stage.a.reap(&stage.plan.workers).await.unwrap();
            }
            _ => drop(stage.a.finish(&first[0], &Done::released()).await.unwrap()),
        }
        stage.tick(0).await;
        let (mut again, ticks): (Vec<_>, Vec<_>) =
            stage.claim().await.into_iter().partition(|claim| claim.run == first[0].run);
        assert_eq!(stage.a.start(&ticks).await.unwrap(), [Start::Overlapped], "after a {end}");
        if again.is_empty() {
            set_instant(&stage.database, "work_run", "available_at", -1).await;
            again = stage.claim().await;
        }
        assert!(matches!(stage.a.start(&again).await.unwrap()[..], [Start::Started { attempt: 2, .. }]), "{end}");
        stage.a.finish(&again[0], &Done::succeeded(None)).await.unwrap();
    }
}

async fn a_run_that_crashed_does_not_go_behind_what_became_due_meanwhile(on: On) {
    let stage = Stage::with(&on, hourly(Policy { overlap: Overlap::Allow, ..Policy::default() })).await;
    stage.tick(-2_000).await;
    let (claims, _) = stage.go().await;
    stage.tick(-1_000).await;
    expire(&stage.database).await;
    stage.a.reap(&stage.plan.workers).await.unwrap();
    let next = stage.a.claim(&stage.plan.workers, 1).await.unwrap();
    assert_eq!(next[0].run, claims[0].run);
}

async fn a_run_that_may_run_only_once_is_lost_by_a_crash_or_a_shutdown_but_not_before_its_start(on: On) {
    let policy = Policy { on_crash: OnCrash::Lost, overlap: Overlap::Allow, ..Policy::default() };
    let stage = Stage::with(&on, hourly(policy)).await;
    stage.tick(0).await;
    stage.claim().await;
    expire(&stage.database).await;
    assert!(stage.a.reap(&stage.plan.workers).await.unwrap().is_empty(), "claimed is not started");
    stage.go().await;
    expire(&stage.database).await;
    let lost = stage.a.reap(&stage.plan.workers).await.unwrap();
    assert_eq!((lost[0].state, lost[0].reason), (RunState::Lost, "crashed"));
    stage.tick(0).await;
    let (claims, _) = stage.go().await;
    stage.a.finish(&claims[0], &Done::released()).await.unwrap();
    let reasons: Vec<_> = stage.states().await.into_iter().map(|(state, why)| (state, why.unwrap())).collect();
    assert_eq!(reasons, [(RunState::Lost, "crashed".to_owned()), (RunState::Lost, "shutdown".to_owned())]);
}

async fn jitter_moves_the_start_and_not_the_tick(on: On) {
    let jitter = Duration::from_secs(3_000);
    let stage = Stage::with(&on, hourly(Policy { jitter, ..Policy::default() })).await;
    stage.tick(0).await;
    let run = stage.a.runs(&name("one"), 1, None).await.unwrap().items.remove(0);
    let tick = run.tick_at.unwrap();
    assert_eq!(run.due_at, due::start_of(&name("one"), tick, jitter));
    assert!(run.due_at > tick && stage.claim().await.is_empty(), "{run:?}");
}

async fn a_paused_worker_starts_nothing_and_its_ticks_are_accounted_for(on: On) {
    let stage = Stage::with(&on, each_second(Policy::default())).await;
    stage.tick(0).await;
    let recorded = stage.a.pause(stage.worker(), "ada", "the disk is full", None).await.unwrap().unwrap();
    assert!(recorded[0].count >= 1 && recorded[0].reason == "paused", "those recorded ahead are skipped: {recorded:?}");
    let record = stage.a.overview().await.unwrap().workers["one"].clone();
    let pause = record.paused.unwrap();
    assert_eq!((pause.by.as_str(), pause.reason.as_deref()), ("ada", Some("the disk is full")));
    assert_eq!((stage.tick(-60_000).await.queued, stage.claim().await.len()), (0, 0));
    let recorded = stage.a.resume(stage.worker()).await.unwrap().unwrap();
    assert!((60..=62).contains(&recorded[0].count), "{recorded:?}");
    assert!(stage.a.overview().await.unwrap().workers["one"].paused.is_none());
    let next_at = stage.a.overview().await.unwrap().workers["one"].next_at.unwrap();
    assert!(next_at > Timestamp::now().before(Duration::from_secs(2)));
    assert!(stage.a.resume(stage.worker()).await.unwrap().unwrap().is_empty(), "once is enough");
}

async fn a_pause_ends_by_itself(on: On) {
    let stage = Stage::with(&on, each_second(Policy::default())).await;
    let until = Some(Timestamp::now().after(Duration::from_secs(3600)));
    stage.a.pause(stage.worker(), "ada", "later", until).await.unwrap().unwrap();
    due_in(&stage.database, -60_000).await;
    set_instant(&stage.database, "work_schedule", "paused_until", -30_000).await;
    let done = stage.a.materialise(&stage.plan.workers).await.unwrap();
    assert!((30..=32).contains(&done.recorded[0].count) && done.recorded[0].reason == "paused", "{done:?}");
    assert!(done.recorded.iter().any(|one| one.reason == "catch_up") || done.queued > 0);
    assert!(stage.a.overview().await.unwrap().workers["one"].paused.is_none());
}

async fn nobody_pauses_what_no_replica_runs(on: On) {
    let database = on.open().await;
    let plan = plan(&database, [hourly(Policy::default())]);
    let a = ledger(&plan, "a");
    assert_eq!(a.pause(&plan.workers["one"], "ada", "x", None).await.unwrap(), None);
    let time = (Timestamp::EPOCH, a.now().await.unwrap());
    assert_eq!(a.backfill(&plan.workers["one"], time, 9, "ada").await.unwrap(), None);
}

async fn a_waiting_run_is_cancelled_at_once_and_one_in_progress_by_its_replica(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    let waiting = stage.a.run_now(stage.worker(), "ada").await.unwrap();
    stage.a.cancel(waiting, "bob").await.unwrap().unwrap();
    let run = stage.a.run(waiting).await.unwrap().unwrap();
    assert_eq!((run.state, run.error.as_deref()), (RunState::Cancelled, Some("cancelled by bob")));
    stage.a.run_now(stage.worker(), "ada").await.unwrap();
    let (claims, _) = stage.go().await;
    let id = claims[0].run;
    assert!(stage.a.cancels(&[id]).await.unwrap().is_empty());
    stage.a.cancel(id, "bob").await.unwrap().unwrap();
    assert_eq!(stage.a.cancels(&[id]).await.unwrap(), [(id, "bob".to_owned())]);
    let finish = stage.a.finish(&claims[0], &Done::cancelled("bob")).await.unwrap();
    assert!(matches!(finish, Finish::Recorded { state: RunState::Cancelled, .. }));
    stage.a.cancel(id, "eve").await.unwrap().unwrap();
    assert_eq!(stage.a.run(id).await.unwrap().unwrap().error.as_deref(), Some("cancelled by bob"), "the end stays");
    assert_eq!(stage.a.cancel(RunId::new(), "bob").await.unwrap(), None);
}

async fn every_expected_tick_is_accounted_for_once(on: On) {
    let stage = Stage::with(&on, each_second(Policy::default())).await;
    stage.missed(60).await;
    let ticks = stage.ticks(-90_000, 1_500).await;
    let told: u64 = ticks.items.iter().map(|span| span.count).sum();
    assert_eq!(ticks.expected, told, "{ticks:?}");
    assert!((61..=64).contains(&told), "{ticks:?}");
    let outcomes: Vec<TickOutcome> = ticks.items.iter().map(|span| span.outcome).collect();
    assert!(outcomes.contains(&TickOutcome::Missed) && outcomes.contains(&TickOutcome::Pending), "{ticks:?}");
    assert!(ticks.items.is_sorted_by_key(|span| span.from));
    // In parts, and cut into the stretch, each is told once.
    let now = stage.a.now().await.unwrap();
    let mut asked = Asked {
        from: now.before(Duration::from_secs(30)),
        to: now.after(Duration::from_secs(1)),
        after: None,
        limit: 1,
    };
    let mut told = 0;
    let expected = loop {
        let part = stage.a.ticks(stage.worker(), asked).await.unwrap();
        told += part.items.iter().map(|span| span.count).sum::<u64>();
        asked.after = part.next;
        if part.next.is_none() {
            break part.expected;
        }
    };
    assert_eq!((told, expected), (31, 31));
}

async fn a_backfill_runs_what_was_missed_and_nothing_twice(on: On) {
    let stage = Stage::with(&on, each_second(Policy::default())).await;
    stage.missed(60).await;
    let now = stage.a.now().await.unwrap();
    let at = |seconds: u64| now.before(Duration::from_secs(seconds));
    let before = stage.ticks(-90_000, 0).await;
    let queued = stage.a.backfill(stage.worker(), (at(40), at(30)), 4, "ada").await.unwrap();
    assert_eq!(queued, Some(4), "at most so many");
    assert_eq!(stage.a.backfill(stage.worker(), (at(40), at(30)), 99, "ada").await.unwrap(), Some(6), "the rest");
    assert_eq!(stage.a.backfill(stage.worker(), (at(40), at(30)), 99, "ada").await.unwrap(), Some(0), "nothing twice");
    let after = stage.ticks(-90_000, 0).await;
    let told = |ticks: &Ticks| ticks.items.iter().map(|span| span.count).sum::<u64>();
    assert_eq!((told(&before), told(&after)), (before.expected, after.expected));
    let missed = after.items.iter().filter(|span| span.outcome == TickOutcome::Missed).count();
    assert_eq!(missed, 2, "the stretch was cut in two: {after:?}");
    let claims: Vec<Claim> = stage.claim().await.into_iter().filter(|c| c.kind == RunKind::Backfill).collect();
    assert!(claims.len() <= 1, "one after another: {claims:?}");
}

async fn a_backfill_reaches_back_before_the_worker_was_there(on: On) {
    let stage = Stage::with(&on, each_second(Policy::default())).await;
    let now = stage.a.now().await.unwrap();
    let time = (now.before(Duration::from_secs(20)), now.before(Duration::from_secs(10)));
    assert_eq!(stage.a.backfill(stage.worker(), time, 99, "ada").await.unwrap(), Some(10));
    let ticks = stage.ticks(-30_000, -5_000).await;
    assert_eq!((ticks.expected, ticks.items.len()), (10, 10), "{ticks:?}");
}

async fn what_is_no_longer_kept_is_not_expected_either(on: On) {
    let stage = Stage::with(&on, each_second(Policy::default())).await;
    stage.missed(60).await;
    set_instant(&stage.database, "work_run", "finished_at", -7_200_000).await;
    let history = History { keep: Duration::from_secs(3_600), max_runs_per_worker: 9, max_output: 1 };
    assert_eq!(stage.a.retain(&history).await.unwrap(), 1);
    let ticks = stage.ticks(-100_000, 0).await;
    let told: u64 = ticks.items.iter().map(|span| span.count).sum();
    assert_eq!(ticks.expected, told, "{ticks:?}");
    assert!(told < 5);
}

fn edited(spec_hash: &str) -> Workers {
    let schedule = Schedule::every(Duration::from_secs(7_200)).unwrap();
    workers([Worker { spec_hash: spec_hash.into(), schedule, ..worker("one", shell("true")) }])
}

async fn a_replica_that_starts_does_not_overrule_one_that_lives(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    let b = ledger(&stage.plan, "b");
    let taken = b.take_over(&edited("two"), Occasion::Start).await.unwrap();
    assert!(taken.split.contains("one"));
    assert_eq!(number(&stage.database, "select count(*) from work_schedule where spec_hash = 'one'").await, 1);
    // An operator's reload does, and then the other one is the one that is left behind.
    let taken = b.take_over(&edited("three"), Occasion::Reload(&edited("two"))).await.unwrap();
    assert!(taken.split.is_empty());
    let a = stage.a.take_over(&stage.plan.workers, Occasion::Start).await.unwrap();
    assert!(a.split.contains("one"));
}

async fn what_nobody_who_lives_stands_for_is_taken_over(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    let b = ledger(&stage.plan, "b");
    set_instant(&stage.database, "work_declared", "seen_at", -16_000).await;
    assert!(b.take_over(&edited("two"), Occasion::Start).await.unwrap().split.is_empty());
    assert_eq!(number(&stage.database, "select count(*) from work_schedule where spec_hash = 'two'").await, 1);
    stage.a.leave().await.unwrap();
    b.leave().await.unwrap();
    assert!(stage.a.take_over(&stage.plan.workers, Occasion::Start).await.unwrap().split.is_empty());
}

async fn workers_that_only_a_newer_replica_knows_are_left_alone(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    let newer = workers([hourly(Policy::default()), worker("two", shell("true"))]);
    ledger(&stage.plan, "new").take_over(&newer, Occasion::Start).await.unwrap();
    let old = ledger(&stage.plan, "old");
    old.take_over(&stage.plan.workers, Occasion::Start).await.unwrap();
    // A reload that edits another worker retires only what it had.
    stage.a.take_over(&edited("two"), Occasion::Reload(&stage.plan.workers)).await.unwrap();
    assert_eq!(number(&stage.database, "select count(*) from work_schedule where retired_at is null").await, 2);
}

async fn a_retired_worker_is_not_brought_back_by_an_older_replica(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    stage.a.take_over(&Workers::new(), Occasion::Reload(&stage.plan.workers)).await.unwrap();
    let b = ledger(&stage.plan, "b");
    assert!(b.take_over(&stage.plan.workers, Occasion::Start).await.unwrap().split.contains("one"));
    stage.a.leave().await.unwrap();
    assert!(b.take_over(&stage.plan.workers, Occasion::Start).await.unwrap().split.is_empty());
    assert_eq!(number(&stage.database, "select count(*) from work_schedule where retired_at is null").await, 1);
}

async fn ticks_of_the_schedule_before_are_accounted_for(on: On) {
    let stage = Stage::with(&on, each_second(Policy::default())).await;
    due_in(&stage.database, -60_000).await;
    let taken = stage.a.take_over(&edited("two"), Occasion::Reload(&stage.plan.workers)).await.unwrap();
    let missed = taken.recorded.iter().find(|one| one.state == RunState::Missed).unwrap();
    assert!((60..=62).contains(&missed.count) && missed.reason == "withdrawn", "{taken:?}");
}

async fn a_replica_says_that_it_lives_and_that_it_goes(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    set_instant(&stage.database, "work_declared", "seen_at", -60_000).await;
    stage.a.sign().await.unwrap();
    let seen = format!("select {} from work_declared", millis(&stage.database, "seen_at"));
    let age = stage.a.now().await.unwrap().millis() - number(&stage.database, &seen).await;
    assert!(age < 5_000, "{age}");
    stage.a.leave().await.unwrap();
    assert_eq!(number(&stage.database, "select count(*) from work_declared").await, 0);
}

async fn a_claim_looks_past_runs_of_other_declarations(on: On) {
    let stage = Stage::with(&on, hourly(Policy::default())).await;
    for _ in 0..3 {
        stage.a.run_now(&edited("foreign")["one"], "ada").await.unwrap();
    }
    let mine = stage.a.run_now(stage.worker(), "ada").await.unwrap();
    let claims = stage.a.claim(&stage.plan.workers, 2).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.run).collect::<Vec<_>>(), [mine]);
}

on_each_ledger! {
    a_queued_tick_runs_after_the_one_in_progress_and_a_third_is_skipped,
    ticks_run_beside_each_other_where_overlap_is_allowed,
    two_replicas_do_not_start_two_runs_of_a_worker_at_once,
    all_missed_ticks_run_one_after_another_oldest_first,
    a_failed_run_waits_and_is_tried_again_as_often_as_declared,
    a_tick_between_two_attempts_overlaps,
    a_run_that_crashed_does_not_go_behind_what_became_due_meanwhile,
    a_run_that_may_run_only_once_is_lost_by_a_crash_or_a_shutdown_but_not_before_its_start,
    jitter_moves_the_start_and_not_the_tick,
    a_paused_worker_starts_nothing_and_its_ticks_are_accounted_for,
    a_pause_ends_by_itself,
    nobody_pauses_what_no_replica_runs,
    a_waiting_run_is_cancelled_at_once_and_one_in_progress_by_its_replica,
    every_expected_tick_is_accounted_for_once,
    a_backfill_runs_what_was_missed_and_nothing_twice,
    a_backfill_reaches_back_before_the_worker_was_there,
    what_is_no_longer_kept_is_not_expected_either,
    a_replica_that_starts_does_not_overrule_one_that_lives,
    what_nobody_who_lives_stands_for_is_taken_over,
    workers_that_only_a_newer_replica_knows_are_left_alone,
    a_retired_worker_is_not_brought_back_by_an_older_replica,
    ticks_of_the_schedule_before_are_accounted_for,
    a_replica_says_that_it_lives_and_that_it_goes,
    a_claim_looks_past_runs_of_other_declarations,
}
