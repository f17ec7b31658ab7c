//! The console against the server it is made for: a key from its making to its end, a run and its output, a broken file,
//! what was changed and by whom, a server that is killed, and every sample of its metrics.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::pty::Terminal;

/// The server as it is shipped, in a folder of its own.
struct Monolith {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Monolith {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(root.join("monolith.toml"), folder.path().join("monolith.toml")).unwrap();
        std::fs::create_dir(folder.path().join("profiles")).unwrap();
        for entry in std::fs::read_dir(root.join("profiles")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join("profiles").join(path.file_name().unwrap())).unwrap();
        }
        let mut command = Command::new(Self::binary());
        command.args(["serve", "--bind", "127.0.0.1:0"]).current_dir(folder.path()).env_clear().stdin(Stdio::null());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        // The address is the first line of standard output; a process that ends instead closes it.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http"), "the server did not start");
        Self { child, url: url.trim().to_owned(), folder }
    }

    /// Built beside the console, by `cargo test --workspace` or `cargo build`.
    fn binary() -> PathBuf {
        let binary = Path::new(env!("CARGO_BIN_EXE_monolith-tui")).with_file_name("monolith");
        assert!(binary.exists(), "build the server first: cargo build");
        binary
    }

    /// Edits its file.
    fn write(&self, old: &str, new: &str) {
        let file = self.folder.path().join("monolith.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(old), "{old} is not in the file");
        std::fs::write(&file, text.replace(old, new)).unwrap();
    }

    fn console(&self, args: &[&str]) -> Terminal {
        let all: Vec<&str> = ["--server", self.url.as_str()].into_iter().chain(args.iter().copied()).collect();
        Terminal::start(&all, self.folder.path(), (140, 40))
    }
}

impl Drop for Monolith {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Types into a dialog, which hears nothing before it could be read.
fn answer(terminal: &mut Terminal, question: &str, keys: &str) {
    terminal.see(question);
    std::thread::park_timeout(std::time::Duration::from_millis(400));
    terminal.press(keys);
}

/// Closes a window, which hears nothing at first, and waits for it: a key that follows Esc at once would be another key.
fn close(terminal: &mut Terminal) {
    std::thread::park_timeout(std::time::Duration::from_millis(400));
    terminal.press("\u{1b}");
    terminal.wait_for("the window to go", |text| !text.contains('╭'));
}

#[test]
fn a_key_is_made_shown_once_and_revoked_by_its_name() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    terminal.press("7");
    terminal.see("no key yet");
    terminal.press("W");
    answer(&mut terminal, "Allow changes", "local\r");
    terminal.see("UNLOCKED");
    terminal.press("n");
    answer(&mut terminal, "A new key", "orders-ci\t\torders:read\r");
    answer(&mut terminal, "mono_test_", "stored\r");
    terminal.wait_for("the list", |text| text.contains("● active") && !text.contains("mono_test_"));
    terminal.press("x");
    answer(&mut terminal, "Revoke a key", "orders-ci\r");
    terminal.see("○ revoked");
    terminal.press("`");
    terminal.see("done, the one replica");
    assert!(!terminal.text().contains("mono_test_"));
}

#[test]
fn a_run_is_asked_for_and_its_output_is_read() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    terminal.press("4");
    terminal.see("disk_space");
    terminal.press("W");
    answer(&mut terminal, "Allow changes", "local\r");
    terminal.see("UNLOCKED");
    terminal.press("/disk\re");
    answer(&mut terminal, "Run disk_space now?", "\t\r");
    terminal.press("\r");
    terminal.wait_for("the run", |text| text.contains("Runs of disk_space") && text.contains("● succeeded"));
    terminal.press("\r");
    terminal.see("Filesystem");
}

#[test]
fn a_broken_file_is_seen_with_its_mistake() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    monolith.write("every = \"10s\"", "evry = \"10s\"");
    terminal.see("▲ DEGRADED");
    terminal.press("5");
    terminal.see("did you mean");
}

