//! `check` as a program reads it, its warnings, `explain` and `schema`: what stands in no gallery of mistakes.
//! The messages themselves are snapshots in `tests/bad`.

use crate::harness::{Builder, IN_MEMORY, monolith, shipped, stderr, stdout};
use serde_json::{Value, json};

/// Literal secrets and a worker that may outlast its interval: allowed in `test`, and probably not meant.
const WARNED: &str = "[secrets]\npg = { literal = \"hunter2\" }\n\n[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:a.db\"\n\n\
                      [workers.slow]\nevery = \"10s\"\nrun = { kind = \"sql\", store = \"main\", statement = \"select 1\" }\n\n\
                      [workers.beside]\nevery = \"10s\"\noverlap = \"allow\"\n\
                      run = { kind = \"sql\", store = \"main\", statement = \"select 1\" }\n";

/// The document of `check --format json` and its exit code.
#[track_caller]
fn document(builder: &Builder, more: &[&str]) -> (Value, Option<i32>) {
    let output = builder.run(&[["check", "--format", "json"].as_slice(), more].concat());
    assert_eq!(stderr(&output), "", "a program reads one stream");
    (serde_json::from_str(&stdout(&output)).unwrap(), output.status.code())
}

#[test]
fn a_program_reads_each_problem_with_its_place_and_advice() {
    let builder = monolith("[server]\nbnid = \"127.0.0.1:8000\"\n").env("MONOLITH_KEYS__ON_STALE", "denny");
    let (document, code) = document(&builder, &["--set", "server.docs=of"]);
    assert_eq!(code, Some(3));
    assert_eq!(
        document,
        json!({
            "valid": false,
            "errors": [
                {"key": "server.bnid", "message": "there is no such key", "hint": "did you mean `bind`?",
                 "file": "monolith.toml", "line": 2, "column": 1, "env": null, "flag": null},
                {"key": "keys.on_stale", "message": "must be \"deny\" or \"allow\", found \"denny\"",
                 "hint": "did you mean \"deny\"?",
                 "file": null, "line": null, "column": null, "env": "MONOLITH_KEYS__ON_STALE", "flag": null},
                {"key": "server.docs", "message": "must be \"off\", \"admin\" or \"public\", found \"of\"",
                 "hint": "did you mean \"off\"?",
                 "file": null, "line": null, "column": null, "env": null, "flag": "--set"},
            ],
            "warnings": [],
            "workers": {},
        })
    );
    let valid = json!({"valid": true, "errors": [], "warnings": [], "workers": {}});
    assert_eq!(self::document(&monolith(IN_MEMORY), &[]), (valid, Some(0)));
}

