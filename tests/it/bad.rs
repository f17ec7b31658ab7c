//! The gallery of mistakes: one file each in `tests/bad`, and what `monolith check` says about it, as a reviewed snapshot.
//! A file says in the `#@` lines it begins with under which profile, variables and flags it is read.

use crate::corpus::reading::{Header, header, split};
use crate::harness::binary;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The profiles that stand beside every file; one that a file holds itself replaces the one of its name.
const PROFILES: [&str; 4] = ["dev", "prod", "staging", "test"];

/// The files of the gallery, by name.
pub fn gallery() -> BTreeMap<String, PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let toml = files.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    toml.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

/// What `check` prints about a file, and how it ends.
fn check(case: &[u8]) -> String {
    let text = String::from_utf8_lossy(case);
    let Header { profile, env, set } = header(&text);
    let (base, beside) = split(case);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("monolith.toml"), base).unwrap();
    fs::create_dir(dir.path().join("profiles")).unwrap();
    for known in PROFILES {
        let text = if known == profile && !beside.is_empty() { beside } else { b"# nothing\n" };
        fs::write(dir.path().join(format!("profiles/{known}.toml")), text).unwrap();
    }
    let env: Vec<(String, String)> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut check = binary(dir.path(), &env);
    check.args(["check", "--profile", profile]);
    check.args(set.iter().flat_map(|set| ["--set", set]));
    let output = check.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    // The next ticks of a file that is right after all are other ones each day.
    let verdict = stdout.split("WORKER ").next().unwrap_or_default();
    let shown = String::from_utf8(output.stderr).unwrap() + verdict;
    format!("{}\nexit code {}", shown.trim_end(), output.status.code().unwrap())
}

#[test]
fn every_mistake_of_the_gallery_is_understood_from_its_message_alone() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../bad/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut changed = Vec::new();
    for (name, path) in gallery() {
        let case = fs::read(path).unwrap();
        let shown = check(&case);
        assert!(!shown.contains("hunter2"), "{name} tells a secret:\n{shown}");
        let told = settings.bind(|| catch_unwind(AssertUnwindSafe(|| insta::assert_snapshot!(name.as_str(), shown))));
        changed.extend(told.is_err().then_some(name));
    }
    assert!(changed.is_empty(), "these read otherwise than they were reviewed: {changed:?}");
}

#[test]
fn every_file_of_the_gallery_is_told_of_and_no_snapshot_outlives_its_file() {
    let gallery = gallery();
    assert!(gallery.len() >= 60, "{}", gallery.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad/snapshots");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(gallery.contains_key(name.trim_end_matches(".snap")), "{name} belongs to no file");
    }
}
