//! What a measurement stands on: a durable Postgres, the release binary as replicas, and questions to the ledger.
//! Everything ends with it.

use anyhow::{Context, Result, ensure};
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use xtask::servers::Postgres;

/// As a production server: nothing that was committed is lost when the power is. The peers are measured on the same.
const DURABLE: [&str; 5] =
    ["fsync=on", "full_page_writes=on", "synchronous_commit=on", "shared_buffers=256MB", "max_wal_size=2GB"];
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long replicas may take to take over what is declared.
const READY: Duration = Duration::from_secs(120);

/// What each replica may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) slots: usize,
    pub(crate) lease: Duration,
}

pub(crate) struct Stage {
    // In the order of their ends: the replicas first.
    replicas: Vec<Child>,
    pool: PgPool,
    postgres: Postgres,
    folder: TempDir,
}

impl Stage {
    /// Starts replicas that all declare so many workers of one kind.
    pub(crate) async fn set(replicas: usize, limits: Limits, workers: i64, worker: &str) -> Result<Self> {
        let postgres = durable()?;
        postgres.sql("create table beats (tick_at timestamptz, at timestamptz)")?;
        let folder = tempfile::tempdir()?;
        let mut text = format!(
            "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\n[keys]\nstore = \"main\"\n[scheduler]\nstore = \"main\"\n\
             lease = \"{}s\"\nmax_concurrent_runs = {}\n",
            postgres.url(),
            limits.lease.as_secs(),
            limits.slots
        );
        (0..workers).for_each(|n| text.push_str(&format!("[workers.w{n}]\n{worker}")));
        fs::write(folder.path().join("monolith.toml"), text)?;
        fs::create_dir(folder.path().join("profiles"))?;
        fs::write(folder.path().join("profiles/test.toml"), "[server]\ndrain_delay = \"0s\"\n")?;
        let pool = PgPoolOptions::new().max_connections(2).connect(postgres.url()).await?;
        let mut stage = Self { replicas: Vec::new(), pool, postgres, folder };
        for _ in 0..replicas {
            stage.start()?;
        }
        let declared = "select count(*) from information_schema.tables where table_name = 'work_declared'";
        stage.until(READY, declared, |tables| tables == 1).await?;
        let live = i64::try_from(replicas)?;
        stage.until(READY, "select count(*) from work_declared", |known| known == live).await?;
        stage.until(READY, "select count(*) from work_schedule", |known| known == workers).await?;
        Ok(stage)
    }

    /// Starts one more replica.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = File::create(self.log(self.replicas.len()))?;
        let mut child = Command::new(binary()?)
            .args(["serve", "--bind", "127.0.0.1:0", "--profile", "test", "--set", "telemetry.log=error"])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("JWT_SECRET", "0123456789abcdef0123456789abcdef")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        self.replicas.push(child);
        let log = || fs::read_to_string(self.log(self.replicas.len() - 1)).unwrap_or_default();
        ensure!(!line.is_empty(), "a replica did not start: {}", log());
        Ok(())
    }

    fn log(&self, replica: usize) -> PathBuf {
        self.folder.path().join(format!("log-{replica}"))
    }

    /// When it was killed, since 1970.
    pub(crate) fn kill_oldest(&mut self) -> Result<Duration> {
        let mut oldest = self.replicas.remove(0);
        let at = SystemTime::now();
        let killed = oldest.kill();
        oldest.wait()?;
        killed?;
        Ok(at.duration_since(UNIX_EPOCH)?)
    }

    /// Stops Postgres for a while; when it answered again, since 1970.
    pub(crate) async fn outage(&self, length: Duration) -> Result<Duration> {
        self.postgres.stop()?;
        sleep(length).await;
        self.postgres.restart()?;
        Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
    }

    /// Queues runs as if somebody had asked for each, of all workers in turn.
    pub(crate) async fn queue(&self, runs: i64) -> Result<()> {
        sqlx::query(
            "insert into work_run (id, worker, spec_hash, kind, due_at, state, available_at, created_at, requested_by)
             select gen_random_uuid()::text, s.worker, s.spec_hash, 'manual', now(), 'queued', now(), now(), 'bench'
             from generate_series(0, $1 - 1) n
             join (select worker, spec_hash, row_number() over (order by worker) - 1 as i, count(*) over () as workers
                   from work_schedule) s on s.i = n % s.workers",
        )
        .bind(runs)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Prints the statements that took longest in all, where that was asked for.
    pub(crate) async fn statements(&self) -> Result<()> {
        if !wants_statements() {
            return Ok(());
        }
        sqlx::query("create extension if not exists pg_stat_statements").execute(&self.pool).await?;
        let rows: Vec<(f64, i64, i64, String)> = sqlx::query_as(
            "select total_exec_time + total_plan_time, calls, rows, left(regexp_replace(query, '\\s+', ' ', 'g'), 130)
             from pg_stat_statements order by 1 desc limit 16",
        )
        .fetch_all(&self.pool)
        .await?;
        for (millis, calls, rows, text) in rows {
            println!("{millis:>10.0} ms {calls:>8} calls {rows:>8} rows  {text}");
        }
        Ok(())
    }

    pub(crate) async fn run(&self, statement: &'static str) -> Result<()> {
        sqlx::query(statement).execute(&self.pool).await?;
        Ok(())
    }

    /// Asks for one number; a connection that an outage has broken is replaced.
    pub(crate) async fn float(&self, query: &str) -> Result<f64> {
        let ask = || sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&self.pool);
        let answer: Result<f64, sqlx::Error> = ask().await;
        match answer {
            Ok(number) => Ok(number),
            Err(_) => Ok(ask().await?),
        }
    }

    /// Waits until a count is as wanted.
    pub(crate) async fn until(&self, limit: Duration, query: &'static str, wanted: impl Fn(i64) -> bool) -> Result<()> {
        let give_up = Instant::now() + limit;
        loop {
            let number: Option<i64> = sqlx::query_scalar(query).fetch_one(&self.pool).await?;
            if wanted(number.unwrap_or(0)) {
                return Ok(());
            }
            ensure!(Instant::now() < give_up, "{query}: still {number:?} after {} s", limit.as_secs());
            sleep(LOOK).await;
        }
    }
}

/// A server as the measurements want it.
pub(crate) fn durable() -> Result<Postgres> {
    let watched = wants_statements().then_some("shared_preload_libraries=pg_stat_statements");
    Postgres::start_with(&[], &DURABLE.into_iter().chain(watched).collect::<Vec<_>>())
}

fn wants_statements() -> bool {
    std::env::args().any(|argument| argument == "--statements")
}

/// The program under measurement: this one, or another one that was named.
fn binary() -> Result<PathBuf> {
    let named = std::env::args_os().skip_while(|argument| argument != "--binary").nth(1);
    named.map_or_else(|| Ok(std::env::current_exe()?), |named| Ok(named.into()))
}

impl Drop for Stage {
    fn drop(&mut self) {
        for replica in &mut self.replicas {
            drop(replica.kill());
            drop(replica.wait());
        }
    }
}
