//! Asks a server for everything, once, all questions at the same time.
//! It draws nothing and decides nothing: an answer that failed becomes a part that failed.

use monolith_client::wire::{Health, KeysQuery, PageQuery};
use monolith_client::{Client, Error};

use crate::metrics;
use crate::model::{Failed, KeyCount, Part, Status};

/// The largest page that the API gives.
const PAGE: Option<u32> = Some(500);

/// Everything a server tells, or why it tells nothing at all.
pub(crate) async fn once(client: &Client) -> Result<Status, Error> {
    let (health, stores, keys, workers, traffic) =
        tokio::join!(health(client), stores(client), keys(client), workers(client), traffic(client));
    Ok(Status { server: client.base_url().to_owned(), health: health?, stores, keys, workers, traffic })
}

/// A token that was refused is told with the parts that need it; how the server is everyone may know.
async fn health(client: &Client) -> Result<Health, Error> {
    match client.health().await {
        Err(Error::Unauthorized(_)) => client.public_health().await,
        other => other,
    }
}

async fn stores(client: &Client) -> Part<Vec<monolith_client::wire::Store>> {
    with_token(client, async { Ok(client.stores().await?.items) }).await
}

async fn keys(client: &Client) -> Part<KeyCount> {
    let query = KeysQuery { limit: PAGE, ..KeysQuery::default() };
    with_token(client, async { Ok(client.keys(&query).await?.into()) }).await
}

async fn workers(client: &Client) -> Part<Vec<monolith_client::wire::Worker>> {
    let page = PageQuery { limit: PAGE, after: None };
    with_token(client, async { Ok(client.workers(&page).await?.items) }).await
}

async fn traffic(client: &Client) -> Part<metrics::Traffic> {
    part(client.metrics_text().await.and_then(|text| {
        let unreadable = |why| Error::Unreadable { what: "GET /metrics".to_owned(), why };
        Ok(metrics::Samples::read(&text).map_err(unreadable)?.traffic())
    }))
}

async fn with_token<T>(client: &Client, question: impl Future<Output = Result<T, Error>>) -> Part<T> {
    if client.has_token() { part(question.await) } else { Part::NeedsToken }
}

fn part<T>(answer: Result<T, Error>) -> Part<T> {
    match answer {
        Ok(value) => Part::Known(value),
        Err(error) if error.is_not_found() => Part::NotServed,
        Err(error) => Part::Failed(Failed {
            why: error.to_string(),
            hint: error.hint().map(str::to_owned),
            exit_code: error.exit_code(),
        }),
    }
}
