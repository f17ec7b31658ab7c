//! The part of a reload that can fail: opens what the candidate settings need beside what is running, and changes nothing.
//! Dropping what it returns undoes it; nothing is spawned here, and every step is bounded in time.

use super::failpoints::{FailPoints, Step};
use super::homes::Homes;
use super::report::Rejection;
use super::snapshot::{Candidate, Snapshot, Stores};
use super::sockets::{Bound, Sockets};
use crate::auth::{Auth, dev};
use crate::config::Loaded;
use crate::config::compare::node_of;
use crate::config::excerpt::point_into;
use crate::config::schema::Schema;
use crate::name::StoreName;
use crate::problem::{Problem, Problems};
use crate::settings::Settings;
use crate::settings::admin::SigningSecret;
use crate::settings::diff::{Change, Effect, diff, keeps_connections};
use crate::settings::server::{Door, Server};
use crate::settings::stores::{self, OnUnreachable};
use crate::settings::tls::Tls;
use crate::store::{Store, StoreError, health::State, identity::identity};
use crate::telemetry::metrics::Metrics;
use futures_util::FutureExt;
use futures_util::future::join_all;
use rustls::ServerConfig;
use rustls::sign::SingleCertAndKey;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// What is offered on top of TLS, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Everything the commit needs, ready.
pub(super) struct Prepared {
    pub(super) changes: Vec<Change>,
    pub(super) stores: Stores,
    pub(super) auth: Arc<Auth>,
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Sockets for addresses that are not listened on yet.
    pub(super) sockets: Bound,
}

/// Opens what `candidate` needs and `running` has not. A step that panics is a step that failed.
pub(super) async fn prepare(
    running: Option<&Snapshot>,
    sockets: &Sockets,
    candidate: &Candidate,
    tools: Tools<'_>,
) -> Result<Prepared, Rejection> {
    let Tools { metrics, points, homes } = tools;
    let mut preparing = Preparing {
        running,
        sockets,
        candidate,
        metrics,
        points,
        homes,
        problems: Problems::default(),
        moved: Vec::new(),
    };
    let changes = AssertUnwindSafe(async { preparing.changes() }).catch_unwind().await;
    let changes = changes.unwrap_or_else(|_| Err(preparing.broke_off().into()))?;
    let prepared = AssertUnwindSafe(preparing.open()).catch_unwind().await;
    let opened = prepared.unwrap_or_else(|_| {
        let problem = preparing.broke_off();
        preparing.problems.error(problem);
        None
    });
    let Preparing { mut problems, moved, .. } = preparing;
    let mut changes = changes;
    for change in changes.iter_mut().filter(|change| moved.contains(&change.node)) {
        change.effect = Effect::Restart;
    }
    match opened {
        Some(opened) if !problems.any() => {
            let Opened { stores, auth, tls, sockets } = opened;
            Ok(Prepared { changes, stores, auth, tls, sockets })
        }
        _ => {
            point_into(&mut problems, &candidate.loaded.texts, &Schema::new());
            Err(Rejection::new(problems, changes))
        }
    }
}

/// What was opened for the candidate, not compared with anything.
struct Opened {
    stores: Stores,
    auth: Arc<Auth>,
    tls: Option<Arc<ServerConfig>>,
    sockets: Bound,
}

/// Why a store that was opened for the candidate is not taken.
enum Unfit {
    /// Something is wrong with it.
    Wrong(Problem),
    /// It is another database than the one that keys or ledger live in.
    Moved(Problem),
}

/// What preparing needs beside the settings.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) points: &'a FailPoints,
    pub(super) homes: &'a Homes,
}

struct Preparing<'a> {
    running: Option<&'a Snapshot>,
    sockets: &'a Sockets,
    candidate: &'a Candidate,
    metrics: &'a Metrics,
    points: &'a FailPoints,
    homes: &'a Homes,
    problems: Problems,
    /// The stores that would be another database than the one that something lives in.
    moved: Vec<String>,
}

