//! The body of a request that is read only while somebody waits for the answer.
//! A change goes on without its client once it was asked for whole; half a wish is none, and ends when its client is told so.

use axum::body::Body as Routed;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// A body, for as long as the guard is kept.
pub(super) struct Awaited {
    body: Routed,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Awaited {
    /// The body, and what whoever waits for the answer holds.
    pub(super) fn new(body: Routed) -> (Self, DropGuard) {
        let gone = CancellationToken::new();
        (Self { body, gone: Box::pin(gone.clone().cancelled_owned()) }, gone.drop_guard())
    }
}

impl Body for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.gone.as_mut().poll(cx).is_ready() {
            let why = io::Error::new(io::ErrorKind::TimedOut, "nobody waits for the answer any more");
            return Poll::Ready(Some(Err(axum::Error::new(why))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
