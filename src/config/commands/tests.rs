//! What programs tell, asked for real: each test has a folder of its own with a file that declares `secrets.x`.

use super::*;
use crate::config::{Loaded, Sources, load};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

struct Bench {
    dir: TempDir,
    sources: Sources,
}

/// A file that declares the secret `x` from a shell script, which no file but a test would use.
fn bench(script: &str, more: &str) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench {
        sources: Sources {
            working_dir: dir.path().to_path_buf(),
            environment: Environment::from_pairs([("PATH", "/usr/bin:/bin"), ("TZ", "UTC"), ("JWT_SECRET", "hidden")]),
            ..Sources::default()
        },
        dir,
    };
    bench.declare(script, more);
    bench.asking()
}

impl Bench {
    fn declare(&self, script: &str, more: &str) {
        let text = format!("[secrets]\nx = {{ command = ['sh', '-c', '''{script}'''] {more} }}\n");
        fs::write(self.dir.path().join("monolith.toml"), text).unwrap();
    }

    fn asking(mut self) -> Self {
        self.sources.commands = Commands::asked(&self.sources.environment, CancellationToken::new());
        self
    }

    fn load(&self) -> Loaded {
        load(&self.sources)
    }

    /// The value, or what is wrong with the configuration.
    fn x(&self) -> Result<Vec<u8>, String> {
        let loaded = self.load();
        match loaded.secrets.iter().find(|(name, _)| name.as_str() == "x") {
            Some((_, Ok(value))) => Ok(value.expose().to_vec()),
            _ => Err(loaded.problems.to_string()),
        }
    }

    /// How often the script ran, where it adds a line to `ran`.
    fn runs(&self) -> usize {
        fs::read_to_string(self.dir.path().join("ran")).unwrap_or_default().lines().count()
    }

