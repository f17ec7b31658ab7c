//! `cargo bench --bench outage [-- SECONDS]`: 2,000 questions a second to each of two servers while their Postgres is killed,
//! paused (SIGSTOP), refuses logins and has another password. One server's `max_staleness` outlasts that, the other's does
//! not: fails where a good key is refused, a bad one let in, or somebody beyond the bound is told anything but 503.
#![expect(unreachable_pub, reason = "nothing outside of a bench could reach anything")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says so by a panic")]
#![expect(clippy::print_stdout, reason = "it talks to whoever sits at the shell")]
#![allow(dead_code, reason = "the rooms are shared with the tests, which use more of them")]

#[path = "../tests/it/harness.rs"]
mod harness; // starts the real binary
#[path = "../tests/it/raw.rs"]
mod raw; // one connection by hand

use harness::{TestMonolith, monolith};
use raw::Raw;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use xtask::servers::Postgres;

/// Questions a second to each server, and over how many keep-alive connections.
const RATE: u32 = 2000;
const CONNECTIONS: u32 = 16;
/// How long each outage lasts where nobody says.
const OUTAGE: u64 = 10;
/// Of the server that must go on, and of the one that must not.
const BOUNDS: [&str; 2] = ["10m", "2s"];
/// How many good keys are asked about.
const KEYS: usize = 64;
/// A key of our form that nobody made.
const UNKNOWN: &str = "mono_test_000000000000_000000000000000000000000000000003lnxxj";

/// What is done to the database, and how it is undone.
type Deed = fn(&Postgres);
const OUTAGES: [(&str, Deed, Deed); 4] = [
    ("killed", |postgres| postgres.kill().unwrap(), |postgres| postgres.restart().unwrap()),
    ("paused", |postgres| postgres.pause().unwrap(), |postgres| postgres.resume().unwrap()),
    (
        "logins refused",
        |postgres| thrown_out(postgres, "nologin"),
        |postgres| postgres.sql("alter role app login").unwrap(),
    ),
    (
        "other password",
        |postgres| thrown_out(postgres, "password 'other'"),
        |postgres| {
            postgres.sql("alter role app password 's3cret'").unwrap();
        },
    ),
];

/// Whoever was in is out, and nobody comes in any more.
fn thrown_out(postgres: &Postgres, by: &str) {
    postgres.sql(&format!("alter role app {by}")).unwrap();
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'").unwrap();
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(OUTAGE);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let good = runtime.block_on(outages(Duration::from_secs(seconds)));
    assert!(good, "somebody was told something wrong");
}

async fn outages(length: Duration) -> bool {
    let postgres = Postgres::start_with_password_role("app", "s3cret").unwrap();
    postgres.sql("grant create on schema public to app").unwrap();
    let lasting = on(&postgres, BOUNDS[0]).await;
    let strict = on(&postgres, BOUNDS[1]).await;
    let questions = Arc::new(questions(&lasting).await);
    let asking = [Asking::begin(&lasting, &questions), Asking::begin(&strict, &questions)];
    tokio::time::sleep(length).await;
    let mut rows = vec![("calm".to_owned(), asking.each_ref().map(Asking::turn))];
    for (name, begin, end) in OUTAGES {
        begin(&postgres);
        tokio::time::sleep(length).await;
        rows.push((name.to_owned(), asking.each_ref().map(Asking::turn)));
        end(&postgres);
        for server in [&lasting, &strict] {
            server.wait_for_health(|health| health["keys"]["fresh"] == true).await;
        }
        rows.push((format!("{name}, over"), asking.each_ref().map(Asking::turn)));
    }
    for asking in asking {
        asking.end().await;
    }
    tell(&rows)
}

async fn on(postgres: &Postgres, bound: &str) -> TestMonolith {
    let url = postgres.url_for("app:s3cret", "postgres");
    let store = format!("[stores.main]\nkind = \"postgres\"\nurl = \"{url}\"\nconnect_timeout = \"1s\"\n");
    monolith(&format!("{store}[keys]\nstore = \"main\"\nmax_staleness = \"{bound}\"\n")).ready().await
}

/// A key, and what it must be called by whoever can tell.
struct Question {
    body: serde_json::Value,
    code: &'static str,
}

/// Good keys, with a revoked and an unknown one after every third.
async fn questions(server: &TestMonolith) -> Vec<Question> {
    let operator = server.operator();
    let mut questions = Vec::new();
    for n in 0..=KEYS {
        let issued = operator.post("/api/admin/api-keys", json!({"name": "bench"})).await.ok();
        let (kid, key) = (issued["kid"].as_str().unwrap(), &issued["key"]);
        if n == KEYS {
            operator.delete(&format!("/api/admin/api-keys/{kid}")).await.ok();
            let revoked = || Question { body: json!({"key": key}), code: "revoked" };
            let unknown = || Question { body: json!({"key": UNKNOWN}), code: "invalid" };
            (1..=KEYS / 4).rev().for_each(|n| questions.insert(n * 4, revoked()));
            (1..=KEYS / 4).rev().for_each(|n| questions.insert(n * 4, unknown()));
        } else {
            questions.push(Question { body: json!({"key": key}), code: "valid" });
        }
    }
    questions
}

