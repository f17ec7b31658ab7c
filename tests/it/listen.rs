//! Where the server listens and what it allows there, while that changes: nobody who was accepted is lost.
//! Addresses end in port 0, so that each move is to a port that the system chooses; the log says which.

use crate::harness::{Answer, JWT_SECRET, TestMonolith, monolith, signal};
use crate::raw::Raw;
use crate::sockets::{address, addresses, free_port_on, until};
use serde_json::{Value, json};
use std::io;
use std::net::TcpListener;

/// A base file with these lines under `[server]`; idle connections stay for longer than any test.
fn base(server: &str) -> String {
    format!("[server]\nheader_timeout = \"2m\"\n{server}\n")
}

async fn serving(server: &str) -> TestMonolith {
    monolith(&base(server)).file("profiles/test.toml", "").own_address().ready().await
}

async fn at(address: &str, path: &str) -> io::Result<u16> {
    Ok(Raw::open(address).await?.get(path).await?.status)
}

async fn is_refused(address: &str) {
    until(&format!("{address} refuses"), async || {
        Raw::open(address).await.err().filter(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
    .await;
}

/// The health over a connection of its own, once the last attempt to reload ended like this.
async fn after_reload(address: &str, outcome: &str) -> Value {
    until(&format!("a reload that is {outcome}"), async || {
        let health = Raw::open(address).await.ok()?.get("/health").await.ok()?.json();
        (health["config"]["last_reload"]["outcome"] == outcome && health["config"]["last_reload"]["trigger"] != "start")
            .then_some(health)
    })
    .await
}

async fn generation(address: &str, wanted: u64) {
    until(&format!("generation {wanted}"), async || {
        let health = Raw::open(address).await.ok()?.get("/health").await.ok()?.json();
        (health["generation"].as_u64()? >= wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_moved_port_lets_go_of_nobody_who_was_connected() {
    let server = serving("bind = \"127.0.0.1:0\"\ndrain_delay = \"1500ms\"").await;
    let old = address(&server, "clients", 0).await;
    let (mut talking, mut idle) = (Raw::open(&old).await.unwrap(), Raw::open(&old).await.unwrap());
    assert!(!talking.get("/health/ready").await.unwrap().closes);
    assert!(!idle.get("/health/ready").await.unwrap().closes);

    server.write_base(&base("bind = \"127.0.0.2:0\"\ndrain_delay = \"1500ms\""));
    let new = address(&server, "clients", 1).await;
    assert_eq!(at(&new, "/health/ready").await.unwrap(), 200);
    // Whoever still knows the old address is served, and asked to look for another one.
    let mut late = Raw::open(&old).await.unwrap();
    let reply = late.get("/health/ready").await.unwrap();
    assert!(reply.status == 200 && reply.closes, "{reply:?}");
    late.closed().await.unwrap();
    let reply = talking.get("/health/ready").await.unwrap();
    assert!(reply.status == 200 && reply.closes, "{reply:?}");

    is_refused(&old).await;
    // The port is closed; a connection that was made before is answered all the same.
    let reply = idle.get("/health/ready").await.unwrap();
    assert!(reply.status == 200 && reply.closes, "{reply:?}");
    idle.closed().await.unwrap();
}

#[tokio::test]
async fn whoever_comes_back_to_a_port_on_its_way_out_gets_it() {
    let server = serving("bind = \"127.0.0.1:0\"\ndrain_delay = \"10m\"").await;
    server.write_base(&base("bind = \"127.0.0.2:0\"\ndrain_delay = \"10m\""));
    let second = address(&server, "clients", 1).await;
    // The port has a number now, as in a file that a person writes.
    let third = free_port_on("127.0.0.3");
    server.write_base(&base(&format!("bind = \"{third}\"\ndrain_delay = \"10m\"")));
    assert_eq!(address(&server, "clients", 2).await, third);
    server.write_base(&base("bind = \"127.0.0.4:0\"\ndrain_delay = \"10m\""));
    address(&server, "clients", 3).await;
    server.write_base(&base(&format!("bind = \"{third}\"\ndrain_delay = \"10m\"")));
    assert_eq!(address(&server, "clients", 4).await, third);
    generation(&third, 5).await;
    assert!(!Raw::open(&second).await.unwrap().get("/health").await.unwrap().json()["ready"].is_null());
}

#[tokio::test]
async fn a_port_that_somebody_else_has_changes_nothing_and_is_named() {
    let server = serving("bind = \"127.0.0.1:0\"").await;
    let old = address(&server, "clients", 0).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    server.write_base(&base(&format!("bind = \"{taken}\"\nbody_limit = \"2MiB\"")));
    after_reload(&old, "rejected").await;
    let config = server.viewer().get("/api/admin/config").await.ok();
    let problem = &config["disk"]["problems"][0];
    assert_eq!(problem["key"], "server.bind", "{config}");
    assert_eq!(problem["message"], format!("cannot listen on {taken}: the port is in use"));
    assert_eq!(problem["hint"], "another process has this port; choose another one for server.bind");
    assert_eq!((&problem["file"], &problem["line"]), (&json!("monolith.toml"), &json!(3)));
    assert_eq!((&config["generation"], &config["values"]["server"]["body_limit"]), (&json!(1), &json!("1MiB")));
}

#[tokio::test]
async fn an_address_around_the_running_one_takes_a_restart_and_says_so() {
    let port = free_port_on("127.0.0.1").rsplit(':').next().unwrap().to_owned();
    let server = serving(&format!("bind = \"127.0.0.1:{port}\"")).await;
    server.write_base(&base(&format!("bind = \"0.0.0.0:{port}\"")));
    after_reload(&format!("127.0.0.1:{port}"), "rejected").await;
    let problems = server.viewer().get("/api/admin/config").await.ok()["disk"]["problems"].clone();
    assert_eq!(problems[0]["key"], "server.bind");
    assert_eq!(
        problems[0]["message"],
        format!("overlaps 127.0.0.1:{port}, which this process listens on, on the same port")
    );
    assert_eq!(problems[0]["line"], 3);
}

/// What is served at an address: the health, a key's verification, the admin API, the metrics, the description.
async fn served(address: &str) -> [u16; 5] {
    let mut raw = Raw::open(address).await.unwrap();
    let verify = raw.post("/api/keys/verify", &json!({"key": "x"})).await.unwrap().status;
    let mut found = [0, verify, 0, 0, 0];
    for (n, path) in [(0, "/health/ready"), (2, "/api/admin/whoami"), (3, "/metrics"), (4, "/openapi.json")] {
        found[n] = raw.get(path).await.unwrap().status;
    }
    found
}

#[tokio::test]
async fn administrators_get_a_door_of_their_own_and_the_other_one_forgets_them() {
    const EVERYTHING: [u16; 5] = [200, 200, 401, 200, 401];
    const CLIENTS: [u16; 5] = [200, 200, 404, 404, 404];
    let server = serving("bind = \"127.0.0.1:0\"\ndrain_delay = \"200ms\"").await;
    let main = address(&server, "clients", 0).await;
    assert_eq!(served(&main).await, EVERYTHING);
    let mut kept = Raw::open(&main).await.unwrap();
    assert_eq!(kept.get("/metrics").await.unwrap().status, 200);

    server.write_base(&base("bind = \"127.0.0.1:0\"\ndrain_delay = \"200ms\"\nadmin_bind = \"127.0.0.2:0\""));
    let admin = address(&server, "administrators", 0).await;
    generation(&main, 2).await;
    assert_eq!(served(&main).await, CLIENTS);
    assert_eq!(served(&admin).await, EVERYTHING);
    let reply = kept.get("/metrics").await.unwrap();
    assert_eq!((reply.status, reply.closes), (404, false), "the same connection, one generation later");

    server.write_base(&base("bind = \"127.0.0.1:0\"\ndrain_delay = \"200ms\"\nadmin_bind = \"127.0.0.3:0\""));
    let moved = address(&server, "administrators", 1).await;
    assert_eq!(served(&moved).await, EVERYTHING);
    is_refused(&admin).await;

    server.write_base(&base("bind = \"127.0.0.1:0\"\ndrain_delay = \"200ms\""));
    is_refused(&moved).await;
    assert_eq!(served(&main).await, EVERYTHING);
    assert_eq!(addresses(&server, "clients").len(), 1, "the first socket was never touched");
}

#[tokio::test]
async fn a_command_asks_where_administrators_are_served() {
    let server = serving("bind = \"127.0.0.1:0\"\nadmin_bind = \"127.0.0.2:0\"").await;
    let admin = address(&server, "administrators", 0).await;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_monolith"))
        .arg("smoke")
        .current_dir(server.folder())
        .env_clear()
        .env("MONOLITH_PROFILE", "test")
        .env("JWT_SECRET", JWT_SECRET)
        .env("MONOLITH_TOKEN", server.token("operator"))
        .env("MONOLITH_SERVER__ADMIN_BIND", &admin)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains(&format!("passed: http://{admin}")));
}

#[test]
fn two_sockets_cannot_have_one_port() {
    let server = monolith(&base("bind = \"127.0.0.1:8000\"\nadmin_bind = \"0.0.0.0:8000\""));
    let output = server.run(&["check"]);
    assert_eq!(output.status.code(), Some(3));
    let text = crate::harness::stderr(&output);
    assert!(text.contains("monolith.toml:4:14: server.admin_bind: overlaps server.bind (127.0.0.1:8000)"), "{text}");
}

#[tokio::test]
async fn a_raised_limit_lets_in_who_was_waiting() {
    let server = serving("bind = \"127.0.0.1:0\"\nmax_connections = 2").await;
    let address = address(&server, "clients", 0).await;
    // The harness' own connection goes when its client does; two take the places.
    let (mut one, mut two) = (Raw::open(&address).await.unwrap(), Raw::open(&address).await.unwrap());
    drop(server.anyone());
    one.get("/health/ready").await.unwrap();
    two.get("/health/ready").await.unwrap();
    let mut third = Raw::open(&address).await.unwrap();
    third.send("GET /health HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    server.write_base(&base("bind = \"127.0.0.1:0\"\nmax_connections = 3"));
    let health = third.reply().await.unwrap().json();
    assert_eq!(health["generation"], 2, "it was let in before there was a place for it");
    assert_eq!(one.get("/health/ready").await.unwrap().status, 200, "nobody had to go for it");
}

#[tokio::test]
async fn limits_of_a_request_change_without_touching_a_socket() {
    let before = "bind = \"127.0.0.1:0\"\nrequest_timeout = \"2m\"\nbody_limit = \"1MiB\"";
    let server = serving(before).await;
    let address = address(&server, "clients", 0).await;
    let mut kept = Raw::open(&address).await.unwrap();
    let long = json!({"key": "x".repeat(2000)});
    assert_eq!(kept.post("/api/keys/verify", &long).await.unwrap().status, 200);
    server.write_base(
        "[server]\nbind = \"127.0.0.1:0\"\nrequest_timeout = \"300ms\"\nbody_limit = \"1KiB\"\nheader_timeout = \"500ms\"\n",
    );
    generation(&address, 2).await;
    let reply = kept.post("/api/keys/verify", &long).await.unwrap();
    assert_eq!(reply.status, 413, "server.body_limit: {reply:?}");
    kept.send(
        "POST /api/keys/verify HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n",
    )
    .await
    .unwrap();
    let reply = kept.reply().await.unwrap();
    assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("timed_out")), "server.request_timeout");
    // A connection that says nothing, one that stops in the middle of a header, one that is idle after an answer.
    Raw::open(&address).await.unwrap().closed().await.expect("server.header_timeout");
    let mut slow = Raw::open(&address).await.unwrap();
    slow.send("GET /health HTTP/1.1\r\nho").await.unwrap();
    slow.closed().await.expect("server.header_timeout");
    let mut idle = Raw::open(&address).await.unwrap();
    idle.get("/health").await.unwrap();
    idle.closed().await.expect("server.header_timeout");
    assert_eq!(addresses(&server, "clients").len(), 1);
}

#[tokio::test]
async fn a_change_that_was_never_asked_for_whole_is_not_made_after_its_answer() {
    let server = serving("bind = \"127.0.0.1:0\"\nrequest_timeout = \"500ms\"").await;
    let address = address(&server, "clients", 0).await;
    let mut half = Raw::open(&address).await.unwrap();
    let head = format!(
        "POST /api/admin/api-keys HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\
        content-type: application/json\r\ncontent-length: 15\r\n\r\n{{\"name\"",
        server.token("operator")
    );
    half.send(&head).await.unwrap();
    let reply = half.reply().await.unwrap();
    assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("timed_out")));
    // Whoever sends the rest speaks to nobody.
    drop(half.send(":\"late\"}").await);
    half.closed().await.expect("nothing of the connection is left");
    let keys = server.viewer().get("/api/admin/api-keys").await.ok();
    assert_eq!(keys["items"], json!([]), "it was made after its client was told that it was not");
}

#[tokio::test]
async fn whose_word_about_an_address_is_believed_changes_at_once() {
    let store = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:data/keys.db\"\n[keys]\nstore = \"main\"\n";
    let with = |server: &str| format!("{}{store}", base(&format!("bind = \"127.0.0.1:0\"\n{server}")));
    let server = monolith(&with("")).own_address().ready().await;
    let operator = server.operator();
    let create = async |name: &str| -> Answer {
        let body = json!({ "name": name });
        let made = move |r: reqwest::RequestBuilder| r.json(&body).header("x-forwarded-for", "203.0.113.7");
        operator.send(reqwest::Method::POST, "/api/admin/api-keys", made).await
    };
    create("before").await.ok();
    server.write_base(&with("trusted_proxies = [\"127.0.0.0/8\"]"));
    server.wait_for_health(|health| health["generation"] == 2).await;
    create("after").await.ok();
    let file = server.folder().join("data/keys.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    let ips: Vec<String> = sqlx::query_scalar("select ip from key_events where kind = 'key.created' order by seq")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(ips, ["127.0.0.1", "203.0.113.7"]);
}

#[tokio::test]
async fn the_end_comes_by_the_times_that_are_in_force_then() {
    let server =
        serving("bind = \"127.0.0.1:0\"\ndrain_delay = \"10m\"\ndrain_timeout = \"10m\"\nrequest_timeout = \"5m\"")
            .await;
    let address = address(&server, "clients", 0).await;
    server.write_base(&base(
        "bind = \"127.0.0.1:0\"\ndrain_delay = \"600ms\"\ndrain_timeout = \"600ms\"\nrequest_timeout = \"5m\"",
    ));
    generation(&address, 2).await;
    let mut stuck = Raw::open(&address).await.unwrap();
    stuck
        .send("POST /api/keys/verify HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n")
        .await
        .unwrap();
    let mut kept = Raw::open(&address).await.unwrap();
    assert!(!kept.get("/health").await.unwrap().closes);
    signal(server.pid(), "TERM");
    until("not ready", async || (at(&address, "/health/ready").await.ok()? == 503).then_some(())).await;
    assert!(kept.get("/health").await.unwrap().closes, "clients are asked to leave while it drains");
    assert_eq!(server.ended(), Some(1), "one request was cut off, and the exit code says so");
}
