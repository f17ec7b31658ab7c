//! What a worker does: its kind, and what that kind needs, ready to be done.
//! Doing it is `work::action`.

use crate::config::schema::nearest;
use crate::config::written;
use crate::name::StoreName;
use crate::secret::Secret;
use crate::settings::compile::{Compiler, Declared, Encoding};
use crate::settings::document::Document;
use crate::settings::request::{self, Request};
use crate::settings::statement::Statement;
use crate::settings::stores::StoreKind;
use crate::settings::template::Template;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a worker does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Runs a statement in a declared Postgres or SQLite store.
    Sql {
        /// The store.
        store: StoreName,
        /// The statement, with `:worker :run_id :tick_at :attempt` not yet bound.
        statement: Statement,
        /// Whether, on the ledger's own store, it commits with the run's finish.
        transactional: bool,
    },
    /// Sends an HTTP request.
    Http(Box<Request>),
    /// Sends a command to a declared Redis store.
    Redis {
        /// The store.
        store: StoreName,
        /// The command and its arguments; never empty.
        command: Vec<Template>,
    },
    /// Sends a command to a declared MongoDB store.
    Mongodb {
        /// The store.
        store: StoreName,
        /// The database.
        database: String,
        /// The command; never empty.
        command: Document,
    },
    /// Calls a Rust function that the embedding program registered.
    Handler {
        /// The name it was registered under.
        name: String,
    },
    /// Starts a program, without a shell.
    Command {
        /// The program and its arguments; never empty.
        argv: Vec<String>,
        /// Its own variables, beside `PATH HOME LANG TZ TMPDIR` and the run's identity.
        env: BTreeMap<String, Secret>,
        /// Where it runs; absolute.
        cwd: PathBuf,
    },
}

impl Action {
    /// As it stands in the file and in the API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sql { .. } => "sql",
            Self::Http(_) => "http",
            Self::Redis { .. } => "redis",
            Self::Mongodb { .. } => "mongodb",
            Self::Command { .. } => "command",
            Self::Handler { .. } => "handler",
        }
    }

    /// Whether it writes something as it goes, beside what it answers at the end.
    #[must_use]
    pub const fn writes(&self) -> bool {
        matches!(self, Self::Command { .. } | Self::Handler { .. })
    }

    /// What must be masked in whatever is kept of a run.
    #[must_use]
    pub fn hidden(&self) -> Vec<Secret> {
        match self {
            Self::Http(request) => request.hidden.clone(),
            Self::Command { env, .. } => env.values().cloned().collect(),
            Self::Sql { .. } | Self::Redis { .. } | Self::Mongodb { .. } | Self::Handler { .. } => Vec::new(),
        }
    }
}

/// The stores that an action may name.
#[derive(Clone, Copy)]
pub(in crate::settings) struct Stores<'a> {
    pub(in crate::settings) kinds: &'a BTreeMap<StoreName, StoreKind>,
    pub(in crate::settings) declared: &'a Declared,
}

