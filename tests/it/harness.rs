//! Starts the real binary in a folder of its own, on a port that the system chooses, and asks it as each role.
//! Waiting is always for a condition, with a limit; the process is ended when the test is over, whatever happened.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The signing secret of every test.
pub const JWT_SECRET: &str = "7Qm0vKxY2bN5tR8wZ1cF4hJ6kL9pS3dG";
/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(25);

/// Stands among the variables of a test where another program than the binary is run; it is not passed on.
const PROGRAM: &str = "the program";

/// A configuration with everything in memory and no workers.
pub const IN_MEMORY: &str = "[keys]\nstore = \"memory\"\n";

/// What to start.
pub struct Builder {
    dir: TempDir,
    env: Vec<(String, String)>,
    /// Whether its own file says where it listens.
    own_address: bool,
    args: Vec<String>,
    /// `serve`, or `worker`.
    part: &'static str,
}

/// A running server.
pub struct TestMonolith {
    child: Child,
    dir: TempDir,
    url: String,
    env: Vec<(String, String)>,
}

/// A server as one role asks it.
pub struct Api {
    url: String,
    token: Option<String>,
    http: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

/// Prepares a server with a base file, in the profile `test`.
pub fn monolith(base: &str) -> Builder {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("monolith.toml"), base).unwrap();
    let builder = Builder { dir, env: Vec::new(), own_address: false, args: Vec::new(), part: "serve" };
    builder
        .env("MONOLITH_PROFILE", "test")
        .file("profiles/test.toml", "[server]\ndrain_delay = \"0s\"\n")
        .env("JWT_SECRET", JWT_SECRET)
}

/// Prepares a server as it is shipped: its file and its profiles, on a laptop that never saw it before.
pub fn shipped() -> Builder {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    fs::copy(root.join("monolith.toml"), dir.path().join("monolith.toml")).unwrap();
    fs::create_dir(dir.path().join("profiles")).unwrap();
    for entry in fs::read_dir(root.join("profiles")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join("profiles").join(path.file_name().unwrap())).unwrap();
    }
    Builder { dir, env: Vec::new(), own_address: false, args: Vec::new(), part: "serve" }
}

