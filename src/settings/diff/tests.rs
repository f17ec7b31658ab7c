//! What a change of the text takes, key by key: read as a process would, from a folder of its own.

use super::*;
use crate::clock::Timestamp;
use crate::config::environment::Environment;
use crate::config::{self, Loaded, Sources};
use crate::settings::compile;
use std::fmt::Write as _;
use std::fs;

const BASE: &str = r#"
[secrets]
pg = { file = "pg" }
[stores.main]
kind = "postgres"
url = "postgres://app:${secrets.pg}@db/app"
[stores.embedded]
kind = "sqlite"
url = "sqlite:a.db"
[keys]
store = "main"
[workers.tidy]
every = "1h"
run = { kind = "sql", store = "main", statement = "select 1" }
"#;

struct Read(Loaded, Settings);

/// Reads a text beside a secret of the given value.
fn read(text: &str, secret: &str) -> Read {
    let folder = tempfile::tempdir().unwrap();
    // The same folder for every reading: it is part of what a relative path means.
    fs::write(folder.path().join("monolith.toml"), text).unwrap();
    fs::write(folder.path().join("pg"), secret).unwrap();
    let environment = Environment::from_pairs([("JWT_SECRET", "7Qm0vKxY2bN5tR8wZ1cF4hJ6kL9pS3dG")]);
    let sources = Sources { working_dir: folder.path().to_path_buf(), environment, ..Sources::default() };
    let mut loaded = config::load(&sources);
    loaded.base_dir = "/srv".into();
    let (settings, _) = compile(&loaded, Timestamp::EPOCH).unwrap();
    Read(loaded, settings)
}

impl Read {
    fn meant(&self) -> Meant<'_> {
        Meant { settings: &self.1, said: self.0.said() }
    }
}

/// What an edit of the base text, and another value of its secret, takes.
fn check(edit: impl Fn(&str) -> String, secret: &str, expected: &str) {
    let (old, new) = (read(BASE, "hunter2"), read(&edit(BASE), secret));
    let mut told = String::new();
    for change in diff(Some(old.meant()), new.meant()) {
        let restarts =
            if change.restarts.is_empty() { String::new() } else { format!(" !{}", change.restarts.join(" ")) };
        write!(told, "{} {}{restarts}:", change.node, change.effect.as_str()).unwrap();
        for key in &change.keys {
            write!(told, " {} {}->{}{}", key.key, key.from, key.to, if key.secret { " (secret)" } else { "" }).unwrap();
        }
        told.push('\n');
    }
    assert!(!told.contains("hunter"), "{told}");
    assert_eq!(told, expected);
}

fn replace(from: &'static str, to: &'static str) -> impl Fn(&str) -> String {
    move |text| {
        assert!(text.contains(from));
        text.replace(from, to)
    }
}

fn add(more: &'static str) -> impl Fn(&str) -> String {
    move |text| format!("{text}{more}")
}

#[test]
fn the_same_text_changes_nothing() {
    check(add("# a comment\n"), "hunter2", "");
}

#[test]
fn a_password_that_was_rotated_rebuilds_only_the_store_that_uses_it() {
    check(add(""), "hunter3", "stores.main rebuild: secrets.pg null->\"changed\" (secret)\n");
}

#[test]
fn a_password_in_the_text_is_compared_and_never_shown() {
    let there = |password: &str| BASE.replace("${secrets.pg}", password);
    let (old, new) = (read(&there("hunter2"), "x"), read(&there("hunter3"), "x"));
    let changes = diff(Some(old.meant()), new.meant());
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((change.node.as_str(), change.effect), ("stores.main", Effect::Rebuild));
    assert_eq!(change.keys.len(), 1);
    assert_eq!(change.keys[0].key, "stores.main.url");
    assert_eq!((change.keys[0].to.as_str(), change.keys[0].secret), (Some("changed"), true));
    assert!(!format!("{changes:?}").contains("hunter"));
}

#[test]
fn rules_around_a_store_change_without_new_connections() {
    let edit = replace(
        "kind = \"postgres\"",
        "kind = \"postgres\"\noperation_timeout = \"3s\"\nrequired = false\nmigrate = \"manual\"\non_unreachable = \"degraded\"\nprobe.every = \"1s\"",
    );
    check(
        edit,
        "hunter2",
        "stores.main hot: stores.main.migrate \"auto\"->\"manual\" stores.main.on_unreachable \"reject\"->\"degraded\" \
         stores.main.operation_timeout \"10s\"->\"3s\" stores.main.probe.every \"5s\"->\"1s\" stores.main.required true->false\n",
    );
}

