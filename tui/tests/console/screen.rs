//! What an operator sees and feels at a terminal: states told apart, outages that do not end the console, keys that work
//! while the server hangs, and a terminal that is as it was afterwards.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::pty::{self, Pace, Terminal};
use crate::server::{Does, Server};

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "tok").unwrap();
    folder
}

fn console(server: &Server, folder: &Path) -> Terminal {
    Terminal::start(&["--server", &server.url, "--token-file", "token"], folder, (100, 30))
}

#[test]
fn every_way_out_leaves_the_terminal_as_it_was() {
    let server = Server::that(Does::Well);
    for way in ["q", "\u{3}", "TERM", "HUP", "INT", "QUIT"] {
        let folder = folder();
        let mut terminal = console(&server, folder.path());
        terminal.see("● OK");
        terminal.press("m");
        terminal.see("the wheel moves");
        match way.len() {
            1 => terminal.press(way),
            _ => terminal.signal(way),
        }
        let (code, _) = terminal.end();
        assert_eq!((code, terminal.left_open()), (0, Vec::new()), "{way:?}");
    }
}

/// Writes frames into a terminal that takes none, until it has no room for another byte.
fn hold(terminal: &mut Terminal) {
    terminal.see("● OK");
    terminal.pace(Pace::Held);
    // Each is a whole new picture; what a line holds without a reader is far less than all of them.
    for (cols, rows) in [(300, 100), (299, 100)].repeat(15) {
        terminal.resize(cols, rows);
        std::thread::park_timeout(Duration::from_millis(60));
    }
}

#[test]
fn every_way_out_is_quick_while_the_terminal_takes_nothing() {
    let server = Server::that(Does::Well);
    for way in ["q", "\u{3}", "TERM", "HUP"] {
        let folder = folder();
        let mut terminal = console(&server, folder.path());
        hold(&mut terminal);
        match way.len() {
            1 => terminal.press(way),
            _ => terminal.signal(way),
        }
        let (code, took) = terminal.end();
        println!("{way:?} took {took:?}");
        // A tenth of a second on an idle machine; tests share theirs.
        assert!(code == 0 && took < Duration::from_secs(1), "{way:?}: {code} after {took:?}");
        assert!(terminal.is_cooked(), "{way:?} left the line without its settings");
    }
}

#[test]
fn a_panic_is_quick_while_the_terminal_takes_nothing() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let args = ["--server", server.url.as_str(), "--token-file", "token"];
    let mut terminal = Terminal::start_with(&args, folder.path(), (100, 30), &[("MONOLITH_TUI_PANIC", "suspend")]);
    hold(&mut terminal);
    terminal.press("\u{1a}");
    let (code, took) = terminal.end();
    println!("a panic took {took:?}");
    assert!(code == 101 && took < Duration::from_secs(2) && terminal.is_cooked(), "{code} after {took:?}");
}

#[test]
fn ctrl_z_stops_the_whole_job_and_fg_brings_it_back() {
    let (server, folder) = (Server::that(Does::Well), folder());
    // A shell with job control; the console is a part of a job with another process.
    let script =
        "set -m; sh -c '\"$CONSOLE\" --server \"$URL\" --token-file token; :'; echo \"stopped with $?\"; read line; fg";
    let env = [("CONSOLE", env!("CARGO_BIN_EXE_monolith-tui")), ("URL", server.url.as_str())];
    let mut terminal = Terminal::run("sh", &["-c", script], folder.path(), (100, 30), &env);
    terminal.see("● OK");
    terminal.press("\u{1a}");
    terminal.see("stopped with 148");
    terminal.press("\r");
    terminal.see("● OK");
    terminal.press("q");
    assert_eq!((terminal.end().0, terminal.left_open()), (0, Vec::new()));
}

#[test]
fn ctrl_z_that_nobody_could_undo_does_not_hang_the_terminal() {
    let (server, folder) = (Server::that(Does::Well), folder());
    // It is the first process of its session: there is no shell.
    let mut terminal = console(&server, folder.path());
    terminal.see("● OK");
    terminal.press("\u{1a}");
    terminal.see("it did not stop: no shell is there");
    terminal.press("7");
    terminal.see("orders-ci");
    terminal.press("q");
    assert_eq!((terminal.end().0, terminal.left_open()), (0, Vec::new()));
}

