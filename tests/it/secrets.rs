//! Secrets as operators give them: from variables, files, programs and the text, through the real binary.
//! What happens to a store whose password is rotated is `rotate`.

use crate::harness::{JWT_SECRET, TestMonolith, monolith, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use xtask::servers::{Kind, Postgres, Redis};

/// Keys in memory, and the signing secret told by a program that reads a file and counts how often it ran.
const TOLD: &str = r#"
[secrets]
jwt = { command = ["sh", "-c", "echo ran >> ran; cat signing-secret"], refresh = "200ms" }
"#;

const OTHER_SECRET: &str = "Zx3nT9qLw2Rk8vBd5Hs7Jf4Gm6Pc1YaU";

fn runs(server: &TestMonolith) -> usize {
    fs::read_to_string(server.folder().join("ran")).unwrap_or_default().lines().count()
}

/// The findings of a health with this code.
fn findings<'a>(health: &'a Value, code: &'a str) -> impl Iterator<Item = &'a Value> {
    health["findings"].as_array().unwrap().iter().filter(move |finding| finding["code"] == code)
}

#[tokio::test]
async fn a_secret_from_a_program_is_renewed_and_stays_when_the_program_fails() {
    let server = monolith(TOLD).without_env("JWT_SECRET").file("signing-secret", JWT_SECRET).ready().await;
    let before = server.viewer();
    before.get("/api/admin/whoami").await.ok();

    fs::write(server.folder().join("signing-secret"), OTHER_SECRET).unwrap();
    before.wait_for("/api/admin/whoami", |answer| answer.status == 401).await;
    let after = server.viewer();
    let health = after.wait_for("/health", |answer| answer.json()["generation"] == 2).await.json();
    assert_eq!(health["config"]["last_reload"]["trigger"], "secret");
    assert!(server.log().contains("settings applied: generation 2, admin (hot) generation=2 "), "{}", server.log());

    fs::remove_file(server.folder().join("signing-secret")).unwrap();
    let failing = |health: &Value| findings(health, "secret_refresh_failed").next().cloned();
    let health = after.wait_for("/health", |answer| failing(&answer.json()).is_some()).await.json();
    let finding = failing(&health).unwrap();
    assert_eq!(finding["subject"], "secrets.jwt");
    assert_eq!(finding["message"], "jwt cannot be asked for again, its old value stays: `sh` exited with 1");
    let ran = runs(&server);
    after.wait_for("/api/admin/whoami", |answer| answer.status == 200 && runs(&server) > ran + 2).await;

    fs::write(server.folder().join("signing-secret"), OTHER_SECRET).unwrap();
    after.wait_for("/health", |answer| failing(&answer.json()).is_none()).await;
    let log = server.log();
    assert_eq!(log.matches("cannot be asked for again").count(), 1, "{log}");
    assert!(log.contains("the secret jwt is told again"), "{log}");
    assert!(!log.contains(OTHER_SECRET) && !log.contains(JWT_SECRET), "{log}");
}

#[tokio::test]
async fn a_reload_does_not_run_a_program_that_is_not_due() {
    let server = monolith(&TOLD.replace("200ms", "1h"))
        .without_env("JWT_SECRET")
        .file("signing-secret", JWT_SECRET)
        .ready()
        .await;
    let operator = server.operator();
    let ran = runs(&server);
    assert_eq!(operator.post("/api/admin/config/reload", Value::Null).await.ok()["outcome"], "unchanged");
    server.write_base(&(TOLD.replace("200ms", "1h") + "[server]\nbody_limit = \"2MiB\"\n"));
    operator.wait_for("/health", |answer| answer.json()["generation"] == 2).await;
    assert_eq!(runs(&server), ran);
    server.write_base(&TOLD.replace("200ms", "1h").replace("cat signing", "cat ./signing"));
    operator.wait_for("/health", |_| runs(&server) == ran + 1).await;
}

#[test]
fn check_runs_no_program_unless_it_is_told_to() {
    let folder = monolith(&TOLD.replace("cat signing-secret", "exit 7")).without_env("JWT_SECRET");
    let output = folder.run(&["check"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "note: secrets.jwt is told by a command, which was not run\n");
    assert!(!folder.path().join("ran").exists());

    let output = folder.run(&["check", "--connect"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("error: monolith.toml:3:19: secrets.jwt.command: `sh` exited with 7\n"));
    assert!(folder.path().join("ran").exists());
}

#[test]
fn check_logs_in_to_every_store_and_says_which_one_failed_and_why() {
    if !Kind::Postgres.can_start() || !Kind::Redis.can_start() {
        return;
    }
    let postgres = Postgres::start_with_password_role("app", "right").unwrap();
    let redis = Redis::start_with_password("right").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "[secrets]\npw = {{ command = ['cat', 'pw'] }}\n\
         [stores.main]\nkind = 'postgres'\nurl = 'postgres://app:${{secrets.pw}}@127.0.0.1:{}/postgres'\n\
         [stores.cache]\nkind = 'redis'\nurl = 'redis://:${{secrets.pw}}@127.0.0.1:{}'\n\
         [stores.files]\nkind = 'sqlite'\nurl = 'sqlite:new/files.db'\n",
        postgres.port(),
        redis.port()
    );
    let folder = monolith(&text)
        .without_env("JWT_SECRET")
        .env("MONOLITH_SECRETS__JWT__LITERAL", JWT_SECRET)
        .file("pw", "right\n");
    let output = folder.run(&["check", "--connect"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for line in ["stores.cache: redis, logged in within ", "stores.main: postgres, logged in within ", "ok: "] {
        assert!(stdout(&output).contains(line), "{}", stdout(&output));
    }
    assert!(stdout(&output).contains("stores.files: sqlite, its file will be made at the first start"));
    assert!(!folder.path().join("new").exists());

    let folder = folder.file("pw", "wrong-Kq8v\n");
    let output = folder.run(&["check", "--connect"]);
    assert_eq!(output.status.code(), Some(5));
    let expected = "error: monolith.toml:5:7: stores.main.url: the postgres store refused: password authentication failed for user \"app\"\n\
         error: monolith.toml:8:7: stores.cache.url: the redis store refused: authentication failed\n";
    assert!(stderr(&output).ends_with(expected), "{}", stderr(&output));
    let output = folder.run(&["check", "--connect", "--format", "json"]);
    assert_eq!(output.status.code(), Some(5));
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(document["valid"], false);
    assert_eq!(document["errors"][1]["key"], "stores.cache.url");
    assert!(!stdout(&output).contains("wrong-Kq8v") && !stderr(&output).contains("wrong-Kq8v"));

    let gone = text.replace(&postgres.port().to_string(), &closed.port().to_string());
    let folder = folder.file("monolith.toml", &gone);
    let output = folder.run(&["check", "--connect"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("stores.main.url: the postgres store cannot be reached: "), "{}", stderr(&output));
}
