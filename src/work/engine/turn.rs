//! The loop: record what will be due, claim it, hold it until its instant, start it, renew what is held, judge what died.
//! A timer or a notice wakes it; every duty that fails stays due and is tried again.

use super::Work;
use super::attempt;
use super::clock::Clock;
use super::trouble::{Trouble, jittered};
use crate::name::WorkerName;
use crate::settings::policy::{Overlap, Which};
use crate::store::StoreError;
use crate::work::action::{Job, Live};
use crate::work::event::WorkEvent;
use crate::work::ledger::{Claim, Ledger, Materialised, Occasion, Recorded, Start};
use crate::work::plan::Plan;
use crate::work::run::{RunId, RunState};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How often the ledger is looked at for what other replicas queued or left behind.
const POLL: Duration = Duration::from_millis(1_200);
/// How soon schedules are looked at again that another replica was writing: well within the horizon.
const PASSED_OVER: Duration = Duration::from_millis(100);
/// How often old runs are deleted.
const RETAIN: Duration = Duration::from_secs(3_600);
/// How soon the next batch is deleted while there is more.
const RETAIN_MORE: Duration = Duration::from_secs(1);
/// How often stopped schedules are looked for.
const WATCH: Duration = Duration::from_secs(30);
/// How many runs one transaction claims or starts: others can write in between.
const BATCH: usize = 250;
/// How long runs may take to end after they were cut off; a command has two seconds to end by itself.
const CUT_GRACE: Duration = Duration::from_secs(6);

struct Engine<'w> {
    work: &'w Work,
    plan: Arc<Plan>,
    ledger: Ledger,
    /// The plan that the ledger was taken over to last.
    stands_for: Option<Arc<Plan>>,
    /// Workers of which the ledger holds another replica's declaration.
    split: BTreeSet<WorkerName>,
    clock: Option<Clock>,
    held: Vec<Claim>,
    running: HashMap<Id, Job>,
    tasks: JoinSet<()>,
    trouble: Trouble,
    /// Fires when nothing more may begin.
    stop: CancellationToken,
    /// Whether the last claim filled every slot, so that a free one is worth a look.
    full: bool,
    next: Next,
}

/// When each duty is due.
struct Next {
    poll: Instant,
    claim: Instant,
    beat: Instant,
    reap: Instant,
    retain: Instant,
    watch: Instant,
    /// When it is asked again whether those that others stand for may be taken over.
    again: Instant,
}

pub(super) async fn run(work: &Work, stop: CancellationToken, cut: CancellationToken) {
    let mut engine = Engine::new(work, stop.clone());
    loop {
        let wake = engine.wake_at();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = engine.tasks.join_next_with_id() => engine.ended(ended),
            () = work.0.wake.notified() => engine.look_now(),
            () = sleep_until(wake) => {}
        }
        engine.turn().await;
    }
    engine.drain(cut).await;
}

