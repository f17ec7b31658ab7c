//! Replicas whose clocks disagree: what is due is decided by the clock of the database alone.
//! The other clock is libfaketime's, which leaves timers as they are.

use crate::harness::{Builder, PATIENCE, TestMonolith, monolith, postgres_text};
use std::time::{Duration, Instant};
use xtask::servers::Postgres;

/// Where Debian keeps it; the loader knows the machine's own folder. One that is missing is only a word on stderr.
const LIBFAKETIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";
/// Between two looks at what was recorded.
const LOOK: Duration = Duration::from_millis(200);

fn replica(postgres: &Postgres) -> Builder {
    let mut base = format!(
        "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\n[keys]\nstore = \"main\"\n[scheduler]\nstore = \"main\"\n",
        postgres.url()
    );
    for n in 0..10 {
        base.push_str(&format!(
            "[workers.w{n}]\nevery = \"1s\"\noverlap = \"allow\"\n\
             run = {{ kind = \"sql\", store = \"main\", statement = \"insert into hits values (:worker, :tick_at)\" }}\n"
        ));
    }
    monolith(&base)
}

fn an_hour_ahead(replica: Builder) -> Builder {
    replica.env("LD_PRELOAD", LIBFAKETIME).env("FAKETIME", "+1h").env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// By its own clock, in milliseconds.
async fn started_at(server: &TestMonolith) -> i64 {
    let health = server.wait_for_health(|health| health["started_at"].is_string()).await;
    let at: jiff::Timestamp = health["started_at"].as_str().unwrap().parse().unwrap();
    at.as_millisecond()
}

async fn number(postgres: &Postgres, query: &'static str) -> i64 {
    postgres_text(postgres, query).await[0].parse().unwrap()
}

async fn both_have_worked(postgres: &Postgres) {
    let busy = "select count(*)::text from (select 1 from work_attempt group by replica having count(*) >= 20) as busy_replicas";
    let give_up = Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(LOOK);
    while number(postgres, busy).await < 2 {
        assert!(Instant::now() < give_up, "only one of them works");
        looks.tick().await;
    }
}

#[tokio::test]
async fn two_replicas_an_hour_apart_neither_lose_nor_double_a_tick() {
    let postgres = Postgres::start().unwrap();
    postgres.sql("create table hits (worker text, tick_at timestamptz)").unwrap();
    let (right, wrong) = (replica(&postgres).ready().await, an_hour_ahead(replica(&postgres)).ready().await);
    let apart = started_at(&wrong).await - started_at(&right).await;
    assert!(
        apart > 3_500_000,
        "the clocks are {apart} ms apart: is libfaketime installed (Debian: apt-get install faketime)?"
    );
    both_have_worked(&postgres).await;
    assert_eq!(right.terminate(), Some(0));
    assert_eq!(wrong.terminate(), Some(0));
    let twice = "select count(*)::text from (select 1 from hits group by worker, tick_at having count(*) > 1) x";
    assert_eq!(number(&postgres, twice).await, 0);
    let lost = "select coalesce(sum(expected - recorded), 0)::bigint::text from (
                  select extract(epoch from s.next_at - min(r.tick_at)) as expected, sum(r.count) as recorded
                  from work_schedule s join work_run r on r.worker = s.worker group by s.worker, s.next_at) x";
    assert_eq!(number(&postgres, lost).await, 0);
    let far = "select count(*)::text from work_run
               where tick_at > now() + interval '5 s' or started_at < due_at or started_at > due_at + interval '60 s'";
    assert_eq!(number(&postgres, far).await, 0, "somebody went by a clock of its own");
}
