//! `monolith-tui`: how a server is, for whoever sits at a terminal; today it says so once and exits.
//! What was learnt is on stdout, everything else on stderr, and no token comes from the command line.

/// Reads `/metrics`, and refuses to lose a sample silently.
mod metrics;
/// What was learnt about a server, as values; knows no socket and no screen.
mod model;
/// The command line, and where a token comes from.
mod options;
/// A drawn buffer as text, with colours or without.
mod paint;
/// Asks a server for everything, once.
mod poll;
/// Draws what was learnt; knows no socket and no terminal.
mod view;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use model::Status;
use options::{Failure, Options, Output};

/// Columns where nobody can say how wide the output is.
const WIDTH_ELSEWHERE: u16 = 100;
/// Below this the tables hold nothing that can be read; a narrower terminal wraps.
const WIDTH_MIN: u16 = 60;
/// Above this an eye loses the line.
const WIDTH_MAX: u16 = 160;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

async fn run(options: &Options) -> Result<u8, Failure> {
    let client = options.client()?;
    let status = poll::once(&client).await?;
    let text = match options.output {
        Output::Json => json(&status)?,
        Output::Text => screen(&status),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => return Err(Failure::new(1, format!("cannot write to stdout: {error}"))),
        Ok(()) => {}
    }
    status.failures().iter().for_each(|failure| complain(&Failure::from(*failure)));
    Ok(status.exit_code())
}

fn json(status: &Status) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(status);
    text.map(|text| text + "\n").map_err(|error| Failure::new(1, format!("cannot write JSON: {error}")))
}

fn screen(status: &Status) -> String {
    let terminal = std::io::stdout().is_terminal();
    let size = if terminal { crossterm::terminal::size().ok() } else { None };
    // Some terminals do not know their size and say zero.
    let size = size.filter(|(columns, _)| *columns > 0);
    let width = size.map_or(WIDTH_ELSEWHERE, |(columns, _)| columns.clamp(WIDTH_MIN, WIDTH_MAX));
    let buffer = view::draw(status, width);
    // https://no-color.org: present and not empty.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if terminal && !refused { paint::coloured(&buffer) } else { paint::plain(&buffer) }
}

/// Says what went wrong, without the control characters that a server could have put into it.
fn complain(failure: &Failure) {
    let clean = |text: &str| text.replace(char::is_control, " ");
    let mut text = format!("error: {}\n", clean(&failure.message));
    if let Some(hint) = &failure.hint {
        text += &format!("hint: {}\n", clean(hint));
    }
    // Nobody is left to tell that stderr is gone.
    drop(std::io::stderr().write_all(text.as_bytes()));
}
