//! `monolith workers`: list, run, pause, resume, cancel and backfill on a running server, and what became of ticks and runs.
//! `simulate` alone needs no server: it reads the file and foretells.

mod follow; // a run from being asked for to its end
mod simulate; // ticks over any period, through an outage, from the file alone

use super::at::{At, Output, json, or_dash};
use super::report::{self, Failure};
use super::wall::Moment;
use crate::clock::{Timestamp, parse_duration, write_duration};
use crate::config::Sources;
use clap::{Args, Subcommand};
use monolith_client::Client;
use monolith_client::wire::{self, PageQuery, PauseWorker, TicksQuery};
use std::process::ExitCode;
use std::time::Duration;

/// The most items of one answer.
const PAGE: u32 = 500;
/// How many runs or ticks are printed where nobody says.
const LISTED: u32 = 20;

#[derive(Debug, Args)]
pub(super) struct Workers {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the workers: where each stands, when it is due, how its last run ended.
    List,
    /// Run a worker now, also one that is switched off; with --wait its output is printed as it comes.
    #[command(after_help = "Exit code with --wait: 0 where the run succeeded, 1 where it did not.\n\n\
                            Example:\n  monolith workers run nightly_report --wait")]
    Run(follow::Run),
    /// Start none of its ticks until it is resumed; a run in progress goes on.
    #[command(after_help = "Example:\n  monolith workers pause nightly_report --reason 'moving the database' --for 2h")]
    Pause(Pause),
    /// End the pause of a worker.
    Resume {
        /// The worker.
        name: String,
    },
    /// List the runs of a worker, newest first.
    Runs {
        /// The worker.
        name: String,
        /// How many at most.
        #[arg(long, default_value_t = LISTED)]
        limit: u32,
    },
    /// What became of each tick: ran, skipped, missed, lost or pending, and why; the last day where no time is named.
    Ticks(Ticks),
    /// Queue ticks of the past that did not run, oldest first.
    Backfill(Backfill),
    /// Cancel a run that waits or is in progress.
    Cancel {
        /// The run's id.
        run: String,
    },
    /// Print ticks over any period, through daylight saving and an outage, from the file alone.
    Simulate(simulate::Simulate),
}

#[derive(Debug, Args)]
struct Pause {
    /// The worker.
    name: String,
    /// Why; whoever finds it paused reads this.
    #[arg(long)]
    reason: String,
    /// When it ends by itself [default: when somebody resumes it].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<Moment>,
    /// After how long it ends by itself, as in 2h.
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until", value_parser = length)]
    for_: Option<Duration>,
}

#[derive(Debug, Args)]
struct Ticks {
    /// The worker.
    name: String,
    /// The first instant, included: RFC 3339, a date, now, or -2d [default: a day before `to`].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// The last instant, excluded [default: now].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<Moment>,
    /// How many lines at most.
    #[arg(long, default_value_t = PAGE)]
    limit: u32,
}

#[derive(Debug, Args)]
struct Backfill {
    /// The worker.
    name: String,
    /// The first instant, included: RFC 3339, a date, now, or -2d.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Moment,
    /// The last instant, excluded.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Moment,
    /// How many runs at most.
    #[arg(long, default_value_t = 100)]
    max: u32,
}

impl Workers {
    pub(super) fn run(self, sources: &Sources) -> Result<ExitCode, Failure> {
        let output = self.at.output;
        if let Command::Simulate(simulate) = self.command {
            return simulate.run(sources, output);
        }
        super::install_cryptography();
        let client = self.at.client(sources)?;
        super::runtime()?.block_on(run(&client, self.command, output))
    }
}

