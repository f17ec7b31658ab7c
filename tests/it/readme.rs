//! The README's tour, run as it stands: every `$` line of its blocks, in order, in one shell per block, against a server
//! that was started in a copy of the shipped files. Lines without `$` are what the output must hold.

use crate::harness::{PATIENCE, TestMonolith, shipped};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const README: &str = include_str!("../../README.md");

/// A command of the tour and what its output must hold.
struct Step {
    command: String,
    holds: Vec<String>,
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in README.split("<!-- tour -->\n```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), holds: Vec::new() }),
                (None, Some(step)) => step.holds.push(line.to_owned()),
                (None, None) => panic!("a block of the tour begins with output: {line}"),
            }
        }
    }
    steps
}

/// Runs one command in a shell that remembers what was exported before; the output of both streams.
fn run(server: &TestMonolith, exports: &str, command: &str) -> String {
    let binaries = Path::new(env!("CARGO_BIN_EXE_monolith")).parent().unwrap();
    let script = format!("set -e\nPATH={}:$PATH\n{exports}\n{command}", binaries.display());
    let script = script.replace("http://127.0.0.1:8000", server.url());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(server.folder())
        .envs(server.as_seen_by_commands())
        .stdin(Stdio::null())
        .output()
        .expect("the tour needs bash and curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_works_to_the_letter() {
    let server = shipped().ready().await;
    let mut exports = String::new();
    for step in steps() {
        if step.command.starts_with("export ") {
            exports.push_str(&step.command);
            exports.push('\n');
        }
        let give_up = Instant::now() + PATIENCE;
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            looks.tick().await;
            let output = run(&server, &exports, &step.command);
            if step.holds.iter().all(|part| output.contains(part)) {
                break;
            }
            // An edit takes effect within a second, and only asking may be repeated.
            let asks = step.command.contains("curl -s http") || step.command.contains("/runs");
            assert!(asks && Instant::now() < give_up, "{}\n{output}\nlacks {:?}", step.command, step.holds);
        }
    }
}

#[test]
fn the_tour_has_a_beginning_and_an_end() {
    let commands: Vec<String> = steps().into_iter().map(|step| step.command).collect();
    assert!(commands.len() > 15, "{commands:?}");
    assert_eq!(commands.last().map(String::as_str), Some("monolith smoke"));
}
