//! Which incidents there are and what was told of each, one row each in a database that the fleet shares: each change is a
//! compare-and-set, so that whoever comes first tells, and a message that died with its sender is sent by another one.
//! One text serves both dialects, for all times are milliseconds. What is wrong, and sending, is the business of others.

use super::incident::{Incident, Message, State, dedup_id};
use super::send::TIMEOUT;
use crate::clock::Timestamp;
use crate::store::database::Kind;
use crate::store::{Database, StoreError};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, SqliteConnection};
use std::time::Duration;

/// For how long nobody must have noticed an incident before it is over: several looks of each replica.
pub const QUIET: Duration = Duration::from_secs(15);
/// How often an incident that goes on is told again: often enough to survive a shift, too seldom to be switched off.
pub const REPEAT: Duration = Duration::from_secs(4 * 3600);
/// How long a sender may hold a message: as long as a receiver may take, and as long again for the record.
const LEASE: Duration = TIMEOUT.saturating_mul(2);
/// For how long the end of an incident waits for its beginning to be told: a sender that died is replaced within that.
const UNTOLD: Duration = Duration::from_secs(120);
/// The wait after the first failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After so many tries, about a day, a message is given up; what goes on is told again when that is due.
const MOST_TRIES: i64 = 300;
/// From so many failures in a row on, an operator should know.
const TROUBLING: i64 = 3;
/// How many messages one look takes.
const BATCH: usize = 8;
/// How many rows one look reads, to find those whose receivers are declared here.
const LOOKED_AT: i64 = 200;
/// For how long an incident that is over is remembered.
const KEEP: Duration = Duration::from_secs(7 * 86_400);

const NOW: &str = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint";
/// A receiver that was told of the last incident's beginning and not of its end takes this one for the same.
const SEE: &str = "insert into alert_incident
    (alert, what, subject, severity, message, replica, state, since_ms, seen_ms, told, told_ms)
  values ($1, $2, $3, $4, $5, $6, 'firing', $7, $8, $9, $8)
  on conflict (alert, what, subject) do update set
    severity = excluded.severity, message = excluded.message, seen_ms = excluded.seen_ms,
    state = 'firing', resolved_ms = null,
    since_ms = case alert_incident.state when 'firing' then alert_incident.since_ms else excluded.since_ms end,
    replica = case alert_incident.state when 'firing' then alert_incident.replica else excluded.replica end,
    tries = case alert_incident.state when 'firing' then alert_incident.tries else 0 end,
    next_try_ms = case alert_incident.state when 'firing' then alert_incident.next_try_ms else 0 end,
    told_ms = case alert_incident.told when 'firing' then alert_incident.told_ms else excluded.told_ms end,
    told = case alert_incident.told when 'firing' then 'firing' else excluded.told end";
const RESOLVE: &str = "update alert_incident set state = 'resolved', resolved_ms = $1, tries = 0, next_try_ms = 0
  where state = 'firing' and seen_ms < $2 and (told <> 'none' or seen_ms < $3)";
const DUE: &str =
    "select alert, what, subject, severity, message, replica, state, since_ms, resolved_ms, told, lease_ms, tries
  from alert_incident
  where lease_ms < $1 and next_try_ms <= $1 and (told <> state or (state = 'firing' and told_ms < $2))
  order by next_try_ms, since_ms limit $3";
const CLAIM: &str = "update alert_incident set lease_ms = $4
  where alert = $1 and what = $2 and subject = $3 and lease_ms = $5 and state = $6 and told = $7";
const TOLD: &str =
    "update alert_incident set told = $5, told_ms = $6, tries = 0, failing_since_ms = null, next_try_ms = 0,
    lease_ms = 0, error = null
  where alert = $1 and what = $2 and subject = $3 and lease_ms = $4";
const NOT_TOLD: &str = "update alert_incident set tries = tries + 1, failing_since_ms = coalesce(failing_since_ms, $5),
    next_try_ms = $6, lease_ms = 0, error = $7,
    told_ms = case when tries + 1 >= $8 then $5 else told_ms end, told = case when tries + 1 >= $8 then state else told end
  where alert = $1 and what = $2 and subject = $3 and lease_ms = $4";
const UNDELIVERED: &str = "select alert, min(failing_since_ms), max(error) from alert_incident
  where tries >= $1 and failing_since_ms is not null group by alert order by alert";
const TOLD_HERE: &str = "select alert, what, subject from alert_incident where told = 'firing'";
const HAND_OVER: &str = "delete from alert_incident where alert = $1 and what = $2 and subject = $3";
const FORGET: &str = "delete from alert_incident where state = 'resolved' and seen_ms < $1";

