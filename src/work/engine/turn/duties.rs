//! The duties of a turn that are not runs themselves: standing for a plan, recording what is due, signs of life, judging the dead.
//! When each is due is the loop's to know.

use super::super::clock::Clock;
use super::super::trouble::jittered;
use super::{Engine, PASSED_OVER, POLL, WATCH, due};
use crate::store::StoreError;
use crate::work::ledger::{Materialised, Occasion, Recorded};
use crate::work::run::RunId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Engine<'_> {
    pub(super) async fn take_over(&mut self) -> Result<(), StoreError> {
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

    pub(super) async fn poll(&mut self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let reading = Clock::read(asked, self.ledger.now().await?);
        self.clock = Some(self.clock.map_or(reading, |clock| clock.better(reading)));
        let done = self.ledger.materialise(&self.plan.workers).await?;
        self.work.tell_recorded(&done.recorded);
        self.heard();
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
    pub(super) async fn cancel_unwanted(&self) -> Result<(), StoreError> {
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

    pub(super) async fn beat(&mut self) -> Result<(), StoreError> {
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

    pub(super) async fn watch(&mut self) -> Result<(), StoreError> {
        for worker in self.ledger.watchdog(&self.plan.workers).await? {
            tracing::warn!(%worker, "a schedule had stopped and was started again");
        }
        self.next.watch = Instant::now() + WATCH;
        Ok(())
    }
}

fn next_look(done: &Materialised) -> Duration {
    match done {
        Materialised { more: true, .. } => Duration::ZERO,
        Materialised { passed_over: true, .. } => PASSED_OVER,
        _ => jittered(POLL),
    }
}
