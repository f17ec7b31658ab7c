//! What is wrong at the start is told with its place, and nothing is started.
//! The gallery of mistakes inside a file stands elsewhere; here is what needs a process.

use crate::harness::{Builder, IN_MEMORY, monolith, shipped, stderr, stdout};

/// Runs a command that must fail with this code, and gives back what it said.
#[track_caller]
fn refused(builder: &Builder, args: &[&str], code: i32) -> String {
    let output = builder.run(args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(stdout(&output).is_empty(), "data belongs to what worked");
    said
}

#[track_caller]
fn says(builder: &Builder, parts: &[&str]) {
    for args in [["serve", "--bind", "127.0.0.1:0"].as_slice(), &["check"]] {
        let said = refused(builder, args, 3);
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
    }
}

#[test]
fn a_misspelt_key_or_kind_is_shown_with_its_place() {
    says(
        &monolith("[server]\nbnid = \"127.0.0.1:1\"\n"),
        &["monolith.toml:2:1", "server.bnid", "did you mean `bind`?"],
    );
    let kind = "[stores.main]\nkind = \"postgress\"\nurl = \"postgres://x\"\n";
    says(&monolith(kind), &["monolith.toml:2:8", "did you mean \"postgres\"?"]);
}

#[test]
fn a_profile_that_is_missing_is_named() {
    says(
        &monolith(IN_MEMORY).env("MONOLITH_PROFILE", "sandbox"),
        &["$MONOLITH_PROFILE", "profiles/sandbox.toml does not exist"],
    );
}

#[test]
fn a_secret_that_is_unset_or_empty_is_named() {
    let file = "[secrets]\npager = { env = \"PAGER\" }\n";
    says(&monolith(file), &["secrets.pager", "PAGER is not set"]);
    says(&monolith(file).env("PAGER", ""), &["secrets.pager", "PAGER is empty"]);
    says(&monolith(IN_MEMORY).env("JWT_SECRET", ""), &["secrets.jwt", "JWT_SECRET is empty"]);
}

#[test]
fn keys_in_a_database_want_the_database() {
    says(&monolith(IN_MEMORY).env("USE_DB_KEYS", "1"), &["USE_DB_KEYS", "DATABASE_URL"]);
}

#[test]
fn a_short_signing_secret_is_refused_where_it_matters() {
    let builder = shipped().env("MONOLITH_PROFILE", "prod").env("JWT_SECRET", "only-30-bytes-of-a-secret-xxxx");
    says(&builder, &["secrets.jwt", "shorter than 32 bytes", "openssl rand"]);
    says(&shipped().env("MONOLITH_PROFILE", "prod"), &["JWT_SECRET is not set"]);
}

#[test]
fn a_variable_that_sets_nothing_is_refused() {
    let builder = monolith(IN_MEMORY).env("MONOLITH_SERVER__BNID", "127.0.0.1:1");
    says(&builder, &["MONOLITH_SERVER__BNID", "did you mean"]);
    says(&monolith(IN_MEMORY).env("MONOLITH_STORES__GHOST__URL", "postgres://x"), &["MONOLITH_STORES__GHOST__URL"]);
}

#[test]
fn a_store_url_of_the_wrong_scheme_is_refused_without_being_shown() {
    let file = "[stores.main]\nkind = \"postgres\"\nurl = \"mysql://root:hunter2@db/x\"\n";
    let builder = monolith(file);
    says(&builder, &["monolith.toml:3", "postgres://", "mysql://"]);
    assert!(!refused(&builder, &["check"], 3).contains("hunter2"));
}

#[test]
fn a_port_in_use_is_refused_with_advice() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let said = refused(&monolith(IN_MEMORY), &["serve", "--bind", &bind], 1);
    assert!(
        said.contains("server.bind") && said.contains(&bind) && said.contains("another process has this port"),
        "{said}"
    );
}

#[test]
fn what_nobody_can_mean_is_a_usage_error() {
    refused(&monolith(IN_MEMORY), &["sevre"], 2);
    refused(&monolith(IN_MEMORY), &["token", "create", "ann"], 2);
}

#[test]
fn a_ledger_that_no_other_process_sees_is_refused_without_workers() {
    let said = refused(&monolith(IN_MEMORY), &["serve", "--no-workers"], 3);
    assert!(said.contains("scheduler.store"), "{said}");
}
