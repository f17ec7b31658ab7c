//! The one HTTP client of this process' work: for actions that call somebody, and for pings.
//! It is made at the first use; nothing here knows what is sent.

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Error};
use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

/// The longest that connecting may take; the whole is bounded by whoever asks.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// How many idle connections are kept to one host, and for how long: less than most servers keep theirs.
const IDLE_PER_HOST: usize = 4;
const IDLE: Duration = Duration::from_secs(20);

/// The client, once somebody needed it.
#[derive(Debug, Default)]
pub(super) struct Outbound(OnceLock<Result<Client, String>>);

impl Outbound {
    /// The client, or why there is none: a machine without certificates of authorities, say.
    pub(super) fn client(&self) -> Result<&Client, String> {
        self.0.get_or_init(|| client().map_err(|error| why(&error))).as_ref().map_err(Clone::clone)
    }
}

/// It takes nothing from the environment: what it does is in the file, a proxy included where there will be one.
fn client() -> Result<Client, Error> {
    Client::builder()
        .user_agent(concat!("monolith/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(IDLE)
        .redirect(Policy::custom(on_the_same_host))
        .referer(false)
        .no_proxy()
        .build()
}

/// A redirect to somewhere else would take headers and body there, whatever they prove; it is an answer like any other.
fn on_the_same_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("redirected too often")
    } else if is_same {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Why a request came to nothing, without its URL: the driver's own words begin with it.
pub(super) fn why(error: &Error) -> String {
    let mut cause = error.source();
    let mut root = None;
    while let Some(error) = cause {
        root = Some(error.to_string());
        cause = error.source();
    }
    let root = root.unwrap_or_else(|| "no cause is known".to_owned());
    let what = match error {
        _ if error.is_connect() => "cannot connect",
        _ if error.is_redirect() => "followed redirects in vain",
        _ if error.is_body() || error.is_decode() => "the answer broke off",
        _ if error.is_builder() => "cannot be made",
        _ => "got no answer",
    };
    format!("{what}: {root}")
}
