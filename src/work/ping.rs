//! Tells somebody outside that a worker succeeded, so that they notice when the whole fleet is dead and nobody here can.
//! A ping never delays or fails a run: it waits in a queue with a limit, and what does not fit is dropped and counted.

use super::Work;
use super::event::WorkEvent;
use super::outbound::{Outbound, why};
use super::run::RunId;
use crate::name::WorkerName;
use crate::settings::request::Address;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How many pings wait while others are sent.
const MOST_WAITING: usize = 1_000;
/// How many are sent at once.
const MOST_AT_ONCE: usize = 8;
/// How long one try may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long it is waited before each further try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// How long the last ones may take once nothing runs any more.
const LAST: Duration = Duration::from_secs(2);

/// A success that is to be told.
#[derive(Debug)]
pub(super) struct Ping {
    pub(super) worker: WorkerName,
    pub(super) run: RunId,
    pub(super) address: Address,
}

/// The pings that wait.
#[derive(Debug)]
pub(super) struct Pings {
    waiting: mpsc::Sender<Ping>,
    queue: Mutex<mpsc::Receiver<Ping>>,
}

impl Default for Pings {
    fn default() -> Self {
        let (waiting, queue) = mpsc::channel(MOST_WAITING);
        Self { waiting, queue: Mutex::new(queue) }
    }
}

impl Pings {
    /// Queues a ping; `false` where there is no room.
    pub(super) fn add(&self, ping: Ping) -> bool {
        self.waiting.try_send(ping).is_ok()
    }
}

/// Sends pings for as long as runs are made, and for a moment more.
pub(super) async fn beside(work: &Work, runs: impl Future<Output = ()>) {
    let mut queue = work.0.pings.queue.lock().await;
    let mut sending = JoinSet::new();
    let mut runs = std::pin::pin!(runs);
    loop {
        tokio::select! {
            () = &mut runs => break,
            Some(_) = sending.join_next() => {}
            Some(ping) = queue.recv(), if sending.len() < MOST_AT_ONCE => {
                sending.spawn(send(work.clone(), ping));
            }
        }
    }
    while sending.len() < MOST_AT_ONCE
        && let Ok(ping) = queue.try_recv()
    {
        sending.spawn(send(work.clone(), ping));
    }
    let last = async { while sending.join_next().await.is_some() {} };
    if timeout(LAST, last).await.is_err() {
        tracing::warn!("some pings were not sent before the process stopped");
    }
}

async fn send(work: Work, ping: Ping) {
    let Ping { worker, run, address } = ping;
    let mut outcome = try_once(&work.0.outbound, &address).await;
    for pause in PAUSES {
        if outcome.is_ok() {
            break;
        }
        sleep(pause).await;
        outcome = try_once(&work.0.outbound, &address).await;
    }
    work.tell(&WorkEvent::Pinged { worker, run, error: outcome.err() });
}

/// The address may be a secret from its first slash on; only its host is told.
async fn try_once(outbound: &Outbound, address: &Address) -> Result<(), String> {
    let request = outbound.client()?.get(address.expose().clone()).send();
    match timeout(LIMIT, request).await {
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) => Err(format!("{} answered {}", address.host(), response.status())),
        Ok(Err(error)) => Err(format!("{}: {}", address.host(), why(&error))),
        Err(_) => Err(format!("{} did not answer within {}", address.host(), crate::clock::write_duration(LIMIT))),
    }
}
