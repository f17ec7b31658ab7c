//! Whether time tells which key ids exist: an unknown id and a known one with another secret, asked by turns over one
//! connection, the unknown one twice as the control. Fails where their medians differ by more than those of the control do.

use super::keys::{Bench, unknown, wrong_secret};
use super::load;
use super::server::Server;
use anyhow::{Result, ensure};
use std::time::Duration;

/// Into how many parts the run is cut, each with a median of its own: the noise is what those of the control differ by.
const PARTS: usize = 50;
/// How many different keys of each kind are asked about.
const DIFFERENT: usize = 4096;

/// Compares so many questions of each kind.
pub(crate) async fn compare(keys: usize, questions: usize) -> Result<()> {
    let bench = Bench::new(keys).await?;
    let server = Server::monolith(&bench)?;
    server.ready(&bench).await?;
    let by_turns: Vec<Vec<u8>> = (0..DIFFERENT)
        .flat_map(|n| [unknown(keys + n), wrong_secret(n % keys, keys + n), unknown(keys + DIFFERENT + n)])
        .collect();
    let mut parts = Vec::new();
    for _ in 0..PARTS {
        let waits = load::timed(server.port(), &by_turns, questions * 3 / PARTS).await?;
        parts.push([0, 1, 2].map(|kind| median(waits.iter().skip(kind).step_by(3))));
    }
    let between = |one: usize, other: usize| -> Vec<f64> {
        parts.iter().filter_map(|part| Some(part.get(one)?.as_secs_f64() - part.get(other)?.as_secs_f64())).collect()
    };
    let (known, control) = (mean(&between(0, 1)), mean(&between(0, 2)));
    let noise = between(0, 2).iter().fold(0.0_f64, |most, difference| most.max((difference - control).abs()));
    println!("{questions} questions of each kind in {PARTS} parts, {keys} keys, medians apart in nanoseconds:");
    println!("unknown id, known id with another secret: {:.0}", known * 1e9);
    println!("unknown id, another unknown id (control):  {:.0}, a part's at most {:.0}", control * 1e9, noise * 1e9);
    ensure!(known.abs() <= noise, "time tells which key ids exist");
    Ok(())
}

fn median<'a>(waits: impl Iterator<Item = &'a Duration>) -> Duration {
    let mut waits: Vec<Duration> = waits.copied().collect();
    waits.sort_unstable();
    waits.get(waits.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a count of parts")]
fn mean(differences: &[f64]) -> f64 {
    differences.iter().sum::<f64>() / differences.len().max(1) as f64
}
