//! The chaos proof of scheduled work: processes on one database that are killed, frozen and cut off, and a checker that reads nothing but
//! what was recorded. It knows the program only from outside: its file, its signals, its tables.

#![expect(clippy::print_stdout, reason = "it talks to whoever sits at the shell")]

/// What the recorded history must say.
mod checker;
/// The processes under test.
mod fleet;
/// What a defect would have left behind.
mod forgeries;
/// What happened and what was recorded, as files.
mod history;
/// Bugs in the program that the checker must notice.
mod seeded;
/// The database and the declared work.
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use fleet::Fleet;
use history::{History, What};
use stage::Stage;

/// How long what is under way at the end may take.
const SETTLE: Duration = Duration::from_secs(5);
/// For how long beyond a lease nothing happens after a kill that is left alone.
const CALM: Duration = Duration::from_secs(3);
/// How long Postgres hangs, once: shorter than a statement may take.
const HANG: Duration = Duration::from_secs(8);

/// Kill, freeze and cut off processes that run workers on one database, then check what was recorded
///
/// Exit code 0: no tick was doubled or lost, nothing was written by a zombie, takeovers came in time, and the checker noticed every
/// forgery. What happened is kept in a folder: `cargo xtask chaos check FOLDER` judges it again.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Chaos {
    #[command(subcommand)]
    check: Option<Check>,
    #[command(flatten)]
    storm: Storm,
    /// Prove the checker: run the program with each of its seeded bugs (built with `--features seeded-bugs`) and expect a breach
    #[arg(long)]
    seeded: bool,
}

#[derive(Subcommand)]
enum Check {
    /// Judge a recorded history again
    Check {
        /// The folder of a run
        folder: PathBuf,
    },
}

/// What is done to whom.
#[derive(Args, Clone)]
struct Storm {
    /// The program under test
    #[arg(long, default_value = "target/release/monolith")]
    binary: PathBuf,
    /// Where the history goes; a folder that is not there yet [default: target/chaos/<seconds since 1970>]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// One SQLite file instead of Postgres
    #[arg(long)]
    sqlite: bool,
    /// How many processes [default: 3, with --sqlite 2]
    #[arg(long)]
    processes: Option<usize>,
    /// How many workers, each due every second
    #[arg(long, default_value_t = 1_000)]
    workers: usize,
    /// How many kills
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// Seconds from one kill to the next
    #[arg(long, default_value_t = 3)]
    every: u64,
    /// The lease in seconds
    #[arg(long, default_value_t = 5)]
    lease: u64,
    /// Every so many kills a process is frozen beyond its lease instead
    #[arg(long, default_value_t = 10)]
    freeze_every: usize,
    /// Every so many kills Postgres is killed and started again
    #[arg(long, default_value_t = 25)]
    restart_every: usize,
    /// One kill in so many is left alone before and after, so that its takeover is held to the bound
    #[arg(long, default_value_t = 25)]
    calm_every: usize,
    /// For how many seconds Postgres is stopped once, half way
    #[arg(long, default_value_t = 30)]
    outage: u64,
    /// Statements take a while and wait for few connections, so that a freeze meets runs that were started and have done nothing yet
    #[arg(long, conflicts_with = "sqlite")]
    slow: bool,
    /// Where chance begins: the same number makes the same choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Chaos {
    pub(crate) fn run(&self) -> Result<()> {
        match &self.check {
            Some(Check::Check { folder }) => checker::check(&History::read(folder)?),
            None if self.seeded => seeded::prove(&self.storm),
            None => checker::check(&self.storm.rage(None)?),
        }
    }
}

impl Storm {
    /// Does it all, with or without a bug; what was recorded.
    fn rage(&self, bug: Option<&str>) -> Result<History> {
        let folder = self.folder(bug)?;
        let binary = self.binary.canonicalize().with_context(|| format!("{} is not there", self.binary.display()))?;
        let stage = Stage::set(self, &folder)?;
        let mut fleet = Fleet::new(binary, &folder, bug)?;
        for _ in 0..self.processes() {
            fleet.start()?;
        }
        if bug == Some(seeded::BLIND_ADVANCE) {
            stage.drop_unique_ticks()?;
        }
        println!("{} processes, {} workers a second, history in {}", self.processes(), self.workers, folder.display());
        let began = Instant::now();
        self.blow(&mut fleet, &stage)?;
        println!("{} blows in {} s; settling", self.kills, began.elapsed().as_secs());
        rest(SETTLE + Duration::from_secs(2 * self.lease));
        fleet.stop()?;
        stage.export(&folder)?;
        fs::write(folder.join("about.csv"), format!("{},{}\n", self.lease * 1_000, u8::from(self.sqlite)))?;
        History::read(&folder)
    }

    fn processes(&self) -> usize {
        self.processes.unwrap_or(if self.sqlite { 2 } else { 3 }).max(1)
    }

    fn folder(&self, bug: Option<&str>) -> Result<PathBuf> {
        let name = || Path::new("target/chaos").join(now_millis().div_euclid(1_000).to_string());
        let mut folder = self.folder.clone().unwrap_or_else(name);
        if let Some(bug) = bug {
            folder.push(bug);
        }
        if folder.join("events.csv").exists() {
            bail!("{} holds a history; name another folder", folder.display());
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder.canonicalize()?)
    }

    fn blow(&self, fleet: &mut Fleet, stage: &Stage) -> Result<()> {
        let mut chance = Chance(self.seed);
        for n in 1..=self.kills {
            // Not with the other rare blows, which come at multiples.
            let is_calm = is_turn(n + self.calm_every / 2, self.calm_every) && !is_turn(n, self.freeze_every);
            rest(Duration::from_secs(if is_calm { self.every.max(self.lease + 1) } else { self.every }));
            let victim = chance.below(self.processes());
            if is_turn(n, self.freeze_every) {
                fleet.freeze(victim, Duration::from_secs(self.lease + 2))?;
            } else {
                fleet.kill(victim)?;
            }
            self.break_the_store(n, fleet, stage)?;
            if is_calm {
                rest(Duration::from_secs(self.lease) + CALM);
            }
            if n % 10 == 0 {
                println!("{n} of {}", self.kills);
            }
        }
        Ok(())
    }

    fn break_the_store(&self, n: usize, fleet: &Fleet, stage: &Stage) -> Result<()> {
        let Some(postgres) = stage.postgres() else { return Ok(()) };
        let away = |down: &dyn Fn() -> Result<()>, length: Duration, up: &dyn Fn() -> Result<()>| {
            fleet.note(What::StoreDown, "")?;
            down()?;
            rest(length);
            up()?;
            fleet.note(What::StoreUp, "")
        };
        if is_turn(n, self.restart_every) {
            away(&|| postgres.kill(), Duration::ZERO, &|| postgres.restart())?;
        }
        if self.outage > 0 && n == self.kills / 2 {
            away(&|| postgres.stop(), Duration::from_secs(self.outage), &|| postgres.restart())?;
        }
        if self.outage > 0 && n == self.kills / 4 {
            away(&|| postgres.pause(), HANG, &|| postgres.resume())?;
        }
        Ok(())
    }
}

/// Whether it is the turn of what happens every so often.
fn is_turn(n: usize, every: usize) -> bool {
    every > 0 && n.is_multiple_of(every)
}

/// Waits as long as it takes: here time itself is what is waited for.
fn rest(length: Duration) {
    let end = Instant::now() + length;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// The clock of this machine, which is also the database's.
fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A linear congruential generator (Knuth, MMIX): chance that can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % n.max(1)
    }
}
