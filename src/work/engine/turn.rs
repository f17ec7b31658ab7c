//! The loop: record what will be due, claim it, hold it until its instant, start it, renew what is held, judge what died.
//! A timer or a notice wakes it; every duty that fails stays due and is tried again.

mod duties; // all but runs
mod runs; // from the claim to the free slot

use super::Work;
use super::clock::Clock;
use super::trouble::{Trouble, jittered};
use crate::name::WorkerName;
use crate::store::StoreError;
use crate::work::action::Job;
use crate::work::event::WorkEvent;
use crate::work::ledger::{Claim, Ledger};
use crate::work::plan::Plan;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How often the ledger is looked at for what other replicas queued or left behind.
const POLL: Duration = Duration::from_millis(1_200);
/// A silence of the ledger that says nothing: it is looked at each [`POLL`], and a look may take as long.
const SILENCE: Duration = POLL.saturating_mul(2);
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
    /// When the ledger answered last.
    heard: Instant,
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
            Some(ended) = engine.tasks.join_next_with_id() => engine.ended_together(ended),
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
        // Whoever starts may have been away, and so may everybody else.
        let reap = now + plan.scheduler.lease;
        let next = Next { poll: now, claim: now, beat: now, reap, retain, watch, again: now };
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
            heard: now,
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
            Ok(()) => {
                self.heard();
                if self.trouble.answered() {
                    self.next.reap = self.heard + self.plan.scheduler.lease;
                    self.work.tell(&WorkEvent::LedgerBack);
                }
            }
            Err(error) => {
                if self.trouble.failed(&error) {
                    self.work.tell(&WorkEvent::LedgerAway { error: error.to_string() });
                }
            }
        }
    }

    /// Takes note that the ledger answers. After a silence, whether the ledger was away or this process was frozen, others may have been
    /// cut off, too: they get the time to renew before this replica judges them.
    fn heard(&mut self) {
        let now = Instant::now();
        let lease = self.plan.scheduler.lease;
        if now.duration_since(self.heard) > (lease / 2).max(SILENCE) {
            self.next.reap = now + lease;
        }
        self.heard = now;
    }

    /// What must be on time comes first.
    async fn duties(&mut self) -> Result<(), StoreError> {
        self.take_over().await?;
        self.start().await?;
        if due(self.next.beat) {
            self.beat().await?;
        }
        self.heard();
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

fn due(at: Instant) -> bool {
    Instant::now() >= at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::fixture::{Told, memory, plan, shell, worker};
    use crate::work::plan::Identity;

    async fn judges_in(silence: Duration) -> Duration {
        let plan = plan(&memory().await, [worker("one", shell("true"))]);
        let identity = Identity { replica: "a".into() };
        let work = Work::new(identity, crate::work::Host::default(), plan, Arc::new(Told::default()));
        let mut engine = Engine::new(&work, CancellationToken::new());
        engine.next.reap = Instant::now();
        engine.heard = Instant::now().checked_sub(silence).unwrap();
        engine.heard();
        engine.next.reap.saturating_duration_since(Instant::now())
    }

    #[tokio::test]
    async fn a_replica_that_was_cut_off_or_frozen_judges_nobody_for_a_lease() {
        assert_eq!(judges_in(Duration::from_secs(1)).await, Duration::ZERO, "a look took its time");
        assert!(judges_in(Duration::from_secs(8)).await > Duration::from_secs(14), "others were silent, too");
    }
}
