//! Ends that come together are written together: while one transaction is under way the next ones gather, and whoever's turn it is then
//! writes for all of them. A single end never waits for others to come.

use super::{Claim, Finish, Ledger};
use crate::store::StoreError;
use crate::work::run::Done;
use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The most ends in one transaction: others can write in between.
const MOST: usize = 250;
/// The most output in one transaction, which travels as one parameter.
const MOST_OUTPUT: usize = 1024 * 1024;

/// What becomes of an end; an error is shared by all that were written together.
type Answer = Result<Finish, Arc<StoreError>>;

/// The ends of one replica that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Group {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Held by whoever writes.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    claim: Claim,
    done: Done,
    tell: oneshot::Sender<Answer>,
}

impl Ledger {
    /// Records the end of an attempt, together with those that come at the same time.
    pub(crate) async fn finish(&self, claim: &Claim, done: &Done) -> Answer {
        loop {
            let mut told = self.group.join(claim.clone(), done.clone());
            let answer = loop {
                tokio::select! {
                    biased;
                    answer = &mut told => break answer,
                    _turn = self.group.turn.lock() => {
                        // Those that end in the same instant get the processor before the first of them is written alone.
                        tokio::task::yield_now().await;
                        self.write(self.group.some()).await;
                    }
                }
            };
            // No answer: whoever wrote for all was dropped on the way.
            if let Ok(answer) = answer {
                return answer;
            }
        }
    }

    async fn write(&self, some: Vec<Waiting>) {
        let ended: Vec<(&Claim, &Done)> = some.iter().map(|one| (&one.claim, &one.done)).collect();
        match self.finish_together(&ended).await {
            Ok(finishes) => some.into_iter().zip(finishes).for_each(|(one, finish)| one.answer(Ok(finish))),
            // What the database refuses of one must not keep the others from their ends.
            Err(error) if !error.is_outage() && some.len() > 1 => self.write_each(some).await,
            Err(error) => {
                let error = Arc::new(error);
                some.into_iter().for_each(|one| one.answer(Err(Arc::clone(&error))));
            }
        }
    }

    async fn write_each(&self, some: Vec<Waiting>) {
        for one in some {
            let written = self.finish_together(&[(&one.claim, &one.done)]).await;
            let finish = written.map(|finishes| finishes.first().copied().unwrap_or(Finish::Lost));
            one.answer(finish.map_err(Arc::new));
        }
    }
}

impl Group {
    fn join(&self, claim: Claim, done: Done) -> oneshot::Receiver<Answer> {
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(Waiting { claim, done, tell });
        told
    }

    /// The oldest ones, as many as fit.
    fn some(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut output = 0;
        let fits = |one: &&Waiting| {
            let first = output == 0;
            output += one.done.output.text.len();
            first || output <= MOST_OUTPUT
        };
        let fitting = waiting.iter().take(MOST).take_while(fits).count();
        let rest = waiting.split_off(fitting);
        mem::replace(&mut *waiting, rest).into()
    }
}

impl Waiting {
    /// Nobody listens any more where its task was dropped.
    fn answer(self, answer: Answer) {
        drop(self.tell.send(answer));
    }
}
