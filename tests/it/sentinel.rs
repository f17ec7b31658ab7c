//! No secret is ever told: recognisable values stand in every place where a secret can stand, the program does everything that
//! it can do at the log level `trace`, and not one of them is found in what it wrote or answered, in any encoding.
#![expect(clippy::string_slice, reason = "what is cut here is ASCII, or was looked at first")]

use crate::harness::{Answer, Api, Builder, TestMonolith, monolith, stderr, stdout};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::Output;
use xtask::servers::{Mongo, Postgres, Redis};

/// Values that stand nowhere else in the world, by the place they are put in.
#[derive(Default)]
struct Sentinels(BTreeMap<&'static str, String>);

impl Sentinels {
    /// A new value of letters and digits, so that it looks the same in a URL.
    fn draw(&mut self, place: &'static str) -> String {
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).unwrap();
        let value: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.insert(place, value.clone());
        value
    }

    /// Learns a value that the program made: a token, a key.
    fn learn(&mut self, place: &'static str, value: &str) {
        self.0.insert(place, value.to_owned());
    }

    /// Looks for each of them in a text, and says where the first stands.
    #[track_caller]
    fn absent_from(&self, what: &str, text: &str, but: &[&str]) {
        for (place, value) in self.0.iter().filter(|(place, _)| !but.contains(place)) {
            for (encoding, form) in forms(value) {
                if let Some(at) = text.find(&form) {
                    let from =
                        (0..=at.saturating_sub(300)).rev().find(|from| text.is_char_boundary(*from)).unwrap_or(0);
                    let around: String = text[from..].chars().take(700).collect();
                    panic!("the secret of {place} stands in {what} ({encoding}):\n{around}");
                }
            }
        }
    }
}

