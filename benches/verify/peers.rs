//! Servers of other people that do the same: FastAPI on uvicorn, Fastify on Node, nginx with a `map`.
//! What they need is installed once, under the target folder; one that cannot be had is left out by name, never silently.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where they are installed.
fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-peers")
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/verify/peers").join(name)
}

/// FastAPI on uvicorn, with uvloop and httptools, one process.
pub(crate) fn fastapi(folder: &Path) -> Result<Command> {
    let home = home().join("python");
    let python = home.join("bin/python");
    if !home.join("done").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        run(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(source("requirements.txt")))?;
        fs::write(home.join("done"), "")?;
    }
    let mut command = Command::new(python);
    command.arg(source("fastapi_app.py")).arg(folder.join("keys.txt"));
    Ok(command)
}

/// Fastify with schemas for body and answer, one process.
pub(crate) fn fastify(folder: &Path) -> Result<Command> {
    let home = home().join("node");
    if !home.join("done").exists() {
        fs::create_dir_all(&home)?;
        fs::copy(source("package.json"), home.join("package.json"))?;
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(&home))?;
        fs::write(home.join("done"), "")?;
    }
    // Node looks for modules beside the program.
    fs::copy(source("fastify_app.mjs"), home.join("fastify_app.mjs"))?;
    let mut command = Command::new("node");
    command.arg(home.join("fastify_app.mjs")).arg(folder.join("keys.txt"));
    Ok(command)
}

/// nginx with every key in a `map`, one process, and the port it was told. It hashes nothing, counts nothing and does
/// not read the body: the key stands in a header, too.
pub(crate) fn nginx(folder: &Path) -> Result<(Command, u16)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let list = fs::read_to_string(folder.join("keys.txt"))?;
    let path = folder.join("nginx.conf");
    let mut file = std::io::BufWriter::new(fs::File::create(&path)?);
    let folder_text = folder.display();
    writeln!(file, "daemon off; master_process off; pid {folder_text}/nginx.pid; error_log stderr error;")?;
    writeln!(file, "events {{ worker_connections 1024; }}\nhttp {{ access_log off; keepalive_requests 1000000000;")?;
    writeln!(file, "map_hash_max_size 1048576; map_hash_bucket_size 128;\nmap $http_x_api_key $kid {{ default \"\";")?;
    for line in list.lines() {
        let (kid, secret) = line.split_once(' ').context("a line has two words")?;
        writeln!(file, "\"{}\" {kid};", super::keys::text(kid, secret))?;
    }
    let answer = r#"{"valid":true,"code":"valid","kid":"$kid","name":"bench","owner":"team","environment":"test","scopes":["orders:read"],"expires_at":"2096-10-02T07:06:40.000Z","rate_limit":null,"stale_ms":512}"#;
    writeln!(file, "}}\nserver {{ listen 127.0.0.1:{port}; default_type application/json;")?;
    writeln!(file, "if ($kid = \"\") {{ return 401; }}\nlocation / {{ return 200 '{answer}'; }} }} }}")?;
    file.into_inner().context("the configuration cannot be written")?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&path);
    Ok((command, port))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be run"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
