//! A program, without a shell, in a process group of its own that ends with its run. It sees five inherited variables, its own and the
//! run's identity, and nothing else of this process.

mod group; // how its process group ends

use super::{BaseEnv, Job, Live};
use crate::process::{self, Group};
use crate::secret::Secret;
use crate::work::run::{Done, Verdict};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long after the program's end its last output may take to arrive: what left its group may hold the pipe open for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

pub(super) async fn run(job: &Job, argv: &[String], env: &BTreeMap<String, Secret>, cwd: &Path) -> Done {
    let (child, pipe) = match spawn(job, argv, env, cwd) {
        Ok(spawned) => spawned,
        Err(error) => {
            return Done::failed(format!("`{}` cannot be started: {error}", argv.first().map_or("", String::as_str)));
        }
    };
    supervise(job, child, pipe).await
}

fn spawn(job: &Job, argv: &[String], env: &BTreeMap<String, Secret>, cwd: &Path) -> io::Result<(Child, Receiver)> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // One pipe for both, so that what was written first is read first.
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(cwd).env_clear().stdin(Stdio::null());
    command.stdout(writer.try_clone()?).stderr(writer).kill_on_drop(true).process_group(0);
    inherit(&mut command, &job.env);
    for (name, value) in env {
        command.env(name, OsStr::from_bytes(value.expose()));
    }
    identify(&mut command, job);
    process::die_with_parent(command.as_std_mut());
    let child = command.spawn()?;
    Ok((child, Receiver::from_owned_fd(reader.into())?))
}

fn inherit(command: &mut Command, base: &BaseEnv) {
    let BaseEnv { path, home, lang, tz, tmpdir } = base;
    for (name, value) in [("PATH", path), ("HOME", home), ("LANG", lang), ("TZ", tz), ("TMPDIR", tmpdir)] {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
}

fn identify(command: &mut Command, job: &Job) {
    command
        .env("MONOLITH_RUN_WORKER", job.claim.worker.name.as_str())
        .env("MONOLITH_RUN_TICK_AT", job.tick_text().unwrap_or_default())
        .env("MONOLITH_RUN_ID", job.claim.run.to_string())
        .env("MONOLITH_RUN_ATTEMPT", job.attempt.to_string());
}

async fn supervise(job: &Job, mut child: Child, mut pipe: Receiver) -> Done {
    let live = &*job.live;
    let mut group = Group::led_by(child.id());
    let ended = tokio::select! {
        ended = wait(&mut child, &mut pipe, live) => Some(ended),
        () = tokio::time::sleep_until(job.deadline) => None,
        () = job.cancel.cancelled() => None,
    };
    let done = match ended {
        Some(Ok(status)) => judge(status),
        Some(Err(error)) => Done::failed(format!("cannot be watched: {error}")),
        None => {
            let stopped = job.stopped();
            group::stop(&mut group, &mut child, &mut pipe, live).await;
            stopped
        }
    };
    // What the program left behind in its group ends with the run.
    group.kill();
    let rest = timeout(OUTPUT_GRACE, drain(&mut pipe, live)).await;
    drop(rest);
    done
}

/// Reads until the program itself has ended, whoever still holds its pipe.
async fn wait(child: &mut Child, pipe: &mut Receiver, live: &Live) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = drain(pipe, live) => {}
    }
    child.wait().await
}

async fn drain(pipe: &mut Receiver, live: &Live) {
    let mut buffer = [0_u8; 8 * 1024];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        live.push(buffer.get(..length).unwrap_or_default());
    }
}

fn judge(status: ExitStatus) -> Done {
    let mut done = match (status.code(), status.signal()) {
        (Some(0), _) => Done::succeeded(None),
        (Some(code), _) => Done::failed(format!("exited with {code}")),
        (None, signal) => Done::failed(format!("was ended by signal {}", signal.unwrap_or(0))),
    };
    done.exit_code = status.code();
    debug_assert!(matches!(done.verdict, Verdict::Succeeded | Verdict::Failed));
    done
}