#[test]
fn a_panic_while_drawing_gives_the_terminal_back() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let args = ["--server", server.url.as_str(), "--token-file", "token"];
    let mut terminal = Terminal::start_with(&args, folder.path(), (100, 30), &[("MONOLITH_TUI_PANIC", "draw")]);
    let (code, _) = terminal.end();
    assert_eq!((code, terminal.left_open()), (101, Vec::new()));
    terminal.see("a test asked for it");
}

#[test]
fn a_panic_of_a_poller_is_a_message_and_the_console_goes_on() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let args = ["--server", server.url.as_str(), "--token-file", "token"];
    let mut terminal = Terminal::start_with(&args, folder.path(), (100, 30), &[("MONOLITH_TUI_PANIC", "metrics")]);
    terminal.see("● OK");
    terminal.press("`");
    terminal.see("the poller of metrics panicked and is started again");
    terminal.press("q");
    assert_eq!((terminal.end().0, terminal.left_open()), (0, Vec::new()));
}

#[test]
fn each_way_of_a_server_to_fail_has_its_own_words() {
    for (does, words) in [
        (Does::Unauthorized, "TOKEN REFUSED"),
        (Does::Gateway, "UNREADABLE"),
        (Does::Page, "UNREADABLE"),
        (Does::Hangs, "no answer within 1.5 s"),
        (Does::StopsHalfway, "no answer within 1.5 s"),
        (Does::Drips, "no answer within 1.5 s"),
        (Does::Resets, "UNREACHABLE"),
    ] {
        let (server, folder) = (Server::that(does), folder());
        let terminal = console(&server, folder.path());
        terminal.see(words);
    }
}

#[test]
fn a_role_that_may_not_list_keys_is_told_in_its_panel_only() {
    let (server, folder) = (Server::that(Does::Forbidden), folder());
    let mut terminal = console(&server, folder.path());
    terminal.see("● OK");
    terminal.press("7");
    terminal.see("FORBIDDEN: your role may not list keys");
    terminal.see("● OK");
}

#[test]
fn an_outage_is_seen_within_three_seconds_and_so_is_its_end() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let terminal = console(&server, folder.path());
    terminal.see("● OK");
    for does in [Does::Resets, Does::Hangs, Does::Gateway] {
        server.now(does);
        let seen = terminal.wait_for("an outage", |text| !text.contains("● OK"));
        println!("{does:?} seen after {seen:?}");
        // Three seconds on an idle machine; tests share theirs.
        assert!(seen < Duration::from_secs(6), "{does:?}: {seen:?}");
        server.now(Does::Well);
        let back = terminal.see("● OK");
        println!("its end after {back:?}");
        assert!(back < Duration::from_secs(10), "{does:?}: {back:?}");
    }
}

