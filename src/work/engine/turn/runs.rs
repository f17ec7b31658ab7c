//! Runs in the hands of this replica: claimed into free slots, held until their instant, started, and their slots freed.
//! What an attempt does is `attempt`; what is recorded of it, the ledger.

use super::super::attempt;
use super::{BATCH, Engine};
use crate::settings::policy::{Overlap, Which};
use crate::store::StoreError;
use crate::work::action::{Job, Live};
use crate::work::event::WorkEvent;
use crate::work::ledger::{Claim, Start};
use crate::work::run::RunState;
use std::sync::Arc;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

impl Engine<'_> {
    pub(super) async fn claim(&mut self) -> Result<(), StoreError> {
        let slots = self.plan.scheduler.max_concurrent_runs;
        let free = slots.saturating_sub(self.held.len() + self.running.len());
        let free = if self.stop.is_cancelled() { 0 } else { free };
        let wanted = free.min(BATCH);
        // Who was turned away last time still waits.
        let some_wait = wanted > 0 && (self.full || self.ledger.any_wait().await?);
        let claims = if some_wait { self.ledger.claim(&self.plan.workers, wanted).await? } else { Vec::new() };
        let more = claims.len() == wanted;
        self.full = more && wanted == free;
        self.next.claim = if more && wanted < free { Instant::now() } else { self.next.poll };
        self.held.extend(claims);
        Ok(())
    }

    /// Starts what is held and due, oldest first.
    pub(super) async fn start(&mut self) -> Result<(), StoreError> {
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
            handlers: self.work.0.handlers.clone(),
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

    /// What ended with it is taken note of before the next look, which is then made for all free slots.
    pub(super) fn ended_together(&mut self, ended: Result<(Id, ()), JoinError>) {
        self.ended(ended);
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
        }
    }

    pub(super) fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
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
}
