//! One case of the configuration's reader: bytes become files, variables and flags; they are read, understood, and every
//! mistake is written out. Says what must hold for any bytes at all; runs no command and opens no connection.

use monolith::clock::Timestamp;
use monolith::config::environment::Environment;
use monolith::config::{self, Sources};
use monolith::name::is_name;
use monolith::problem::{Place, Problem};
use monolith::settings;
use std::fs;
use std::path::Path;

/// The value of a variable that every case has: it must never be read in an answer.
const SENTINEL: &str = "q9ZsentinelW4x7Lk2";
/// When it is, in milliseconds: a schedule must have a tick after this.
const NOW: i64 = 1_795_000_000_000;

/// What a case says in the `#@` lines it begins with.
pub struct Header<'a> {
    /// `#@ profile NAME`; `dev` where it says nothing.
    pub profile: &'a str,
    /// `#@ env NAME=VALUE`, once each.
    pub env: Vec<(&'a str, &'a str)>,
    /// `#@ set KEY=VALUE`, once each.
    pub set: Vec<&'a str>,
}

/// Tries one case in a folder that belongs to it alone.
pub fn try_case(folder: &Path, case: &[u8]) {
    let text = String::from_utf8_lossy(case);
    if text.contains(SENTINEL) {
        return;
    }
    let header = header(&text);
    let (base, beside) = split(case);
    fs::write(folder.join("monolith.toml"), base).expect("the base file");
    fs::create_dir_all(folder.join("profiles")).expect("the folder of the profiles");
    let profile = folder.join("profiles").join(format!("{}.toml", header.profile));
    let beside_it = is_name(header.profile) && fs::write(&profile, beside).is_ok();

    let env = [("JWT_SECRET", SENTINEL), ("FUZZ", SENTINEL)].into_iter().chain(header.env);
    let sources = Sources {
        config: Some("monolith.toml".into()),
        profile: Some(header.profile.to_owned()),
        working_dir: folder.to_owned(),
        environment: Environment::from_pairs(env),
        flags: header.set.iter().map(|set| ("--set".to_owned(), (*set).to_owned())).collect(),
        // No program is ever started here: their secrets are present but unknown.
        ..Sources::default()
    };
    let loaded = config::load(&sources);
    let (errors, warnings) = match settings::compile(&loaded, Timestamp::from_millis(NOW)) {
        Ok((settings, warnings)) => {
            assert_eq!(settings.hash.to_string().len(), 16);
            (Vec::new(), warnings)
        }
        Err(problems) => {
            assert!(problems.any(), "refused without a reason");
            (problems.errors(), problems.warnings())
        }
    };
    assert!(!base.trim_ascii().is_empty() || !errors.is_empty(), "an empty file was taken for the defaults");
    for problem in errors.iter().chain(&warnings) {
        judge(problem, base, beside);
    }
    for key in loaded.explain.keys_below("") {
        let explained = loaded.explain.key(key).unwrap_or_else(|| panic!("{key} is known and cannot be explained"));
        assert!(!format!("{explained:?}").contains(SENTINEL), "the explanation of {key} tells a secret");
    }
    assert!(!loaded.values.to_string().contains(SENTINEL), "the values that may be shown hold a secret");
    if beside_it {
        fs::remove_file(profile).expect("the profile");
    }
}

/// What every message owes its reader, whatever it is about.
fn judge(problem: &Problem, base: &[u8], beside: &[u8]) {
    let shown = format!("{problem:#}");
    assert!(!shown.contains(SENTINEL), "a message tells a secret: {shown}");
    assert!(!problem.message.is_empty() && !problem.message.ends_with('.'), "a message in our manner: {shown}");
    assert!(problem.message.len() < 4096, "a message that fits a screen: {} bytes", problem.message.len());
    if let Place::File { path, line, column } = &problem.place {
        let text = if path == "monolith.toml" { base } else { beside };
        let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
        assert!((1..=lines).contains(line) && *column >= 1, "a place in the file: {shown}");
    }
}

/// Reads the header of a case.
pub fn header(text: &str) -> Header<'_> {
    let mut header = Header { profile: "dev", env: Vec::new(), set: Vec::new() };
    for line in text.lines().map_while(|line| line.strip_prefix("#@ ")) {
        match line.split_once(' ') {
            Some(("profile", name)) => header.profile = name,
            Some(("env", pair)) => header.env.extend(pair.split_once('=').filter(|(name, _)| !name.is_empty())),
            Some(("set", pair)) => header.set.push(pair),
            _ => {}
        }
    }
    header
}

/// The base file and, after a line `#@ beside`, the profile's.
pub fn split(case: &[u8]) -> (&[u8], &[u8]) {
    const MARK: &[u8] = b"\n#@ beside\n";
    match case.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => (&case[..=at], &case[at + MARK.len()..]),
        None => (case, b""),
    }
}
