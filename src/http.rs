//! The API over HTTP: the only place that knows axum, status codes and the wire types.
//! A handler extracts, makes one call, answers; nothing is decided here that is not about HTTP.

mod answer; // ApiError, and how it becomes problem+json
mod assertion; // /.well-known/jwks.json, and what the service behind a gateway can verify
mod audit; // /api/admin/audit
mod awaited; // a body that is read only while somebody waits for the answer
mod body; // JSON bodies within their limit, queries and paths
mod caller; // who asks, and what the role allows: the permission is an argument of the handler
mod config; // /api/admin/config
mod connection; // one connection, its limits and its end
mod docs; // /docs
pub mod embedded; // routes of an embedding program
mod events; // /api/admin/events
mod findings; // what an operator should look at
mod forward_auth; // /api/forward-auth
mod headers; // what every answer carries
mod health; // /health, /health/live, /health/ready
mod import; // /api/admin/api-keys/import and /explain
mod keys; // /api/admin/api-keys
mod late; // the time limit of each header
mod listen; // the accept loop of a socket
mod logs; // /api/admin/logs
mod manners; // request ids, time-outs, panics: around every request
mod meter; // requests counted by route
mod metrics; // /metrics
mod openapi; // the routes and their description
mod replicas; // /api/admin/replicas
mod sent; // the body of an answer on its way
mod show; // from the program's own types to the wire types
mod stores; // /api/admin/stores
mod tokens; // /api/admin/tokens
mod usage; // /api/admin/api-keys/{kid}/usage
mod verify; // /api/keys/verify
mod whoami; // /api/admin/whoami
mod workers; // /api/admin/workers, /api/admin/runs

pub use openapi::document;

use crate::runtime::sockets::Socket;
use crate::runtime::{App, Front};
use openapi::Routers;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

/// How many items of a list are answered where nobody says.
const DEFAULT_PAGE: u32 = 50;
/// The most items of a list in one answer.
const MAX_PAGE: u32 = 500;

/// The HTTP side, as `runtime` knows it.
#[derive(Debug, Default)]
pub struct Http {
    embedded: embedded::Routes,
    routers: OnceLock<Arc<Routers>>,
}

impl Http {
    /// The same with the routes of an embedding program beside our own.
    #[must_use]
    pub fn beside(embedded: embedded::Routes) -> Self {
        Self { embedded, routers: OnceLock::new() }
    }
}

impl Front for Http {
    fn serve(self: Arc<Self>, app: Arc<App>, socket: Socket) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let routers = Arc::clone(self.routers.get_or_init(|| Arc::new(Routers::new(&app, &self.embedded))));
        Box::pin(listen::serve(app, routers, socket))
    }
}

#[cfg(test)]
mod tests;
