//! The client: a few keep-alive connections, each asking again as soon as it has its answer.
//! It reads just as much of HTTP as the servers here write; an answer that is not 200 ends the bench.

use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Seen {
    pub(crate) answered: usize,
    pub(crate) p99: Duration,
}

/// Asks for a while over several connections.
pub(crate) async fn run(port: u16, requests: &[Vec<u8>], connections: usize, length: Duration) -> Result<Seen> {
    let until = Instant::now() + length;
    let asking = (0..connections).map(|n| ask(port, requests, n * 97, until));
    let mut waits: Vec<Duration> = futures_util::future::try_join_all(asking).await?.into_iter().flatten().collect();
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Seen { answered: waits.len(), p99 })
}

/// Asks so many times, one after the other.
pub(crate) async fn counted(port: u16, requests: &[Vec<u8>], count: usize) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    for request in requests.iter().cycle().take(count) {
        buffer.clear();
        stream.write_all(request).await?;
        tokio::time::timeout(PATIENCE, answer(&mut stream, &mut buffer)).await.context("no answer in time")??;
    }
    Ok(())
}

/// Asks so many times, one after the other: how long each answer took.
pub(crate) async fn timed(port: u16, requests: &[Vec<u8>], count: usize) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut waits, mut buffer) = (Vec::with_capacity(count), Vec::with_capacity(4096));
    for request in requests.iter().cycle().take(count) {
        buffer.clear();
        let began = Instant::now();
        stream.write_all(request).await?;
        tokio::time::timeout(PATIENCE, answer(&mut stream, &mut buffer)).await.context("no answer in time")??;
        waits.push(began.elapsed());
    }
    Ok(waits)
}

/// Asks at a fixed rate, whatever becomes of it: how long each answer took from the instant at which it was to be asked.
/// A client that waits for one answer before it asks again would not see that a server had stopped for a while.
pub(crate) async fn offered(
    port: u16,
    requests: &[Vec<u8>],
    connections: usize,
    rate: f64,
    length: Duration,
) -> Result<Vec<Duration>> {
    let began = Instant::now();
    let asking = (0..connections).map(|n| async move {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (mut waits, mut buffer) = (Vec::new(), Vec::with_capacity(4096));
        for (turn, request) in requests.iter().cycle().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
            let after = Duration::from_secs_f64((turn * connections + n) as f64 / rate);
            if after >= length {
                break;
            }
            tokio::time::sleep_until((began + after).into()).await;
            buffer.clear();
            stream.write_all(request).await?;
            tokio::time::timeout(PATIENCE, answer(&mut stream, &mut buffer)).await.context("no answer in time")??;
            waits.push(began.elapsed().saturating_sub(after));
        }
        anyhow::Ok(waits)
    });
    let mut waits: Vec<Duration> = futures_util::future::try_join_all(asking).await?.into_iter().flatten().collect();
    waits.sort_unstable();
    Ok(waits)
}

/// The body of one answer, without what differs from moment to moment.
pub(crate) async fn one(port: u16, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut buffer = Vec::new();
    stream.write_all(request).await?;
    let (body, end) = answer(&mut stream, &mut buffer).await?;
    let text = String::from_utf8_lossy(buffer.get(body..end).unwrap_or_default()).into_owned();
    Ok(text.split("\"stale_ms\":").next().unwrap_or_default().to_owned())
}

async fn ask(port: u16, requests: &[Vec<u8>], first: usize, until: Instant) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut waits, mut buffer) = (Vec::new(), Vec::with_capacity(4096));
    for request in requests.iter().cycle().skip(first % requests.len()) {
        let began = Instant::now();
        if began >= until {
            break;
        }
        buffer.clear();
        stream.write_all(request).await?;
        tokio::time::timeout(PATIENCE, answer(&mut stream, &mut buffer)).await.context("no answer in time")??;
        waits.push(began.elapsed());
    }
    Ok(waits)
}

/// Reads one answer: where its body begins and ends in the buffer.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(usize, usize)> {
    loop {
        if let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(buffer.get(..head).unwrap_or_default()).to_ascii_lowercase();
            ensure!(text.starts_with("http/1.1 200"), "{text}");
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let end = head + 4 + length.context("no content-length")?.parse::<usize>()?;
            while buffer.len() < end {
                if stream.read_buf(buffer).await? == 0 {
                    bail!("the answer broke off");
                }
            }
            return Ok((head + 4, end));
        }
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection was closed");
        }
    }
}