/// The rows of a database.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
}

/// A message that this process has to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What to send.
    pub message: Message,
    state: State,
    lease: i64,
    tries: i64,
}

/// A receiver that does not take its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The alert's name.
    pub alert: String,
    /// Since when.
    pub since: Timestamp,
    /// Why, as it was at the last try.
    pub error: String,
}

/// By what a row is found.
pub type Key = (String, String, String);

/// A row whose receiver has to be told something.
type Due = (String, String, String, String, String, String, String, i64, Option<i64>, String, i64, i64);

/// Work in one transaction; a pooler in transaction mode wants one for reading, too. On SQLite only who writes takes the lock
/// at once.
macro_rules! within {
    ($outbox:expr, $what:literal, |$c:ident| $work:expr) => {
        within!($outbox, $what, "begin immediate", |$c| $work)
    };
    ($outbox:expr, $what:literal, $begin:literal, |$c:ident| $work:expr) => {
        match $outbox.database.kind() {
            Kind::Sqlite(sqlite) => {
                let work = async |connection: &mut SqliteConnection| {
                    let mut tx = connection.begin_with($begin).await?;
                    let $c = &mut *tx;
                    let done = $work;
                    tx.commit().await?;
                    Ok(done)
                };
                sqlite.call($what, work).await
            }
            Kind::Postgres(postgres) => {
                let work = async |connection: &mut PgConnection| {
                    let mut tx = connection.begin().await?;
                    let $c = &mut *tx;
                    let done = $work;
                    tx.commit().await?;
                    Ok(done)
                };
                postgres.call($what, work).await
            }
        }
    };
}

