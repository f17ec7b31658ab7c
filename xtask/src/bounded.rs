//! Runs programs to their end, each with a limit, so that no check hangs.
//! It knows nothing of servers: what must keep running belongs to `servers`.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::servers::process;

/// The shortest pause between two looks at a program; every wait of this crate uses it.
const FIRST_LOOK: Duration = Duration::from_millis(2);

/// The longest such pause: it bounds how late the end of a program is noticed.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Asks `done` again and again until it gives a value, at most for `limit`.
pub(crate) fn poll<T>(limit: Duration, mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    let mut look = FIRST_LOOK;
    loop {
        if let Some(value) = done() {
            return Some(value);
        }
        if started.elapsed() >= limit {
            return None;
        }
        nap(look);
        look = (look * 2).min(LAST_LOOK);
    }
}

#[expect(clippy::disallowed_methods, reason = "no async runtime here: this is the one pause between two looks")]
fn nap(duration: Duration) {
    thread::sleep(duration);
}

/// Runs a program with this program's own output; after `limit` it dies with all its descendants.
///
/// # Errors
/// When it cannot be started, or when the limit is reached.
pub fn status(command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let ended = poll(limit, || child.try_wait().transpose());
    if let Some(status) = ended {
        return status.with_context(|| format!("cannot wait for {name}"));
    }
    process::kill_tree(child.id());
    child.wait().with_context(|| format!("cannot wait for {name}"))?;
    bail!("{name} took longer than {} s and was stopped", limit.as_secs())
}

/// Runs a program without input and gives what it wrote to stdout; what it wrote to stderr is part of the error.
///
/// # Errors
/// When it cannot be started, fails, or takes longer than `limit`.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let out = collect(child.stdout.take());
    let err = collect(child.stderr.take());
    let Some(status) = poll(limit, || child.try_wait().transpose()) else {
        process::kill_tree(child.id());
        child.wait().with_context(|| format!("cannot wait for {name}"))?;
        bail!("{name} took longer than {} s and was stopped", limit.as_secs());
    };
    let status = status.with_context(|| format!("cannot wait for {name}"))?;
    let out = out.join().unwrap_or_default();
    let err = err.join().unwrap_or_default();
    if status.success() { Ok(out) } else { bail!("{name} failed ({status}): {}{}", out.trim(), err.trim()) }
}

/// A full pipe would stop the program, so a thread empties it.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            pipe.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_returned_or_part_of_the_error() {
        let limit = Duration::from_secs(10);
        assert_eq!(output(Command::new("echo").arg("here"), limit).unwrap(), "here\n");
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]), limit).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_dies_with_its_children() {
        let started = Instant::now();
        let error = output(Command::new("sh").args(["-c", "sleep 60 & wait"]), Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
