//! Everything that one generation of settings made live, behind one pointer: a request that has loaded it sees one
//! generation to its end. It is never changed, only replaced.

use crate::auth::Auth;
use crate::config::LayerInfo;
use crate::config::explain::Explain;
use crate::name::StoreName;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The open stores, by name.
pub type Stores = BTreeMap<StoreName, Arc<Store>>;

/// One generation, live.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the settings that were committed in this process, from one.
    pub generation: u64,
    /// What they mean.
    pub settings: Arc<Settings>,
    /// The open stores.
    pub stores: Stores,
    /// The signing keys, ready.
    pub auth: Arc<Auth>,
    /// The layers they were read from.
    pub layers: Vec<LayerInfo>,
    /// The merged values, secrets masked.
    pub values: serde_json::Value,
    /// Where each value comes from.
    pub explain: Explain,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}
