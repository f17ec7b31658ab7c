//! `POST /api/admin/api-keys/explain`: why a key is good or is not, step by step, without using it.
//! Nothing of a secret stands in the answer.

use serde::{Deserialize, Serialize};

use super::{KeyText, VerifyCode};

/// The question: exactly one of `key` and `kid`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExplainKey {
    /// The whole key.
    #[serde(default)]
    pub key: Option<KeyText>,
    /// Its public id; then its text is not judged.
    #[serde(default)]
    pub kid: Option<String>,
    /// The declared policy it has to satisfy.
    #[serde(default)]
    pub policy: Option<String>,
    /// Scopes it has to hold, besides those of the policy.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The address it is used from.
    #[serde(default)]
    pub ip: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyExplanation {
    /// Whether a use would be allowed now.
    pub valid: bool,
    /// What verify would answer; null where nobody can tell now.
    pub code: Option<VerifyCode>,
    /// The key's public id, where it is known.
    pub kid: Option<String>,
    /// Every step, in the order in which a key is judged.
    pub steps: Vec<ExplainStep>,
}

words! {
    /// What came of a step.
    pub enum StepOutcome {
        /// It speaks for the key.
        Passed = "passed",
        /// It is why the key is refused.
        Refused = "refused",
        /// It was not asked.
        Skipped = "skipped",
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainStep {
    /// `format`, `record`, `secret`, `freshness`, `state`, `ip`, `scope` or `rate`.
    pub step: String,
    /// What came of it.
    pub outcome: StepOutcome,
    /// Why, in words.
    pub detail: String,
}