#[test]
fn a_server_that_is_killed_is_seen_and_the_console_stays() {
    let mut monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    println!("first useful frame after {:?}", terminal.since_start());
    monolith.child.kill().unwrap();
    let seen = terminal.wait_for("an outage", |text| !text.contains("● OK"));
    println!("seen after {seen:?}");
    terminal.see("✖ UNREACHABLE");
    terminal.press("q");
    assert_eq!((terminal.end().0, terminal.left_open()), (0, Vec::new()));
}

#[test]
fn every_sample_that_the_server_writes_is_read() {
    let monolith = Monolith::start();
    // Every route that the console knows is asked once, so that its samples are there.
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    for screen in ["2", "3", "4", "5", "6", "7"] {
        terminal.press(screen);
    }
    terminal.see("no key yet");
    drop(terminal);
    let mut command = Command::new(env!("CARGO_BIN_EXE_monolith-tui"));
    command.args(["snapshot", "--json", "--server", &monolith.url]).current_dir(monolith.folder.path());
    let output = command.env_clear().output().unwrap();
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    let traffic = &whole["targets"][0]["traffic"];
    // The seam counts the lines that hold a sample, and refuses a text of which it lost one.
    assert_eq!(traffic["answer"], "known", "{traffic}");
    assert!(traffic["value"]["samples"].as_u64() > Some(100), "{traffic}");
}

#[test]
fn what_somebody_changed_is_in_the_audit_with_who_did_it() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    terminal.press("6");
    terminal.see("nothing was done yet");
    monolith.write("every = \"10s\"", "every = \"20s\"");
    terminal.wait_for("the reload", |text| text.contains("config.reload") && text.contains("● ok"));
    terminal.press("\r");
    terminal.see("request_id");
}

#[test]
fn warnings_are_read_and_so_are_those_of_one_request() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    monolith.write("every = \"10s\"", "evry = \"10s\"");
    terminal.press("6v");
    terminal.see("reload rejected");
    terminal.press(":request nobody-asked\r");
    terminal.see("Warnings and errors of request nobody-asked");
    terminal.see("none that the server remembers");
}

#[test]
fn a_reload_is_in_the_revisions_and_every_replica_is_listed() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    terminal.press("5");
    terminal.see("disk matches what runs");
    monolith.write("every = \"10s\"", "every = \"20s\"");
    terminal.press("v");
    terminal.wait_for("the revision", |text| text.contains("Revisions 2") && text.contains("workers.heartbeat"));
    terminal.press("\r");
    terminal.wait_for("both values", |text| text.contains("10s") && text.contains("20s"));
    close(&mut terminal);
    terminal.press("v");
    terminal.wait_for("the replica", |text| text.contains("Replicas 1") && text.contains("● ready"));
}

#[test]
fn a_plan_says_what_a_file_would_change_and_changes_nothing() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    let text = std::fs::read_to_string(monolith.folder.path().join("monolith.toml")).unwrap();
    std::fs::write(monolith.folder.path().join("new.toml"), text.replace("every = \"10s\"", "every = \"20s\""))
        .unwrap();
    terminal.press("5");
    terminal.see("disk matches what runs");
    terminal.press("p");
    terminal.see("plan file:");
    terminal.press("new.toml\r");
    terminal.wait_for("the plan", |text| text.contains("it would be applied") && text.contains("workers.heartbeat"));
    close(&mut terminal);
    terminal.see("generation 1");
    terminal.press("p");
    terminal.see("plan file:");
    std::fs::write(monolith.folder.path().join("new.toml"), "[server]\nbnd = 1\n").unwrap();
    terminal.press("new.toml\r");
    terminal.see("did you mean");
}

#[test]
fn a_value_is_explained_by_the_layer_it_comes_from() {
    let monolith = Monolith::start();
    let mut terminal = monolith.console(&[]);
    terminal.see("● OK");
    terminal.press("5/server.docs\r");
    terminal.see("Values 1 of");
    terminal.press("\r");
    terminal.wait_for("the layer", |text| text.contains("Explain server.docs") && text.contains("dev.toml"));
}
