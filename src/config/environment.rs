//! The variables of the process, and which keys of the configuration they set. The only reader of the environment.
//! A variable is text: the schema says what it becomes, so that a password `123456` or `[x]` arrives byte for byte.

mod near; // variables that were probably meant to be read

use super::layers::{self, Layer};
use super::merge::names_in;
use super::renamed;
use super::schema::{Leaf, Schema, nearest};
use crate::problem::{Place, Problem, Problems};
use figment::value::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// The variables of a process, read once. Its `Debug` tells names only: any value may be a secret.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
    }

    /// Variables for a test or an embedding program.
    #[must_use]
    pub fn from_pairs<'a, V: Into<OsString>>(pairs: impl IntoIterator<Item = (&'a str, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// The value of a variable, where it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    fn starting_with(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &str, &OsStr)> {
        self.0
            .iter()
            .filter_map(move |(name, value)| Some((name.as_str(), name.strip_prefix(prefix)?, value.as_os_str())))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Layer 4: the variables of the original service, each with a note of what it did.
pub(super) fn well_known(
    env: &Environment,
    below: &[Layer],
    notes: &mut Vec<String>,
    problems: &mut Problems,
) -> Option<Layer> {
    let mut layer = Layer::empty("original environment", "variables of the original service");
    let mut set = |key: &str, value: &str, variable: &str, note: String| {
        layer.put(key, Value::from(value), Place::Env(variable.to_owned()));
        notes.push(format!("{variable} {note}"));
    };
    if env.get("JWT_SECRET").is_some() {
        set("secrets.jwt.env", "JWT_SECRET", "JWT_SECRET", "sets secrets.jwt".into());
    }
    for (variable, store, kind) in
        [("DATABASE_URL", "postgres", "postgres"), ("MONGO_URI", "mongo", "mongodb"), ("REDIS_URL", "redis", "redis")]
    {
        let Some(url) = env.text(variable) else { continue };
        set(&format!("stores.{store}.url"), &without_driver(url), variable, format!("sets the url of stores.{store}"));
        if !below.iter().any(|layer| layer.get(&format!("stores.{store}.kind")).is_some()) {
            set(
                &format!("stores.{store}.kind"),
                kind,
                variable,
                format!("declares stores.{store}, which no file does"),
            );
        }
    }
    if switched_on(env, "USE_DB_KEYS", problems) {
        if env.text("DATABASE_URL").is_none_or(str::is_empty) {
            let problem = Problem::new(
                Place::Env("USE_DB_KEYS".into()),
                "keys.store",
                "USE_DB_KEYS is set but DATABASE_URL is not",
            );
            problems.error(
                problem.hint("set DATABASE_URL=postgres://user:password@host:5432/database, or unset USE_DB_KEYS"),
            );
        } else {
            for key in ["keys.store", "scheduler.store"] {
                set(key, "postgres", "USE_DB_KEYS", format!("sets {key} to postgres"));
            }
        }
    }
    if switched_on(env, "ALLOW_PUBLIC_DOCS", problems) {
        set("server.docs", "public", "ALLOW_PUBLIC_DOCS", "sets server.docs to public".into());
    }
    (!layer.dict.is_empty()).then(|| digested(layer, env, |name| !name.starts_with("MONOLITH_")))
}

/// Layer 5: `MONOLITH_<SECTION>__<KEY>`. A name that matches no key is an error, so that no variable can conjure a
/// store that nobody declared.
pub(super) fn declared(env: &Environment, below: &[Layer], schema: &Schema, problems: &mut Problems) -> Option<Layer> {
    let mut layer = Layer::empty("environment", "MONOLITH_ variables");
    near::warn(env.0.keys().map(String::as_str), schema, problems);
    for (variable, rest, value) in env.starting_with("MONOLITH_") {
        let place = Place::Env(variable.to_owned());
        if !rest.contains("__") {
            continue;
        }
        let key = rest.split("__").map(str::to_ascii_lowercase).collect::<Vec<_>>().join(".");
        match value.to_str() {
            Some(text) => put(&mut layer, below, schema, problems, &key, text, place),
            None => problems.error(Problem::new(place, key, "the variable's value is not UTF-8 text")),
        }
    }
    (!layer.dict.is_empty()).then(|| digested(layer, env, |name| name.starts_with("MONOLITH_") && name.contains("__")))
}

/// Layer 6: `--bind ADDRESS` and `--set KEY=VALUE`.
pub(super) fn flags(
    flags: &[(String, String)],
    below: &[Layer],
    schema: &Schema,
    problems: &mut Problems,
) -> Option<Layer> {
    let mut layer = Layer::empty("command line", "flags");
    let mut hasher = Sha256::new();
    for (flag, assignment) in flags {
        hasher.update(assignment.as_bytes());
        let place = Place::Flag(flag.clone());
        match assignment.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                put(&mut layer, below, schema, problems, key.trim(), value, place);
            }
            _ => problems.error(Problem::new(place, "", "sets a value as KEY=VALUE, such as server.docs=off")),
        }
    }
    layer.digest = hasher.finalize().into();
    (!layer.dict.is_empty()).then_some(layer)
}

