//! What came of an attempt to change the settings: the outcome, per node, with everything that was wrong.
//! It is what the API, the metrics and /health show; making it is `reload`.

use crate::clock::Timestamp;
use crate::config::compare::{KeyChange, node_of};
use crate::problem::{Problem, Problems};
use crate::settings::diff::{Change, Effect};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What an attempt is called in the audit.
pub const RELOAD: &str = "config.reload";
/// How many mistakes of a rejected text the audit tells.
const MAX_AUDITED: usize = 10;

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The process starts.
    Start,
    /// A file changed.
    File,
    /// The value of a secret changed.
    Secret,
    /// SIGHUP.
    Signal,
    /// Somebody asked over the API.
    Api,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The new settings are running.
    Applied,
    /// They say what is running already.
    Unchanged,
    /// Something is wrong with them; nothing was changed.
    Rejected,
}

impl Ending {
    /// As it stands in the API and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

/// What came of one node that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Such as `stores.main`.
    pub node: String,
    /// What its change takes.
    pub effect: Effect,
    /// The keys that differ.
    pub keys: Vec<KeyChange>,
    /// Why it could not be done.
    pub error: Option<String>,
}

impl From<Change> for NodeReport {
    fn from(change: Change) -> Self {
        Self { node: change.node, effect: change.effect, keys: change.keys, error: None }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Counts the attempts of this process.
    pub attempt: u64,
    /// How it ended.
    pub ending: Ending,
    /// The generation that is running after it.
    pub generation: u64,
    /// The hash of the settings that are running after it.
    pub hash: String,
    /// Why it was made.
    pub trigger: Trigger,
    /// Who asked, where somebody did.
    pub actor: Option<String>,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of each node.
    pub nodes: Vec<NodeReport>,
    /// Everything that was wrong.
    pub problems: Vec<Problem>,
}

/// Why an attempt came to nothing.
#[derive(Debug, Default)]
pub struct Rejection {
    /// Everything that was wrong.
    pub problems: Problems,
    /// What was found of each node before that, those at fault with their error.
    pub nodes: Vec<NodeReport>,
}

impl Rejection {
    /// Tells each node what is wrong with it. A node that is at fault without having been compared is told, too.
    #[must_use]
    pub fn new(problems: Problems, changes: Vec<Change>) -> Self {
        let mut nodes: Vec<NodeReport> = changes.into_iter().map(Into::into).collect();
        for problem in problems.errors().into_iter().filter(|problem| !problem.key.is_empty()) {
            let name = node_of(&problem.key);
            match nodes.iter_mut().find(|node| node.node == name) {
                Some(node) => {
                    node.error.get_or_insert(problem.message);
                }
                None => nodes.push(NodeReport {
                    node: name.to_owned(),
                    effect: Effect::Unchanged,
                    keys: Vec::new(),
                    error: Some(problem.message),
                }),
            }
        }
        Self { problems, nodes }
    }
}

impl From<Problems> for Rejection {
    fn from(problems: Problems) -> Self {
        Self::new(problems, Vec::new())
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        let mut problems = Problems::default();
        problems.error(problem);
        problems.into()
    }
}

impl Report {
    /// What the audit says of it.
    #[must_use]
    pub fn audited(&self) -> Map<String, Value> {
        let nodes: Vec<&str> = self.nodes.iter().map(|node| node.node.as_str()).collect();
        let mistakes = self.problems.iter().take(MAX_AUDITED);
        let problems: Vec<_> = mistakes.map(|p| json!({ "key": p.key, "message": p.message })).collect();
        Map::from_iter([
            ("generation".to_owned(), self.generation.into()),
            ("trigger".to_owned(), json!(self.trigger)),
            ("ending".to_owned(), self.ending.as_str().into()),
            ("nodes".to_owned(), json!(nodes)),
            ("problems".to_owned(), problems.into()),
        ])
    }
}