    fn commands(&self) -> &Commands {
        &self.sources.commands
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for a process that tells nobody when it ends")]
fn eventually(done: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Whether the process whose number stands in this file is gone; a zombie is.
fn gone(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

#[test]
fn what_a_program_tells_arrives_byte_for_byte_without_one_newline() {
    for (script, value) in [
        ("printf 123456", "123456".as_bytes()),
        (r#"printf ' [x] "q" \303\274\t \n'"#, " [x] \"q\" ü\t ".as_bytes()),
        (r"printf 'two\n\n'", b"two\n"),
        (r"printf '\377\000\001'", b"\xff\0\x01"),
        (r"printf '\n.'", b"\n."),
    ] {
        assert_eq!(bench(script, "").x().as_deref(), Ok(value), "{script}");
    }
    let largest = 64 * 1024;
    assert_eq!(bench(&format!("head -c {largest} /dev/zero; echo"), "").x().map(|value| value.len()), Ok(largest));
}

#[test]
fn a_program_that_fails_is_named_with_its_reason_and_never_with_its_output() {
    for (script, words) in [
        ("echo hunter2; echo hunter2 >&2; exit 3", "secrets.x.command: `sh` exited with 3"),
        ("echo hunter2; kill -TERM $$", "secrets.x.command: `sh` was ended by signal 15"),
        ("echo", "secrets.x.command: `sh` told nothing"),
        ("true", "secrets.x.command: `sh` told nothing"),
        ("cat", "secrets.x.command: `sh` told nothing"),
        ("yes hunter2", "secrets.x.command: `sh` told more than 64 KiB"),
    ] {
        let problems = bench(script, "").x().unwrap_err();
        assert!(
            problems.starts_with("error: monolith.toml:2:17: ") && problems.contains(words),
            "{script}: {problems}"
        );
        assert!(!problems.contains("nter2\n"), "{script}: {problems}");
    }
    let missing = bench("", "");
    let text = "[secrets]\nx = { command = ['no-such-program'] }\ny = { command = ['/etc'] }\nz = { command = [] }\n";
    fs::write(missing.dir.path().join("monolith.toml"), text).unwrap();
    let problems = missing.x().unwrap_err();
    assert!(problems.contains("`no-such-program` cannot be started: there is no such file"), "{problems}");
    assert!(problems.contains("`/etc` cannot be started: permission denied"), "{problems}");
    assert!(problems.contains("secrets.z.command: names no program"), "{problems}");
}

#[test]
fn a_program_that_takes_too_long_ends_with_everything_it_started() {
    let bench = bench("sleep 1000 & echo $! > child; echo $$ > leader; sleep 1000", ", timeout = '300ms'");
    let began = Instant::now();
    let problems = bench.x().unwrap_err();
    assert!(problems.contains("`sh` took longer than 300ms and was ended"), "{problems}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for file in ["child", "leader"] {
        assert!(eventually(|| gone(&bench.dir.path().join(file))), "{file} lives");
    }
}

#[test]
fn what_a_program_leaves_behind_ends_with_it_and_holds_nothing_up() {
    let bench = bench("sleep 1000 & echo $! > child; printf value", ", timeout = '9s'");
    let began = Instant::now();
    assert_eq!(bench.x().as_deref(), Ok(b"value".as_slice()));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(eventually(|| gone(&bench.dir.path().join("child"))));
}

#[test]
fn a_program_sees_five_variables_and_the_folder_of_the_file() {
    let bench = bench("env | cut -d= -f1 | sort | tr '\\n' ' '; pwd", "");
    let told = String::from_utf8(bench.x().unwrap()).unwrap();
    // The shell itself adds its own three.
    let names: Vec<&str> = told.split(' ').filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name)).collect();
    let folder = bench.dir.path().canonicalize().unwrap();
    assert_eq!(names, ["PATH", "TZ", folder.to_str().unwrap()]);
}

#[test]
fn checking_runs_no_program_and_still_judges_the_rest() {
    let mut bench = bench("echo ran >> ran; echo value", ", timeout = 'soon'");
    bench.sources.commands = Commands::default();
    let loaded = bench.load();
    assert!(loaded.problems.to_string().contains("secrets.x.timeout: must be a length of time"), "{}", loaded.problems);
    bench.declare("echo ran >> ran; echo value", "");
    let loaded = bench.load();
    assert!(!loaded.problems.any(), "{}", loaded.problems);
    assert_eq!(loaded.unasked.iter().map(SecretName::as_str).collect::<Vec<_>>(), ["x"]);
    assert_eq!(bench.runs(), 0);
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (more, words) in [
        (", timeout = '2m'", "secrets.x.timeout: must be at most 1m, found \"2m\": a reload waits for it"),
        (", timeout = '0s'", "secrets.x.timeout: must be at least 100ms, found \"0s\""),
        (", refresh = 'daily'", "secrets.x.refresh: must be a length of time such as 500ms, 30s, 5m or 1h30m"),
    ] {
        let problems = bench("echo value", more).x().unwrap_err();
        assert!(problems.contains(words) && problems.matches("error:").count() == 1, "{problems}");
    }
    let bench = bench("", "");
    fs::write(bench.dir.path().join("monolith.toml"), "[secrets]\nx = { literal = 'v', refresh = '1m' }\n").unwrap();
    let problems = bench.load().problems.to_string();
    assert!(problems.contains("secrets.x.refresh: is for secrets from commands only"), "{problems}");
}

#[test]
fn a_reload_asks_again_only_where_the_command_itself_changed() {
    let bench = bench("echo ran >> ran; echo value", "");
    for _ in 0..3 {
        assert_eq!(bench.x().as_deref(), Ok(b"value".as_slice()));
    }
    assert_eq!(bench.runs(), 1);
    bench.declare("echo ran >> ran; echo value", ", timeout = '9s', refresh = '1h'");
    let loaded = bench.load();
    bench.commands().adopt(&loaded);
    assert_eq!(bench.runs(), 1);
    bench.declare("echo ran >> ran; echo other", "");
    assert_eq!(bench.x().as_deref(), Ok(b"other".as_slice()));
    assert_eq!(bench.runs(), 2);
    // The other command was never taken over: the running one is still known.
    bench.declare("echo ran >> ran; echo value", "");
    assert_eq!(bench.x().as_deref(), Ok(b"value".as_slice()));
    assert_eq!(bench.runs(), 2);
}

#[test]
fn a_program_that_failed_is_asked_at_the_next_reading() {
    let bench = bench("echo ran >> ran; cat value", "");
    bench.x().unwrap_err();
    fs::write(bench.dir.path().join("value"), "late").unwrap();
    assert_eq!(bench.x().as_deref(), Ok(b"late".as_slice()));
    assert_eq!(bench.runs(), 2);
}

#[test]
fn two_secrets_of_one_program_are_one_question() {
    let bench = bench("", "");
    let one = "{ command = ['sh', '-c', 'echo ran >> ran; echo value'] }";
    fs::write(bench.dir.path().join("monolith.toml"), format!("[secrets]\nx = {one}\ny = {one}\n")).unwrap();
    assert_eq!(bench.x().as_deref(), Ok(b"value".as_slice()));
    assert_eq!(bench.runs(), 1);
}

#[test]
fn a_value_is_asked_for_again_when_it_is_due_and_kept_when_there_is_no_answer() {
    let bench = bench("cat value", ", refresh = '10m'");
    let put = |text: &str| fs::write(bench.dir.path().join("value"), text).unwrap();
    put("first");
    bench.commands().adopt(&bench.load());
    let now = Instant::now();
    assert_eq!(bench.commands().take_due(now), []);
    let due = bench.commands().take_due(now + Duration::from_secs(601));
    assert_eq!(due.len(), 1);
    assert_eq!(bench.commands().take_due(now + Duration::from_secs(601)), [], "it is being asked already");

    assert_eq!(bench.commands().ask_again(&due[0]), Again::Same);
    fs::remove_file(bench.dir.path().join("value")).unwrap();
    assert_eq!(bench.commands().ask_again(&due[0]), Again::Failed("`sh` exited with 1".into()));
    assert_eq!(bench.commands().troubles()[0].message, "`sh` exited with 1");
    assert_eq!(bench.x().as_deref(), Ok(b"first".as_slice()));

    put("second");
    assert_eq!(bench.commands().ask_again(&due[0]), Again::Changed);
    assert_eq!(bench.commands().ask_again(&due[0]), Again::Changed, "until a reload has taken it over");
    assert_eq!(bench.commands().troubles(), []);
    bench.commands().adopt(&bench.load());
    assert_eq!(bench.commands().ask_again(&due[0]), Again::Same);
}

#[test]
fn a_process_that_ends_gives_up_asking() {
    let mut bench = bench("sleep 1000", ", timeout = '60s'");
    let stop = CancellationToken::new();
    stop.cancel();
    bench.sources.commands = Commands::asked(&bench.sources.environment, stop);
    let problems = bench.x().unwrap_err();
    assert!(problems.contains("was given up"), "{problems}");
}

#[tokio::test]
async fn a_reading_may_begin_on_a_thread_of_an_async_runtime() {
    assert_eq!(bench("echo value", "").x().as_deref(), Ok(b"value".as_slice()));
}
