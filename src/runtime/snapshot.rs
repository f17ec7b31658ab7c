//! Everything that one generation of settings made live, behind one pointer: a request that has loaded it sees one
//! generation to its end. It is never changed, only replaced.

use crate::auth::Auth;
use crate::clock::Timestamp;
use crate::config::certificate::Pem;
use crate::config::compare::{Hidden, Said, Secrets};
use crate::config::explain::Explain;
use crate::config::posted::Frame;
use crate::config::{LayerInfo, Loaded};
use crate::name::StoreName;
use crate::problem::Problem;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::settings::diff::Meant;
use crate::store::Store;
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The open stores, by name.
pub type Stores = BTreeMap<StoreName, Arc<Store>>;

/// One generation, live.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the settings that were committed in this process, from one.
    pub generation: u64,
    /// When it was committed.
    pub since: Timestamp,
    /// What they mean.
    pub settings: Arc<Settings>,
    /// The open stores.
    pub stores: Stores,
    /// The signing keys, ready.
    pub auth: Arc<Auth>,
    /// How handshakes are made, where TLS is spoken; new connections look here, old ones keep what they began with.
    pub tls: Option<Arc<ServerConfig>>,
    /// The layers they were read from.
    pub layers: Vec<LayerInfo>,
    /// The merged values, secrets masked.
    pub values: serde_json::Value,
    /// What it is compared with; never shown.
    pub(super) basis: Basis,
    /// Where each value comes from.
    pub explain: Explain,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

/// What another reading is compared with or read against; it holds secrets.
#[derive(Debug)]
pub(super) struct Basis {
    pub(super) base_dir: PathBuf,
    /// The texts of the files, by the names they are shown under.
    pub(super) texts: BTreeMap<String, Secret>,
    hidden: Hidden,
    secrets: Secrets,
    pem: Option<Pem>,
}

/// One reading of the configuration that is valid, and what it means.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) loaded: Loaded,
    pub(super) settings: Arc<Settings>,
    pub(super) warnings: Vec<Problem>,
}

impl Candidate {
    pub(super) fn meant(&self) -> Meant<'_> {
        Meant { settings: &self.settings, said: self.loaded.said() }
    }
}

impl Snapshot {
    /// The next generation, of what was prepared for it.
    pub(super) fn new(
        generation: u64,
        candidate: &Candidate,
        stores: Stores,
        auth: Arc<Auth>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let loaded = &candidate.loaded;
        Self {
            generation,
            since: Timestamp::now(),
            settings: Arc::clone(&candidate.settings),
            stores,
            auth,
            tls,
            layers: loaded.layers.clone(),
            values: loaded.values.clone(),
            basis: Basis {
                base_dir: loaded.base_dir.clone(),
                texts: loaded.texts.clone(),
                hidden: loaded.hidden.clone(),
                secrets: loaded.secrets.clone(),
                pem: loaded.pem.clone(),
            },
            explain: loaded.explain.clone(),
            warnings: candidate.warnings.clone(),
        }
    }

    /// What runs, to be compared with what could.
    pub(super) fn meant(&self) -> Meant<'_> {
        let Basis { hidden, secrets, .. } = &self.basis;
        Meant { settings: &self.settings, said: Said { values: &self.values, hidden, secrets } }
    }

    /// What posted texts are read against.
    pub(super) fn frame(&self) -> Frame<'_> {
        let Basis { base_dir, texts, pem, .. } = &self.basis;
        Frame { base_dir, profile: &self.settings.profile.0, texts, said: self.meant().said, pem: pem.as_ref() }
    }
}
