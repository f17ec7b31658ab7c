//! The part of a reload that can fail: opens what the candidate settings need beside what is running, and changes nothing.
//! Dropping what it returns undoes it; nothing is spawned here, and every step is bounded in time.

use super::report::Rejection;
use super::snapshot::{Snapshot, Stores};
use crate::auth::{Auth, dev};
use crate::problem::{Place, Problem, Problems};
use crate::settings::admin::SigningSecret;
use crate::settings::diff::{Change, Effect, diff};
use crate::settings::stores::OnUnreachable;
use crate::settings::{Settings, server::Server};
use crate::store::{Store, health::State};
use crate::telemetry::metrics::Metrics;
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Everything the commit needs, ready.
pub(super) struct Prepared {
    pub(super) changes: Vec<Change>,
    pub(super) stores: Stores,
    pub(super) auth: Arc<Auth>,
    /// A socket for an address that is not listened on yet.
    pub(super) listener: Option<TcpListener>,
}

/// Opens what `candidate` needs and `running` has not. `must_listen` is false for a process that serves nothing.
pub(super) async fn prepare(
    running: Option<&Snapshot>,
    candidate: &Settings,
    metrics: &Metrics,
) -> Result<Prepared, Rejection> {
    let changes = diff(running.map(|snapshot| &*snapshot.settings), candidate);
    refuse_restarts(&changes)?;
    let mut problems = Problems::default();
    let stores = open_stores(running, candidate, metrics, &mut problems).await;
    let auth = auth(candidate, &mut problems);
    let listener = match listen(running, &candidate.server).await {
        Ok(listener) => listener,
        Err(problem) => {
            problems.error(problem);
            None
        }
    };
    match auth {
        Some(auth) if !problems.any() => Ok(Prepared { changes, stores, auth, listener }),
        _ => Err(Rejection { problems, nodes: changes.into_iter().map(Into::into).collect() }),
    }
}

fn refuse_restarts(changes: &[Change]) -> Result<(), Rejection> {
    let mut rejection = Rejection::default();
    for change in changes.iter().filter(|change| change.effect == Effect::Restart) {
        let what = match change.node.as_str() {
            "server" => "server.data_dir, or an address that overlaps the running one on the same port",
            "keys" => "keys.store",
            "scheduler" => "scheduler.store",
            other => other,
        };
        let problem = Problem::new(Place::Nowhere, change.node.clone(), format!("{what} cannot change while running"));
        rejection.problems.error(problem.hint("restart the process to apply it, or put the old value back"));
    }
    if !rejection.problems.any() {
        return Ok(());
    }
    rejection.nodes = changes.iter().cloned().map(Into::into).collect();
    Err(rejection)
}

/// Carries unchanged stores over by pointer and opens the others. At start an unreachable store is no obstacle: the
/// process is live, not ready, and goes on trying.
async fn open_stores(
    running: Option<&Snapshot>,
    candidate: &Settings,
    metrics: &Metrics,
    problems: &mut Problems,
) -> Stores {
    let mut stores = Stores::new();
    let mut fresh = Vec::new();
    for (name, wanted) in &candidate.stores {
        let kept = running.and_then(|snapshot| snapshot.stores.get(name)).filter(|store| store.settings() == wanted);
        match kept.cloned().map_or_else(|| Store::open(Arc::clone(wanted)).map(Arc::new), Ok) {
            Ok(store) => {
                if kept.is_none() {
                    fresh.push(Arc::clone(&store));
                }
                stores.insert(name.clone(), store);
            }
            Err(error) => problems.error(Problem::new(Place::Nowhere, format!("stores.{name}"), error.to_string())),
        }
    }
    if running.is_some() {
        join_all(fresh.iter().map(|store| prove(store, metrics)))
            .await
            .into_iter()
            .flatten()
            .for_each(|p| problems.error(p));
    }
    stores
}

/// Logs in to a changed store before it replaces the one that works.
async fn prove(store: &Store, metrics: &Metrics) -> Option<Problem> {
    store.probe(metrics).await;
    let health = store.health();
    let settings = store.settings();
    if health.error.is_none() || health.state == State::Up || settings.on_unreachable == OnUnreachable::Degraded {
        return None;
    }
    let key = format!("stores.{}", settings.name);
    let error = health.error.unwrap_or_default();
    let problem = Problem::new(Place::Nowhere, key, format!("the changed store does not answer: {error}"));
    Some(problem.hint("on_unreachable = \"degraded\" would apply the change all the same"))
}

fn auth(candidate: &Settings, problems: &mut Problems) -> Option<Arc<Auth>> {
    let needs_one = candidate.admin.signing_keys.iter().any(|key| key.secret == SigningSecret::Generated);
    if !needs_one {
        return Some(Arc::new(Auth::new(&candidate.admin, None)));
    }
    match dev::secret(&candidate.server.data_dir) {
        Ok(secret) => Some(Arc::new(Auth::new(&candidate.admin, Some(&secret)))),
        Err(error) => {
            let message = format!("a secret cannot be kept in {}: {error}", candidate.server.data_dir.display());
            problems.error(Problem::new(Place::Nowhere, "server.data_dir", message));
            None
        }
    }
}

async fn listen(running: Option<&Snapshot>, server: &Server) -> Result<Option<TcpListener>, Problem> {
    if running.is_some_and(|snapshot| snapshot.settings.server.bind == server.bind) {
        return Ok(None);
    }
    TcpListener::bind(server.bind).await.map(Some).map_err(|error| {
        let message = format!("cannot listen on {}: {error}", server.bind);
        let problem = Problem::new(Place::Nowhere, "server.bind", message);
        match error.kind() {
            std::io::ErrorKind::AddrInUse => problem.hint("another process has this port; choose one with --bind"),
            _ => problem,
        }
    })
}
