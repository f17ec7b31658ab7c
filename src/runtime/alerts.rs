//! Notices trouble and has the declared receivers told of it, once for the fleet: every replica looks, the ledger's database
//! says who tells. While that is away, this replica speaks for itself from rows in its own memory, and hands them over later.
//! What is trouble is decided in `conditions`; how a message is sent is `crate::alerts`.

mod conditions; // from what is known to what is wrong

use super::App;
use super::follow::bring_up_to_date;
use crate::alerts::incident::Incident;
use crate::alerts::outbox::{Delivery, Key, Outbox, QUIET, Undelivered};
use crate::alerts::send::Sender;
use crate::settings::Home;
use crate::store::{Database, StoreError};
use conditions::Watcher;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// From one look for trouble to the next; several of them fit into the quiet after which an incident is over.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// From one look for messages that have to be sent to the next.
const SEND_EVERY: Duration = Duration::from_secs(1);
/// After how many of those it is asked which receivers take nothing.
const TURNS_TO_A_REPORT: u64 = 3;

/// What both tasks share.
struct Alarm {
    app: Arc<App>,
    sender: Sender,
    /// Where incidents are while the ledger is away; made when that happens first.
    own: OnceCell<Outbox>,
}

/// Begins to look, and to tell.
pub(super) fn begin(app: &Arc<App>) {
    let sender = match Sender::new() {
        Ok(sender) => sender,
        Err(error) => return tracing::error!("alerts cannot be sent: {error}"),
    };
    let alarm = Arc::new(Alarm { app: Arc::clone(app), sender, own: OnceCell::new() });
    let looking = Arc::clone(&alarm);
    app.tasks.spawn(async move { looking.watch().await });
    app.tasks.spawn(async move { alarm.tell().await });
}

impl Alarm {
    async fn watch(&self) {
        let mut watcher = Watcher::default();
        // Until the others had the time to say what they see, nothing is over.
        let mut judges_from = Instant::now() + QUIET;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.look(&mut watcher, Instant::now() >= judges_from).await {
                tracing::debug!(%error, "the ledger knows of no alert for now");
                judges_from = Instant::now() + QUIET;
            }
        }
    }

    /// One look: what is wrong is recorded, what nobody sees any more is over.
    async fn look(&self, watcher: &mut Watcher, judges: bool) -> Result<(), StoreError> {
        let snapshot = self.app.snapshot.load_full();
        if snapshot.settings.alerts.is_empty() {
            return Ok(());
        }
        let workers = self.workers().await;
        let incidents = watcher.look(&self.app, &snapshot.settings, workers.as_deref().unwrap_or_default());
        let recorded = match workers {
            Ok(_) => self.record(&incidents, judges).await,
            Err(error) => Err(error),
        };
        if recorded.is_err() && !incidents.is_empty() {
            self.own().await?.see(&incidents, &self.app.replica, &[]).await?;
        }
        if let Some(own) = self.own.get() {
            own.resolve().await?;
        }
        recorded
    }

    async fn workers(&self) -> Result<Vec<crate::work::WorkerView>, StoreError> {
        self.shared()?;
        self.app.work.workers().await
    }

    /// Records incidents for the fleet; those that this replica told of by itself are handed over.
    async fn record(&self, incidents: &[Incident], judges: bool) -> Result<(), StoreError> {
        let shared = self.shared()?;
        let told = match self.own.get() {
            Some(own) => own.told_here().await?,
            None => Vec::new(),
        };
        shared.see(incidents, &self.app.replica, &told).await?;
        if let Some(own) = self.own.get() {
            own.hand_over(&incidents.iter().map(key).collect::<Vec<_>>()).await?;
        }
        if judges {
            shared.resolve().await?;
        }
        Ok(())
    }

    /// The rows that the fleet shares, once their tables are there.
    fn shared(&self) -> Result<Outbox, StoreError> {
        if !self.app.ledger_opened.load(Ordering::Relaxed) {
            return Err(StoreError::Unreachable("it was never opened".into()));
        }
        Ok(Outbox::new(self.app.work.ledger_database()))
    }

    async fn own(&self) -> Result<&Outbox, StoreError> {
        let make = || async {
            let database = Database::in_memory();
            bring_up_to_date(&self.app.snapshot().settings, &Home::Memory, &database).await?;
            Ok(Outbox::new(database))
        };
        self.own.get_or_try_init(make).await
    }

    async fn tell(&self) {
        for turn in 0_u64.. {
            let shared = self.shared().ok();
            for outbox in shared.iter().chain(self.own.get()) {
                if let Err(error) = self.tell_from(outbox).await {
                    tracing::debug!(%error, "no alert can be told of for now");
                }
            }
            if turn.is_multiple_of(TURNS_TO_A_REPORT) {
                self.app.undelivered.store(Arc::new(self.undelivered(shared).await));
            }
            tokio::time::sleep(SEND_EVERY).await;
        }
    }

    /// Sends what is due, all of it at once: a receiver that hangs holds up no other of these.
    async fn tell_from(&self, outbox: &Outbox) -> Result<(), StoreError> {
        let alerts = &self.app.snapshot.load_full().settings.alerts;
        if alerts.is_empty() {
            return Ok(());
        }
        let deliveries = outbox.claim(|alert| alerts.contains_key(alert)).await?;
        join_all(deliveries.iter().map(|delivery| self.deliver(outbox, delivery))).await;
        Ok(())
    }

    /// The declared receivers that do not take their messages.
    async fn undelivered(&self, shared: Option<Outbox>) -> Vec<Undelivered> {
        let alerts = &self.app.snapshot.load_full().settings.alerts;
        let mut undelivered = Vec::new();
        for outbox in shared.iter().chain(self.own.get()).filter(|_| !alerts.is_empty()) {
            undelivered.extend(outbox.undelivered().await.unwrap_or_default());
        }
        undelivered.retain(|trouble| alerts.contains_key(trouble.alert.as_str()));
        undelivered
    }

    async fn deliver(&self, outbox: &Outbox, delivery: &Delivery) {
        let message = &delivery.message;
        let Some(alert) = self.app.snapshot().settings.alerts.get(message.alert.as_str()).cloned() else { return };
        let (name, what, subject) = (&message.alert, &message.what, &message.subject);
        let state = message.state.as_str();
        let (outcome, recorded) = match self.sender.send(&alert, message).await {
            Ok(()) => {
                tracing::info!(alert = %name, "{name} was told: {subject} {what} {state}");
                ("told", outbox.told(delivery).await.map(drop))
            }
            Err(error) => {
                let given_up = outbox.not_told(delivery, &error.to_string()).await;
                let word = if matches!(given_up, Ok(true)) { "given_up" } else { "failed" };
                tracing::warn!(alert = %name, "{name} could not be told ({subject} {what} {state}): it {error}");
                (word, given_up.map(drop))
            }
        };
        self.app.metrics.alerts.with_label_values(&[name.as_str(), outcome]).inc();
        if let Err(error) = recorded {
            tracing::warn!(alert = %name, %error, "what {name} was told could not be recorded: it may be told again");
        }
    }
}

fn key(incident: &Incident) -> Key {
    let Incident { alert, trouble } = incident;
    (alert.to_string(), trouble.what.as_str().to_owned(), trouble.subject.clone())
}
