//! The process group of a command, and how it ends: asked first, then killed, as a whole, also when nobody waits for it any more.
//! The only place of the program that speaks to the operating system past the standard library.

use super::output::Tail;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a group may take to end by itself after it was asked to.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// A process group; it is killed when this is dropped.
pub(super) struct Group(Option<libc::pid_t>);

impl Group {
    /// The group whose leader this child is.
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| libc::pid_t::try_from(id).ok()))
    }

    /// Asks the group to end, kills it after the grace, and waits for its leader.
    pub(super) async fn stop(&mut self, child: &mut Child, pipe: &mut Receiver, tail: &mut Tail) {
        self.signal(libc::SIGTERM);
        if timeout(TERM_GRACE, super::wait(child, pipe, tail)).await.is_err() {
            self.kill();
            drop(timeout(TERM_GRACE, child.wait()).await);
        }
    }

    /// Kills whatever is left of the group. Its number stays taken while a member lives, and is not used again once nobody does.
    pub(super) fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.0 = None;
    }

    #[expect(unsafe_code, reason = "the standard library cannot signal a process group")]
    fn signal(&self, signal: libc::c_int) {
        if let Some(leader) = self.0 {
            // SAFETY: kill takes two numbers and touches no memory of ours; the group is one that we made.
            unsafe { libc::kill(-leader, signal) };
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Has the leader killed when the thread that started it ends, which is when this process dies, also by `kill -9`.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a child can only ask for this between fork and exec")]
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = std::os::unix::process::parent_id;
    let ours = std::process::id();
    // SAFETY: prctl and getppid are async-signal-safe and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The parent may have died before the line above.
            if parent() == ours { Ok(()) } else { Err(std::io::Error::from_raw_os_error(libc::ESRCH)) }
        });
    }
}

/// Other systems have no such request; there a command outlives a killed server.
#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_: &mut Command) {}
