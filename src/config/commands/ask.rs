//! One program, asked for a secret: no shell, five variables, nothing to read, a bounded answer, and an end of its whole
//! process group when its time is over. What it writes to standard error is thrown away: it may hold the value.

use super::super::environment::Environment;
use super::Question;
use crate::clock::write_duration;
use crate::config::files::plain;
use crate::process::{self, Group};
use crate::secret::Secret;
use futures_util::StreamExt;
use futures_util::stream;
use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// The longest answer: a private key or a certificate takes a tenth of it.
const MAX_ANSWER: usize = 64 * 1024;
/// How many programs are asked at once; the others wait for their turn.
const AT_ONCE: usize = 8;
/// How long after the program's end its last words may take to arrive: what left its group may hold the pipe open for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);
/// How long a killed program may take to be gone.
const END_GRACE: Duration = Duration::from_secs(1);

type Told = (Question, Result<Secret, String>);

/// Asks all of them, some at once, each within its own time-out.
pub(super) fn ask_all(
    questions: Vec<(Question, Duration)>,
    environment: &Environment,
    stop: &CancellationToken,
) -> io::Result<Vec<Told>> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let one = |(question, limit): (Question, Duration)| async move {
        let answer = tokio::select! {
            answer = ask(&question, limit, environment) => answer,
            () = stop.cancelled() => Err("was given up, for this process ends".to_owned()),
        };
        (question, answer)
    };
    wait_for(stream::iter(questions).map(one).buffer_unordered(AT_ONCE).collect())
}

/// Waits on a thread of its own, so that it does not matter which thread the caller is on.
fn wait_for<T: Send>(work: impl Future<Output = T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let waiting = std::thread::Builder::new().name("secrets".into()).spawn_scoped(scope, || {
            Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
        })?;
        waiting.join().unwrap_or_else(|_| Err(io::Error::other("the asking broke off")))
    })
}

async fn ask(question: &Question, limit: Duration, environment: &Environment) -> Result<Secret, String> {
    let (program, arguments) = question.argv.split_first().ok_or("names no program")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&question.folder).env_clear().envs(environment.inherited());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true).process_group(0);
    process::die_with_parent(command.as_std_mut());
    let mut child = command.spawn().map_err(|error| format!("`{program}` cannot be started: {}", plain(&error)))?;
    let mut group = Group::led_by(child.id());
    let mut pipe = child.stdout.take().ok_or("gives nothing to read")?;
    let mut answer = Answer::default();
    let ended = timeout(limit, listen(&mut child, &mut pipe, &mut answer)).await;
    // What the program left behind in its group ends with it, and holds the pipe no longer.
    group.kill();
    match ended {
        Ok(Ok(_)) if answer.is_too_long() => Err(format!("`{program}` told more than {} KiB", MAX_ANSWER / 1024)),
        Ok(Ok(status)) if status.success() => {
            drop(timeout(OUTPUT_GRACE, answer.take_in(&mut pipe)).await);
            answer.value().ok_or_else(|| format!("`{program}` told nothing"))
        }
        Ok(Ok(status)) => Err(format!("`{program}` {}", words(status))),
        Ok(Err(error)) => Err(format!("`{program}` cannot be watched: {error}")),
        Err(_) => {
            drop(timeout(END_GRACE, child.wait()).await);
            Err(format!("`{program}` took longer than {} and was ended", write_duration(limit)))
        }
    }
}

/// Reads until the program itself has ended, whoever still holds its pipe, or until it has told too much.
async fn listen(child: &mut Child, pipe: &mut ChildStdout, answer: &mut Answer) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = answer.take_in(pipe) => {}
    }
    if answer.is_too_long() {
        child.start_kill()?;
    }
    child.wait().await
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or(0)),
    }
}

/// What a program told, in memory that is wiped and never grows: growing would leave copies behind.
struct Answer(Zeroizing<Vec<u8>>);

impl Default for Answer {
    fn default() -> Self {
        // One more for the newline, and one that shows that it was too much.
        Self(Zeroizing::new(Vec::with_capacity(MAX_ANSWER + 2)))
    }
}

impl Answer {
    async fn take_in(&mut self, pipe: &mut ChildStdout) {
        let mut buffer = Zeroizing::new([0_u8; 4096]);
        while let Ok(length @ 1..) = pipe.read(buffer.as_mut()).await {
            let room = (MAX_ANSWER + 2).saturating_sub(self.0.len());
            self.0.extend_from_slice(buffer.get(..length.min(room)).unwrap_or_default());
            if self.is_too_long() {
                return;
            }
        }
    }

    fn is_too_long(&self) -> bool {
        self.told().len() > MAX_ANSWER
    }

    fn value(&self) -> Option<Secret> {
        Some(self.told()).filter(|bytes| !bytes.is_empty()).map(Secret::new)
    }

    /// The answer without the one newline that every program ends its lines with.
    fn told(&self) -> &[u8] {
        self.0.strip_suffix(b"\n").unwrap_or(&self.0)
    }
}
