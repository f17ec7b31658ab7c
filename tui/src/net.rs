//! Everything that talks to servers: pollers, commands, the stream of events. Each has limits, and none is waited for.
//! It decides nothing: what comes back is a message.

/// Carries out commands.
mod act;
/// Listens to what changes.
mod events;
/// One question for each source.
pub(crate) mod fetch;
/// Asks again and again, as long as somebody looks.
mod poll;

use std::time::Duration;

use monolith_client::Client;
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::feed::Source;
use crate::message::{Command, Interest, Msg, TargetId};
use crate::settings::TargetSettings;
use crate::token;

/// Messages that wait for the console; a poller waits when it is full.
pub(crate) const QUEUE: usize = 256;

/// The tasks of one target.
pub(crate) struct Link {
    target: TargetId,
    interest: watch::Sender<Interest>,
    client: watch::Receiver<Client>,
    login: mpsc::Sender<()>,
    to_console: mpsc::Sender<Msg>,
}

/// What every task of a target has.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) target: TargetId,
    pub(crate) clock: Clock,
    /// The interval that the operator chose.
    pub(crate) every: Duration,
    pub(crate) client: watch::Receiver<Client>,
    pub(crate) interest: watch::Receiver<Interest>,
    pub(crate) to_console: mpsc::Sender<Msg>,
}

impl Link {
    /// Starts the tasks of a target; they end with the runtime.
    pub(crate) fn start(
        target: TargetId,
        settings: &TargetSettings,
        every: Duration,
        clock: Clock,
        to_console: mpsc::Sender<Msg>,
    ) -> Self {
        let (interest, follow) = watch::channel(Interest::default());
        let (login, wanted) = mpsc::channel(1);
        let (publish, client) = watch::channel(settings.client.clone());
        token::start(target, settings.token.clone(), publish, wanted, to_console.clone());
        let common =
            Common { target, clock, every, client: client.clone(), interest: follow, to_console: to_console.clone() };
        for source in Source::ALL {
            match source {
                Source::Events => events::start(common.clone()),
                _ => poll::start(common.clone(), source),
            }
        }
        Self { target, interest, client, login, to_console }
    }

    /// What is asked for from now on.
    pub(crate) fn follow(&self, interest: Interest) {
        self.interest.send_replace(interest);
    }

    /// Looks for the token again, unless that is under way.
    pub(crate) fn login(&self) {
        // One that waits already is enough.
        self.login.try_send(()).unwrap_or_default();
    }

    /// Carries out a command, once.
    pub(crate) fn send(&self, ticket: u64, command: Command) {
        let (target, client) = (self.target, self.client.borrow().clone());
        let to_console = self.to_console.clone();
        tokio::spawn(async move {
            let outcome = act::act(&client, command).await;
            let done = crate::message::Done { target, ticket, outcome };
            drop(to_console.send(Msg::Done(Box::new(done))).await);
        });
    }
}
