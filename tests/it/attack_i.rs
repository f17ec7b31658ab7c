//! Attacks that begin before the start (111-115). Every mistake of the file (114) has its page in `tests/bad`.
//! 113 is void: DESIGN §3.2, "bind = \"127.0.0.1:8000\"  # the image sets 0.0.0.0": a container listens on all addresses.
//! 115 is void: DESIGN §5, "ready: settings committed, required stores reached once, key index loaded once, not draining".

use crate::harness::{JWT_SECRET, monolith, stderr};

const SQLITE: &str = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\nverify = \"token\"\n[scheduler]\nstore = \"main\"\n";

#[test]
fn i111_a_secret_that_anybody_could_guess_starts_nothing_where_it_counts() {
    for (secret, why) in [
        ("short-but-random-8Zk2", "shorter than 32 bytes"),
        ("changeme-changeme-changeme-changeme-1", "looks like a sample"),
        ("secret-secret-secret-secret-secret-42", "looks like a sample"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "looks like a sample"),
        ("", "empty"),
    ] {
        let builder =
            monolith(SQLITE).file("profiles/prod.toml", "").env("MONOLITH_PROFILE", "prod").env("JWT_SECRET", secret);
        let refused = builder.run(&["serve", "--bind", "127.0.0.1:0"]);
        assert_eq!(refused.status.code(), Some(3), "`{secret}` started a server");
        let told = stderr(&refused);
        let says_how = told.contains("openssl rand") || (secret.is_empty() && told.contains("export JWT_SECRET"));
        assert!(told.contains(why) && says_how, "{secret}: {told}");
        assert!(secret.is_empty() || !told.contains(secret), "the secret is told: {told}");
    }
    let missing =
        monolith(SQLITE).file("profiles/prod.toml", "").env("MONOLITH_PROFILE", "prod").without_env("JWT_SECRET");
    let told = stderr(&missing.run(&["serve"]));
    assert!(told.contains("JWT_SECRET") && told.contains("openssl rand"), "{told}");
}

#[test]
fn i112_keys_that_were_meant_for_a_database_are_never_kept_in_memory_instead() {
    let refused = monolith("").env("USE_DB_KEYS", "1").run(&["serve"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("DATABASE_URL"), "{}", stderr(&refused));
}

#[test]
fn i114_a_key_that_nobody_knows_is_told_with_its_line() {
    let refused = monolith("[server]\nbnd = \"127.0.0.1:0\"\n").env("JWT_SECRET", JWT_SECRET).run(&["serve"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("monolith.toml:2:1"), "{}", stderr(&refused));
}
