//! One question for each source, within one time limit, as a payload or as a trouble.
//! It never retries.

use std::sync::Arc;
use std::time::Duration;

use monolith_client::wire::{Health, Key, KeysQuery, List, LogsQuery, PageQuery};
use monolith_client::{Client, Error};

use crate::feed::{Source, Trouble};
use crate::message::{Interest, Keys, Payload, Piece};
use crate::metrics;
use crate::model::tables::KeyRow;
use crate::words;

/// How long a question may take in all; a server that is slower is a server that does not answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The health tells of an outage: an interval of a second and this are less than the three seconds that may pass until then.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1_500);
/// A list of many pages is many questions.
const KEYS_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page that the API gives.
const PAGE: Option<u32> = Some(500);
/// Pages of keys that are read: ten thousand keys. A list beyond is filtered at the server, not here.
const KEY_PAGES: usize = 20;
/// Runs, audit entries and log lines that are looked at.
const RECENT: Option<u32> = Some(200);

/// A script asks once, and would rather wait than be told of an outage that is none.
pub(crate) const ONCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks, or says why not.
pub(crate) async fn fetch(
    client: &Client,
    source: Source,
    interest: &Interest,
    limit: Duration,
) -> Result<Payload, Trouble> {
    if source.needs_token() && !client.has_token() {
        return Err(Trouble::NeedsToken);
    }
    match tokio::time::timeout(limit, ask(client, source, interest)).await {
        Ok(answer) => answer.map_err(|error| Trouble::from(&error)),
        Err(_) => Err(Trouble::Silent(format!("no answer within {}", words::limit(limit)))),
    }
}

/// How long somebody who asks again and again waits.
pub(crate) const fn limit(source: Source) -> Duration {
    match source {
        Source::Health => HEALTH_TIMEOUT,
        Source::Keys => KEYS_TIMEOUT,
        _ => TIMEOUT,
    }
}

async fn ask(client: &Client, source: Source, interest: &Interest) -> Result<Payload, Error> {
    let page = PageQuery { limit: RECENT, after: None };
    Ok(match source {
        Source::Health => Payload::Health(Box::new(health(client).await?)),
        Source::Metrics => Payload::Metrics(metrics(client).await?),
        Source::Whoami => Payload::Whoami(client.whoami().await?),
        Source::Stores => Payload::Stores(client.stores().await?.items),
        Source::Workers => Payload::Workers(client.workers(&PageQuery { limit: PAGE, after: None }).await?.items),
        Source::Runs => {
            let worker = interest.runs_of.clone().unwrap_or_default();
            let runs = client.runs(&worker, &page).await?.items;
            Payload::Runs(worker, runs)
        }
        Source::Output => output(client, interest).await?,
        Source::Keys => Payload::Keys(Arc::new(keys(client).await?)),
        Source::Config => Payload::Config(Box::new(client.config().await?)),
        Source::Revisions => Payload::Revisions(client.revisions(&page).await?.items),
        Source::Replicas => Payload::Replicas(client.replicas().await?.items),
        Source::Audit => Payload::Audit(client.audit(&page).await?.items),
        Source::Logs => {
            let request = interest.logs_of.clone();
            let query = LogsQuery { request_id: request.clone(), limit: RECENT, ..LogsQuery::default() };
            Payload::Logs(request, client.logs(&query).await?.items)
        }
        Source::Events => Payload::Events,
    })
}

/// How a server is everyone may know; that a token was refused is told with what needs it.
async fn health(client: &Client) -> Result<Health, Error> {
    match client.health().await {
        Err(Error::Unauthorized(_)) => client.public_health().await,
        other => other,
    }
}

async fn metrics(client: &Client) -> Result<metrics::Reading, Error> {
    let text = client.metrics_text().await?;
    metrics::read(&text).map_err(|why| Error::Unreadable { what: "GET /metrics".to_owned(), why })
}

/// All keys, page by page.
async fn keys(client: &Client) -> Result<Keys, Error> {
    let mut keys = Keys::default();
    let mut after = None;
    for _ in 0..KEY_PAGES {
        let query = KeysQuery { limit: PAGE, after, ..KeysQuery::default() };
        let List { items, next }: List<Key> = client.keys(&query).await?;
        keys.items.extend(items.into_iter().map(KeyRow::from));
        keys.more = next.is_some();
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(keys)
}

async fn output(client: &Client, interest: &Interest) -> Result<Payload, Error> {
    let (id, after) = interest.output_of.clone().unwrap_or_default();
    let run = client.run(&id).await?;
    let output = client.run_output(&id, Some(after)).await?;
    let piece = Piece { run, after, data: output.data, next: output.next, done: output.done };
    Ok(Payload::Output(Box::new(piece)))
}