async fn run(client: &Client, command: Command, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::List => list(client, output).await?,
        Command::Run(run) => return run.run(client, output).await,
        Command::Pause(pause) => pause.run(client, output).await?,
        Command::Resume { name } => stands(&client.resume(&name).await?, output)?,
        Command::Runs { name, limit } => runs(client, &name, limit, output).await?,
        Command::Ticks(ticks) => ticks.run(client, output).await?,
        Command::Backfill(backfill) => backfill.run(client, output).await?,
        Command::Cancel { run } => cancelled(&client.cancel_run(&run).await?, output)?,
        // Needs no client.
        Command::Simulate(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let mut workers: Vec<wire::Worker> = Vec::new();
    let mut page = PageQuery { limit: Some(PAGE), after: None };
    loop {
        let found = client.workers(&page).await?;
        workers.extend(found.items);
        page.after = found.next;
        if page.after.is_none() {
            break;
        }
    }
    if output == Output::Json {
        return json(&workers);
    }
    let rows = workers.iter().map(|worker| {
        [
            worker.name.clone(),
            worker.state.to_string(),
            worker.kind.to_string(),
            schedule(worker),
            or_dash(worker.next.first().map(String::as_str)),
            or_dash(worker.last_run.as_ref().map(|run| run.state.as_str())),
            note(worker),
        ]
    });
    report::table(["NAME", "STATE", "KIND", "SCHEDULE", "NEXT", "LAST RUN", "NOTE"], rows);
    Ok(())
}

fn schedule(worker: &wire::Worker) -> String {
    match (&worker.schedule, worker.every_ms) {
        (Some(cron), _) if worker.timezone == "UTC" => cron.clone(),
        (Some(cron), _) => format!("{cron} in {}", worker.timezone),
        (None, Some(every)) => format!("every {}", write_duration(Duration::from_millis(every))),
        (None, None) => "-".to_owned(),
    }
}

/// What an operator would ask about first.
fn note(worker: &wire::Worker) -> String {
    let mut notes = Vec::new();
    if let Some(paused) = &worker.paused {
        let until = paused.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        notes.push(format!("paused by {}{until}: {}", paused.by, paused.reason));
    }
    if let Some(since) = &worker.overdue_since {
        notes.push(format!("overdue since {since}"));
    }
    if let Some(slow) = &worker.outlasts {
        let length = |ms| write_duration(Duration::from_millis(ms));
        notes.push(format!("takes {} and is due every {}", length(slow.took_ms), length(slow.interval_ms)));
    }
    if worker.consecutive_failures > 0 {
        notes.push(format!("failed {} times in a row", worker.consecutive_failures));
    }
    notes.join("; ")
}

impl Pause {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let until = self.for_.map(|length| Timestamp::now().after(length)).or(self.until.map(Moment::in_utc));
        let pause = PauseWorker { reason: self.reason, until: until.map(|until| until.to_string()) };
        stands(&client.pause(&self.name, &pause).await?, output)
    }
}

/// Where a worker stands, in one line.
fn stands(worker: &wire::Worker, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return json(worker);
    }
    let (note, next) = (note(worker), worker.next.first());
    let detail = match next {
        _ if !note.is_empty() => format!(", {note}"),
        Some(next) => format!(", next at {next}"),
        None => String::new(),
    };
    report::data(format_args!("{} is {}{detail}", worker.name, worker.state));
    Ok(())
}

async fn runs(client: &Client, name: &str, limit: u32, output: Output) -> Result<(), Failure> {
    let mut runs: Vec<wire::Run> = Vec::new();
    let mut page = PageQuery::default();
    loop {
        let missing = limit.saturating_sub(u32::try_from(runs.len()).unwrap_or(u32::MAX));
        page.limit = Some(missing.min(PAGE));
        let found = client.runs(name, &page).await?;
        runs.extend(found.items);
        page.after = found.next;
        if page.after.is_none() || runs.len() >= limit as usize {
            break;
        }
    }
    if page.after.is_some() {
        report::words("note: there are more; raise --limit\n");
    }
    if output == Output::Json {
        return json(&runs);
    }
    let rows = runs.iter().map(|run| {
        [
            run.id.clone(),
            run.kind.to_string(),
            run.state.to_string(),
            run.due_at.clone(),
            or_dash(run.duration_ms.map(|ms| format!("{ms} ms")).as_deref()),
            or_dash(run.replica.as_deref()),
            run.error.clone().or_else(|| run.reason.clone()).unwrap_or_default(),
        ]
    });
    report::table(["RUN", "KIND", "STATE", "DUE", "TOOK", "REPLICA", "WHY"], rows);
    Ok(())
}

impl Ticks {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let text = |moment: Option<Moment>| moment.map(|moment| moment.in_utc().to_string());
        let limit = Some(self.limit.min(PAGE));
        let query = TicksQuery { from: text(self.from), to: text(self.to), limit, after: None };
        let ticks = client.ticks(&self.name, &query).await?;
        if ticks.next.is_some() {
            report::words("note: there are more; ask for a shorter time\n");
        }
        if output == Output::Json {
            return json(&ticks);
        }
        let rows = ticks.items.iter().map(|span| {
            [
                span.from.clone(),
                if span.count == 1 { "-".to_owned() } else { span.to.clone() },
                span.count.to_string(),
                span.outcome.to_string(),
                or_dash(span.reason.as_deref()),
                or_dash(span.run_id.as_deref()),
            ]
        });
        report::table(["TICK", "TO", "COUNT", "OUTCOME", "WHY", "RUN"], rows);
        report::words(format_args!("{} ticks were expected\n", ticks.expected));
        Ok(())
    }
}

impl Backfill {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let (from, to) = (self.from.in_utc().to_string(), self.to.in_utc().to_string());
        let started = client.backfill(&self.name, &wire::Backfill { from, to, max: self.max }).await?;
        if output == Output::Json {
            return json(&started);
        }
        report::data(format_args!("{} runs queued", started.runs));
        Ok(())
    }
}

fn cancelled(run: &wire::Run, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return json(run);
    }
    match run.state.is_final() {
        true => report::data(format_args!("{} is {}", run.id, run.state)),
        false => report::data(format_args!("{} is {}; whoever has it was asked to stop it", run.id, run.state)),
    }
    Ok(())
}

fn length(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "must be a length of time such as 30m or 2h".to_owned())
}
