//! The console of a Monolith server: a pure core (`model`, `update`, `view`), pollers, and one guard of the terminal.
//! What was learnt is on stdout, everything else on stderr, and no token comes from the command line.

#[doc(hidden)]
pub mod bench;
/// Time as an argument.
mod clock;
/// The loop that joins everything.
mod console;
/// What is known of one source, and how old it is.
mod feed;
/// Servers and consoles for tests.
#[cfg(test)]
mod fixture;
/// The same model without a screen, for scripts and pipes.
mod headless;
/// What can be done, and by which key.
mod keymap;
/// What happens, and what is asked to be done.
mod message;
/// Reads `/metrics`, and refuses to lose a sample silently.
mod metrics;
/// Everything the console knows.
mod model;
/// Talks to servers.
mod net;
/// The command line.
mod options;
/// The difference of two frames as bytes.
mod screen;
/// `console.toml`, understood.
mod settings;
/// One look at a server, as text and as JSON.
mod status;
/// The terminal, taken and given back.
mod term;
/// Colours and signs.
mod theme;
/// Where tokens come from.
mod token;
/// The one place where the model changes.
mod update;
/// Draws the model.
mod view;
/// Numbers and texts as people read them.
mod words;

use std::process::ExitCode;

/// Runs the program that the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    options::main()
}
