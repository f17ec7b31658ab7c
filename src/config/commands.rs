//! Secrets that programs tell: each is asked once, its answer is kept, and it is asked again when that is due.
//! It says what is known; what a changed value does to the settings is decided elsewhere.

mod ask; // one program, asked within bounds

use super::Loaded;
use super::environment::Environment;
use crate::clock::Timestamp;
use crate::name::SecretName;
use crate::secret::Secret;
use ask::ask_all;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The longest a program may take where the file says nothing.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that may be said: a reload waits for it.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// The shortest that may be said for either.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);

/// A program with its arguments, and the folder it runs in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub(super) argv: Vec<String>,
    pub(super) folder: PathBuf,
}

/// A declared secret that a program tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The secret.
    pub name: SecretName,
    /// The program.
    pub question: Question,
    /// The longest it may take.
    pub timeout: Duration,
    /// From one question to the next; `None`: it is asked once.
    pub refresh: Option<Duration>,
}

/// What the programs told so far. Without any, as for `check`, no program is ever started and their secrets are present
/// but unknown. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Commands(Option<Arc<Answers>>);

#[derive(Debug)]
struct Answers {
    environment: Environment,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<Question, Answer>,
    /// What the running settings declare.
    running: Vec<Asked>,
}

#[derive(Debug)]
struct Answer {
    value: Secret,
    /// The value that is in use: another one waits for a reload.
    in_use: Option<Secret>,
    asked: Instant,
    /// Whether it is being asked right now.
    asking: bool,
    failed: Option<(Timestamp, String)>,
}

/// What came of asking again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The value is the one in use.
    Same,
    /// The value is another than the one in use.
    Changed,
    /// There was no answer, for this reason; the old value stays.
    Failed(String),
}

/// A secret whose program failed when it was asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The secret.
    pub name: SecretName,
    /// Since when there was no answer.
    pub since: Timestamp,
    /// Why, without a value.
    pub message: String,
}

impl Commands {
    /// Asks programs, which see five variables of this environment and are ended by `stop`.
    #[must_use]
    pub fn asked(environment: &Environment, stop: CancellationToken) -> Self {
        Self(Some(Arc::new(Answers { environment: environment.clone(), stop, state: Mutex::default() })))
    }

    /// The value of each of these, or why there is none; what was told before is not asked again. `None` where nothing
    /// is asked at all. Blocks for as long as the programs take.
    pub(super) fn answers(&self, declared: &[Asked]) -> Option<BTreeMap<SecretName, Result<Secret, String>>> {
        let answers = self.0.as_ref()?;
        let told = answers.ask(declared.iter().filter(|asked| !answers.state().known.contains_key(&asked.question)));
        let mut state = answers.state();
        let mut failures = BTreeMap::new();
        for (question, result) in told {
            match result {
                Ok(value) => {
                    let answer = Answer { value, in_use: None, asked: Instant::now(), asking: false, failed: None };
                    state.known.insert(question, answer);
                }
                Err(why) => drop(failures.insert(question, why)),
            }
        }
        let of = |asked: &Asked| match state.known.get(&asked.question) {
            Some(answer) => Ok(answer.value.clone()),
            None => Err(failures.get(&asked.question).cloned().unwrap_or_default()),
        };
        Some(declared.iter().map(|asked| (asked.name.clone(), of(asked))).collect())
    }

    /// Learns which settings run: their programs are asked again when that is due, and answers of others are forgotten.
    pub fn adopt(&self, loaded: &Loaded) {
        let Some(answers) = &self.0 else { return };
        let mut state = answers.state();
        state.running.clone_from(&loaded.commands);
        let running: BTreeMap<&Question, &SecretName> =
            loaded.commands.iter().map(|asked| (&asked.question, &asked.name)).collect();
        state.known.retain(|question, _| running.contains_key(question));
        for (question, answer) in &mut state.known {
            let used = running.get(question).and_then(|name| loaded.secrets.get(*name));
            answer.in_use = used.and_then(|value| value.as_ref().ok().cloned());
        }
    }

    /// The secrets that are due, each program once; they count as being asked from now on.
    #[must_use]
    pub fn take_due(&self, now: Instant) -> Vec<Asked> {
        let Some(answers) = &self.0 else { return Vec::new() };
        let state = &mut *answers.state();
        let mut due = Vec::new();
        for asked in &state.running {
            let (Some(every), Some(answer)) = (asked.refresh, state.known.get_mut(&asked.question)) else { continue };
            if !answer.asking && now.saturating_duration_since(answer.asked) >= every {
                answer.asking = true;
                due.push(asked.clone());
            }
        }
        due
    }

    /// Asks the program of one secret again. Blocks for as long as it takes.
    #[must_use]
    pub fn ask_again(&self, asked: &Asked) -> Again {
        let Some(answers) = &self.0 else { return Again::Same };
        let told = answers.ask([asked].into_iter()).pop_first();
        let mut state = answers.state();
        let Some(answer) = state.known.get_mut(&asked.question) else { return Again::Same };
        answer.asking = false;
        answer.asked = Instant::now();
        match told {
            Some((_, Ok(value))) => {
                answer.failed = None;
                answer.value = value;
                if answer.in_use.as_ref() == Some(&answer.value) { Again::Same } else { Again::Changed }
            }
            Some((_, Err(why))) => {
                let since = answer.failed.take().map_or_else(Timestamp::now, |(since, _)| since);
                answer.failed = Some((since, why.clone()));
                Again::Failed(why)
            }
            None => Again::Same,
        }
    }

    /// The secrets in use whose programs failed when they were asked last.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        let Some(answers) = &self.0 else { return Vec::new() };
        let state = answers.state();
        let of = |asked: &Asked| {
            let (since, message) = state.known.get(&asked.question)?.failed.clone()?;
            Some(Trouble { name: asked.name.clone(), since, message })
        };
        state.running.iter().filter_map(of).collect()
    }
}

impl Answers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks each program once, with the longest time-out of those that want to know.
    fn ask<'a>(&self, declared: impl Iterator<Item = &'a Asked>) -> BTreeMap<Question, Result<Secret, String>> {
        let mut questions: BTreeMap<Question, Duration> = BTreeMap::new();
        for asked in declared {
            let limit = questions.entry(asked.question.clone()).or_default();
            *limit = asked.timeout.max(*limit);
        }
        let names: BTreeSet<Question> = questions.keys().cloned().collect();
        match ask_all(questions.into_iter().collect(), &self.environment, &self.stop) {
            Ok(told) => told.into_iter().collect(),
            Err(error) => {
                let why = format!("no program can be started: {error}");
                names.into_iter().map(|question| (question, Err(why.clone()))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