#[test]
fn warnings_are_told_apart_and_fail_only_where_that_is_asked_for() {
    let builder = monolith(WARNED);
    let (told, code) = document(&builder, &[]);
    let keys: Vec<&str> = told["warnings"].as_array().unwrap().iter().map(|w| w["key"].as_str().unwrap()).collect();
    assert_eq!((keys, code), (vec!["secrets.pg.literal", "workers.slow.every"], Some(0)));
    assert_eq!(told["valid"], true);

    let output = builder.run(&["check"]);
    assert!(output.status.success() && stdout(&output).starts_with("ok: "), "{output:?}");
    insta::assert_snapshot!(stderr(&output), @r#"
    warning: monolith.toml:2:18: secrets.pg.literal: a literal secret is refused in every profile but dev and test
      2 | pg = { literal = "*******" }
        |                  ^^^^^^^^^
      hint: use { env = "..." } or { file = "..." }
    warning: monolith.toml:9:9: workers.slow.every: a run may take 1m (timeout), but the next one is due after 10s: a slow run makes it skip ticks
      9 | every = "10s"
        |         ^^^^^
      hint: set timeout to 10s or less, or run it less often
    note: JWT_SECRET sets secrets.jwt
    "#);

    let (document, code) = document(&builder, &["--deny-warnings"]);
    assert_eq!((&document["valid"], &document["errors"], code), (&json!(false), &json!([]), Some(3)));
    let output = builder.run(&["check", "--deny-warnings"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(3), ""));
    assert!(stderr(&output).contains("--deny-warnings was given"));
}

#[test]
fn a_short_or_sample_secret_is_a_warning_where_nothing_is_at_stake() {
    for secret in ["correct horse", "changeme-changeme-changeme-changeme"] {
        let (told, code) = document(&monolith(IN_MEMORY).env("JWT_SECRET", secret), &[]);
        assert_eq!((told["warnings"].as_array().unwrap().len(), code), (1, Some(0)), "{told}");
        assert!(!told.to_string().contains(secret), "{told}");
    }
}

#[test]
fn the_shipped_file_and_profiles_draw_no_warning() {
    let laptop = shipped().run(&["check", "--deny-warnings"]);
    assert!(laptop.status.success(), "{}", stderr(&laptop));
    for profile in ["dev", "test", "staging", "prod"] {
        let builder = shipped().env("JWT_SECRET", crate::harness::JWT_SECRET);
        let output = builder.run(&["check", "--profile", profile, "--deny-warnings"]);
        assert!(output.status.success(), "{profile}: {}", stderr(&output));
    }
}

/// Three layers that speak of the same keys, and a password.
fn layered() -> Builder {
    let base =
        "[server]\ndocs = \"off\"\n\n[stores.main]\nkind = \"postgres\"\nurl = \"postgres://app:hunter2@db/app\"\n";
    monolith(base)
        .file("profiles/test.toml", "[server]\ndocs = \"admin\"\n")
        .env("MONOLITH_SERVER__DOCS", "public")
        .env("MONOLITH_STORES__MAIN__MAX_CONNECTIONS", "7")
}

#[test]
fn explain_names_the_winner_and_every_loser_of_a_key() {
    let output = layered().run(&["explain", "server.docs"]);
    assert!(output.status.success());
    insta::assert_snapshot!(stdout(&output), @r#"
    server.docs = "public"
      > environment            $MONOLITH_SERVER__DOCS       "public"
        profiles/test.toml     profiles/test.toml:2:8       "admin"
        monolith.toml          monolith.toml:2:8            "off"
        defaults               built in                     "admin"
    "#);
}

#[test]
fn explain_shows_a_whole_section_without_its_secrets() {
    let output = layered().run(&["explain", "stores.main"]);
    let shown = stdout(&output);
    assert!(output.status.success() && !shown.contains("hunter2"), "{shown}");
    for part in [
        "stores.main.url = \"postgres://app:***@db/app\"",
        "$MONOLITH_STORES__MAIN__MAX_CONNECTIONS",
        "stores.main.probe.every = \"5s\"",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let output = layered().run(&["explain", "stores.main.url", "--output", "json"]);
    let explained: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(explained[0]["masked"], true);
    assert_eq!(explained[0]["layers"][0]["value"], "postgres://app:***@db/app");
}

#[test]
fn explain_asks_back_for_a_key_that_nobody_knows() {
    for (wrong, meant) in [
        ("server.dosc", "did you mean `server.docs`?"),
        ("sever", "did you mean `server`?"),
        ("stores.mian.url", "did you mean `stores.main.url`?"),
        ("stores.mian", "did you mean `stores.main`?"),
        ("server.port", "it is `server.bind`"),
        ("zzzzzzzzzz", "server.bind"),
    ] {
        let output = layered().run(&["explain", wrong]);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
        assert!(stderr(&output).contains(meant), "{wrong}: {}", stderr(&output));
    }
}

#[test]
fn explain_knows_a_key_that_is_not_set() {
    let output = layered().run(&["explain", "server.admin_bind"]);
    assert_eq!(stdout(&output).trim(), "server.admin_bind is not set, and has no default");
    assert!(output.status.success());
}

#[test]
fn explain_works_where_the_configuration_does_not() {
    let output =
        layered().file("monolith.toml", "[server]\nbnid = 1\ndocs = \"off\"\n").run(&["explain", "server.docs"]);
    assert!(output.status.success() && stdout(&output).contains("monolith.toml:3:8"), "{}", stdout(&output));
}

#[test]
fn the_schema_that_is_printed_is_the_one_that_is_committed() {
    let printed: Value = serde_json::from_str(&stdout(&monolith(IN_MEMORY).run(&["schema"]))).unwrap();
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/monolith.schema.json")).unwrap();
    assert_eq!(
        printed,
        serde_json::from_str::<Value>(&committed).unwrap(),
        "run `cargo run -- schema > monolith.schema.json`"
    );
}