impl<'w> Engine<'w> {
    fn new(work: &'w Work, stop: CancellationToken) -> Self {
        let plan = work.plan();
        let now = Instant::now();
        let (retain, watch) = (now + jittered(RETAIN), now + WATCH);
        let next = Next { poll: now, claim: now, beat: now, reap: now, retain, watch, again: now };
        Self {
            work,
            ledger: work.ledger(&plan),
            plan,
            stands_for: None,
            split: BTreeSet::new(),
            clock: None,
            held: Vec::new(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
            trouble: Trouble::None,
            stop,
            full: false,
            next,
        }
    }

    fn wake_at(&self) -> Instant {
        let held = self.clock.and_then(|clock| self.held.iter().map(|claim| clock.local(claim.at)).min());
        let duties = [self.next.poll, self.next.claim, self.next.beat, self.next.retain, self.next.watch];
        let due = duties.into_iter().chain(held).min().unwrap_or(self.next.poll);
        self.trouble.until().map_or(due, |until| due.max(until))
    }

    fn look_now(&mut self) {
        self.next.poll = Instant::now();
        self.next.claim = self.next.poll;
    }

    async fn turn(&mut self) {
        if self.trouble.until().is_some_and(|until| Instant::now() < until) {
            return;
        }
        match self.duties().await {
            Ok(()) if self.trouble.answered() => {
                // Others were cut off, too: they get the time to renew before anybody judges them.
                self.next.reap = Instant::now() + self.plan.scheduler.lease;
                self.work.tell(&WorkEvent::LedgerBack);
            }
            Ok(()) => {}
            Err(error) => {
                if self.trouble.failed(&error) {
                    self.work.tell(&WorkEvent::LedgerAway { error: error.to_string() });
                }
            }
        }
    }

    /// What must be on time comes first.
    async fn duties(&mut self) -> Result<(), StoreError> {
        self.take_over().await?;
        self.start().await?;
        if due(self.next.beat) {
            self.beat().await?;
        }
        if due(self.next.poll) {
            self.poll().await?;
        }
        if due(self.next.claim) {
            self.claim().await?;
            self.start().await?;
        }
        if due(self.next.retain) {
            let deleted = self.ledger.retain(&self.plan.scheduler.history).await?;
            self.next.retain = Instant::now() + if deleted == 0 { RETAIN } else { RETAIN_MORE };
        }
        if due(self.next.watch) {
            self.watch().await?;
        }
        Ok(())
    }

    async fn take_over(&mut self) -> Result<(), StoreError> {
        let plan = self.work.plan();
        if !Arc::ptr_eq(&plan, &self.plan) {
            self.ledger = self.work.ledger(&plan);
            self.plan = plan;
        }
        let before = self.stands_for.clone();
        let occasion = match &before {
            None => Occasion::Start,
            Some(before) if !Arc::ptr_eq(before, &self.plan) => Occasion::Reload(&before.workers),
            Some(_) if !self.split.is_empty() && due(self.next.again) => Occasion::Start,
            Some(_) => return Ok(()),
        };
        let taken = self.ledger.take_over(&self.plan.workers, occasion).await?;
        self.work.tell_recorded(&taken.recorded);
        for worker in taken.split.difference(&self.split) {
            tracing::warn!(%worker, "another replica stands for another declaration of {worker}; this one leaves it alone");
        }
        self.split = taken.split;
        self.stands_for = Some(Arc::clone(&self.plan));
        self.next.again = Instant::now() + self.plan.scheduler.lease;
        self.look_now();
        Ok(())
    }

    async fn poll(&mut self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let reading = Clock::read(asked, self.ledger.now().await?);
        self.clock = Some(self.clock.map_or(reading, |clock| clock.better(reading)));
        let done = self.ledger.materialise(&self.plan.workers).await?;
        self.work.tell_recorded(&done.recorded);
        if due(self.next.reap) {
            let recorded = self.ledger.reap(&self.plan.workers).await?;
            self.tell_lost(&recorded);
        }
        self.cancel_unwanted().await?;
        self.next.claim = Instant::now();
        self.next.poll = Instant::now() + next_look(&done);
        Ok(())
    }

    /// Stops runs that somebody, on whichever replica, wants to stop.
    async fn cancel_unwanted(&self) -> Result<(), StoreError> {
        let running: Vec<RunId> = self.running.values().map(|job| job.claim.run).collect();
        if running.is_empty() {
            return Ok(());
        }
        for (run, by) in self.ledger.cancels(&running).await? {
            if let Some(job) = self.running.values().find(|job| job.claim.run == run) {
                // A second wish changes nothing.
                drop(job.unwanted_by.set(by));
                job.cancel.cancel();
            }
        }
        Ok(())
    }

    fn tell_lost(&self, recorded: &[Recorded]) {
        for lost in recorded {
            tracing::warn!(worker = %lost.worker, "a run is lost: its replicas died again and again");
        }
        self.work.tell_recorded(recorded);
    }

    async fn claim(&mut self) -> Result<(), StoreError> {
        let slots = self.plan.scheduler.max_concurrent_runs;
        let free = slots.saturating_sub(self.held.len() + self.running.len());
        let free = if self.stop.is_cancelled() { 0 } else { free };
        let wanted = free.min(BATCH);
        let claims = if wanted == 0 { Vec::new() } else { self.ledger.claim(&self.plan.workers, wanted).await? };
        let more = claims.len() == wanted;
        self.full = more && wanted == free;
        self.next.claim = if more && wanted < free { Instant::now() } else { self.next.poll };
        self.held.extend(claims);
        Ok(())
    }

    /// Starts what is held and due, oldest first.
    async fn start(&mut self) -> Result<(), StoreError> {
        let Some(clock) = self.clock else { return Ok(()) };
        let now = Instant::now();
        let (mut ripe, waiting) = self.held.drain(..).partition::<Vec<_>, _>(|claim| clock.local(claim.at) <= now);
        self.held = waiting;
        ripe.sort_by_key(|claim| (claim.at, claim.run));
        if self.stop.is_cancelled() {
            self.held.append(&mut ripe);
        }
        while !ripe.is_empty() {
            let some: Vec<Claim> = ripe.drain(..ripe.len().min(BATCH)).collect();
            match self.ledger.start(&some).await {
                Ok(starts) => some.into_iter().zip(starts).for_each(|(claim, start)| self.started(claim, start)),
                Err(error) => {
                    self.held.extend(some.into_iter().chain(ripe));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn started(&mut self, claim: Claim, start: Start) {
        let (worker, run) = (claim.worker.name.clone(), claim.run);
        match start {
            Start::Started { attempt, lateness } => {
                self.work.tell(&WorkEvent::Started { worker, run, lateness });
                self.spawn(claim, attempt);
            }
            Start::Overlapped => {
                let (state, reason, count) = (RunState::Skipped, "overlap", 1);
                self.work.tell(&WorkEvent::Recorded { worker, state, reason, count });
                self.freed();
            }
            Start::Waits | Start::Lost => self.freed(),
        }
    }

    /// The one place where a task is made: it ends with this loop.
    fn spawn(&mut self, claim: Claim, attempt: u32) {
        let live = Live::new(self.plan.scheduler.history.max_output, claim.worker.action.hidden());
        let job = Job {
            attempt,
            live: Arc::new(live),
            outbound: Arc::clone(&self.work.0.outbound),
            deadline: Instant::now() + claim.worker.timeout,
            claim,
            plan: Arc::clone(&self.plan),
            ledger: self.ledger.clone(),
            env: Arc::clone(&self.work.0.env),
            cancel: CancellationToken::new(),
            unwanted_by: Arc::default(),
        };
        let task = self.tasks.spawn(attempt::make(self.work.clone(), job.clone()));
        self.running.insert(task.id(), job);
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(job) = self.running.remove(&id) else {
            return;
        };
        match ended {
            Err(error) if error.is_panic() => self.bury(job.clone()),
            _ => self.freed(),
        }
        // What waited for this run need not wait for the next look.
        let policy = &job.claim.worker.policy;
        if policy.overlap == Overlap::Queue || policy.catch_up.which == Which::All {
            self.next.claim = Instant::now();
        }
    }

    /// The run is still ours: its lease is renewed until its end is recorded. Where that fails, too, the lease runs out.
    fn bury(&mut self, job: Job) {
        tracing::error!(worker = %job.claim.worker.name, run = %job.claim.run, "an attempt ended by a fault of this program");
        if job.attempt > 0 {
            let task = self.tasks.spawn(attempt::bury(self.work.clone(), job.clone()));
            self.running.insert(task.id(), Job { attempt: 0, ..job });
        }
    }

    /// A slot is free: worth a look if somebody was turned away.
    fn freed(&mut self) {
        if self.full {
            self.next.claim = Instant::now();
        }
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        let running = self.running.values().map(|job| &job.claim);
        let held: Vec<(RunId, i64)> = self.held.iter().chain(running).map(|claim| (claim.run, claim.epoch)).collect();
        self.ledger.sign().await?;
        if !held.is_empty() {
            let kept = self.ledger.heartbeat(&held).await?;
            self.held.retain(|claim| kept.contains(&claim.run));
            for job in self.running.values().filter(|job| !kept.contains(&job.claim.run)) {
                job.cancel.cancel();
            }
        }
        self.next.beat = Instant::now() + self.plan.scheduler.lease / 3;
        Ok(())
    }

    async fn watch(&mut self) -> Result<(), StoreError> {
        for worker in self.ledger.watchdog(&self.plan.workers).await? {
            tracing::warn!(%worker, "a schedule had stopped and was started again");
        }
        self.next.watch = Instant::now() + WATCH;
        Ok(())
    }

    /// What was not started goes back at once; what runs may finish until it is cut off.
    async fn drain(mut self, cut: CancellationToken) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() && self.ledger.unclaim(&held).await.is_err() {
            tracing::warn!(
                runs = held.len(),
                "claimed runs could not be put back; they are free when their lease ends"
            );
        }
        while !self.tasks.is_empty() && !cut.is_cancelled() {
            let wake = self.next.beat;
            tokio::select! {
                () = cut.cancelled() => {}
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                () = sleep_until(wake) => if self.beat().await.is_err() {
                    self.next.beat = Instant::now() + Duration::from_secs(1);
                },
            }
        }
        self.running.values().for_each(|job| job.cancel.cancel());
        let rest = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(CUT_GRACE, rest).await.is_err() {
            tracing::warn!(runs = self.tasks.len(), "runs did not end in time and are abandoned");
        }
        if let Err(error) = self.ledger.leave().await {
            tracing::warn!(%error, "others learn only after a lease that this replica is gone");
        }
    }
}

fn next_look(done: &Materialised) -> Duration {
    match done {
        Materialised { more: true, .. } => Duration::ZERO,
        Materialised { passed_over: true, .. } => PASSED_OVER,
        _ => jittered(POLL),
    }
}

fn due(at: Instant) -> bool {
    Instant::now() >= at
}
