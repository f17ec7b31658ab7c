//! The description of the API against the API: schemathesis reads `/openapi.json` of a server of its own and asks what it allows
//! and what it forbids. What may be expected of which route stands in `xtask/schemathesis.toml`; nothing is judged here.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tempfile::TempDir;
use xtask::bounded;

/// The release that the findings were judged with.
const REQUIREMENT: &str = "schemathesis~=4.32.0";
/// Some forty packages over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Two thousand examples a route on two slow cores.
const RUN_LIMIT: Duration = Duration::from_secs(6 * 3600);
/// Makes a token out of a file.
const TOKEN_LIMIT: Duration = Duration::from_secs(20);

/// A server that has something of everything that the description tells about.
const CONFIGURATION: &str = r#"
[server]
docs = "public"
[secrets]
jwt = { literal = "only-for-this-run-and-32-bytes-long" }
[stores.main]
kind = "sqlite"
url = "sqlite:main.db"
[keys]
store = "main"
[scheduler]
store = "main"
[policies.orders]
scopes = ["orders:read"]
[workers.tidy]
every = "1h"
run = { kind = "command", argv = ["true"] }
"#;

/// Hold the running program against its own description, with schemathesis (Python 3 with venv; installed on the first run)
///
/// Exit code 0: no answer with a status, type, header or body that the description does not know, nothing accepted that it
/// forbids, nothing refused that it allows, no 5xx.
#[derive(Args)]
pub(crate) struct Schemathesis {
    /// The program under test
    #[arg(long, default_value = "target/debug/monolith")]
    binary: PathBuf,
    /// How many examples a route
    #[arg(long, default_value_t = 100)]
    examples: usize,
    /// Where chance begins: the same number asks the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passed on: `-- --include-path /api/keys/verify`
    #[arg(last = true)]
    more: Vec<String>,
}

impl Schemathesis {
    pub(crate) fn run(&self) -> Result<()> {
        let program = installed()?;
        let server = Server::start(&self.binary)?;
        let mut command = Command::new(program);
        command.arg("--config-file").arg(beside("schemathesis.toml")).arg("run");
        command.arg(format!("{}/openapi.json", server.url));
        let token = server.token(&self.binary)?;
        // Which of them goes where is said beside the expectations.
        command.env("ADMIN_TOKEN", &token).env("API_KEY", server.key(&self.binary, &token)?);
        command.args(["--max-examples", &self.examples.to_string(), "--seed", &self.seed.to_string()]);
        // Where it keeps what it found, and its examples, is the folder of this run.
        command.args(["--continue-on-failure", "--no-color"]).args(&self.more).current_dir(server.folder.path());
        let status = bounded::status(&mut command, RUN_LIMIT)?;
        ensure!(status.success(), "the description and the program differ ({status})");
        Ok(())
    }
}

fn beside(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Installs it where it is missing, in an environment of Python's own under the target folder.
fn installed() -> Result<PathBuf> {
    let home = beside("../target/test-servers/schemathesis");
    let (program, marker) = (home.join("bin/schemathesis"), home.join("complete"));
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == REQUIREMENT) && program.exists() {
        return Ok(program);
    }
    bounded::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home), INSTALL_LIMIT)
        .context("cannot create a Python environment (Debian: apt-get install python3-venv)")?;
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT]);
    bounded::output(&mut pip, INSTALL_LIMIT).with_context(|| format!("cannot install {REQUIREMENT}"))?;
    fs::write(marker, REQUIREMENT).context("cannot mark the environment as complete")?;
    Ok(program)
}

/// A running server, gone when it is dropped.
struct Server {
    child: Child,
    folder: TempDir,
    url: String,
}

impl Server {
    fn start(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        fs::write(folder.path().join("monolith.toml"), CONFIGURATION)?;
        fs::create_dir(folder.path().join("profiles"))?;
        fs::write(folder.path().join("profiles/test.toml"), "")?;
        let mut serve = command(binary, folder.path())?;
        let mut child = serve.args(["serve", "--bind", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        // Its address is the first line of standard output; a process that ends instead closes it.
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut url)?;
        let server = Self { child, folder, url: url.trim().to_owned() };
        if server.url.is_empty() {
            bail!("{} did not start", binary.display());
        }
        Ok(server)
    }

    fn token(&self, binary: &Path) -> Result<String> {
        let mut create = command(binary, self.folder.path())?;
        create.args(["token", "create", "schemathesis", "--role", "admin", "--ttl", "24h"]);
        Ok(bounded::output(&mut create, TOKEN_LIMIT)?.trim().to_owned())
    }

    /// A key that the policy of the configuration lets pass.
    fn key(&self, binary: &Path, token: &str) -> Result<String> {
        let mut create = command(binary, self.folder.path())?;
        create.args(["keys", "create", "schemathesis", "--scope", "orders:read", "--server", &self.url]);
        create.env("MONOLITH_TOKEN", token);
        Ok(bounded::output(&mut create, TOKEN_LIMIT)?.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program in a folder, with nothing of this process' environment.
fn command(binary: &Path, folder: &Path) -> Result<Command> {
    let binary = binary.canonicalize().with_context(|| format!("{} is not there: cargo build", binary.display()))?;
    let mut command = Command::new(binary);
    command.current_dir(folder).env_clear().env("MONOLITH_PROFILE", "test").env("MONOLITH_TELEMETRY__LOG", "error");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Ok(command)
}
