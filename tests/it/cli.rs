//! The command line against a running server: data alone on standard output, words beside it, exit codes that scripts can use.
//! What each command asks of the server is tested with its route.

use crate::harness::{IN_MEMORY, TestMonolith, monolith, stderr, stdout};
use std::io::Write;
use std::process::{Output, Stdio};

/// Runs a command with a token of an operator and a text on its standard input.
fn with_input(server: &TestMonolith, args: &[&str], input: &str) -> Output {
    let token = stdout(&server.run(&["token", "create", "ann", "--role", "operator"]));
    let mut command = server.command(args);
    command.env("MONOLITH_TOKEN", token.trim()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn a_key_is_made_looked_at_and_ended_by_hand() {
    let server = monolith(IN_MEMORY).ready().await;
    let at = ["--server", server.url()];
    let run = |args: &[&str], input: &str| with_input(&server, &[args, &at].concat(), input);
    let made = run(&["keys", "create", "ci", "--owner", "shop", "--scope", "orders:read", "--ttl", "1h"], "");
    let key = stdout(&made).trim().to_owned();
    assert!(key.starts_with("mono_test_") && !key.contains(char::is_whitespace), "the key alone: {key}");
    let kid = key.split('_').nth(2).unwrap();
    assert!(stderr(&made).contains(kid));

    let listed = stdout(&run(&["keys", "list", "--owner", "shop"], ""));
    assert!(listed.starts_with("KID") && listed.contains(kid) && listed.contains("active"), "{listed}");
    let json = stdout(&run(&["keys", "list", "--output", "json"], ""));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()[0]["kid"], kid);

    let good = run(&["keys", "verify", "--scope", "orders:read"], &key);
    assert_eq!((good.status.code(), stdout(&good).trim()), (Some(0), "valid"));
    let shown = stdout(&run(&["keys", "show", "-"], &key));
    assert!(shown.contains(kid) && !shown.contains(&key), "{shown}");
    let revoked = run(&["keys", "revoke", "-", "--reason", "leaked"], &format!("{key}\n"));
    assert!(stdout(&revoked).contains("1 of 1 replicas know"), "{revoked:?}");
    let refused = run(&["keys", "verify"], &key);
    assert_eq!((refused.status.code(), stdout(&refused).trim()), (Some(1), "revoked"));
}

#[tokio::test]
async fn a_refusal_has_its_exit_code() {
    let server = monolith(IN_MEMORY).ready().await;
    let at = ["--server", server.url()];
    let run = |args: &[&str]| with_input(&server, &[args, &at].concat(), "");
    assert_eq!(run(&["keys", "show", "nobody"]).status.code(), Some(1));
    assert_eq!(run(&["keys", "show", "-"]).status.code(), Some(1), "nothing on standard input is no key");
    assert_eq!(run(&["keys", "list", "--state", "dead"]).status.code(), Some(2));
    let nobody = with_input(&server, &["keys", "list", "--server", "http://127.0.0.1:1"], "");
    assert_eq!(nobody.status.code(), Some(4), "{}", stderr(&nobody));
    let mut command = server.command(&["keys", "list", "--server", server.url()]);
    let unauthorized = command.env("MONOLITH_TOKEN", "not.a.token").output().unwrap();
    assert_eq!(unauthorized.status.code(), Some(5), "{}", stderr(&unauthorized));
}
