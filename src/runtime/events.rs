//! What happens in this process, for whoever looks on: a bounded ring with a number for each event, and a channel.
//! Telling never waits for a listener; one that is too slow is told so and begins anew.

use crate::clock::Timestamp;
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

/// How many events are kept for a listener that comes back, and how far one may fall behind.
const KEPT: usize = 512;
/// The most listeners at once: each holds a connection for as long as it likes.
const MAX_LISTENERS: usize = 100;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number in this process, from one.
    pub n: u64,
    /// What happened, such as `store.down`.
    pub name: &'static str,
    /// When.
    pub at: Timestamp,
    /// What it is about: the name of a store or a worker, the id of a key or a run.
    pub subject: String,
    /// More of it; no secret.
    pub data: Json,
}

/// Everything that happens, told as it happens.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    listeners: Arc<Semaphore>,
}

#[derive(Debug)]
struct Ring {
    kept: VecDeque<Arc<Event>>,
    last: u64,
    told: broadcast::Sender<Arc<Event>>,
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Listener {
    /// What was missed, oldest first.
    pub missed: VecDeque<Arc<Event>>,
    /// Whether something before that is not known any more, so that everything must be asked for anew.
    pub reset: bool,
    /// What comes.
    pub coming: broadcast::Receiver<Arc<Event>>,
    _slot: OwnedSemaphorePermit,
}

impl Default for Events {
    fn default() -> Self {
        let ring = Ring { kept: VecDeque::new(), last: 0, told: broadcast::Sender::new(KEPT) };
        Self { ring: Mutex::new(ring), listeners: Arc::new(Semaphore::new(MAX_LISTENERS)) }
    }
}

impl Events {
    /// Tells that something happened.
    pub fn tell(&self, name: &'static str, subject: impl Into<String>, data: Json) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.last += 1;
        let event = Arc::new(Event { n: ring.last, name, at: Timestamp::now(), subject: subject.into(), data });
        if ring.kept.len() >= KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::clone(&event));
        // Nobody listens: nobody is told.
        drop(ring.told.send(event));
    }

    /// Begins to listen after an event that was heard before; `None` for one that is not from here. Too many: no listener.
    #[must_use]
    pub fn listen(&self, after: Option<Option<u64>>) -> Option<Listener> {
        let slot = Arc::clone(&self.listeners).try_acquire_owned().ok()?;
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = ring.kept.front().map_or(ring.last + 1, |event| event.n);
        let known = |n: &u64| (oldest.saturating_sub(1)..=ring.last).contains(n);
        let from = match after {
            None => Some(ring.last),
            Some(heard) => heard.filter(known),
        };
        let missed = ring.kept.iter().filter(|event| from.is_some_and(|n| event.n > n)).cloned().collect();
        Some(Listener { missed, reset: from.is_none(), coming: ring.told.subscribe(), _slot: slot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(n: usize) -> Events {
        let events = Events::default();
        (0..n).for_each(|n| events.tell("store.up", n.to_string(), Json::Null));
        events
    }

    fn missed(listener: &Listener) -> Vec<u64> {
        listener.missed.iter().map(|event| event.n).collect()
    }

    #[tokio::test]
    async fn who_comes_back_is_told_what_was_missed_and_then_what_comes_without_a_gap() {
        let events = events(5);
        let mut listener = events.listen(Some(Some(3))).unwrap();
        assert_eq!((missed(&listener), listener.reset), (vec![4, 5], false));
        events.tell("store.down", "main", Json::Null);
        assert_eq!(listener.coming.recv().await.unwrap().n, 6);
        assert_eq!(missed(&events.listen(None).unwrap()), [0; 0], "who never listened begins now");
    }

    #[test]
    fn what_is_not_known_any_more_is_a_reset() {
        let events = events(KEPT + 10);
        for after in [Some(9), Some(9_999), None] {
            let listener = events.listen(Some(after)).unwrap();
            assert_eq!((listener.reset, listener.missed.len()), (true, 0), "{after:?}");
        }
        assert_eq!(events.listen(Some(Some(10))).unwrap().missed.len(), KEPT);
    }

    #[tokio::test]
    async fn a_listener_that_is_too_slow_holds_nobody_up_and_is_told() {
        let events = events(0);
        let mut slow = events.listen(None).unwrap();
        (0..KEPT + 5).for_each(|n| events.tell("run.started", n.to_string(), Json::Null));
        assert!(matches!(slow.coming.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
    }

    #[test]
    fn there_are_only_so_many_listeners() {
        let events = events(0);
        let all: Vec<Listener> = std::iter::from_fn(|| events.listen(None)).take(MAX_LISTENERS + 1).collect();
        assert_eq!(all.len(), MAX_LISTENERS);
        drop(all);
        assert!(events.listen(None).is_some());
    }
}
