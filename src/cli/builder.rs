//! The program as a library: everything that the binary `monolith` can do, and Rust functions and routes beside it.
//! It collects what an embedding program brings; what is done with it is decided where it would be without.

use super::report::Failure;
use super::{Cli, execute};
use crate::http::embedded::Routes;
use crate::name::is_name;
use crate::work::handler::{Handlers, Run};
use clap::Parser;
use std::ffi::OsString;
use std::fmt::Display;
use std::future::Future;
use std::process::ExitCode;

/// A program of your own around Monolith: its whole command line, with handlers that workers can name and routes that are served
/// beside its own.
///
/// ```no_run
/// use monolith::embed::{Operator, Run, Stores};
/// use axum::{Router, routing::get};
/// use std::process::ExitCode;
///
/// /// For `run = { kind = "handler", name = "rebuild_index" }`.
/// async fn rebuild_index(run: Run) -> Result<(), sqlx::Error> {
///     let Ok(main) = run.stores().postgres("main") else { return Err(sqlx::Error::PoolClosed) };
///     let done = sqlx::query("refresh materialized view search").execute(&main).await?;
///     run.log(format_args!("{}: {} rows", run.id(), done.rows_affected()));
///     Ok(())
/// }
///
/// async fn hello(Operator(caller): Operator, stores: Stores) -> String {
///     format!("{} sees {} stores", caller.subject, stores.names().count())
/// }
///
/// fn main() -> ExitCode {
///     monolith::Builder::from_args()
///         .handler("rebuild_index", rebuild_index)
///         .routes(Router::new().route("/hello", get(hello)))
///         .run()
/// }
/// ```
#[derive(Debug)]
pub struct Builder {
    args: Vec<OsString>,
    embedded: Embedded,
    mistakes: Vec<String>,
}

/// What an embedding program brings; nothing, for the plain binary.
#[derive(Debug, Clone, Default)]
pub(super) struct Embedded {
    pub(super) handlers: Handlers,
    pub(super) routes: Routes,
}

impl Builder {
    /// Takes the arguments of this process; they are read by [`Builder::run`].
    #[must_use]
    pub fn from_args() -> Self {
        Self { args: std::env::args_os().collect(), embedded: Embedded::default(), mistakes: Vec::new() }
    }

    /// Registers a function that workers can name: `run = { kind = "handler", name = "..." }`. It is called for each attempt, with what
    /// is to be known of its run; an error or a panic makes the attempt a failure.
    #[must_use]
    pub fn handler<F, R, E>(mut self, name: &str, handler: F) -> Self
    where
        F: Fn(Run) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        if !is_name(name) {
            self.mistakes
                .push(format!("`{name}` cannot name a handler: use lower-case letters, digits and single underscores"));
        } else if !self.embedded.handlers.add(name, handler) {
            self.mistakes.push(format!("the handler `{name}` is registered twice"));
        }
        self
    }

    /// Serves routes on `server.bind` beside Monolith's own, which come first. They are bounded, counted and given a request id as
    /// those are; [`Viewer`](crate::embed::Viewer), [`Operator`](crate::embed::Operator), [`Admin`](crate::embed::Admin) and
    /// [`Stores`](crate::embed::Stores) can be arguments of their handlers. Paths that nobody has are answered by Monolith: a fallback
    /// of the router is not used.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.embedded.routes = self.embedded.routes.merge(routes);
        self
    }

    /// Runs the command that the arguments name, and says how it ended.
    #[must_use]
    pub fn run(self) -> ExitCode {
        if !self.mistakes.is_empty() {
            return Failure::failed(self.mistakes.join("\n")).print();
        }
        match Cli::try_parse_from(self.args) {
            Ok(cli) => execute(cli, self.embedded).unwrap_or_else(Failure::print),
            Err(error) => super::report::usage(&error),
        }
    }
}