impl Preparing<'_> {
    /// A problem at the place of a key.
    fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Problem::new(self.candidate.loaded.places.of(key), key, message)
    }

    fn broke_off(&self) -> Problem {
        self.problem("", "a step of the reload panicked; this is a fault of the program, please report it")
    }

    /// Compares with what runs; what cannot change while it runs is told by its own name.
    fn changes(&self) -> Result<Vec<Change>, Rejection> {
        self.points.at(Step::Diff).map_err(|problem| Rejection::from(*problem))?;
        let changes = diff(self.running.map(Snapshot::meant), self.candidate.meant());
        let mut problems = Problems::default();
        for key in changes.iter().flat_map(|change| &change.restarts) {
            let running = self.running.map(|snapshot| &*snapshot.settings);
            problems.error(needs_restart(&self.candidate.loaded, &self.candidate.settings.server, running, key));
        }
        if !problems.any() {
            return Ok(changes);
        }
        point_into(&mut problems, &self.candidate.loaded.texts, &Schema::new());
        Err(Rejection::new(problems, changes))
    }

    async fn open(&mut self) -> Option<Opened> {
        let stores = self.stores().await;
        let auth = self.auth();
        let tls = self.handshakes();
        let sockets = self.bind().await;
        Some(Opened { stores, auth: auth?, tls: tls?, sockets })
    }

    /// Carries unchanged stores over by pointer and opens the others. At start an unreachable store is no obstacle: the
    /// process is live, not ready, and goes on trying.
    async fn stores(&mut self) -> Stores {
        let mut stores = Stores::new();
        let mut fresh = Vec::new();
        for (name, wanted) in &self.candidate.settings.stores {
            let running = self.running.and_then(|snapshot| snapshot.stores.get(name));
            match running {
                Some(store) if store.settings() == wanted => {
                    stores.insert(name.clone(), Arc::clone(store));
                }
                Some(store) if keeps_connections(store.settings(), wanted) => {
                    stores.insert(name.clone(), Arc::new(store.under_other_rules(Arc::clone(wanted))));
                }
                _ => match self.open_store(wanted) {
                    Ok(store) => {
                        fresh.push(Arc::clone(&store));
                        stores.insert(name.clone(), store);
                    }
                    Err(unfit) => self.tell(*unfit),
                },
            }
        }
        if self.running.is_some() {
            let this = &*self;
            let proofs = join_all(fresh.iter().map(|store| async move {
                this.prove(store).await.map_err(Unfit::Wrong)?;
                this.same_database(store).await
            }));
            proofs.await.into_iter().filter_map(Result::err).for_each(|unfit| self.tell(unfit));
        }
        stores
    }

    fn open_store(&self, wanted: &Arc<stores::Store>) -> Result<Arc<Store>, Box<Unfit>> {
        self.points.at(Step::OpenStore).map_err(|problem| Unfit::Wrong(*problem))?;
        if let stores::StoreKind::Sqlite { file, .. } = &wanted.kind
            && let Some((what, _)) = self.lives_in(&wanted.name)
            && !file.exists()
        {
            // Opening would make it, and the reload would leave an empty database behind.
            return Err(Box::new(self.another_database(&wanted.name, what)));
        }
        let told = |error: StoreError| self.problem(&format!("stores.{}", wanted.name), error.to_string());
        Store::open(Arc::clone(wanted)).map(Arc::new).map_err(|error| Box::new(Unfit::Wrong(told(error))))
    }

    /// What of a running process lives in a store, and in which database.
    fn lives_in(&self, store: &StoreName) -> Option<(&'static str, &str)> {
        self.running?;
        self.homes.inside(&self.candidate.settings, store)
    }

    /// Keys and ledger stay in the database that they are in, whatever its address: its own id says which one it is.
    async fn same_database(&self, store: &Store) -> Result<(), Unfit> {
        let name = &store.settings().name;
        let Some((what, known)) = self.lives_in(name) else { return Ok(()) };
        let Some(database) = store.database() else { return Err(self.another_database(name, what)) };
        match identity(&database).await {
            Ok(Some(id)) if id == known => Ok(()),
            Ok(_) => Err(self.another_database(name, what)),
            Err(error) => {
                let message = format!("cannot be proved to be the database that holds {what}: the store {error}");
                let problem = self.problem(&format!("stores.{name}.url"), message);
                Err(Unfit::Wrong(problem.hint("try again when it can be reached, or restart the process to apply it")))
            }
        }
    }

    fn another_database(&self, store: &StoreName, what: &str) -> Unfit {
        let message =
            format!("leads to another database than the one that holds {what}, which cannot move while running");
        let problem = self.problem(&format!("stores.{store}.url"), message);
        Unfit::Moved(problem.hint("restart the process to start over there, or put the old address back"))
    }

    fn tell(&mut self, unfit: Unfit) {
        match unfit {
            Unfit::Wrong(problem) => self.problems.error(problem),
            Unfit::Moved(problem) => {
                self.moved.push(node_of(&problem.key).to_owned());
                self.problems.error(problem);
            }
        }
    }

    /// Logs in to a changed store before it replaces the one that works.
    async fn prove(&self, store: &Store) -> Result<(), Problem> {
        self.points.at(Step::ProveStore).map_err(|problem| *problem)?;
        store.probe(self.metrics).await;
        let (health, settings) = (store.health(), store.settings());
        if health.error.is_none() || health.state == State::Up || settings.on_unreachable == OnUnreachable::Degraded {
            return Ok(());
        }
        let key = format!("stores.{}", settings.name);
        let error = health.error.unwrap_or_default();
        let mut problem = self.problem(&format!("{key}.url"), format!("the changed store does not answer: {error}"));
        problem.key = key;
        Err(problem.hint("on_unreachable = \"degraded\" would apply the change all the same"))
    }

    fn auth(&mut self) -> Option<Arc<Auth>> {
        if let Err(problem) = self.points.at(Step::Auth) {
            self.problems.error(*problem);
            return None;
        }
        let settings = &self.candidate.settings;
        let needs_one = settings.admin.signing_keys.iter().any(|key| key.secret == SigningSecret::Generated);
        if !needs_one {
            return Some(Arc::new(Auth::new(&settings.admin, None)));
        }
        match dev::secret(&settings.server.data_dir) {
            Ok(secret) => Some(Arc::new(Auth::new(&settings.admin, Some(&secret)))),
            Err(error) => {
                let message = format!("a secret cannot be kept in {}: {error}", settings.server.data_dir.display());
                self.problems.error(self.problem("server.data_dir", message));
                None
            }
        }
    }

    /// How new connections shake hands, if they do. As long as the certificate stays, so does what can be resumed.
    fn handshakes(&mut self) -> Option<Option<Arc<ServerConfig>>> {
        if let Err(problem) = self.points.at(Step::Certificate) {
            self.problems.error(*problem);
            return None;
        }
        let Some(wanted) = &self.candidate.settings.server.tls else { return Some(None) };
        let same = |snapshot: &&Snapshot| snapshot.settings.server.tls.as_ref() == Some(wanted);
        if let Some(kept) = self.running.filter(same).and_then(|snapshot| snapshot.tls.clone()) {
            return Some(Some(kept));
        }
        match shaking_with(wanted) {
            Ok(config) => Some(Some(Arc::new(config))),
            Err(error) => {
                self.problems.error(self.problem("server.tls", error.to_string()));
                None
            }
        }
    }

    async fn bind(&mut self) -> Bound {
        let server = &self.candidate.settings.server;
        if self.sockets.serve_all_of(server) {
            return Bound::new();
        }
        if let Err(problem) = self.points.at(Step::Bind) {
            self.problems.error(*problem);
            return Bound::new();
        }
        let (bound, refusals) = self.sockets.bind(server).await;
        for refusal in refusals {
            let problem = self.problem(refusal.key, refusal.message);
            self.problems.error(match refusal.hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        }
        bound
    }
}

fn shaking_with(tls: &Tls) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&tls.certified))));
    config.alpn_protocols = ALPN.map(Vec::from).to_vec();
    Ok(config)
}

/// What is told of a key that cannot change while the process runs.
pub(super) fn needs_restart(
    candidate: &Loaded,
    candidate_server: &Server,
    running: Option<&Settings>,
    key: &str,
) -> Problem {
    let door = [Door::Main, Door::Admin].into_iter().find(|door| door.key() == key);
    let held = door.zip(running).and_then(|(door, running)| {
        let wanted = candidate_server.doors().find(|(known, _)| *known == door)?.1;
        running.server.holds(door, wanted)
    });
    let (what, hint) = match held {
        Some(held) => (
            format!("overlaps {held}, which this process listens on, on the same port"),
            "restart the process to apply it, or choose another port",
        ),
        None => (
            "cannot change while the process runs".to_owned(),
            "restart the process to apply it, or put the old value back",
        ),
    };
    Problem::new(candidate.places.of(key), key, what).hint(hint)
}
