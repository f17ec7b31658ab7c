//! Resolves declared secrets: from a variable, a file or the text itself, byte for byte.
//! A missing or empty one is a problem that names it, never an empty value.

use super::files::{Reader, plain};
use super::written::SecretSource;
use super::{Places, Sources};
use crate::name::SecretName;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use std::collections::BTreeMap;

/// The built-in secret that signs admin tokens.
pub const JWT: &str = "jwt";

/// Looks every declared secret up. A bad source stands in the problems at once, but for the built-in `jwt`, of which
/// `settings` knows whether it may be missing.
pub(super) fn resolve(
    declared: Option<&BTreeMap<String, SecretSource>>,
    places: &Places,
    sources: &Sources,
    files: &mut Reader,
    problems: &mut Problems,
) -> BTreeMap<SecretName, Result<Secret, Problem>> {
    let mut resolved = BTreeMap::new();
    for (text, source) in declared.into_iter().flatten() {
        let key = format!("secrets.{text}");
        let name = match SecretName::parse(text) {
            Ok(name) => name,
            Err(error) => {
                problems.error(Problem::new(places.of(&key), key, error.to_string()));
                continue;
            }
        };
        let value = one(source, &key, places, sources, files).map_err(|(at, message)| {
            let mut problem = Problem::new(places.of(&at), at, message);
            if let Some(variable) = &source.env {
                problem = problem.hint(format!("export {variable}=..., or give the secret another source"));
            }
            problem
        });
        if let Err(problem) = &value
            && !is_unset_jwt(text, source, sources)
            && !problems.concern(&key)
        {
            problems.error(problem.clone());
        }
        resolved.insert(name, value);
    }
    resolved
}

/// The built-in source of `jwt` when its variable is not set at all; set and empty is a mistake.
fn is_unset_jwt(name: &str, source: &SecretSource, sources: &Sources) -> bool {
    name == JWT && source.env.as_deref().is_some_and(|variable| sources.environment.get(variable).is_none())
}

fn one(
    source: &SecretSource,
    key: &str,
    places: &Places,
    sources: &Sources,
    files: &mut Reader,
) -> Result<Secret, (String, String)> {
    let at = |part: &str| if places.wrote(&format!("{key}.{part}")) { format!("{key}.{part}") } else { key.to_owned() };
    let fail = |part: &str, message: String| Err((at(part), message));
    let not_empty = |part: &str, secret: Secret, what: String| {
        if secret.is_empty() { fail(part, format!("{what} is empty")) } else { Ok(secret) }
    };
    match source {
        SecretSource { env: Some(variable), file: None, command: None, literal: None, .. } => match sources
            .environment
            .get(variable)
        {
            Some(value) => not_empty("env", Secret::new(value.as_encoded_bytes()), format!("the variable {variable}")),
            None => fail("env", format!("the variable {variable} is not set")),
        },
        SecretSource { env: None, file: Some(path), command: None, literal: None, .. } => {
            let path_from_base = files.base_dir().join(path);
            match files.read(&path_from_base) {
                Ok(bytes) => not_empty("file", Secret::new(without_newline(bytes)), format!("the file {path}")),
                Err(error) => fail("file", format!("the file {path} cannot be read: {}", plain(&error))),
            }
        }
        SecretSource { env: None, file: None, command: None, literal: Some(value), .. } => {
            not_empty("literal", value.clone(), "the value".into())
        }
        SecretSource { env: None, file: None, command: Some(_), literal: None, .. } => {
            fail("command", "secrets from commands are not available in this version".into())
        }
        _ => Err((key.to_owned(), "a secret has exactly one source: env, file, command or literal".into())),
    }
}

/// Editors and `echo` end a file with a newline; one is not part of the secret.
fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}