#[test]
fn a_console_starts_while_the_server_is_down_and_stays() {
    let folder = folder();
    let gone = Server::that(Does::Well).url.clone();
    let mut terminal = Terminal::start(&["--server", &gone], folder.path(), (100, 30));
    terminal.see("UNREACHABLE");
    terminal.press("4");
    terminal.see("Workers");
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn keys_work_and_quitting_is_quick_while_the_server_hangs() {
    let (server, folder) = (Server::that(Does::Hangs), folder());
    let mut terminal = console(&server, folder.path());
    terminal.see("CONNECTING");
    terminal.press("8");
    let seen = terminal.see("WHAT IS WRONG");
    println!("a key was answered after {seen:?}");
    terminal.press("q");
    let (code, took) = terminal.end();
    println!("it ended after {took:?}");
    assert!(code == 0 && took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_command_whose_answer_was_lost_is_sent_once() {
    let (server, folder) = (Server::that(Does::LosesTheAnswer), folder());
    let mut terminal = console(&server, folder.path());
    terminal.see("● OK");
    terminal.press("7");
    terminal.see("orders-ci");
    terminal.press("W");
    terminal.see("Allow changes");
    wait_until_it_listens(&mut terminal, "local");
    terminal.press("\r");
    terminal.see("UNLOCKED");
    terminal.press("n");
    terminal.see("A new key");
    wait_until_it_listens(&mut terminal, "ci");
    terminal.press("\r");
    terminal.see("UNKNOWN");
    terminal.press("`");
    terminal.see("it may still happen");
    assert_eq!(server.changes.load(Ordering::SeqCst), 1);
}

/// Types a word into a dialog, again where it was not listening yet.
fn wait_until_it_listens(terminal: &mut Terminal, word: &str) {
    let (first, rest) = word.split_at(1);
    let listens = |text: &str| text.lines().any(|line| line.contains("name") && line.contains(&format!("  {first}")));
    loop {
        terminal.press(first);
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            if listens(&terminal.text()) {
                terminal.press(rest);
                terminal.see(word);
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

#[test]
fn what_the_server_tells_is_asked_for_at_once() {
    let (server, folder) = (Server::that(Does::Tells), folder());
    // So seldom does it ask by itself that only the event can be the reason.
    std::fs::write(folder.path().join("c.toml"), "poll_seconds = 60\n").unwrap();
    let args = ["--server", server.url.as_str(), "--token-file", "token", "--config", "c.toml"];
    let mut terminal = Terminal::start(&args, folder.path(), (100, 30));
    terminal.see("● OK");
    terminal.press("6");
    server.wait_until_asked("/api/admin/audit", 2);
}

#[test]
fn any_size_is_drawn_and_nothing_breaks() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let mut terminal = console(&server, folder.path());
    terminal.see("● OK");
    for (cols, rows) in [(1, 1), (20, 5), (40, 10), (300, 100), (100, 30)] {
        terminal.resize(cols, rows);
        terminal.press("\t");
    }
    terminal.see("Targets");
    terminal.press("q");
    assert_eq!((terminal.end().0, terminal.left_open()), (0, Vec::new()));
}

#[test]
fn a_row_is_copied_through_the_terminal() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let mut terminal = console(&server, folder.path());
    terminal.see("● OK");
    terminal.press("7");
    terminal.see("orders-ci");
    terminal.press("y");
    terminal.see("sent to the terminal's clipboard");
    let copied = b"\x1b]52;c;NGZRbTJ4WXo4MUFi";
    assert!(terminal.bytes().windows(copied.len()).any(|window| window == copied));
}

#[test]
fn a_token_file_that_is_replaced_is_taken_up() {
    let (server, folder) = (Server::that(Does::Well), folder());
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let terminal = console(&server, folder.path());
    terminal.see("TOKEN REFUSED");
    std::fs::write(folder.path().join("token"), "tok").unwrap();
    terminal.see("alice operator");
}

#[test]
fn a_line_that_stood_still_gets_the_newest_frame_and_not_all_of_them() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let mut terminal = console(&server, folder.path());
    terminal.see("● OK");
    terminal.pace(Pace::Held);
    let before = terminal.bytes().len();
    for key in "27".repeat(80).chars() {
        terminal.press(&key.to_string());
        // So that each would be a frame of its own.
        std::thread::park_timeout(Duration::from_millis(10));
    }
    // It is on a screen that nothing was asked for before, so every key was taken.
    terminal.press("5");
    server.wait_until_asked("/api/admin/config", 1);
    terminal.press("8");
    terminal.pace(Pace::Free);
    terminal.see("WHAT IS WRONG");
    let frames = pty::frames(&terminal.bytes()[before..]);
    println!("{frames} frames of 162 keys");
    assert!(frames < 100, "{frames}");
}

#[test]
fn a_terminal_that_goes_away_without_a_word_ends_the_console() {
    let (server, folder) = (Server::that(Does::Well), folder());
    let mut terminal = console(&server, folder.path());
    terminal.see("● OK");
    terminal.hang_up();
    terminal.end();
}
