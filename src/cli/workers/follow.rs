//! `workers run`: asks for a run and, where that is wanted, follows it to its end.
//! The run is the server's: whoever stops following it does not stop it.

use super::length;
use crate::cli::at::{Output, json};
use crate::cli::report::{self, Failure};
use crate::clock::write_duration;
use clap::Args;
use monolith_client::Client;
use monolith_client::wire::{self, RunState};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two looks at a run: what it writes is seen as soon as it is read, and a server is not kept busy.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    /// The worker.
    name: String,
    /// Wait for the end of the run, and print what it writes.
    #[arg(long)]
    wait: bool,
    /// For how long to wait; the run itself goes on.
    #[arg(long, value_name = "DURATION", default_value = "1h", requires = "wait", value_parser = length)]
    patience: Duration,
}

impl Run {
    pub(in crate::cli) async fn run(self, client: &Client, output: Output) -> Result<ExitCode, Failure> {
        let started = client.run_now(&self.name).await?;
        match (self.wait, output) {
            (false, Output::Json) => json(&started)?,
            (false, Output::Text) => report::data(&started.run_id),
            (true, _) => {
                report::words(format_args!("run {} of {}\n", started.run_id, self.name));
                let followed = self.follow(client, &started.run_id, output).await;
                return followed.map_err(|failure| failure.hint(format!("the run goes on: {}", self.advice())));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn advice(&self) -> String {
        format!("`monolith workers runs {}` tells what became of it", self.name)
    }

    async fn follow(&self, client: &Client, id: &str, output: Output) -> Result<ExitCode, Failure> {
        let give_up = Instant::now() + self.patience;
        let mut after = 0;
        loop {
            // The state is asked for first: what was written before an end is read after it.
            let run = client.run(id).await?;
            if output == Output::Text {
                after = print_from(client, id, after, run.state.is_final()).await?;
            }
            if run.state.is_final() {
                return ended(&run, output);
            }
            if Instant::now() >= give_up {
                let waited = write_duration(self.patience);
                return Err(Failure::failed(format!("the run is still {} after {waited}", run.state)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Prints what was written from an offset on; where nothing more will come, all of it.
async fn print_from(client: &Client, id: &str, mut after: u64, to_the_end: bool) -> Result<u64, Failure> {
    loop {
        let part = client.run_output(id, Some(after)).await?;
        // A reader that went away, as `head` does, is no mistake of anybody's.
        drop(io::stdout().lock().write_all(part.data.as_bytes()));
        let more = part.next > after;
        after = part.next;
        if part.done || !to_the_end || !more {
            drop(io::stdout().lock().flush());
            return Ok(after);
        }
    }
}

fn ended(run: &wire::Run, output: Output) -> Result<ExitCode, Failure> {
    if output == Output::Json {
        json(run)?;
    }
    let took = run.duration_ms.map(|ms| format!(" after {ms} ms")).unwrap_or_default();
    let why = run.error.as_deref().or(run.reason.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
    report::words(format_args!("{}{took}{why}\n", run.state));
    Ok(if run.state == RunState::Succeeded { ExitCode::SUCCESS } else { ExitCode::from(report::FAILED) })
}
