//! `cargo bench --bench verify`: how many verifications one second of server CPU buys, beside bare axum handlers.
//! It asserts nothing about speed: it prints ratios, with an A/A control that says how far they can be trusted.
//!
//! All servers run one after another in many short, interleaved rounds on the same machine, asked by the same client for the
//! same keys; identical answers are asserted first. The figure is requests divided by the CPU time of the server's own
//! process (`/proc/<pid>/stat`), which a busy machine disturbs far less than wall time.
//!
//! - `monolith`: the real binary, keys in SQLite, everything on. `monolith-b` is a second process of the same: the control.
//! - `lookup`: an axum handler that does the same look-up with the same counters and answers the same bytes.
//! - `constant`: an axum handler that reads the same body and answers constant bytes.
//! - `fastapi`, `fastify`, `nginx`: `peers`; each one process. What they need is installed on the first run.
//!
//! Then each is asked at the same fixed rate, which the slowest can bear: how long answers take.
//!
//! `-- --keys N --rounds N --seconds S --connections N --rate R` change the size; defaults: 100000, 10, 1, 16, 1000.
//! `-- --timing N` compares instead how long N unknown ids and N known ones with another secret take.
//! `-- --instructions N` counts instead the instructions that a request takes in user mode, by valgrind's callgrind.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod bare; // the axum handlers it is measured against
mod instructions; // how many of them a request takes
mod keys; // a database of keys that the bench knows
mod load; // the client
mod peers; // servers of other people that do the same
mod server; // a server under measurement
mod timing; // whether time tells which ids exist

use anyhow::{Context, Result, ensure};
use keys::Bench;
use server::Server;
use std::time::Duration;

/// For how long each is asked at the fixed rate.
const OFFERED: Duration = Duration::from_secs(5);

/// How large the run is.
struct Size {
    keys: usize,
    rounds: usize,
    seconds: f64,
    connections: usize,
    /// Requests a second.
    rate: f64,
    /// How many requests to count instructions over; zero: none are counted.
    instructions: usize,
    /// How many questions of each kind to compare the time of; zero: none.
    timing: usize,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, kind, folder] = arguments.as_slice()
        && flag == "--serve"
    {
        return bare::serve(kind, std::path::Path::new(folder));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let size = size(&arguments)?;
    match (size.instructions, size.timing) {
        (0, 0) => runtime.block_on(compare(&size)),
        (0, count) => runtime.block_on(timing::compare(size.keys, count)),
        (count, _) => runtime.block_on(instructions::count(size.keys, count)),
    }
}

fn size(arguments: &[String]) -> Result<Size> {
    let of = |flag: &str, default: f64| -> Result<f64> {
        let position = arguments.iter().position(|argument| argument == flag);
        match position.and_then(|position| arguments.get(position + 1)) {
            Some(text) => text.parse().with_context(|| format!("{flag} wants a number")),
            None => Ok(default),
        }
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers, typed by hand")]
    let whole = |number: f64| number as usize;
    Ok(Size {
        keys: whole(of("--keys", 100_000.0)?),
        rounds: whole(of("--rounds", 10.0)?),
        seconds: of("--seconds", 1.0)?,
        connections: whole(of("--connections", 16.0)?),
        rate: of("--rate", 1000.0)?,
        instructions: whole(of("--instructions", 0.0)?),
        timing: whole(of("--timing", 0.0)?),
    })
}

async fn compare(size: &Size) -> Result<()> {
    let bench = Bench::new(size.keys).await?;
    let mut servers = vec![
        ("monolith", Server::monolith(&bench)?),
        ("monolith-b", Server::monolith(&bench)?),
        ("lookup", Server::bare("lookup", &bench)?),
        ("constant", Server::bare("constant", &bench)?),
    ];
    for (name, peer) in others(&bench) {
        match peer {
            Ok(server) => servers.push((name, server)),
            Err(error) => println!("not measured: {name}: {error:#}"),
        }
    }
    for (_, server) in &servers {
        server.ready(&bench).await?;
    }
    same_answers(&servers, &bench).await?;
    println!(
        "{} keys, {} connections, {} rounds of {} s each\n",
        size.keys, size.connections, size.rounds, size.seconds
    );
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
    let mut slowest: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
    for round in 0..=size.rounds {
        for ((_, server), (rates, slowest)) in servers.iter().zip(rates.iter_mut().zip(&mut slowest)) {
            let before = server.cpu_seconds()?;
            let seen =
                load::run(server.port(), &bench.requests, size.connections, Duration::from_secs_f64(size.seconds))
                    .await?;
            let cpu = server.cpu_seconds()? - before;
            // The first round warms caches and connections up.
            if round > 0 {
                #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
                rates.push(seen.answered as f64 / cpu);
                slowest.push(seen.p99.as_secs_f64() * 1e3);
            }
        }
    }
    report(&servers, &rates, &slowest);
    println!("\noffered {} requests a second for {OFFERED:?}, from the instant each was to be asked:", size.rate);
    println!("{:<12} {:>8} {:>8} {:>8}", "server", "p50 ms", "p99 ms", "max ms");
    for (name, server) in &servers {
        let waits = load::offered(server.port(), &bench.requests, size.connections, size.rate, OFFERED).await?;
        let at = |share: usize| {
            let wait = waits.get((waits.len() * share / 1000).min(waits.len().saturating_sub(1)));
            wait.map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
        };
        println!("{name:<12} {:>8.2} {:>8.2} {:>8.2}", at(500), at(990), at(1000));
    }
    Ok(())
}

fn others(bench: &Bench) -> Vec<(&'static str, Result<Server>)> {
    let folder = bench.folder.path();
    vec![
        ("fastapi", peers::fastapi(folder).and_then(Server::peer)),
        ("fastify", peers::fastify(folder).and_then(Server::peer)),
        ("nginx", peers::nginx(folder).and_then(|(command, port)| Server::on(command, port))),
    ]
}

/// A comparison of servers that answer differently says nothing.
async fn same_answers(servers: &[(&str, Server)], bench: &Bench) -> Result<()> {
    for request in bench.requests.iter().take(20) {
        let mut answers = Vec::new();
        for (name, server) in servers.iter().filter(|(name, _)| *name != "constant") {
            answers.push((name, load::one(server.port(), request).await?));
        }
        for pair in answers.windows(2) {
            if let [(one, a), (two, b)] = pair {
                ensure!(a == b, "{one} and {two} answer differently:\n{a}\n{b}");
            }
        }
    }
    Ok(())
}

fn report(servers: &[(&str, Server)], rates: &[Vec<f64>], slowest: &[Vec<f64>]) {
    println!("{:<12} {:>14} {:>8} {:>8} {:>10}", "server", "req/CPU-s", "min", "max", "p99 ms");
    let mut medians = Vec::new();
    for ((name, _), (rates, slowest)) in servers.iter().zip(rates.iter().zip(slowest)) {
        let (low, middle, high) = spread(rates);
        println!("{name:<12} {middle:>14.0} {low:>8.0} {high:>8.0} {:>10.2}", spread(slowest).1);
        medians.push(middle);
    }
    println!();
    let first = medians.first().copied().unwrap_or(f64::NAN);
    for ((name, _), median) in servers.iter().zip(&medians).skip(1) {
        println!(
            "monolith / {name:<12} {:>6.3}{}",
            first / median,
            if *name == "monolith-b" { "   (control)" } else { "" }
        );
    }
}

/// Smallest, median and largest.
fn spread(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |position: usize| sorted.get(position).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}