impl Builder {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a program that embeds Monolith in its place.
    pub fn program(self, path: &Path) -> Self {
        self.env(PROGRAM, path.to_str().unwrap())
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Makes it a process that only runs workers.
    pub fn worker(mut self) -> Self {
        self.part = "worker";
        self
    }

    /// Lets it listen where its file says, so that a reload can change that.
    pub fn own_address(mut self) -> Self {
        self.own_address = true;
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> TestMonolith {
        let mut command = binary(self.dir.path(), &self.env);
        command.arg(self.part);
        if !self.own_address {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        command.args(&self.args);
        let log = fs::File::create(self.dir.path().join("stderr.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut url = String::new();
        // The address is the first line of standard output; a process that ends instead closes it.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        if url.is_empty() {
            drop(child.wait());
            panic!("the server did not start:\n{}", fs::read_to_string(self.dir.path().join("stderr.log")).unwrap());
        }
        TestMonolith { child, dir: self.dir, url, env: self.env }
    }

    /// Starts it and waits until it is ready.
    pub async fn ready(self) -> TestMonolith {
        let server = self.start();
        server.wait_for("/health/ready", |answer| answer.status == StatusCode::OK).await;
        server
    }

    /// Runs a command of the binary to its end, in this folder.
    pub fn run(&self, args: &[&str]) -> Output {
        finished(binary(self.dir.path(), &self.env).args(args))
    }
}

impl TestMonolith {
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The variables with which a command finds this server: the address that it chose stands in no file.
    pub fn as_seen_by_commands(&self) -> Vec<(String, String)> {
        let address = self.url.trim_start_matches("http://").to_owned();
        self.env.iter().cloned().chain([("MONOLITH_SERVER__BIND".to_owned(), address)]).collect()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr.log")).unwrap()
    }

    pub fn anyone(&self) -> Api {
        Api::new(&self.url, None)
    }

    pub fn viewer(&self) -> Api {
        self.with_role("viewer")
    }

    pub fn operator(&self) -> Api {
        self.with_role("operator")
    }

    pub fn admin(&self) -> Api {
        self.with_role("admin")
    }

    pub fn with_token(&self, token: &str) -> Api {
        Api::new(&self.url, Some(token.to_owned()))
    }

    fn with_role(&self, role: &str) -> Api {
        self.with_token(&self.token(role))
    }

    /// A token of a role.
    pub fn token(&self, role: &str) -> String {
        let output = self.run(&["token", "create", &format!("test-{role}"), "--role", role]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs a command of the binary to its end, with this server's configuration.
    pub fn run(&self, args: &[&str]) -> Output {
        finished(binary(self.dir.path(), &self.env).args(args))
    }

    /// A command of the binary, to be run as the test wants.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = binary(self.dir.path(), &self.env);
        command.args(args);
        command
    }

    /// Replaces the base file as an editor does: written beside it, then renamed.
    pub fn write_base(&self, text: &str) {
        let draft = self.dir.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.base()).unwrap();
    }

    pub fn base(&self) -> PathBuf {
        self.dir.path().join("monolith.toml")
    }

    /// Asks as anyone until the answer is as wanted.
    pub async fn wait_for(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        self.anyone().wait_for(path, wanted).await
    }

    /// The health, once it is as wanted.
    pub async fn wait_for_health(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_for("/health", |answer| wanted(&answer.json())).await.json()
    }

    /// Waits until some replica stands for a worker: to end a pause that there is none of is refused until then.
    pub async fn taken_over(&self, worker: &str) {
        let (operator, give_up) = (self.operator(), Instant::now() + PATIENCE);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            let answer = operator.post(&format!("/api/admin/workers/{worker}/resume"), Value::Null).await;
            if answer.status.is_success() {
                return;
            }
            assert!(Instant::now() < give_up, "nobody ever stood for {worker}: {} {}", answer.status, answer.text);
        }
    }

    /// Sends SIGTERM and waits for the end: the exit code.
    pub fn terminate(self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        self.ended()
    }

    /// Waits for the end, which somebody asked for: the exit code.
    pub fn ended(mut self) -> Option<i32> {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::park_timeout(LOOK);
        }
        panic!("the server did not end:\n{}", self.log());
    }

    /// Ends it as a crash would, and gives its folder back for another start.
    pub fn crash(mut self) -> Builder {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        Builder { dir, env: std::mem::take(&mut self.env), own_address: false, args: Vec::new(), part: "serve" }
    }
}

impl Drop for TestMonolith {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Api {
    fn new(url: &str, token: Option<String>) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        Self { url: url.to_owned(), token, http }
    }

    /// The token it asks with.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, |request| request).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, |request| request).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, |request| request.json(&body)).await
    }

    /// Any request, made as the caller wants.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        make: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = make(request).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    /// Asks until the answer is as wanted. A server that is just moving its socket may refuse once.
    pub async fn wait_for(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let give_up = Instant::now() + PATIENCE;
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < give_up, "{path} never became as wanted: {} {}", answer.status, answer.text);
        }
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }

    /// The body of a refusal, which must have this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok());
        body
    }
}

/// The text of a command's standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The text of a command's standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The first column of a query, asked as the superuser of a server of the test's own.
pub async fn postgres_text(server: &xtask::servers::Postgres, query: &'static str) -> Vec<String> {
    let pool = sqlx::PgPool::connect(server.url()).await.unwrap();
    let rows = sqlx::query_scalar(query).fetch_all(&pool).await.unwrap();
    pool.close().await;
    rows
}

/// Sends a signal to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(status.success());
}

/// The binary, in a folder, with nothing of this process' environment but what every program needs.
pub fn binary(folder: &Path, env: &[(String, String)]) -> Command {
    let program = env.iter().find(|(name, _)| name == PROGRAM).map(|(_, path)| path.as_str());
    let mut command = Command::new(program.unwrap_or(env!("CARGO_BIN_EXE_monolith")));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command.envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(env.iter().filter(|(name, _)| name != PROGRAM).map(|(name, value)| (name, value)));
    command
}

fn finished(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut stdout = Vec::new();
    out.read_to_end(&mut stdout).unwrap();
    let stderr = reading.join().unwrap();
    Output { status: child.wait().unwrap(), stdout, stderr }
}
