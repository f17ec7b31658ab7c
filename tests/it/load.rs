//! Clients that verify one key without pause, as services do, and forgive the server nothing: what is not the right
//! answer is a failure. They follow a server that moves as a real client would, and only that excuses a refusal.

use crate::certificate::handshake;
use crate::raw::{Raw, Reply};
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How many failures are kept with their words.
const MAX_TOLD: usize = 20;

/// Where the server is, as everybody who asks it can look up.
pub struct Whereabouts {
    /// The present address, and those before it with the moment from which they were not to be used.
    known: Mutex<(String, Vec<(String, Instant)>)>,
    connector: TlsConnector,
    /// For how long an address that was left is served.
    drain_delay: Duration,
}

/// What became of everything that was asked.
#[derive(Default)]
pub struct Tally {
    asked: AtomicU64,
    connections: AtomicU64,
    excused: AtomicU64,
    failed: AtomicU64,
    told: Mutex<Vec<String>>,
    /// In microseconds, of the answers since somebody looked last.
    took: Mutex<Vec<u32>>,
}

/// The clients, until they are told to stop.
pub struct Load {
    pub tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Whereabouts {
    pub fn new(address: &str, connector: TlsConnector, drain_delay: Duration) -> Self {
        Self { known: Mutex::new((address.to_owned(), Vec::new())), connector, drain_delay }
    }

    pub fn address(&self) -> String {
        held(&self.known).0.clone()
    }

    pub fn move_to(&self, address: &str) {
        let mut known = held(&self.known);
        let old = std::mem::replace(&mut known.0, address.to_owned());
        known.1.retain(|(left, _)| left != address);
        known.1.push((old, Instant::now()));
    }

    /// Whether nobody may expect an answer at this address any more.
    fn is_closed(&self, address: &str) -> bool {
        let known = held(&self.known);
        known.0 != address && known.1.iter().any(|(old, left)| old == address && left.elapsed() >= self.drain_delay)
    }

    /// A connection to where the server is. Whoever looked the address up just before it was closed looks again.
    async fn connect(&self, tally: &Tally) -> io::Result<Raw<TlsStream<TcpStream>>> {
        loop {
            let address = self.address();
            tally.connections.fetch_add(1, Ordering::Relaxed);
            match handshake(&self.connector, &address).await {
                Ok(stream) => return Ok(Raw::over(stream)),
                Err(_) if self.is_closed(&address) => {
                    tally.excused.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return Err(io::Error::new(error.kind(), format!("connecting to {address}: {error}"))),
            }
        }
    }
}

impl Load {
    /// Two clients that keep their connections and one that makes a new one for each request, with so many requests a
    /// second of each kind.
    pub fn begin(whereabouts: &Arc<Whereabouts>, key: &str, kept: u32, fresh: u32) -> Self {
        let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let client = |rate: u32, keeps: bool| {
            let asking =
                asking(Arc::clone(whereabouts), Arc::clone(&tally), Arc::clone(&stop), key.to_owned(), rate, keeps);
            tokio::spawn(asking)
        };
        let clients = vec![client(kept / 2, true), client(kept / 2, true), client(fresh, false)];
        Self { tally, stop, clients }
    }

    pub async fn end(self) -> Arc<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        self.tally
    }
}

async fn asking(at: Arc<Whereabouts>, tally: Arc<Tally>, stop: Arc<AtomicBool>, key: String, rate: u32, keeps: bool) {
    let body = json!({ "key": key });
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    // What was late is made up for: the rate is of all, not at most.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let began = Instant::now();
        let mut raw = match connection.take() {
            Some(raw) => raw,
            None => match at.connect(&tally).await {
                Ok(raw) => raw,
                Err(error) => {
                    tally.failure(error.to_string());
                    continue;
                }
            },
        };
        let reply = raw.post("/api/keys/verify", &body).await;
        tally.note(&reply, began);
        if keeps && reply.is_ok_and(|reply| !reply.closes) {
            connection = Some(raw);
        }
    }
}

impl Tally {
    fn note(&self, reply: &io::Result<Reply>, began: Instant) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        held(&self.took).push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        match reply {
            Ok(reply) if reply.status == 200 && is_valid(&reply.body) => {}
            Ok(reply) => self.failure(format!("{} {}", reply.status, reply.body)),
            Err(error) => self.failure(format!("in the middle of a request: {error}")),
        }
    }

    fn failure(&self, words: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut told = held(&self.told);
        if told.len() < MAX_TOLD {
            told.push(words);
        }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn excused(&self) -> u64 {
        self.excused.load(Ordering::Relaxed)
    }

    /// How many failed, and the words of the first of them.
    pub fn failures(&self) -> (u64, Vec<String>) {
        (self.failed.load(Ordering::Relaxed), held(&self.told).clone())
    }

    /// How long answers took since the last look: half of them at most, all but a hundredth, and the slowest.
    pub fn took(&self) -> [Duration; 3] {
        let mut took = std::mem::take(&mut *held(&self.took));
        quantiles(&mut took)
    }
}

/// The median, the 99th percentile and the largest of some microseconds.
pub fn quantiles(micros: &mut [u32]) -> [Duration; 3] {
    micros.sort_unstable();
    let at = |permille: usize| micros.get((micros.len() * permille / 1000).min(micros.len().saturating_sub(1)));
    [500, 990, 1000].map(|permille| Duration::from_micros(at(permille).copied().unwrap_or_default().into()))
}

fn is_valid(body: &str) -> bool {
    serde_json::from_str::<Value>(body).is_ok_and(|verdict| verdict["valid"] == true)
}
