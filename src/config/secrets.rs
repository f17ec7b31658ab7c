//! Resolves declared secrets: from a variable, a file, a program or the text itself, byte for byte.
//! A missing or empty one is a problem that names it, never an empty value.

use super::commands::{Asked, DEFAULT_TIMEOUT, MAX_TIMEOUT, Question, SHORTEST};
use super::files::{Reader, plain};
use super::written::SecretSource;
use super::{Places, Sources};
use crate::clock::{parse_duration, write_duration};
use crate::name::SecretName;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The built-in secret that signs admin tokens.
pub const JWT: &str = "jwt";

/// Bytes of a value that only stands in for one that was not asked for.
const STAND_IN: usize = 32;

/// The declared secrets of one reading.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) secrets: BTreeMap<SecretName, Result<Secret, Problem>>,
    pub(super) commands: Vec<Asked>,
    pub(super) unasked: BTreeSet<SecretName>,
}

/// Looks every declared secret up. A bad source stands in the problems at once, but for the built-in `jwt`, of which
/// `settings` knows whether it may be missing.
pub(super) fn resolve(
    declared: Option<&BTreeMap<String, SecretSource>>,
    places: &Places,
    sources: &Sources,
    files: &mut Reader,
    problems: &mut Problems,
) -> Resolved {
    let mut resolved = Resolved::default();
    let mut resolver = Resolver { places, sources, files, problems };
    for (text, source) in declared.into_iter().flatten() {
        let key = format!("secrets.{text}");
        let name = match SecretName::parse(text) {
            Ok(name) => name,
            Err(error) => {
                resolver.problems.error(Problem::new(places.of(&key), key, error.to_string()));
                continue;
            }
        };
        let value = match resolver.one(source, &key) {
            Ok(Source::Value(secret)) => Ok(secret),
            Ok(Source::Command(argv)) => match resolver.asked(&name, argv, source) {
                Ok(asked) => {
                    resolved.commands.push(asked);
                    continue;
                }
                Err(problem) => Err(*problem),
            },
            Err(problem) => Err(*problem),
        };
        if let Err(problem) = &value
            && !is_unset_jwt(text, source, sources)
            && !resolver.problems.concern(&key)
        {
            resolver.problems.error(problem.clone());
        }
        resolved.secrets.insert(name, value);
    }
    resolver.ask(&mut resolved);
    resolved
}

/// The built-in source of `jwt` when its variable is not set at all; set and empty is a mistake.
fn is_unset_jwt(name: &str, source: &SecretSource, sources: &Sources) -> bool {
    name == JWT && source.env.as_deref().is_some_and(|variable| sources.environment.get(variable).is_none())
}

/// In a box, for it is much larger than what it is told instead of.
type Fault = Box<Problem>;

/// Where one secret comes from: what could be read at once, or a program that is asked together with the others.
enum Source {
    Value(Secret),
    Command(Vec<String>),
}

struct Resolver<'a> {
    places: &'a Places,
    sources: &'a Sources,
    files: &'a mut Reader,
    problems: &'a mut Problems,
}

