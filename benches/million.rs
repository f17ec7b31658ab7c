//! `cargo bench --bench million [-- KEYS]`: a million keys without metadata and with one scope, from SQLite and from Postgres:
//! from the start of the process to ready less the same with no keys, and the memory of one key. Fails above DESIGN §13.
#![expect(unreachable_pub, reason = "nothing outside of a bench could reach anything")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says so by a panic")]
#![expect(clippy::print_stdout, reason = "it talks to whoever sits at the shell")]
#![allow(dead_code, reason = "the rooms are shared with the tests, which use more of them")]

#[path = "../tests/it/harness.rs"]
mod harness; // starts the real binary

use harness::{Builder, TestMonolith, monolith};
use sqlx::{Connection, PgConnection, SqliteConnection};
use std::time::{Duration, Instant};
use xtask::servers::Postgres;

const KEYS: u64 = 1_000_000;
/// DESIGN §13.
const BYTES_A_KEY: u64 = 300;
const LOADED_WITHIN: Duration = Duration::from_secs(5);

fn main() {
    let keys = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(KEYS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fits = runtime.block_on(async { [on_sqlite(keys).await, on_postgres(keys).await] });
    assert!(fits.iter().all(|fits| *fits), "a figure is above its bound");
}

async fn on_sqlite(keys: u64) -> bool {
    let base = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n";
    let (empty, server) = started(monolith(base)).await;
    let file = server.folder().join("keys.db");
    let mut database = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let fill = "insert into api_keys (kid, created_at, name, environment, scopes, created_by, expires_at, hash, hash_alg) \
                with recursive n (n) as (select 1 union all select n + 1 from n where n < $1) \
                select printf('%012d', n), 1, 'key-' || n, 'test', '[\"orders:read\"]', 'ann', 4102444800000, randomblob(32), 'sha256' from n";
    sqlx::query(fill).bind(i64::try_from(keys).unwrap()).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let (full, server) = started(server.crash()).await;
    tell("SQLite", keys, empty, full, &server)
}

async fn on_postgres(keys: u64) -> bool {
    let postgres = Postgres::start().unwrap();
    let base = format!("[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\n[keys]\nstore = \"main\"\n", postgres.url());
    let (empty, server) = started(monolith(&base)).await;
    let mut database = PgConnection::connect(postgres.url()).await.unwrap();
    let fill = "insert into api_keys (kid, created_at, name, environment, scopes, created_by, expires_at, hash, hash_alg) \
                select lpad(n::text, 12, '0'), now(), 'key-' || n, 'test', '[\"orders:read\"]', 'ann', \
                now() + interval '1 year', sha256(n::text::bytea), 'sha256' from generate_series(1, $1) as n";
    sqlx::query(fill).bind(i64::try_from(keys).unwrap()).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let (full, server) = started(server.crash()).await;
    tell("Postgres", keys, empty, full, &server)
}

/// How long a start took, and how much memory the process has now.
#[derive(Clone, Copy)]
struct Start {
    took: Duration,
    bytes: u64,
}

async fn started(builder: Builder) -> (Start, TestMonolith) {
    let began = Instant::now();
    let server = builder.ready().await;
    let took = began.elapsed();
    (Start { took, bytes: memory(server.pid()) }, server)
}

/// What of the process is in memory and its own.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

fn tell(home: &str, keys: u64, empty: Start, full: Start, server: &TestMonolith) -> bool {
    let load = full.took.saturating_sub(empty.took);
    let each = full.bytes.saturating_sub(empty.bytes) / keys;
    println!(
        "{home:<10} {keys} keys: {each} bytes a key (bound {BYTES_A_KEY}), loaded in {load:.1?} (bound {LOADED_WITHIN:?}); {}",
        server.url()
    );
    each <= BYTES_A_KEY && load <= LOADED_WITHIN
}
