//! `cargo bench --bench ticks [-- PART...] [--binary FILE]`: scheduled work on a Postgres of its own that is as durable as one in production. The
//! replicas are this program itself, which is Monolith with a handler that does nothing, or another binary that has such a one. It prints each figure with the bound of the design beside it, and asserts nothing about speed.
//!
//! `--statements` adds where Postgres spent its time.
//!
//! - `materialise`: ticks recorded a second by three replicas that have a backlog.
//! - `runs`: no-op handlers run a second by three replicas; `runs-one`: by one with 64 slots, as the peers in `peers/` are measured.
//! - `runs-sql`: the same by three replicas with a statement whose effect commits together with the end of its run.
//! - `burst`: 10,000 no-op workers due at one second; how late they start.
//! - `second`: one tick a second for two minutes, beside a bare timer in this process.
//! - `peers`: what `peers/run` installs, on such a Postgres.
//! - `takeover`: from kill -9 to the next attempt. `back`: from a store that answers again to the first start.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod stage; // Postgres, replicas, questions

use anyhow::Result;
use monolith::embed::Run;
use stage::{Limits, Stage};
use std::convert::Infallible;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep, sleep_until};

/// The design's figures (DESIGN, targets).
const TICKS: f64 = 20_000.0;
const RUNS: f64 = 5_000.0;
const BURST_P99: f64 = 250.0;
const ABOVE_TIMER_P99: f64 = 10.0;
const BEYOND_LEASE: f64 = 2_000.0;
const BACK: f64 = 5_000.0;

/// Short, so that a takeover does not take long to measure.
const LEASE: Duration = Duration::from_secs(5);
/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(180);

const NO_OP: &str = "run = { kind = \"handler\", name = \"nothing\" }\n";
const SQL: &str = "run = { kind = \"sql\", store = \"main\", statement = \"select 1\" }\n";
const SELDOM: &str = "schedule = \"0 0 1 1 *\"\noverlap = \"allow\"\n";

type Measure = fn() -> std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

const PARTS: [(&str, Measure); 9] = [
    ("materialise", || Box::pin(materialise())),
    ("runs", || Box::pin(runs(3, 200, NO_OP))),
    ("runs-one", || Box::pin(runs(1, 64, NO_OP))),
    ("runs-sql", || Box::pin(runs(3, 200, SQL))),
    ("peers", || Box::pin(peers())),
    ("burst", || Box::pin(burst())),
    ("second", || Box::pin(second())),
    ("takeover", || Box::pin(takeover())),
    ("back", || Box::pin(back())),
];

fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return Ok(monolith::Builder::from_args().handler("nothing", nothing).run());
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| PARTS.iter().any(|(part, _)| part == argument)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            runtime.block_on(measure())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn nothing(_: Run) -> Result<(), Infallible> {
    Ok(())
}

fn tell(what: &str, figure: f64, unit: &str, bound: &str, ratio: f64) {
    println!("{what:<58} {figure:>10.1} {unit:<8} bound {bound:<12} ratio {ratio:.2}");
}

async fn materialise() -> Result<()> {
    let catch_up = "every = \"1s\"\ncatch_up = { policy = \"all\", max = 40, grace = \"1s\" }\n";
    let stage = Stage::set(3, Limits { slots: 1, lease: LEASE }, 5_000, &format!("{catch_up}{NO_OP}")).await?;
    stage.run("update work_schedule set next_at = next_at - interval '1 hour'").await?;
    let enough = "select count(*) from work_run where late";
    // Of the forty of each worker, those of the last seconds are on time and not late.
    stage.until(PATIENCE, enough, |late| late >= 175_000).await?;
    let rate = "select count(*) / greatest(extract(epoch from max(created_at) - min(created_at)), 0.001)::float8
                from work_run where late";
    let rate = stage.float(rate).await?;
    tell("ticks materialised, 3 replicas, 5,000 workers x 40", rate, "/s", ">= 20000", rate / TICKS);
    stage.statements().await
}

async fn runs(replicas: usize, slots: usize, action: &str) -> Result<()> {
    const RUNS_QUEUED: i64 = 30_000;
    let stage = Stage::set(replicas, Limits { slots, lease: LEASE }, 1_000, &format!("{SELDOM}{action}")).await?;
    stage.queue(RUNS_QUEUED).await?;
    stage
        .until(PATIENCE, "select count(*) from work_run where state = 'succeeded'", |done| done >= RUNS_QUEUED)
        .await?;
    let rate = "select count(*) / extract(epoch from max(finished_at) - min(started_at))::float8 from work_run";
    let rate = stage.float(rate).await?;
    let kind = if action == SQL { "statements" } else { "no-op runs" };
    let what = format!("{kind} made, {replicas} replicas x {slots} slots, {RUNS_QUEUED} queued");
    tell(&what, rate, "/s", ">= 5000", rate / RUNS);
    stage.statements().await
}

