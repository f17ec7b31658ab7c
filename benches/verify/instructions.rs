//! How many instructions a request takes in user mode: those of 2N requests less those of N, by N, under callgrind.
//! Unlike time it holds still on a busy machine; what the kernel does for a request is not in it.

use super::keys::{Bench, monolith};
use super::load;
use super::server::Server;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// Prints the figure for Monolith and for the axum handler that does the same look-up.
pub(crate) async fn count(keys: usize, requests: usize) -> Result<()> {
    let bench = Bench::new(keys).await?;
    println!("instructions a request, over {requests} requests on one connection, {keys} keys");
    let mut figures = Vec::new();
    for name in ["monolith", "lookup", "constant"] {
        let few = total(&bench, name, requests).await?;
        let many = total(&bench, name, requests * 2).await?;
        #[expect(clippy::cast_precision_loss, reason = "billions fit")]
        let each = many.saturating_sub(few) as f64 / requests as f64;
        println!("{name:<12} {each:>10.0}");
        figures.push(each);
    }
    if let [own, lookup, constant] = figures.as_slice() {
        println!("lookup / monolith {:.3}, constant / monolith {:.3}", lookup / own, constant / own);
    }
    println!("by function: callgrind_annotate {}/monolith.callgrind", env!("CARGO_TARGET_TMPDIR"));
    Ok(())
}

async fn total(bench: &Bench, name: &str, requests: usize) -> Result<u64> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.callgrind"));
    let folder = bench.folder.path();
    let inner = match name {
        "monolith" => {
            let mut command = monolith(folder);
            command.args(["serve", "--bind", "127.0.0.1:0"]);
            command
        }
        _ => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--serve", name]).arg(folder);
            command
        }
    };
    let server = Server::peer(under_callgrind(&inner, &out))?;
    server.ready(bench).await?;
    load::counted(server.port(), &bench.requests, requests).await?;
    server.end()?;
    let text = std::fs::read_to_string(&out).context("callgrind wrote nothing")?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    Ok(line.context("callgrind wrote no total")?.trim().parse()?)
}

fn under_callgrind(inner: &Command, out: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(inner.get_program()).args(inner.get_args());
    if let Some(folder) = inner.get_current_dir() {
        command.current_dir(folder);
    }
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}