/// How a value may have been written; only its inner part, so that what stands around it does not matter.
fn forms(value: &str) -> Vec<(&'static str, String)> {
    let core = &value[4..value.len() - 4];
    let mut forms = vec![
        ("raw", core.to_owned()),
        ("reversed", core.chars().rev().collect()),
        ("percent-encoded", core.bytes().map(|byte| format!("%{byte:02X}")).collect()),
        ("hex", core.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ("a list of numbers", core.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ")),
    ];
    for before in 0..3 {
        let padded = [vec![b'x'; before].as_slice(), core.as_bytes()].concat();
        let encoded = STANDARD.encode(padded);
        // The first and the last group also hold what stands around it.
        forms.push(("base64", encoded[4..encoded.len() - 4].to_owned()));
    }
    forms
}

#[test]
fn the_search_finds_a_value_in_every_form() {
    let mut sentinels = Sentinels::default();
    let value = sentinels.draw("here");
    let found = |text: String| std::panic::catch_unwind(|| sentinels.absent_from("it", &text, &[])).is_err();
    let list = value.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for text in [value.clone(), format!("a{value}b"), encoded, format!("[{list}]")] {
        assert!(found(text.clone()), "{text}");
    }
    for before in ["", "a", "ab", "abc", "postgres://app:"] {
        assert!(found(STANDARD.encode(format!("{before}{value}@host"))), "{before}");
    }
    assert!(!found("nothing".to_owned()));
}

/// A server of each kind, with its password.
struct Stores {
    postgres: Postgres,
    redis: Redis,
    mongo: Mongo,
}

/// Everything that may hold a secret, and what keeps it.
struct Place {
    sentinels: Sentinels,
    stores: Stores,
    text: String,
}

fn place() -> Place {
    let mut sentinels = Sentinels::default();
    let (pg, cache) = (sentinels.draw("the postgres password"), sentinels.draw("the redis url"));
    let stores = Stores {
        postgres: Postgres::start_with_password_role("app", &pg).unwrap(),
        redis: Redis::start_with_password(&cache).unwrap(),
        mongo: Mongo::start().unwrap(),
    };
    stores.postgres.sql("create database app owner app").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        r#"[telemetry]
log = "trace"
[secrets]
jwt = {{ command = ["cat", "secrets/jwt"], refresh = "300ms" }}
pg = {{ file = "secrets/pg" }}
pepper = {{ env = "SENTINEL_PEPPER" }}
plain = {{ literal = "{literal}" }}
[keys]
store = "main"
pepper = ["pepper"]
[stores.main]
kind = "postgres"
url = "postgres://app:${{secrets.pg}}@127.0.0.1:{postgres}/app"
[stores.cache]
kind = "redis"
url = "redis://:{cache}@127.0.0.1:{redis}"
[stores.docs]
kind = "mongodb"
url = "mongodb://app:{docs}@127.0.0.1:{mongo}/?serverSelectionTimeoutMS=500"
required = false
[stores.nowhere]
kind = "postgres"
url = "postgres://app:{nowhere}@{closed}/app"
required = false
[stores.refused]
kind = "postgres"
url = "postgres://app:{refused}@127.0.0.1:{postgres}/app"
required = false
[stores.denied]
kind = "redis"
url = "redis://user:{denied}@127.0.0.1:{redis}"
required = false
[workers.tells]
every = "1s"
timeout = "900ms"
run = {{ kind = "command", argv = ["sh", "-c", "echo $TOKEN; echo $PLAIN >&2; exit 3"], env = {{ TOKEN = "${{secrets.plain}}", PLAIN = "{env}" }} }}
[workers.hangs]
every = "1s"
timeout = "300ms"
run = {{ kind = "command", argv = ["sleep", "9"], env = {{ TOKEN = "${{secrets.plain}}" }} }}
[workers.fails]
every = "1s"
timeout = "500ms"
run = {{ kind = "sql", store = "nowhere", statement = "select 1" }}
"#,
        literal = sentinels.draw("a literal"),
        docs = sentinels.draw("the mongodb url"),
        nowhere = sentinels.draw("a store that is away"),
        refused = sentinels.draw("a refused login to postgres"),
        denied = sentinels.draw("a refused login to redis"),
        env = sentinels.draw("a worker's own variable"),
        postgres = stores.postgres.port(),
        redis = stores.redis.port(),
        mongo = stores.mongo.port(),
    );
    Place { sentinels, stores, text }
}

fn builder(place: &mut Place) -> Builder {
    monolith(&place.text)
        .without_env("JWT_SECRET")
        .file("secrets/jwt", &place.sentinels.draw("the signing key"))
        .file("secrets/pg", &format!("{}\n", place.sentinels.0["the postgres password"]))
        .env("SENTINEL_PEPPER", &place.sentinels.draw("the pepper"))
        .env("MONOLITH_WORKERS__HANGS__RUN__ENV__OTHER", &place.sentinels.draw("a variable of a variable"))
}

/// Texts that are refused, each with a secret in the very line that is wrong.
fn broken(place: &mut Place) -> Vec<String> {
    let secret = place.sentinels.draw("a broken line");
    let text = &place.text;
    let port = place.stores.redis.port();
    let lines = [
        format!("[secrets.x]\nliteral = \"{secret}\n"),
        format!("[secrets]\nx = \"{secret}\"\n"),
        format!("[secrets]\nx = {{ literal = [\"{secret}\"] }}\n"),
        format!("[secrets]\nx = {{ litteral = \"{secret}\" }}\n"),
        format!("[secrets]\nx = {{ literal = \"{secret}\", env = \"NO_SUCH\" }}\n"),
        format!("[stores.x]\nkind = \"postgres\"\nurl = \"mysql://app:{secret}@h/d\"\n"),
        format!("[stores.x]\nkind = \"postgres\"\nurl = \"{secret}\"\n"),
        format!("[stores.x]\nkind = \"postgres\"\nurl = \"postgres://a:{secret}@h:port/d\"\n"),
        format!("[stores.x]\nkind = \"redis\"\nurl = \"redis://:{secret}@127.0.0.1:{port}\"\n"),
        format!("[stores.x]\nkind = \"mongodb\"\nurl = \"mongodb://a:{secret}@/%zz\"\n"),
        format!("[stores.x]\nkind = \"sqlite\"\nurl = \"postgres://a:{secret}@h/d\"\n"),
        format!("[stores.x]\nkind = \"redis\"\npassword = \"{secret}\"\nurl = \"redis://h\"\n"),
        format!(
            "[alerts.x]\non = [\"nothing\"]\nwebhook = {{ url = \"https://h/{secret}\", headers = {{ a = \"{secret}\" }} }}\n"
        ),
        format!("[alerts.x]\non = []\nwebhook = {{ url = \"https://h:port/{secret}\" }}\n"),
        format!("[workers.x]\nevery = \"1s\"\nping = \"https://h/?{secret}\"\nrun = {{ kind = \"sql\" }}\n"),
        format!(
            "[workers.x]\nevery = \"1s\"\nrun = {{ kind = \"http\", url = \"https//a:{secret}@h\", headers = {{ b = \"{secret}\" }} }}\n"
        ),
        format!(
            "[workers.x]\nevery = \"1s\"\nrun = {{ kind = \"command\", argv = [\"true\"], env = {{ A = \"${{secrets.none}}{secret}\" }} }}\n"
        ),
        format!(
            "[workers.x]\nevery = \"1s\"\nrun = {{ kind = \"command\", argv = [\"true\"], env = {{ A = \"${{{secret}}}\" }} }}\n"
        ),
        format!(
            "[workers.x]\nevery = \"1s\"\nrun = {{ kind = \"command\", argv = [\"true\"], env = {{ A = [\"{secret}\"] }} }}\n"
        ),
        format!("[workers.x]\nevery = \"1s\"\nrun = {{ kind = \"command\", argv = [\"true\"], env = \"{secret}\" }}\n"),
    ];
    lines.iter().map(|lines| format!("{text}{lines}")).collect()
}

/// Everything a command said.
fn words(output: &Output) -> String {
    stdout(output) + &stderr(output)
}

/// Every answer to a GET that the API's description knows, as somebody who may see everything.
async fn every_get(server: &TestMonolith, api: &Api, kid: &str) -> String {
    let description = api.get("/openapi.json").await.ok();
    let mut all = description.to_string();
    let mut paths: Vec<String> = description["paths"].as_object().unwrap().keys().cloned().collect();
    // The stream of events has no end.
    paths.retain(|path| path != "/api/admin/events");
    paths.extend(["/health", "/metrics", "/nowhere"].map(str::to_owned));
    for section in
        ["secrets", "stores", "workers", "keys", "admin", "secrets.pg", "stores.main.url", "secrets.plain.literal"]
    {
        paths.push(format!("/api/admin/config/explain?key={section}"));
    }
    let runs = server.admin().get("/api/admin/workers/tells/runs").await;
    let run = runs.json()["items"][0]["id"].as_str().unwrap_or("none").to_owned();
    for path in paths {
        for worker in ["tells", "hangs", "fails"] {
            let path = path.replace("{kid}", kid).replace("{name}", worker).replace("{id}", &run);
            let answer = api.get(&path).await;
            all.push_str(&format!("\nGET {path}: {} {:?} {}", answer.status, answer.headers, answer.text));
        }
    }
    all
}

/// The life of a key, and everything that is refused on its way.
async fn use_keys(server: &TestMonolith, sentinels: &mut Sentinels) -> String {
    let operator = server.operator();
    let created = operator.post("/api/admin/api-keys", json!({"name": "sentinel"})).await.ok();
    let (key, kid) = (created["key"].as_str().unwrap().to_owned(), created["kid"].as_str().unwrap().to_owned());
    sentinels.learn("a key", &key[24..]);
    let anyone = server.anyone();
    let mut answers: Vec<Answer> = vec![
        anyone.post("/api/keys/verify", json!({ "key": key })).await,
        anyone.post("/api/keys/verify", json!({ "key": format!("{key}x") })).await,
        anyone.post("/api/keys/verify", json!({ "kee": key })).await,
        anyone.post("/api/keys/verify", json!([key])).await,
        anyone.get(&format!("/api/keys/verify?key={key}")).await,
        operator.get(&format!("/api/admin/api-keys/{key}")).await,
        operator.delete(&format!("/api/admin/api-keys/{key}")).await,
        operator
            .send(Method::POST, "/api/keys/verify", |r| r.header("content-type", "text/plain").body(key.clone()))
            .await,
    ];
    let token = operator.token().to_owned();
    sentinels.learn("a token", token.rsplit('.').next().unwrap());
    let bad = server.with_token(&token[..token.len() - 1]);
    answers.push(bad.get("/api/admin/whoami").await);
    answers.push(server.with_token(&key).get("/api/admin/whoami").await);
    answers.push(anyone.get(&format!("/api/admin/whoami?token={token}")).await);
    answers.push(operator.delete(&format!("/api/admin/api-keys/{kid}?reason=leaked")).await);
    answers.push(anyone.post("/api/keys/verify", json!({ "key": key })).await);
    assert_eq!(answers.last().unwrap().json()["code"], "revoked");
    assert_eq!(answers[0].json()["code"], "valid");
    answers.iter().map(|answer| format!("{} {:?} {}\n", answer.status, answer.headers, answer.text)).collect::<String>()
        + &kid
}

async fn worker_failed(server: &TestMonolith, worker: &str, state: &str) {
    let path = format!("/api/admin/workers/{worker}/runs");
    let has = |answer: &Answer| {
        answer.json()["items"].as_array().is_some_and(|runs| runs.iter().any(|run| run["state"] == state))
    };
    server.viewer().wait_for(&path, has).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_told_whatever_happens() {
    let mut place = place();
    let builder = builder(&mut place);
    let mut commands = String::new();
    for args in
        [&["check"][..], &["check", "--format", "json"], &["check", "--connect"], &["schema"], &["migrate", "--status"]]
    {
        commands.push_str(&words(&builder.run(args)));
    }
    for key in
        ["secrets", "stores", "stores.cache.url", "workers", "workers.tells.run.env.PLAIN", "secrets.plain.literal"]
    {
        commands.push_str(&words(&builder.run(&["explain", key])));
    }
    assert!(commands.contains("stores.refused.url: the postgres store refused"), "{commands}");
    place.sentinels.absent_from("what commands print", &commands, &[]);

    let server = builder.start();
    server.wait_for("/health/ready", |answer| answer.status == 200).await;
    for (worker, state) in [("tells", "failed"), ("hangs", "timed_out"), ("fails", "timed_out")] {
        worker_failed(&server, worker, state).await;
    }
    for store in ["nowhere", "refused", "denied"] {
        server.wait_for_health(|health| health["stores"][store] == "down").await;
    }
    let answers = use_keys(&server, &mut place.sentinels).await;
    place.sentinels.absent_from("the answers about keys", &answers, &[]);

    reloads(&server, &mut place).await;
    let kid = answers.lines().last().unwrap();
    let admin = server.admin();
    let gets = every_get(&server, &admin, kid).await;
    assert!(
        gets.contains("/api/admin/workers/tells/runs: 200") && gets.contains("the store docs")
            || gets.contains("\"docs\"")
    );
    place.sentinels.absent_from("an answer", &gets, &[]);

    let tables = tables(&place.stores.postgres).await;
    assert!(tables.contains("key.revoked") && tables.contains("sentinel"), "{tables}");
    place.sentinels.absent_from("the database", &tables, &[]);
    let log = server.log();
    for proof in ["DEBUG", "settings applied: generation 2", "reload rejected", "password authentication failed"] {
        assert!(log.contains(proof), "the log lacks `{proof}`, so it proves nothing");
    }
    place.sentinels.absent_from("the log", &log, &[]);
}

/// Reloads that are applied and reloads that are refused, with a secret in each line that is wrong.
async fn reloads(server: &TestMonolith, place: &mut Place) {
    let operator = server.operator();
    let mut answers = String::new();
    for text in broken(place) {
        server.write_base(&text);
        let answer = operator.post("/api/admin/config/reload", Value::Null).await;
        assert_eq!(answer.status, 422, "was not refused: {}\n{}", text.lines().last().unwrap(), answer.text);
        answers.push_str(&answer.text);
        answers.push_str(&words(&server.run(&["check"])));
        answers.push_str(&words(&server.run(&["check", "--format", "json"])));
        answers.push_str(&words(&server.run(&["explain", "secrets"])));
        answers.push_str(&operator.get("/health").await.text);
        answers.push_str(&operator.get("/api/admin/config").await.text);
    }
    fs::write(server.folder().join("secrets/pg"), place.sentinels.draw("a wrong new password")).unwrap();
    server.write_base(&place.text);
    let answer = operator.post("/api/admin/config/reload", Value::Null).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    answers.push_str(&answer.text);
    fs::write(server.folder().join("secrets/pg"), &place.sentinels.0["the postgres password"]).unwrap();
    server.write_base(
        &format!("{}[server]\nbody_limit = \"2MiB\"\n", place.text)
            .replace("\"trace\"\n", "\"trace\"\nformat = \"json\"\n"),
    );
    server.wait_for_health(|health| health["generation"] == 2).await;
    fs::write(server.folder().join("secrets/jwt"), place.sentinels.draw("the next signing key")).unwrap();
    server.wait_for_health(|health| health["generation"] == 3).await;
    place.sentinels.absent_from("an answer to a reload", &answers, &[]);
}

/// Every row of every table of the keys' database, as text.
async fn tables(postgres: &Postgres) -> String {
    use sqlx::{AssertSqlSafe, Connection, PgConnection};
    let mut connection = PgConnection::connect(&postgres.url_for("test", "app")).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut all = String::new();
    for name in names {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("select t::text from \"{name}\" t")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        all.push_str(&rows.join("\n"));
    }
    all
}
