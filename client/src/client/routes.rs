//! The routes of the API, one method each, in the order of the contract.
//! A method names its path, its query and its body; everything else is done in one place.

use reqwest::Method;
use reqwest::header::IF_MATCH;

use super::{Client, EVENTS_TIMEOUT, RELOAD_TIMEOUT};
use crate::Error;
use crate::events::Events;
use crate::wire::*;

/// Every method fails as [`Error`] tells.
impl Client {
    /// `GET /health`; with a token also the causes. A server that is down answers 503 and is a `Health` as well.
    pub async fn health(&self) -> Result<Health, Error> {
        self.send(self.at(Method::GET, &["health"])?).await?.health()
    }

    /// `GET /health` as anyone may ask for it, without the token.
    pub async fn public_health(&self) -> Result<Health, Error> {
        self.send(self.anonymous_at(Method::GET, &["health"])?).await?.health()
    }

    /// `GET /health/live`: whether the process runs.
    pub async fn live(&self) -> Result<bool, Error> {
        self.probe(&["health", "live"]).await
    }

    /// `GET /health/ready`: whether it takes traffic.
    pub async fn ready(&self) -> Result<bool, Error> {
        self.probe(&["health", "ready"]).await
    }

    /// `GET /metrics`, as the server wrote it.
    pub async fn metrics_text(&self) -> Result<String, Error> {
        self.send(self.at(Method::GET, &["metrics"])?).await?.text()
    }

    /// `GET whoami`.
    pub async fn whoami(&self) -> Result<Whoami, Error> {
        self.call(self.admin(Method::GET, &["whoami"])?).await
    }

    /// `GET stores`.
    pub async fn stores(&self) -> Result<List<Store>, Error> {
        self.call(self.admin(Method::GET, &["stores"])?).await
    }

    /// `GET replicas`.
    pub async fn replicas(&self) -> Result<List<Replica>, Error> {
        self.call(self.admin(Method::GET, &["replicas"])?).await
    }

    /// `GET audit`.
    pub async fn audit(&self, page: &PageQuery) -> Result<List<AuditEntry>, Error> {
        self.call(self.admin(Method::GET, &["audit"])?.query(page)).await
    }

    /// `GET logs`.
    pub async fn logs(&self, query: &LogsQuery) -> Result<List<LogEntry>, Error> {
        self.call(self.admin(Method::GET, &["logs"])?.query(query)).await
    }

    /// `POST tokens/deny`.
    pub async fn deny_token(&self, which: &DenyToken) -> Result<DeniedToken, Error> {
        self.call(self.admin(Method::POST, &["tokens", "deny"])?.json(which)).await
    }

    /// `GET events`, from after an event that was seen, or from now on. What keeps the stream alive is its reader.
    pub async fn events(&self, last_seen: Option<&str>) -> Result<Events, Error> {
        let request = self.admin(Method::GET, &["events"])?.timeout(EVENTS_TIMEOUT);
        let request = request.header(reqwest::header::ACCEPT, "text/event-stream");
        let request = match last_seen {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        self.stream(request).await.map(Events::new)
    }

    fn admin(&self, method: Method, path: &[&str]) -> Result<reqwest::RequestBuilder, Error> {
        self.at(method, &[&["api", "admin"], path].concat())
    }
}

/// Keys.
impl Client {
    /// `POST api-keys`. With an idempotency key the same request can be sent again without a second key.
    pub async fn create_key(&self, key: &CreateKey, idempotency_key: Option<&str>) -> Result<IssuedKey, Error> {
        let request = self.admin(Method::POST, &["api-keys"])?.json(key);
        self.call(match idempotency_key {
            Some(id) => request.header("idempotency-key", id),
            None => request,
        })
        .await
    }

    /// `GET api-keys`.
    pub async fn keys(&self, query: &KeysQuery) -> Result<List<Key>, Error> {
        self.call(self.admin(Method::GET, &["api-keys"])?.query(query)).await
    }

    /// `GET api-keys/{kid}`.
    pub async fn key(&self, kid: &str) -> Result<Key, Error> {
        self.call(self.admin(Method::GET, &["api-keys", kid])?).await
    }

    /// `GET api-keys/{kid}/usage`.
    pub async fn key_usage(&self, kid: &str, query: &UsageQuery) -> Result<List<UsageDay>, Error> {
        self.call(self.admin(Method::GET, &["api-keys", kid, "usage"])?.query(query)).await
    }

    /// `PATCH api-keys/{kid}`; with a version only while the record still has it.
    pub async fn patch_key(&self, kid: &str, patch: &PatchKey, version: Option<u64>) -> Result<Key, Error> {
        let request = self.admin(Method::PATCH, &["api-keys", kid])?.json(patch);
        self.call(match version {
            Some(version) => request.header(IF_MATCH, version.to_string()),
            None => request,
        })
        .await
    }

    /// `DELETE api-keys/{kid}`: revokes it, and waits at most two seconds for the replicas.
    pub async fn revoke_key(&self, kid: &str, reason: Option<&str>) -> Result<Receipt, Error> {
        let query = RevokeQuery { reason: reason.map(str::to_owned) };
        self.call(self.admin(Method::DELETE, &["api-keys", kid])?.query(&query)).await
    }

