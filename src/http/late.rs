//! The time limit of each header, on one alarm for a whole connection. hyper sets a timer for every header and drops it
//! when the header is there, which costs as much as judging a key; this one is set once, and moved only when it rings.

use hyper::rt::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The alarm of one connection.
#[derive(Debug, Clone)]
pub(super) struct Alarm(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl Alarm {
    /// One that is not set yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(Duration::ZERO)))))
    }
}

impl Timer for Alarm {
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + length)
    }

    fn sleep_until(&self, end: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Limit { end: end.into(), alarm: self.clone() })
    }
}

/// One limit. Of those of a connection only the last is asked.
struct Limit {
    end: tokio::time::Instant,
    alarm: Alarm,
}

impl Future for Limit {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alarm.deadline() > self.end {
            alarm.as_mut().reset(self.end);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= self.end {
                return Poll::Ready(());
            }
            // It was set for a header that came in time.
            alarm.as_mut().reset(self.end);
        }
        Poll::Pending
    }
}

impl Sleep for Limit {}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;

    #[tokio::test]
    async fn a_limit_that_was_kept_does_not_shorten_the_next_one() {
        let (alarm, began) = (Alarm::new(), Instant::now());
        let (short, long) = (Duration::from_millis(10), Duration::from_millis(80));
        let mut kept = alarm.sleep(short);
        assert!(poll!(kept.as_mut()).is_pending());
        drop(kept);
        alarm.sleep(long).await;
        assert!(began.elapsed() >= long, "{:?}", began.elapsed());
        // What has rung can be set again, and sooner than before.
        alarm.sleep(short).await;
        alarm.sleep(Duration::ZERO).await;
    }
}
