//! Keys under names that they do not have here, or no longer have: the error for one says the new name.
//! A line is added when a key is renamed and never leaves; some stand for what other programs call the same thing.

/// The old key, the new one, and how it is written. `*` stands for one name.
const RENAMED: [(&str, &str, &str); 36] = [
    ("server.host", "server.bind", r#"bind = "0.0.0.0:8000""#),
    ("server.port", "server.bind", r#"bind = "127.0.0.1:8000""#),
    ("server.listen", "server.bind", r#"bind = "127.0.0.1:8000""#),
    ("server.address", "server.bind", r#"bind = "127.0.0.1:8000""#),
    ("server.timeout", "server.request_timeout", r#"request_timeout = "30s""#),
    ("server.shutdown_timeout", "server.drain_timeout", r#"drain_timeout = "20s""#),
    ("server.max_body_size", "server.body_limit", r#"body_limit = "1MiB""#),
    ("admin.jwt_secret", "admin.signing_keys", r#"signing_keys = [{ id = "default", secret = "jwt" }]"#),
    ("admin.secret", "admin.signing_keys", r#"signing_keys = [{ id = "default", secret = "jwt" }]"#),
    ("database", "stores", "[stores.main]"),
    ("databases", "stores", "[stores.main]"),
    ("db", "stores", "[stores.main]"),
    ("jobs", "workers", "[workers.NAME]"),
    ("tasks", "workers", "[workers.NAME]"),
    ("cron", "workers", "[workers.NAME]"),
    ("logging", "telemetry", r#"[telemetry] and log = "info""#),
    ("log", "telemetry.log", r#"[telemetry] and log = "info""#),
    ("telemetry.level", "telemetry.log", r#"log = "info""#),
    ("telemetry.log_level", "telemetry.log", r#"log = "info""#),
    ("secrets.*.path", "secrets.*.file", r#"{ file = "/run/secrets/name" }"#),
    ("secrets.*.variable", "secrets.*.env", r#"{ env = "NAME" }"#),
    ("secrets.*.value", "secrets.*.literal", r#"{ literal = "..." }, in dev and test"#),
    ("stores.*.type", "stores.*.kind", r#"kind = "postgres""#),
    ("stores.*.driver", "stores.*.kind", r#"kind = "postgres""#),
    ("stores.*.dsn", "stores.*.url", r#"url = "postgres://...""#),
    ("stores.*.uri", "stores.*.url", r#"url = "mongodb://...""#),
    ("stores.*.pool_size", "stores.*.max_connections", "max_connections = 10"),
    ("keys.ttl", "keys.default_ttl", r#"default_ttl = "90d""#),
    ("workers.*.cron", "workers.*.schedule", r#"schedule = "*/5 * * * *""#),
    ("workers.*.interval", "workers.*.every", r#"every = "30s""#),
    ("workers.*.tz", "workers.*.timezone", r#"timezone = "Europe/Berlin""#),
    ("workers.*.retries", "workers.*.retry", "retry = { attempts = 3 }"),
    ("workers.*.concurrency", "workers.*.overlap", r#"overlap = "skip""#),
    ("workers.*.command", "workers.*.run", r#"run = { kind = "command", argv = ["df", "-h"] }"#),
    ("workers.*.run.command", "workers.*.run.argv", r#"argv = ["df", "-h"]"#),
    ("workers.*.run.query", "workers.*.run.statement", r#"statement = "delete from ...""#),
];

/// What a key is called now, and how it is written, if it ever had another name.
pub(super) fn new_name(key: &str) -> Option<(String, &'static str)> {
    RENAMED.iter().find_map(|(old, new, example)| {
        let names = matched(old, key)?;
        let mut names = names.into_iter();
        let parts = new.split('.').map(|part| if part == "*" { names.next().unwrap_or(part) } else { part });
        Some((parts.collect::<Vec<_>>().join("."), *example))
    })
}

/// The names that the stars of a pattern stand for, where a key matches it.
fn matched<'a>(pattern: &str, key: &'a str) -> Option<Vec<&'a str>> {
    let (pattern, key): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), key.split('.').collect());
    let fits = |(pattern, part): (&&str, &&str)| *pattern == "*" || pattern == part;
    if pattern.len() != key.len() || !pattern.iter().zip(&key).all(fits) {
        return None;
    }
    Some(pattern.iter().zip(key).filter(|(pattern, _)| **pattern == "*").map(|(_, part)| part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::Schema;

    #[test]
    fn a_tombstone_names_a_key_that_exists_and_stands_on_none() {
        let schema = Schema::new();
        for (old, new, example) in RENAMED {
            let (old, new) = (old.replace('*', "x"), new.replace('*', "x"));
            assert!(schema.leaf(&new).is_some(), "{new} does not exist");
            let new_name = new_name(&old);
            assert_eq!(new_name, Some((new, example)));
            // `run.command` is the key of another kind of action.
            assert!(schema.leaf(&old).is_none() || old == "workers.x.run.command", "{old} exists");
        }
    }

    #[test]
    fn a_renamed_key_keeps_the_name_that_it_stood_under() {
        let (key, _) = new_name("workers.clean_up.interval").unwrap();
        assert_eq!(key, "workers.clean_up.every");
        assert_eq!(new_name("workers.every"), None);
    }
}
