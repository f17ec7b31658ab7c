//! Proves that the private servers can be broken as the other tests believe they can.
//! What is not installed here is not started: `cargo xtask test` names it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic in a test is its answer, and one test reads another's words"
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask::servers::{Kind, Mongo, Postgres, Redis, Server};

#[test]
fn a_killed_postgres_keeps_what_was_committed() {
    if !Kind::Postgres.can_start() {
        return;
    }
    let postgres = Postgres::start().unwrap();
    postgres.sql("create table kept (n int); insert into kept values (1)").unwrap();
    postgres.kill().unwrap();
    postgres.sql("select 1").unwrap_err();
    postgres.restart().unwrap();
    postgres.sql("select 1 / count(*) from kept").unwrap();
    pausing_freezes_and_resuming_revives(&postgres, || postgres.sql("select 1").is_ok());
}

#[test]
fn a_paused_postgres_stops_with_all_its_backends() {
    if !Kind::Postgres.can_start() {
        return;
    }
    let postgres = Postgres::start().unwrap();
    let folder = postgres.folder().to_owned();
    postgres.pause().unwrap();
    let started = Instant::now();
    drop(postgres);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(!folder.exists());
}

#[test]
fn a_role_with_a_password_cannot_log_in_without() {
    if !Kind::Postgres.can_start() {
        return;
    }
    let postgres = Postgres::start_with_password_role("app", "it's \"secret\"").unwrap();
    postgres.sql("select 1 / count(*) from pg_roles where rolname = 'app'").unwrap();
    let error = postgres.sql("select 1 / 0").unwrap_err();
    assert!(format!("{error:#}").contains("division by zero"), "{error:#}");
}

#[test]
fn a_killed_redis_keeps_what_was_written() {
    if !Kind::Redis.can_start() {
        return;
    }
    let redis = Redis::start().unwrap();
    assert_eq!(ask_redis(&redis, "SET kept 1").as_deref(), Some("+OK"));
    redis.kill().unwrap();
    assert_eq!(ask_redis(&redis, "GET kept"), None);
    redis.restart().unwrap();
    assert_eq!(ask_redis(&redis, "GET kept").as_deref(), Some("$1"));
    pausing_freezes_and_resuming_revives(&redis, || ask_redis(&redis, "PING").is_some());
}

#[test]
fn a_redis_can_want_a_password() {
    if !Kind::Redis.can_start() {
        return;
    }
    let redis = Redis::start_with_password("open sesame").unwrap();
    assert!(ask_redis(&redis, "PING").unwrap().starts_with("-NOAUTH"));
    assert_eq!(ask_redis(&redis, "AUTH \"open sesame\"").as_deref(), Some("+OK"));
}

#[test]
fn a_mongo_comes_back_on_the_same_port() {
    if !Kind::Mongo.can_start() {
        return;
    }
    let mongo = Mongo::start().unwrap();
    let port = mongo.port();
    mongo.pause().unwrap();
    mongo.resume().unwrap();
    mongo.kill().unwrap();
    mongo.restart().unwrap();
    mongo.stop().unwrap();
    assert!(mongo.pid().is_none());
    mongo.restart().unwrap();
    assert_eq!(mongo.port(), port);
}

/// The other half of this test is the same program, started again with this variable: it starts a server and is killed.
const VICTIM: &str = "XTASK_TEST_VICTIM";

#[test]
fn a_server_does_not_outlive_a_killed_test() {
    if !Kind::Redis.can_start() {
        return;
    }
    if std::env::var_os(VICTIM).is_some() {
        be_the_victim();
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_server_does_not_outlive_a_killed_test", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(victim.stderr.take().unwrap()).lines();
    let folder = PathBuf::from(said.next().unwrap().unwrap());
    assert!(folder.join("redis.conf").exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    let gone = eventually(|| !folder.exists());
    assert!(gone, "{} is still there", folder.display());
}

fn be_the_victim() -> ! {
    let redis = Redis::start().unwrap();
    redis.pause().unwrap(); // the hardest case: a stopped process hears no polite signal
    eprintln!("{}", redis.folder().display());
    loop {
        std::thread::park();
    }
}

fn pausing_freezes_and_resuming_revives(server: &Server, answers: impl Fn() -> bool) {
    assert!(answers());
    server.pause().unwrap();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.write_all(b"PING\r\n\0\0").unwrap();
    let silence = stream.read(&mut [0; 1]).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    server.resume().unwrap();
    assert!(answers());
}

/// The first line of the answer; none when nobody answers.
fn ask_redis(redis: &Redis, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).ok()?;
    String::from_utf8_lossy(answer.get(..length)?).lines().next().map(str::to_owned)
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, which tells nobody when it ends")]
fn eventually(done: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