    /// `POST api-keys/{kid}/rotate`.
    pub async fn rotate_key(&self, kid: &str, rotate: &RotateKey) -> Result<IssuedKey, Error> {
        self.call(self.admin(Method::POST, &["api-keys", kid, "rotate"])?.json(rotate)).await
    }

    /// `POST api-keys/bulk-revoke`.
    pub async fn bulk_revoke(&self, which: &BulkRevoke) -> Result<BulkRevoked, Error> {
        self.call(self.admin(Method::POST, &["api-keys", "bulk-revoke"])?.json(which)).await
    }

    /// `POST api-keys/import`.
    pub async fn import_keys(&self, keys: &ImportKeys) -> Result<ImportedKeys, Error> {
        self.call(self.admin(Method::POST, &["api-keys", "import"])?.json(keys)).await
    }

    /// `POST api-keys/explain`.
    pub async fn explain_key(&self, question: &ExplainKey) -> Result<KeyExplanation, Error> {
        self.call(self.admin(Method::POST, &["api-keys", "explain"])?.json(question)).await
    }

    /// `POST /api/keys/verify`.
    pub async fn verify(&self, question: &VerifyKey) -> Result<Verdict, Error> {
        self.call(self.at(Method::POST, &["api", "keys", "verify"])?.json(question)).await
    }
}

/// Workers and their runs.
impl Client {
    /// `GET workers`.
    pub async fn workers(&self, page: &PageQuery) -> Result<List<Worker>, Error> {
        self.call(self.admin(Method::GET, &["workers"])?.query(page)).await
    }

    /// `GET workers/{name}`.
    pub async fn worker(&self, name: &str) -> Result<Worker, Error> {
        self.call(self.admin(Method::GET, &["workers", name])?).await
    }

    /// `POST workers/{name}/run`.
    pub async fn run_now(&self, name: &str) -> Result<RunStarted, Error> {
        self.call(self.admin(Method::POST, &["workers", name, "run"])?).await
    }

    /// `POST workers/{name}/pause`.
    pub async fn pause(&self, name: &str, pause: &PauseWorker) -> Result<Worker, Error> {
        self.call(self.admin(Method::POST, &["workers", name, "pause"])?.json(pause)).await
    }

    /// `POST workers/{name}/resume`.
    pub async fn resume(&self, name: &str) -> Result<Worker, Error> {
        self.call(self.admin(Method::POST, &["workers", name, "resume"])?).await
    }

    /// `POST workers/{name}/backfill`.
    pub async fn backfill(&self, name: &str, backfill: &Backfill) -> Result<BackfillStarted, Error> {
        self.call(self.admin(Method::POST, &["workers", name, "backfill"])?.json(backfill)).await
    }

    /// `GET workers/{name}/ticks`.
    pub async fn ticks(&self, name: &str, query: &TicksQuery) -> Result<Ticks, Error> {
        self.call(self.admin(Method::GET, &["workers", name, "ticks"])?.query(query)).await
    }

    /// `GET workers/{name}/runs`.
    pub async fn runs(&self, name: &str, page: &PageQuery) -> Result<List<Run>, Error> {
        self.call(self.admin(Method::GET, &["workers", name, "runs"])?.query(page)).await
    }

    /// `GET runs/{id}`.
    pub async fn run(&self, id: &str) -> Result<Run, Error> {
        self.call(self.admin(Method::GET, &["runs", id])?).await
    }

    /// `GET runs/{id}/output`.
    pub async fn run_output(&self, id: &str, after: Option<u64>) -> Result<RunOutput, Error> {
        self.call(self.admin(Method::GET, &["runs", id, "output"])?.query(&OutputQuery { after })).await
    }

    /// `POST runs/{id}/cancel`.
    pub async fn cancel_run(&self, id: &str) -> Result<Run, Error> {
        self.call(self.admin(Method::POST, &["runs", id, "cancel"])?).await
    }
}

/// The configuration.
impl Client {
    /// `GET config`.
    pub async fn config(&self) -> Result<Config, Error> {
        self.call(self.admin(Method::GET, &["config"])?).await
    }

    /// `GET config/explain`.
    pub async fn explain(&self, key: &str) -> Result<Explanation, Error> {
        self.call(self.admin(Method::GET, &["config", "explain"])?.query(&ExplainQuery { key: key.into() })).await
    }

    /// `GET config/revisions`.
    pub async fn revisions(&self, page: &PageQuery) -> Result<List<Revision>, Error> {
        self.call(self.admin(Method::GET, &["config", "revisions"])?.query(page)).await
    }

    /// `POST config/plan`.
    pub async fn plan(&self, texts: &PlanConfig) -> Result<Plan, Error> {
        self.call(self.admin(Method::POST, &["config", "plan"])?.json(texts)).await
    }

    /// `POST config/reload`; a rejected one is [`Error::Refused`] with its outcome in the problem.
    pub async fn reload(&self) -> Result<Outcome, Error> {
        self.call(self.admin(Method::POST, &["config", "reload"])?.timeout(RELOAD_TIMEOUT)).await
    }
}