/// What was answered since the last look.
#[derive(Default)]
struct Told {
    asked: AtomicU64,
    /// Good and revoked keys that nobody could tell about.
    undecided: AtomicU64,
    /// Unknown keys that nobody could tell about: so it is two seconds after the last proof.
    unproved: AtomicU64,
    wrong: AtomicU64,
    slowest_micros: AtomicU64,
}

/// The same as numbers.
#[derive(Clone, Copy)]
struct Row {
    asked: u64,
    undecided: u64,
    unproved: u64,
    wrong: u64,
    slowest: Duration,
    took: Duration,
}

struct Asking {
    told: Arc<Told>,
    stop: Arc<AtomicBool>,
    since: std::sync::Mutex<Instant>,
    clients: JoinSet<()>,
}

impl Asking {
    fn begin(server: &TestMonolith, questions: &Arc<Vec<Question>>) -> Self {
        let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        let (mut clients, next) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..CONNECTIONS {
            let address = server.url().trim_start_matches("http://").to_owned();
            let (told, stop, next, questions) = (told.clone(), stop.clone(), next.clone(), questions.clone());
            clients.spawn(async move {
                let mut raw = Raw::open(&address).await.unwrap();
                // A tick that was missed is made up for: the rate is offered whatever becomes of it.
                let mut ticks = tokio::time::interval(Duration::from_secs(1) * CONNECTIONS / RATE);
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let question = &questions[next.fetch_add(1, Ordering::Relaxed) % questions.len()];
                    told.take_in(&mut raw, question).await;
                }
            });
        }
        Self { told, stop, since: std::sync::Mutex::new(Instant::now()), clients }
    }

    /// What was answered since the last look, and from here on anew.
    fn turn(&self) -> Row {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let took = std::mem::replace(&mut *self.since.lock().unwrap(), Instant::now()).elapsed();
        Row {
            asked: take(&self.told.asked),
            undecided: take(&self.told.undecided),
            unproved: take(&self.told.unproved),
            wrong: take(&self.told.wrong),
            slowest: Duration::from_micros(take(&self.told.slowest_micros)),
            took,
        }
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
    }
}

impl Told {
    async fn take_in(&self, raw: &mut Raw, question: &Question) {
        let began = Instant::now();
        // A connection that breaks is a broken promise as well.
        let reply = raw.post("/api/keys/verify", &question.body).await.unwrap();
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap();
        let right = reply.status == 200 && reply.json()["code"] == question.code;
        let undecided = reply.status == 503 && reply.json()["code"] == "undecidable";
        if !right && !undecided {
            println!("{} is called {} {}", question.code, reply.status, reply.body);
        }
        let unknown = question.code == "invalid";
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.undecided.fetch_add(u64::from(undecided && !unknown), Ordering::Relaxed);
        self.unproved.fetch_add(u64::from(undecided && unknown), Ordering::Relaxed);
        self.wrong.fetch_add(u64::from(!right && !undecided), Ordering::Relaxed);
        self.slowest_micros.fetch_max(micros, Ordering::Relaxed);
    }
}

/// Prints the rows; whether all of it was right.
fn tell(rows: &[(String, [Row; 2])]) -> bool {
    println!(
        "{:<24} {:<14} {:>8} {:>7} {:>10} {:>9} {:>6} {:>8}",
        "database", "max_staleness", "asked", "/s", "undecided", "unproved", "wrong", "slowest"
    );
    for (phase, both) in rows {
        for (row, bound) in both.iter().zip(BOUNDS) {
            let rate = row.asked * 1000 / u64::try_from(row.took.as_millis()).unwrap().max(1);
            println!(
                "{phase:<24} {bound:<14} {:>8} {rate:>7} {:>10} {:>9} {:>6} {:>8.1?}",
                row.asked, row.undecided, row.unproved, row.wrong, row.slowest
            );
        }
    }
    let wrong = rows.iter().flat_map(|(_, both)| both).any(|row| row.wrong > 0);
    let lasting = rows.iter().all(|(_, [lasting, _])| lasting.undecided == 0);
    let outage = |name: &String| OUTAGES.iter().any(|(outage, ..)| outage == name);
    let strict = rows.iter().filter(|(name, _)| outage(name)).all(|(_, [_, strict])| strict.undecided > 0);
    println!(
        "wrong answers: {wrong}; the lasting one never gave up: {lasting}; the strict one did in each outage: {strict}"
    );
    !wrong && lasting && strict
}
