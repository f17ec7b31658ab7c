//! What every file owes its reader, and the layers: a module imports only from lower ones.
//! The table is the one of ARCHITECTURE.md; a breach names the file and the import.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the lowest layer up. Those that stand in one line are siblings and never import each other, but for
/// the words, which may.
const LAYERS: [&[&str]; 10] = [
    &["name", "secret", "problem", "clock", "process"],
    &["config"],
    &["settings"],
    &["telemetry"],
    &["store"],
    &["audit"],
    &["keys", "work", "auth", "alerts"],
    &["runtime"],
    &["http"],
    &["cli"],
];

fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The module of `src/` that a file belongs to; `None` for the two roots.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(name, "lib" | "main")).then(|| name.to_owned())
}

/// The modules of this crate that a text names, whether in a `use` or in a path; comments do not count.
fn named_modules(text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => {
                // One level of `use crate::{a, b::{c, d}}`: names at depth one.
                let mut depth = 1;
                let mut word = String::new();
                for character in list.chars() {
                    match character {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => names.push(std::mem::take(&mut word)),
                        _ if depth == 1 => word.push(character),
                        _ => {}
                    }
                    if depth == 0 {
                        names.push(std::mem::take(&mut word));
                        break;
                    }
                }
            }
            None => names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()),
        }
    }
    names.iter().map(|name| name.trim().split("::").next().unwrap_or_default().trim().to_owned()).collect()
}

/// Tests beside the code may spawn and sleep as they need.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests" || stem == "fixture")
}

fn breach(from: &str, to: &str) -> bool {
    match (layer(from), layer(to)) {
        (Some(own), Some(other)) => from != to && other >= own && !(own == 0 && other == 0),
        _ => false,
    }
}

#[test]
fn a_module_imports_only_from_lower_layers() {
    let mut breaches = Vec::new();
    for (path, text) in sources("src") {
        let Some(own) = module(&path) else { continue };
        assert!(layer(&own).is_some(), "{own} stands in no layer: add it to the table and to ARCHITECTURE.md");
        for other in named_modules(&text).into_iter().filter(|other| breach(&own, other)) {
            breaches.push(format!("{} imports {other}", path.display()));
        }
    }
    assert!(breaches.is_empty(), "imports that go up or sideways:\n{}", breaches.join("\n"));
}

#[test]
fn the_layer_test_sees_every_way_to_import() {
    for (text, names) in [
        ("use crate::http::Http;", vec!["http"]),
        ("let x = crate::runtime::start();", vec!["runtime"]),
        ("use crate::{keys, work::{Work, Plan}};", vec!["keys", "work"]),
        ("// use crate::http::Http;", vec![]),
    ] {
        assert_eq!(named_modules(text), names, "{text}");
    }
    assert!(breach("keys", "work") && breach("settings", "store"));
    assert!(!breach("http", "keys") && !breach("keys", "keys") && !breach("name", "clock"));
}

#[test]
fn only_one_place_knows_each_outside_thing() {
    let owners = [
        ("axum::", ["http"].as_slice()),
        ("std::env::vars_os", &["config"]),
        ("tokio::spawn(", &[]),
        ("figment::", &["config"]),
        ("clap::", &["cli"]),
    ];
    for (path, text) in sources("src").into_iter().filter(|(path, _)| !is_test(path)) {
        let Some(own) = module(&path) else { continue };
        for (thing, allowed) in owners {
            let used = text.lines().any(|line| line.split("//").next().unwrap_or_default().contains(thing));
            assert!(!used || allowed.contains(&own.as_str()), "{} uses {thing}", path.display());
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    for folder in ["src", "client/src", "tui/src", "xtask/src", "tests"] {
        for (path, text) in sources(folder) {
            let opening = text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>();
            assert!(!opening.is_empty(), "{} opens without a `//!` that says what it is for", path.display());
        }
    }
}

#[test]
fn no_room_has_a_name_that_says_nothing() {
    for (path, _) in sources("src") {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        assert!(
            !["util", "utils", "common", "helpers", "types", "core", "misc", "mod"].contains(&name.as_str()),
            "{}",
            path.display()
        );
    }
}