impl Compiler<'_> {
    pub(super) fn action(&mut self, key: &str, written: &written::Run, stores: Stores<'_>) -> Option<Action> {
        match written {
            written::Run::Sql { store, statement, transactional } => {
                // Both are looked at before either is missed: one mistake must not hide the other.
                let store =
                    self.store_of_kind(key, store.as_deref(), stores, "a postgres or sqlite", StoreKind::is_sql);
                let statement = statement.as_deref().map(Statement::parse).transpose();
                let statement = statement.map_err(|message| self.error(&format!("{key}.statement"), message)).ok()?;
                Some(Action::Sql { store: store?, statement: statement?, transactional: transactional.unwrap_or(true) })
            }
            written::Run::Http { method, url, headers, body, expect_status } => {
                let written = request::Written {
                    method: method.as_deref(),
                    url: url.as_ref(),
                    headers,
                    body: body.as_ref(),
                    expect_status: expect_status.as_deref(),
                };
                Some(Action::Http(Box::new(self.request(key, &written)?)))
            }
            written::Run::Redis { store, command } => {
                let is_redis = |kind: &StoreKind| matches!(kind, StoreKind::Redis { .. });
                let store = self.store_of_kind(key, store.as_deref(), stores, "a redis", is_redis);
                let command = self.words(&format!("{key}.command"), command.as_deref()?);
                Some(Action::Redis { store: store?, command })
            }
            written::Run::Mongodb { store, database, command } => {
                let is_mongodb = |kind: &StoreKind| matches!(kind, StoreKind::Mongodb { .. });
                let store = self.store_of_kind(key, store.as_deref(), stores, "a mongodb", is_mongodb);
                let database = database.as_deref().and_then(|name| self.database_name(key, name));
                let at = format!("{key}.command");
                let command = self.document(&at, command.clone()?);
                if command.0.is_empty() {
                    self.error_with_hint(&at, "is empty", "such as { count = \"sessions\" }");
                }
                Some(Action::Mongodb { store: store?, database: database?, command })
            }
            written::Run::Command { argv, env, cwd } => self.program(key, argv.as_deref()?, env, cwd.as_deref()),
            written::Run::Handler { name } => self.handler(&format!("{key}.name"), name.as_deref()?),
        }
    }

    fn store_of_kind(
        &mut self,
        key: &str,
        store: Option<&str>,
        stores: Stores<'_>,
        wanted: &str,
        fits: impl Fn(&StoreKind) -> bool,
    ) -> Option<StoreName> {
        let at = format!("{key}.store");
        let name = self.store(&at, store?, stores.kinds, stores.declared)?;
        if let Some(kind) = stores.kinds.get(&name).filter(|kind| !fits(kind)) {
            self.error(&at, format!("must be {wanted} store, found one of the kind {}", kind.as_str()));
        }
        Some(name)
    }

    fn words(&mut self, key: &str, words: &[String]) -> Vec<Template> {
        if words.first().is_none_or(|word| word.trim().is_empty()) {
            self.error(key, "must name a command, such as [\"DEL\", \"cache:home\"]");
        } else if let [one] = words
            && let Some((command, _)) = one.split_once(' ')
        {
            let message = format!("is one word, so that Redis would look for a command named \"{command} ...\"");
            self.error_with_hint(
                key,
                message,
                "write each argument as an element of its own, as in [\"DEL\", \"cache:home\"]",
            );
        }
        words.iter().enumerate().filter_map(|(n, word)| self.template(&format!("{key}[{n}]"), word)).collect()
    }

    /// What MongoDB allows in the name of a database on every platform.
    fn database_name(&mut self, key: &str, name: &str) -> Option<String> {
        let fits = !name.is_empty() && name.len() < 64 && !name.contains(['/', '\\', '.', ' ', '"', '$', '\0']);
        if !fits {
            let message = "is not the name of a database: 1 to 63 bytes without / \\ . \" $ and spaces";
            self.error(&format!("{key}.database"), message);
        }
        fits.then(|| name.to_owned())
    }

    fn handler(&mut self, key: &str, name: &str) -> Option<Action> {
        let registered = &self.loaded.handlers;
        if registered.contains(name) {
            return Some(Action::Handler { name: name.to_owned() });
        }
        let all: Vec<&str> = registered.iter().map(String::as_str).collect();
        let hint = match nearest(name, all.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if all.is_empty() => {
                "a handler is a Rust function of a program that embeds monolith (`monolith::Builder`); the plain \
                                       binary has none"
                    .to_owned()
            }
            None => format!("registered are: {}", all.join(", ")),
        };
        self.error_with_hint(key, format!("no handler `{name}` is registered in this program"), hint);
        None
    }

    fn program(
        &mut self,
        key: &str,
        argv: &[String],
        env: &BTreeMap<String, Secret>,
        cwd: Option<&str>,
    ) -> Option<Action> {
        if argv.first().is_none_or(String::is_empty) {
            self.error(&format!("{key}.argv"), "must name a program, such as [\"python3\", \"report.py\"]");
        }
        let filled = |(name, value): (&String, &Secret)| {
            (name.clone(), self.with_secrets(&format!("{key}.env.{name}"), value, Encoding::Verbatim))
        };
        let env = env.iter().map(filled).collect();
        let base = &self.loaded.base_dir;
        let cwd = cwd.map_or_else(|| base.clone(), |cwd| base.join(cwd));
        Some(Action::Command { argv: argv.to_vec(), env, cwd })
    }
}
