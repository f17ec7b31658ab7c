//! An HTTP request, told which run it is by its headers. The answer's status decides; of its body the first bytes are kept.
//! What was sent is never shown, also not where the other end repeats it.

use super::Job;
use super::shown::Shown;
use crate::clock::write_duration;
use crate::settings::request::{RUN_HEADERS, Request};
use crate::work::outbound::why;
use crate::work::run::{Done, Verdict};
use reqwest::{Response, StatusCode, header};
use std::time::Duration;
use tokio::time::Instant;

/// How much of a body is kept; the rest is not even read.
const MOST_KEPT: usize = 4 * 1024;

pub(super) async fn run(job: &Job, request: &Request) -> Done {
    let done = job.within_its_time(send(job, request)).await;
    let masked = |text: Option<String>| text.map(|text| job.live.masked(&text));
    Done { result: masked(done.result), error: masked(done.error), ..done }
}

async fn send(job: &Job, request: &Request) -> Done {
    let client = match job.outbound.client() {
        Ok(client) => client,
        Err(why) => return Done::failed(format!("requests cannot be made here: {why}")),
    };
    let mut wanted = client.request(request.method.clone(), request.address.expose().clone());
    wanted = identify(wanted, job).headers(request.headers.iter().cloned().collect());
    if let Some(body) = &request.body {
        wanted = wanted.body(body.expose().to_vec());
    }
    let began = Instant::now();
    match wanted.send().await {
        Ok(response) => judge(request, response, began).await,
        Err(error) => Done::failed(format!("{}: {}", request.address.host(), why(&error))),
    }
}

/// Says which run it is. A manual run has no tick, and the header is not there.
fn identify(mut wanted: reqwest::RequestBuilder, job: &Job) -> reqwest::RequestBuilder {
    let run = job.claim.run.to_string();
    if let Some(tick) = job.tick_text() {
        wanted = wanted.header(format!("{RUN_HEADERS}run-tick-at"), tick);
    }
    wanted
        .header(format!("{RUN_HEADERS}run-worker"), job.claim.worker.name.as_str())
        .header(format!("{RUN_HEADERS}run-attempt"), job.attempt)
        .header(format!("{RUN_HEADERS}run-id"), &run)
        .header("idempotency-key", run)
}

async fn judge(request: &Request, mut response: Response, began: Instant) -> Done {
    let status = response.status();
    let body = first_bytes(&mut response).await;
    let answered = format!("{status} in {}", write_duration(Duration::from_millis(millis(began))));
    let (body, broken) = match body {
        Ok(body) => (body, None),
        Err(error) => (String::new(), Some(why(&error))),
    };
    let result = Some(if body.is_empty() { answered.clone() } else { format!("{answered}\n{body}") });
    let error = match broken {
        _ if !request.expected.includes(status.as_u16()) => Some(unexpected(request, &response, status)),
        Some(broken) => Some(broken),
        None => None,
    };
    let verdict = if error.is_some() { Verdict::Failed } else { Verdict::Succeeded };
    Done { verdict, error, ..Done::succeeded(result) }
}

fn unexpected(request: &Request, response: &Response, status: StatusCode) -> String {
    let expected = &request.expected;
    match status.is_redirection() && response.headers().contains_key(header::LOCATION) {
        true => format!("answered {status}, which leads to another host; a redirect is followed on the same host only"),
        false => format!("answered {status}, expected {expected}"),
    }
}

async fn first_bytes(response: &mut Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() <= MOST_KEPT {
        match response.chunk().await? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(Shown::of_bytes(&bytes, MOST_KEPT))
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
