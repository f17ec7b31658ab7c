//! Listens to what a server tells by itself, so that a change is seen before the next question.
//! The console works without it: a server that does not have it is asked again seldom, and nothing is missed.

use std::time::Duration;

use monolith_client::events::Event;
use monolith_client::{Client, Error};

use super::Common;
use crate::feed::{Source, Trouble};
use crate::message::{Answer, Msg, Payload};

/// The server says something at least every fifteen seconds; a stream that is silent for longer is dead.
const SILENT: Duration = Duration::from_secs(40);
/// After the end of a stream.
const AGAIN: Duration = Duration::from_secs(5);
/// Where there is none.
const NOT_SERVED: Duration = Duration::from_secs(60);

pub(super) fn start(common: Common) {
    tokio::spawn(run(common));
}

async fn run(common: Common) {
    let mut last_seen = None;
    loop {
        if common.interest.clone().wait_for(|interest| interest.wants(Source::Events)).await.is_err() {
            return;
        }
        let mut clients = common.client.clone();
        let client = clients.borrow_and_update().clone();
        let ended = tokio::select! {
            ended = listen(&common, &client, &mut last_seen) => ended,
            // Another token: with the new one.
            changed = clients.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let pause = match &ended {
            Err(Trouble::NotServed | Trouble::NeedsToken) => NOT_SERVED,
            _ => AGAIN,
        };
        if tell(&common, ended.map(|()| Payload::Events), pause).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = clients.changed() => if changed.is_err() { return },
        }
    }
}

/// Listens until the stream ends.
async fn listen(common: &Common, client: &Client, last_seen: &mut Option<String>) -> Result<(), Trouble> {
    if !client.has_token() {
        return Err(Trouble::NeedsToken);
    }
    let trouble = |error: Error| Trouble::from(&error);
    let mut events = client.events(last_seen.as_deref()).await.map_err(trouble)?;
    loop {
        let next = tokio::time::timeout(SILENT, events.next()).await;
        let Ok(next) = next else { return Err(Trouble::Silent("the stream fell silent".to_owned())) };
        let Some(event) = next.map_err(trouble)? else { return Ok(()) };
        // Each sign of life is one: the age of the stream is that of the last.
        if tell(common, Ok(Payload::Events), SILENT).await.is_err() {
            return Ok(());
        }
        if let Event::Named { id, name, .. } = event {
            *last_seen = id.or(last_seen.take());
            drop(common.to_console.send(Msg::Event { target: common.target, name }).await);
        }
    }
}

async fn tell(common: &Common, outcome: Result<Payload, Trouble>, next_in: Duration) -> Result<(), ()> {
    let asked_at = common.clock.at();
    let answer = Answer { target: common.target, source: Source::Events, asked_at, next_in, outcome };
    common.to_console.send(Msg::Answer(Box::new(answer))).await.map_err(|_| ())
}