/// The same number of jobs through the same number of slots, one process each, on a Postgres with the same settings.
async fn peers() -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/ticks/peers/run");
    let postgres = stage::durable()?;
    let status = std::process::Command::new(script).args([postgres.url(), "30000", "64"]).status()?;
    anyhow::ensure!(status.success(), "{script} ended with {status}");
    Ok(())
}

async fn burst() -> Result<()> {
    const WORKERS: i64 = 10_000;
    let limits = Limits { slots: 3_400, lease: Duration::from_secs(15) };
    let stage = Stage::set(3, limits, WORKERS, &format!("{SELDOM}{NO_OP}")).await?;
    stage.run("update work_schedule set next_at = date_trunc('second', now()) + interval '8 s'").await?;
    stage.until(PATIENCE, "select count(*) from work_run where state = 'succeeded'", |done| done >= WORKERS).await?;
    for part in ["0.5", "0.99", "1.0"] {
        let query = format!(
            "select (percentile_disc({part}) within group (order by extract(epoch from started_at - due_at)) * 1000)::float8
             from work_run"
        );
        let late = stage.float(&query).await?;
        tell(
            &format!("10,000 due at one second, start lateness p{part}"),
            late,
            "ms",
            "<= 250 (p99)",
            late / BURST_P99,
        );
    }
    stage.statements().await
}

async fn second() -> Result<()> {
    const SECONDS: u64 = 120;
    let beat = "every = \"1s\"\nrun = { kind = \"sql\", store = \"main\", transactional = false, \
                statement = \"insert into beats values (:tick_at, clock_timestamp())\" }\n";
    let stage = Stage::set(3, Limits { slots: 16, lease: LEASE }, 1, beat).await?;
    let mut bare = Vec::new();
    for _ in 0..SECONDS {
        bare.push(bare_timer().await);
    }
    bare.sort_by(f64::total_cmp);
    let bare = bare.get(bare.len() * 99 / 100).copied().unwrap_or(f64::NAN);
    println!("{:<58} {bare:>10.1} ms", "bare timer, lateness p99");
    for (what, from) in [
        (
            "one tick a second, start recorded, p99 above the timer",
            "started_at - due_at) from work_run where started_at",
        ),
        ("one tick a second, effect in the store, p99 above the timer", "at - tick_at) from beats where at"),
    ] {
        let (value, from) = from.split_once(") from ").unwrap_or_default();
        let query = format!(
            "select (percentile_disc(0.99) within group (order by extract(epoch from {value})) * 1000)::float8 from {from} is not null"
        );
        let above = stage.float(&query).await? - bare;
        tell(what, above, "ms", "<= 10", above / ABOVE_TIMER_P99);
    }
    Ok(())
}

/// Waits for the next whole second as a timer would, and says how late it was, in milliseconds.
async fn bare_timer() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole = Duration::from_secs(now.as_secs() + 1);
    sleep_until(Instant::now() + (whole - now)).await;
    let late = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(whole);
    late.as_secs_f64() * 1e3
}

async fn takeover() -> Result<()> {
    let sleeper = format!("{SELDOM}run = {{ kind = \"command\", argv = [\"sleep\", \"600\"] }}\n");
    let mut worst: f64 = 0.0;
    for _ in 0..5 {
        let mut stage = Stage::set(1, Limits { slots: 16, lease: LEASE }, 1, &sleeper).await?;
        stage.queue(1).await?;
        stage.until(PATIENCE, "select count(*) from work_run where state = 'running'", |n| n == 1).await?;
        stage.start()?;
        sleep(LEASE * 2).await;
        let killed = stage.kill_oldest()?;
        stage.until(PATIENCE, "select max(attempt) from work_run", |attempt| attempt == 2).await?;
        let next = stage.float("select extract(epoch from max(started_at))::float8 from work_attempt").await?;
        worst = worst.max((next - killed.as_secs_f64()) * 1e3);
    }
    let bound = LEASE.as_secs_f64() * 1e3 + BEYOND_LEASE;
    tell("kill -9 to the next attempt, lease 5 s, worst of 5", worst, "ms", "<= 7000", worst / bound);
    Ok(())
}

async fn back() -> Result<()> {
    let mut worst: f64 = 0.0;
    let stage = Stage::set(3, Limits { slots: 16, lease: LEASE }, 10, &format!("every = \"1s\"\n{NO_OP}")).await?;
    for _ in 0..3 {
        sleep(LEASE).await;
        let answers = stage.outage(Duration::from_secs(20)).await?;
        let first = format!(
            "select coalesce(extract(epoch from min(started_at))::float8, 0) from work_attempt
             where started_at > timestamptz 'epoch' + {} * interval '1 second'",
            answers.as_secs_f64()
        );
        let began = Instant::now();
        let mut at = 0.0;
        while at == 0.0 && began.elapsed() < PATIENCE {
            sleep(Duration::from_millis(100)).await;
            at = stage.float(&first).await?;
        }
        worst = worst.max((at - answers.as_secs_f64()) * 1e3);
    }
    tell("store back to the first start, away 20 s, worst of 3", worst, "ms", "<= 5000", worst / BACK);
    Ok(())
}
