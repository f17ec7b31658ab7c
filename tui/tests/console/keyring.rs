//! A token out of the system's keyring: a real secret service on a bus of its own, and the tool that asks it.
//! The keyring of whoever runs the tests is never touched.

use std::process::{Command, Output, Stdio};

use crate::server::{Does, Server};

/// Starts an empty keyring, unlocks it, puts one token into it, and looks at the server with what is in it.
const SESSION: &str = r#"
# It returns when it is ready, and ends with its bus.
printf password | gnome-keyring-daemon --daemonize --unlock --components=secrets >/dev/null 2>&1 || exit 70
printf tok-of-the-keyring | secret-tool store --label monolith service monolith account prod-eu || exit 70
"$CONSOLE" check --config console.toml
"#;

/// What a console says whose token is in the keyring, under such an account.
fn check(server: &Server, account: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let text =
        format!("[[targets]]\nname = \"prod-eu\"\nurl = \"{}\"\ntoken = {{ keyring = \"{account}\" }}\n", server.url);
    std::fs::write(folder.path().join("console.toml"), text).unwrap();
    let mut command = Command::new("dbus-run-session");
    command.args(["--", "sh", "-c", SESSION]).current_dir(folder.path()).stdin(Stdio::null()).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("CONSOLE", env!("CARGO_BIN_EXE_monolith-tui"));
    command.env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("a bus is needed: apt-get install dbus-daemon ({e})"));
    let needed = "a keyring is needed: apt-get install gnome-keyring libsecret-tools";
    assert!(![Some(70), Some(127)].contains(&output.status.code()), "{needed}\n{output:?}");
    output
}

#[test]
fn a_token_is_taken_out_of_the_keyring() {
    let server = Server::that(Does::Well);
    let output = check(&server, "prod-eu");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "prod-eu OK\n", "{output:?}");
    assert_eq!(server.shown().as_deref(), Some("tok-of-the-keyring"));
}

#[test]
fn a_token_that_is_not_in_the_keyring_is_said_to_be_missing() {
    let server = Server::that(Does::Well);
    let output = check(&server, "somebody-else");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("secret-tool gave no token"), "{output:?}");
    assert_eq!((output.status.code(), server.shown()), (Some(5), None));
}