impl Resolver<'_> {
    fn one(&mut self, source: &SecretSource, key: &str) -> Result<Source, Fault> {
        if source.command.is_none() {
            for part in ["timeout", "refresh"].map(|part| format!("{key}.{part}")) {
                if self.places.wrote(&part) {
                    let problem = Problem::new(self.places.of(&part), part, "is for secrets from commands only");
                    self.problems.error(problem.hint("a file is watched; a variable cannot change while we run"));
                }
            }
        }
        match source {
            SecretSource { env: Some(variable), file: None, command: None, literal: None, .. } => {
                let value = self.sources.environment.get(variable);
                let value = value.map(|value| Secret::new(value.as_encoded_bytes()));
                self.variable(key, variable, value).map(Source::Value)
            }
            SecretSource { env: None, file: Some(path), command: None, literal: None, .. } => {
                let path_from_base = self.files.base_dir().join(path);
                match self.files.secret(&path_from_base) {
                    Ok(bytes) => {
                        self.not_empty(key, "file", Secret::new(without_newline(bytes)), format!("the file {path}"))
                    }
                    Err(error) => {
                        Err(self.problem(key, "file", format!("the file {path} cannot be read: {}", plain(&error))))
                    }
                }
                .map(Source::Value)
            }
            SecretSource { env: None, file: None, command: None, literal: Some(value), .. } => {
                self.not_empty(key, "literal", value.clone(), "the value".into()).map(Source::Value)
            }
            SecretSource { env: None, file: None, command: Some(argv), literal: None, .. } => {
                if argv.first().is_none_or(String::is_empty) {
                    let problem = self.problem(key, "command", "names no program".into());
                    return Err(advised(problem, "a program and its arguments, such as [\"cat\", \"/run/secrets/x\"]"));
                }
                Ok(Source::Command(argv.clone()))
            }
            _ => {
                let message = "a secret has exactly one source: env, file, command or literal";
                Err(Problem::new(self.places.of(key), key, message).into())
            }
        }
    }

    fn variable(&self, key: &str, variable: &str, value: Option<Secret>) -> Result<Secret, Fault> {
        let value = match value {
            Some(value) => self.not_empty(key, "env", value, format!("the variable {variable}")),
            None => Err(self.problem(key, "env", format!("the variable {variable} is not set"))),
        };
        value.map_err(|fault| advised(fault, &format!("export {variable}=..., or give the secret another source")))
    }

    fn not_empty(&self, key: &str, part: &str, secret: Secret, what: String) -> Result<Secret, Fault> {
        if secret.is_empty() { Err(self.problem(key, part, format!("{what} is empty"))) } else { Ok(secret) }
    }

    /// A problem at a part of a secret, or at the secret where only the defaults have that part.
    fn problem(&self, key: &str, part: &str, message: String) -> Fault {
        let inner = format!("{key}.{part}");
        let at = if self.places.wrote(&inner) { inner } else { key.to_owned() };
        Problem::new(self.places.of(&at), at, message).into()
    }

    /// How a program is asked.
    fn asked(&self, name: &SecretName, argv: Vec<String>, source: &SecretSource) -> Result<Asked, Fault> {
        let key = format!("secrets.{name}");
        let timeout = match &source.timeout {
            Some(text) => self.limit(&format!("{key}.timeout"), text, MAX_TIMEOUT)?,
            None => DEFAULT_TIMEOUT,
        };
        let refresh = source.refresh.as_ref();
        let refresh = refresh.map(|text| self.limit(&format!("{key}.refresh"), text, Duration::MAX)).transpose()?;
        let question = Question { argv, folder: self.files.base_dir().to_path_buf() };
        Ok(Asked { name: name.clone(), question, timeout, refresh })
    }

    fn limit(&self, key: &str, text: &str, at_most: Duration) -> Result<Duration, Fault> {
        let message = match parse_duration(text) {
            Some(length) if length < SHORTEST => {
                format!("must be at least {}, found \"{text}\"", write_duration(SHORTEST))
            }
            Some(length) if length > at_most => {
                format!("must be at most {}, found \"{text}\": a reload waits for it", write_duration(at_most))
            }
            Some(length) => return Ok(length),
            None => format!("must be a length of time such as 500ms, 30s, 5m or 1h30m, found \"{text}\""),
        };
        Err(Problem::new(self.places.of(key), key, message).into())
    }

    /// Asks the programs, or lets something stand in for what they would tell.
    fn ask(&mut self, resolved: &mut Resolved) {
        let Some(answers) = self.sources.commands.answers(&resolved.commands) else {
            for asked in &resolved.commands {
                resolved.unasked.insert(asked.name.clone());
                resolved.secrets.insert(asked.name.clone(), Ok(stand_in()));
            }
            return;
        };
        for (name, answer) in answers {
            let key = format!("secrets.{name}");
            let value = answer.map_err(|why| {
                let hint = "run it by hand to see what it says; that is not kept, for it may hold the value";
                *advised(self.problem(&key, "command", why), hint)
            });
            if let Err(problem) = &value {
                self.problems.error(problem.clone());
            }
            resolved.secrets.insert(name, value);
        }
    }
}

fn advised(mut fault: Fault, hint: &str) -> Fault {
    fault.hint = Some(hint.to_owned());
    fault
}

/// A value for one that nobody asked for, so that everything around it can be judged. It is drawn, so that it opens
/// nothing even where it got to by mistake.
fn stand_in() -> Secret {
    let mut bytes = [0_u8; STAND_IN];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Err(_) => Secret::new(""),
    }
}

/// Editors and `echo` end a file with a newline; one is not part of the secret.
fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}
