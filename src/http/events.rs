//! `GET /api/admin/events`: what happens in this process, as server-sent events, for as long as the caller listens.
//! A caller that is too slow is told to begin anew; nobody else waits for it.

use super::answer::ApiError;
use super::caller::Viewer;
use super::show;
use crate::clock::Timestamp;
use crate::runtime::App;
use crate::runtime::events::{self, Listener};
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use monolith_client::wire;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How long there is silence before a comment says that somebody is still there.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// What happens in this process, as it happens; keys, runs and workers of the whole fleet as far as it takes part.
#[utoipa::path(get, path = "/api/admin/events", tag = "admin", security(("token" = [])),
    params(("Last-Event-ID" = Option<String>, Header, description = "Where to go on; unknown: an event `reset`")),
    responses((status = 200, body = wire::EventData, content_type = "text/event-stream"),
              (status = 401, body = wire::ProblemBody), (status = 503, body = wire::ProblemBody)))]
pub(super) async fn listen(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let after = headers.get("last-event-id").map(|id| number(id.to_str().unwrap_or_default(), &app.replica));
    let too_many = || ApiError::unavailable("too_many_listeners", "too many listen to the events already");
    let listener = app.events.listen(after).ok_or_else(too_many)?;
    let stopping = app.tasks.stopping().clone();
    // A token that expired or was denied must not go on being good for what it began.
    let left = Timestamp::from_millis(caller.claims.exp.saturating_mul(1000)).since(Timestamp::now());
    let judging = Arc::clone(&app);
    let end = async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(left) => {}
            () = judging.denied.until_denied(&caller.claims.jti) => {}
        }
    };
    let events = stream::unfold(Listening { app, listener }, next).take_until(Box::pin(end));
    Ok(Sse::new(events.map(Ok)).keep_alive(KeepAlive::new().interval(COMMENT_EVERY)))
}

struct Listening {
    app: Arc<App>,
    listener: Listener,
}

async fn next(mut listening: Listening) -> Option<(Event, Listening)> {
    let listener = &mut listening.listener;
    if std::mem::take(&mut listener.reset) {
        return Some((Event::default().event(wire::events::RESET).data("{}"), listening));
    }
    if let Some(missed) = listener.missed.pop_front() {
        let event = shown(&missed, &listening.app.replica);
        return Some((event, listening));
    }
    match listener.coming.recv().await {
        Ok(event) => Some((shown(&event, &listening.app.replica), listening)),
        Err(RecvError::Lagged(_)) => Some((Event::default().event(wire::events::RESET).data("{}"), listening)),
        Err(RecvError::Closed) => None,
    }
}

fn shown(event: &events::Event, replica: &str) -> Event {
    let data = wire::EventData {
        at: show::time(event.at),
        replica: replica.to_owned(),
        subject: event.subject.clone(),
        data: event.data.clone(),
    };
    let told = Event::default().event(event.name).id(format!("{replica}:{}", event.n));
    // It is made of texts and numbers, so that it can always be written.
    told.json_data(&data).unwrap_or_default()
}

/// The number of an event of this replica, from its id.
fn number(id: &str, replica: &str) -> Option<u64> {
    let (of, n) = id.rsplit_once(':')?;
    if of == replica { n.parse().ok() } else { None }
}
