//! The program in a pipe: one look, exit codes, lines for changes.
//! What it prints is data; everything else is on standard error.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::server::{Does, Server};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monolith-tui"));
    command.args(args).env_clear().env("HOME", "/nonexistent").env("MONOLITH_TOKEN", "tok").stdin(Stdio::null());
    command
}

fn run(server: &Server, args: &[&str]) -> Output {
    command(args).args(["--server", &server.url]).output().unwrap()
}

#[test]
fn a_check_is_a_word_and_an_exit_code() {
    for (does, code, word) in [
        (Does::Well, 0, "local OK"),
        (Does::Hangs, 4, "local UNREACHABLE"),
        (Does::Resets, 4, "local UNREACHABLE"),
        (Does::Unauthorized, 5, "local UNAUTHORIZED"),
        (Does::Gateway, 6, "local UNREADABLE"),
        (Does::Page, 6, "local UNREADABLE"),
    ] {
        let output = run(&Server::that(does), &["check"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(word), "{does:?}: {text}");
        assert_eq!(output.status.code(), Some(code), "{does:?}: {text}");
    }
}

#[test]
fn a_snapshot_is_one_object_with_ages() {
    let output = run(&Server::that(Does::Well), &["snapshot", "--json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    let target = &whole["targets"][0];
    assert_eq!((&whole["schema"], &target["state"]), (&Value::from(1), &Value::from("healthy")));
    assert!(target["age_ms"]["health"].is_u64() && target["keys"]["answer"] == "known", "{target}");
}

#[test]
fn without_a_terminal_it_prints_tables_without_codes() {
    let server = Server::that(Does::Well);
    for args in [["--plain"].as_slice(), &["snapshot"], &[]] {
        let text = String::from_utf8(run(&server, args).stdout).unwrap();
        assert!(text.contains("OK  local · monolith 0.1.0") && !text.contains('\u{1b}'), "{args:?}: {text}");
        assert_eq!(text.contains('┌'), args == ["snapshot"], "{text}");
    }
    let dumb = command(&["snapshot", "--server", &server.url]).env("TERM", "dumb").output().unwrap();
    assert!(!String::from_utf8(dumb.stdout).unwrap().contains('┌'));
}

/// A console of two servers.
fn run_both(args: &[&str], (first, second): (&Server, &Server)) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("console.toml");
    let target = |name: &str, server: &Server| format!("[[targets]]\nname = '{name}'\nurl = '{}'\n", server.url);
    std::fs::write(&file, target("eu", first) + &target("us", second)).unwrap();
    command(args).args(["--config", file.to_str().unwrap()]).output().unwrap()
}

#[test]
fn a_server_that_is_slow_or_dead_makes_no_other_look_old() {
    let (well, hangs) = (Server::that(Does::Well), Server::that(Does::Hangs));
    let text = String::from_utf8(run_both(&["check"], (&well, &hangs)).stdout).unwrap();
    assert!(text.starts_with("eu OK\nus UNREACHABLE"), "{text}");
    let whole: Value = serde_json::from_slice(&run_both(&["snapshot", "--json"], (&well, &hangs)).stdout).unwrap();
    let state = |target: usize| whole["targets"][target]["state"].as_str().unwrap();
    assert_eq!([state(0), state(1)], ["healthy", "unreachable"], "{whole}");
    assert_eq!(whole["targets"][1]["findings"][0]["code"], "unreachable", "{whole}");
    assert!(whole["targets"][0]["age_ms"]["health"].as_u64().unwrap() < 3_000, "{whole}");
}

#[test]
fn every_target_is_called_by_its_name_also_a_dead_one() {
    let (well, resets) = (Server::that(Does::Well), Server::that(Does::Resets));
    for args in [["snapshot"].as_slice(), &["--plain"]] {
        let output = run_both(args, (&well, &resets));
        let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(text.contains("OK  eu · ") && text.contains("UNREACHABLE  us · cannot reach"), "{text}");
        assert!(errors.starts_with("error: us: cannot reach"), "{errors}");
    }
}

#[test]
fn a_token_file_that_cannot_be_read_keeps_nobody_from_learning_how_the_server_is() {
    let server = Server::that(Does::Well);
    let args = ["--token-file", "/nonexistent/token", "--server", server.url.as_str()];
    let output = command(&["check"]).args(args).output().unwrap();
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(text.starts_with("local UNAUTHORIZED  cannot read the token file /nonexistent/token"), "{text}");
    assert!(errors.starts_with("error: local: cannot read the token file"), "{errors}");
    assert_eq!(output.status.code(), Some(5));
    server.wait_until_asked("/health", 1);
    let output = command(&["snapshot", "--json"]).args(args).output().unwrap();
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&whole["targets"][0]["state"], output.status.code()), (&Value::from("healthy"), Some(5)));
}

#[test]
fn whoever_has_read_enough_is_not_told_of_an_error() {
    let server = Server::that(Does::Well);
    for (args, code) in [(["keys"].as_slice(), 0), (&["--plain"], 0), (&["watch"], 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(args).args(["--server", &server.url]).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn a_watch_says_what_changes_and_nothing_else() {
    let server = Server::that(Does::Well);
    let args = ["watch", "--jsonl", "--server", &server.url];
    let mut child = command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["state"], "healthy");
    server.now(Does::Gateway);
    let mut line = next();
    while line["state"] != "unreadable" {
        line = next();
    }
    let finding = &line["findings"][0];
    assert_eq!(finding["code"], "unreadable");
    assert_eq!(finding["since"].as_str().map(str::len), line["at"].as_str().map(str::len), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_mistake_on_the_command_line_is_usage() {
    for args in [["--server", "nowhere"].as_slice(), &["--target", "x"], &["--config", "/nonexistent"], &["fly"]] {
        let output = command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn the_table_of_keys_in_the_documentation_is_the_one_that_works() {
    let table = String::from_utf8(command(&["keys"]).output().unwrap().stdout).unwrap();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/console.md")).unwrap();
    assert!(page.contains(&table), "docs/console.md: put the output of `monolith-tui keys` into it");
}