impl Outbox {
    /// The rows of a database whose tables exist.
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// The clock of the database.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        // Whoever opens the file of an SQLite database sees the clock of the same machine.
        if matches!(self.database.kind(), Kind::Sqlite(_)) {
            return Ok(Timestamp::now());
        }
        let millis: i64 = within!(self, "reading the clock for alerts", "begin", |c| {
            sqlx::query_scalar(NOW).persistent(false).fetch_one(&mut *c).await?
        })?;
        Ok(Timestamp::from_millis(millis))
    }

    /// Records what is wrong now; `told` are those whose receivers this process has told already, elsewhere.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn see(&self, incidents: &[Incident], replica: &str, told: &[Key]) -> Result<(), StoreError> {
        if incidents.is_empty() {
            return Ok(());
        }
        let now = self.now().await?.millis();
        within!(self, "recording incidents", |c| {
            for Incident { alert, trouble } in incidents {
                let key = (alert.to_string(), trouble.what.as_str().to_owned(), trouble.subject.clone());
                let was_told = if told.contains(&key) { "firing" } else { "none" };
                sqlx::query(SEE)
                    .persistent(false)
                    .bind(key.0)
                    .bind(key.1)
                    .bind(key.2)
                    .bind(trouble.what.severity())
                    .bind(trouble.message.as_str())
                    .bind(replica)
                    .bind(trouble.since.millis())
                    .bind(now)
                    .bind(was_told)
                    .execute(&mut *c)
                    .await?;
            }
        })
    }

    /// Declares those over that nobody noticed for [`QUIET`], and forgets those that have long been.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn resolve(&self) -> Result<(), StoreError> {
        let now = self.now().await?;
        let [quiet, untold, forgotten] = [QUIET, UNTOLD, KEEP].map(|length| now.before(length).millis());
        within!(self, "ending incidents", |c| {
            sqlx::query(RESOLVE).persistent(false).bind(now.millis()).bind(quiet).bind(untold).execute(&mut *c).await?;
            sqlx::query(FORGET).persistent(false).bind(forgotten).execute(&mut *c).await?;
        })
    }

    /// The messages that this process has to send now, to receivers that `known` knows; nobody else has them meanwhile.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn claim(&self, known: impl Fn(&str) -> bool) -> Result<Vec<Delivery>, StoreError> {
        let now = self.now().await?;
        let (at, repeat, lease) = (now.millis(), now.before(REPEAT).millis(), now.after(LEASE).millis());
        let mut rows: Vec<Due> = within!(self, "looking for messages to send", "begin", |c| {
            sqlx::query_as(DUE).persistent(false).bind(at).bind(repeat).bind(LOOKED_AT).fetch_all(&mut *c).await?
        })?;
        rows.retain(|row| known(&row.0));
        rows.truncate(BATCH);
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        within!(self, "claiming messages to send", |c| {
            let mut claimed = Vec::new();
            for row in &rows {
                let done = sqlx::query(CLAIM)
                    .persistent(false)
                    .bind(row.0.as_str())
                    .bind(row.1.as_str())
                    .bind(row.2.as_str())
                    .bind(lease)
                    .bind(row.10)
                    .bind(row.6.as_str())
                    .bind(row.9.as_str())
                    .execute(&mut *c)
                    .await?;
                claimed.extend((done.rows_affected() == 1).then(|| delivery(row, lease, now)));
            }
            claimed
        })
    }

    /// Records that a receiver took a message.
    ///
    /// # Errors
    /// Any [`StoreError`]; then it is told once more when the lease is over.
    pub async fn told(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let now = self.now().await?.millis();
        let Message { alert, what, subject, .. } = &delivery.message;
        within!(self, "recording what was told", |c| {
            sqlx::query(TOLD)
                .persistent(false)
                .bind(alert.as_str())
                .bind(what.as_str())
                .bind(subject.as_str())
                .bind(delivery.lease)
                .bind(delivery.state.as_str())
                .bind(now)
                .execute(&mut *c)
                .await?;
        })
    }

    /// Records that a receiver did not take a message; whether it is given up.
    ///
    /// # Errors
    /// Any [`StoreError`]; then it is tried again when the lease is over.
    pub async fn not_told(&self, delivery: &Delivery, error: &str) -> Result<bool, StoreError> {
        let now = self.now().await?;
        let again = now.after(wait(&delivery.message.dedup_id, delivery.tries)).millis();
        let Message { alert, what, subject, .. } = &delivery.message;
        within!(self, "recording what could not be told", |c| {
            sqlx::query(NOT_TOLD)
                .persistent(false)
                .bind(alert.as_str())
                .bind(what.as_str())
                .bind(subject.as_str())
                .bind(delivery.lease)
                .bind(now.millis())
                .bind(again)
                .bind(error)
                .bind(MOST_TRIES)
                .execute(&mut *c)
                .await?;
        })?;
        Ok(delivery.tries + 1 >= MOST_TRIES)
    }

    /// The receivers that do not take their messages.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn undelivered(&self) -> Result<Vec<Undelivered>, StoreError> {
        let rows: Vec<(String, i64, Option<String>)> = within!(self, "looking for messages that fail", "begin", |c| {
            sqlx::query_as(UNDELIVERED).persistent(false).bind(TROUBLING).fetch_all(&mut *c).await?
        })?;
        let told = |(alert, since, error): (String, i64, Option<String>)| Undelivered {
            alert,
            since: Timestamp::from_millis(since),
            error: error.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(told).collect())
    }

    /// Whose beginning was told out of these rows.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn told_here(&self) -> Result<Vec<Key>, StoreError> {
        within!(self, "reading what was told", "begin", |c| {
            sqlx::query_as(TOLD_HERE).persistent(false).fetch_all(&mut *c).await?
        })
    }

    /// Drops these rows: those of another database tell of them from now on.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn hand_over(&self, rows: &[Key]) -> Result<(), StoreError> {
        within!(self, "handing incidents over", |c| {
            for (alert, what, subject) in rows {
                let row = sqlx::query(HAND_OVER).persistent(false).bind(alert).bind(what).bind(subject);
                row.execute(&mut *c).await?;
            }
        })
    }
}

fn delivery(row: &Due, lease: i64, now: Timestamp) -> Delivery {
    let (alert, what, subject, severity, message, replica, state, since, resolved, _, _, tries) = row;
    let state = if state == State::Resolved.as_str() { State::Resolved } else { State::Firing };
    let message = Message {
        dedup_id: dedup_id(alert, what, subject),
        state,
        what: what.clone(),
        subject: subject.clone(),
        severity: severity.clone(),
        since: Timestamp::from_millis(*since).to_string(),
        resolved_at: resolved.map(|at| Timestamp::from_millis(at).to_string()),
        message: message.clone(),
        replica: replica.clone(),
        alert: alert.clone(),
        sent_at: now.to_string(),
    };
    Delivery { message, state, lease, tries: *tries }
}

/// Between half and the whole of a wait that doubles, so that what failed together does not come back together.
fn wait(id: &str, tries: i64) -> Duration {
    let doublings = u32::try_from(tries.clamp(0, 30)).unwrap_or(30);
    let whole = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    let chance = Sha256::digest(format!("{id}\n{tries}")).first().copied().unwrap_or(0);
    whole / 2 + (whole / 2).mul_f64(f64::from(chance) / 255.0)
}
