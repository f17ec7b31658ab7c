//! Stops a server and deletes its folder when its owner was killed before it could: Ctrl-C, a test runner's time-out,
//! `kill -9`. It must never act while its owner lives.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Reads the pid of the present server line by line (an empty line: none). The end of its input without a `done` means
/// that the owner is gone, because nobody else holds the other end of this pipe.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
server=
while read -r line; do
    [ "$line" = done ] && exit 0
    server=$line
done
if [ -n "$server" ]; then
    kill -STOP "$server" 2>/dev/null
    for stat in /proc/[0-9]*/stat; do
        if read -r pid _ _ parent _ <"$stat" && [ "$parent" = "$server" ]; then
            kill -KILL "$pid"
        fi
    done 2>/dev/null
    kill -KILL "$server" 2>/dev/null
fi
tries=0
until rm -rf "$1" || [ "$tries" -ge 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
done 2>/dev/null
"#;

/// A shell that outlives its owner by a moment.
#[derive(Debug)]
pub(super) struct Guardian {
    shell: Child,
}

impl Guardian {
    /// Watches over a folder, and over the servers that are named later.
    pub(super) fn over(folder: &Path) -> Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // a Ctrl-C at the terminal must not reach it
            .spawn()
            .context("cannot run sh")?;
        Ok(Self { shell })
    }

    /// From now on this is the server to stop; none when it was stopped.
    pub(super) fn watch(&mut self, server: Option<u32>) {
        self.say(&server.map(|pid| pid.to_string()).unwrap_or_default());
    }

    fn say(&mut self, line: &str) {
        if let Some(pipe) = &mut self.shell.stdin {
            // A guardian that somebody killed cannot guard; the server itself is unharmed.
            writeln!(pipe, "{line}").ok();
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.say("done");
        drop(self.shell.stdin.take());
        self.shell.wait().ok();
    }
}