#[test]
fn what_a_connection_is_made_of_rebuilds_it() {
    for (from, to, told) in [
        (
            "@db/app",
            "@db2/app",
            "stores.main.url \"postgres://app:${secrets.pg}@db/app\"->\"postgres://app:${secrets.pg}@db2/app\"",
        ),
        ("kind = \"postgres\"", "kind = \"postgres\"\nmax_connections = 3", "stores.main.max_connections 10->3"),
        (
            "kind = \"postgres\"",
            "kind = \"postgres\"\nconnect_timeout = \"1s\"",
            "stores.main.connect_timeout \"5s\"->\"1s\"",
        ),
        (
            "kind = \"postgres\"",
            "kind = \"postgres\"\npooler = \"transaction\"",
            "stores.main.pooler \"none\"->\"transaction\"",
        ),
    ] {
        check(replace(from, to), "hunter2", &format!("stores.main rebuild: {told}\n"));
    }
    let edit = replace("kind = \"sqlite\"", "kind = \"sqlite\"\noperation_timeout = \"3s\"");
    check(edit, "hunter2", "stores.embedded rebuild: stores.embedded.operation_timeout \"10s\"->\"3s\"\n");
}

#[test]
fn what_comes_and_goes_counts_as_one_key() {
    let edit = |text: &str| text.replace("[workers.tidy]", "[workers.clean]");
    let (old, new) = (read(BASE, "x"), read(&edit(BASE), "x"));
    let changes = diff(Some(old.meant()), new.meant());
    let told: Vec<_> = changes.iter().map(|c| (c.node.as_str(), c.effect, c.keys.len())).collect();
    assert_eq!(told, [("workers.clean", Effect::Hot, 1), ("workers.tidy", Effect::Hot, 1)]);
    assert!(changes[0].keys[0].from.is_null() && changes[0].keys[0].to["every"] == "1h");
}

#[test]
fn homes_and_the_data_folder_cannot_move_and_are_told_by_their_own_names() {
    check(
        replace("store = \"main\"\n[w", "store = \"embedded\"\ndefault_ttl = \"1d\"\n[w"),
        "hunter2",
        "keys restart !keys.store: keys.default_ttl \"90d\"->\"1d\" keys.store \"main\"->\"embedded\"\n",
    );
    check(
        add("[scheduler]\nstore = \"embedded\"\n"),
        "hunter2",
        "scheduler restart !scheduler.store: scheduler.store \"memory\"->\"embedded\"\n",
    );
    check(
        add("[server]\ndata_dir = \"elsewhere\"\nbind = \"127.0.0.1:9000\"\n"),
        "hunter2",
        "server restart !server.data_dir: server.bind \"127.0.0.1:8000\"->\"127.0.0.1:9000\" server.data_dir \"data\"->\"elsewhere\"\n",
    );
    check(
        add("[server]\nbind = \"[::]:8000\"\n"),
        "hunter2",
        "server restart !server.bind: server.bind \"127.0.0.1:8000\"->\"[::]:8000\"\n",
    );
    check(
        add("[server]\nbind = \"127.0.0.1:8001\"\n"),
        "hunter2",
        "server rebuild: server.bind \"127.0.0.1:8000\"->\"127.0.0.1:8001\"\n",
    );
}

#[test]
fn another_source_with_the_same_value_is_no_change_of_what_uses_it() {
    check(
        replace("{ file = \"pg\" }", "{ literal = \"hunter2\" }"),
        "hunter2",
        "secrets.pg hot: secrets.pg.file \"pg\"->null secrets.pg.literal null->\"[redacted]\" (secret)\n",
    );
}

#[test]
fn another_word_for_the_same_is_unchanged() {
    check(
        replace("store = \"main\"\n[w", "store = \"main\"\ndefault_ttl = \"2160h\"\n[w"),
        "hunter2",
        "keys unchanged: keys.default_ttl \"90d\"->\"2160h\"\n",
    );
}