/// Puts one text at one key, as the type that the schema wants there.
fn put(
    layer: &mut Layer,
    below: &[Layer],
    schema: &Schema,
    problems: &mut Problems,
    key: &str,
    text: &str,
    place: Place,
) {
    if let Some((what, near)) = undeclared(key, below) {
        let message = format!("no {what} is declared in a file; this can change one, not make one");
        let problem = Problem::new(place.clone(), key, message);
        return problems.missing(match near {
            Some(near) => problem.hint(format!("did you mean {}?", spelt(&near, &place))),
            None => problem,
        });
    }
    let Some(leaf) = schema.leaf(key) else {
        return problems.error(unknown(place, key, schema));
    };
    match converted(leaf, text) {
        Ok(value) => layer.put(key, value, place),
        Err(wanted) => {
            // A number or a truth value is no secret; a table may hold one.
            let found = if leaf == Leaf::Structure { String::new() } else { format!(", found \"{text}\"") };
            problems.error(Problem::new(place, key, format!("must be {wanted}{found}")));
        }
    }
}

fn unknown(place: Place, key: &str, schema: &Schema) -> Problem {
    if let Some((new, _)) = renamed::new_name(key) {
        let hint = format!("write {}", spelt(&new, &place));
        return Problem::new(place, key, format!("there is no such key: it is `{new}`")).meant(new).hint(hint);
    }
    let problem = Problem::new(place.clone(), key, "there is no such key");
    match schema.nearest(key) {
        Some(near) => problem.hint(format!("did you mean {}?", spelt(&near, &place))).meant(near),
        None => problem.hint("monolith schema lists every key"),
    }
}

/// A key as it is written where it was: as a variable, or as it is.
fn spelt(key: &str, place: &Place) -> String {
    match place {
        Place::Env(_) => variable(key),
        _ => format!("`{key}`"),
    }
}

/// The variable that sets a key.
fn variable(key: &str) -> String {
    format!("MONOLITH_{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn converted(leaf: Leaf, text: &str) -> Result<Value, &'static str> {
    match leaf {
        Leaf::Text => Ok(Value::from(text)),
        Leaf::Integer => text.trim().parse::<i64>().map(Value::from).map_err(|_| "a whole number"),
        Leaf::Boolean => match text.trim() {
            "true" | "1" => Ok(Value::from(true)),
            "false" | "0" => Ok(Value::from(false)),
            _ => Err("true or false"),
        },
        Leaf::Structure => layers::inline(text).ok_or("an inline TOML array or table, such as [\"a\"] or { a = 1 }"),
    }
}

/// The named thing that a key speaks of but no file declares, such as `store `x``, and the key that was probably meant.
fn undeclared(key: &str, below: &[Layer]) -> Option<(String, Option<String>)> {
    const NAMED: [(&str, &str); 4] =
        [("stores", "store"), ("workers", "worker"), ("policies", "policy"), ("alerts", "alert")];
    let mut parts = key.splitn(3, '.');
    let (section, name, rest) = (parts.next()?, parts.next()?, parts.next());
    let (_, what) = NAMED.iter().find(|(plural, _)| *plural == section)?;
    let known: Vec<String> = below.iter().flat_map(|layer| names_in(layer, section)).collect();
    let near = || {
        let near = nearest(name, known.iter().map(String::as_str))?;
        Some([section, near].into_iter().chain(rest).collect::<Vec<_>>().join("."))
    };
    (!known.iter().any(|known| known == name)).then(|| (format!("{what} `{name}`"), near()))
}

fn switched_on(env: &Environment, variable: &str, problems: &mut Problems) -> bool {
    match env.text(variable).map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "0" | "false" | "no" | "off") => false,
        Some("1" | "true" | "yes" | "on") => true,
        Some(found) => {
            problems.error(Problem::new(Place::Env(variable.into()), "", format!("must be 1 or 0, found \"{found}\"")));
            false
        }
    }
}

/// `postgresql+asyncpg://` is how the original's tool kit names a driver; ours needs none.
fn without_driver(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => match scheme.split_once('+') {
            Some((scheme, driver)) if driver != "srv" => format!("{scheme}://{rest}"),
            _ => url.to_owned(),
        },
        None => url.to_owned(),
    }
}

fn digested(mut layer: Layer, env: &Environment, relevant: impl Fn(&str) -> bool) -> Layer {
    let mut hasher = Sha256::new();
    for (name, value) in env.0.iter().filter(|(name, _)| relevant(name)) {
        let spoken_of = layer.spots.values().any(|spot| spot.key == Place::Env(name.clone()));
        if spoken_of {
            hasher.update(name.as_bytes());
            hasher.update(value.as_encoded_bytes());
        }
    }
    layer.digest = hasher.finalize().into();
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_suffixes_of_the_original_are_understood() {
        assert_eq!(without_driver("postgresql+asyncpg://u:p@h/db"), "postgresql://u:p@h/db");
        assert_eq!(without_driver("mongodb+srv://h/db"), "mongodb+srv://h/db");
        assert_eq!(without_driver("redis://h"), "redis://h");
    }

    #[test]
    fn an_environment_does_not_show_its_values() {
        assert_eq!(format!("{:?}", Environment::from_pairs([("JWT_SECRET", "hunter2")])), r#"{"JWT_SECRET"}"#);
    }
}
