//! The real binary: in a pseudo-terminal, in a pipe, against a server that plays a script, and against the real one.
//! Waiting is always for a condition, with a limit; no port is fixed, and everything that is started ends with its test.
#![expect(unreachable_pub, reason = "nothing outside of a test binary could reach anything")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

/// The program without a screen.
mod headless;
/// A token out of the system's keyring.
#[cfg(target_os = "linux")]
mod keyring;
/// A terminal that nobody sits at.
mod pty;
/// The program against the real server.
mod real;
/// The program on a screen.
mod screen;
/// A server that does as it is told.
mod server;
