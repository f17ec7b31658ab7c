//! Workers that run a statement: what stops with the run also stops on the server, and what was found is kept.
//! Transactions with the ledger are tested beside `work`.

use crate::harness::{PATIENCE, TestMonolith, postgres_text};
use crate::runs::{ask, base, cancel, run, run_that, start};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;
use xtask::servers::Postgres;

/// What the statements of these tests can be found by, on the server.
const ACTIVE: &str = "select query from pg_stat_activity where query like '%a_long_sleep%' and query not like '%pg_stat_activity%' and state <> 'idle'";

/// `run` is what stands in the table of the action beside its kind and store.
async fn on(postgres: &Postgres, timeout: &str, run: &str) -> TestMonolith {
    let store = format!("[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\n", postgres.url());
    let worker = format!("timeout = \"{timeout}\"\nrun = {{ kind = \"sql\", store = \"main\", {run} }}\n");
    start(&base(&format!("{worker}{store}"))).await
}

async fn statements(postgres: &Postgres, wanted: usize) {
    let waiting = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        while postgres_text(postgres, ACTIVE).await.len() != wanted {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the statements on the server never became as wanted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_stopped_stops_on_the_server_too() {
    let postgres = Postgres::start().unwrap();
    for transactional in [true, false] {
        let run = format!("statement = \"select pg_sleep(600) as a_long_sleep\", transactional = {transactional}");
        let server = on(&postgres, "6s", &run).await;
        let id = ask(&server).await;
        statements(&postgres, 1).await;
        let ended = run_that(&server, &id, |run| !run["finished_at"].is_null()).await;
        assert_eq!((&ended["state"], &ended["error"]), (&"timed_out".into(), &"took longer than 6s".into()));
        statements(&postgres, 0).await;
        let server = on(&postgres, "10m", &run).await;
        let id = ask(&server).await;
        statements(&postgres, 1).await;
        assert_eq!(cancel(&server, &id).await["state"], "cancelled");
        statements(&postgres, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_is_counted_and_what_was_found_is_kept_by_its_first_rows() {
    let postgres = Postgres::start().unwrap();
    postgres.sql("create table sessions as select generate_series(1, 30) as id").unwrap();
    let server = on(&postgres, "1m", "statement = \"delete from sessions where id > 10\"").await;
    assert_eq!(run(&server).await["result"], "20 rows affected");
    let server =
        on(&postgres, "1m", "statement = \"select g as n, :worker as who from generate_series(1, 25) g\"").await;
    let result = run(&server).await["result"].as_str().unwrap().to_owned();
    assert!(result.starts_with("n\twho\n1\tit\n") && result.ends_with("25 rows, the first 20 are shown"), "{result}");
}

#[tokio::test]
async fn an_endless_statement_on_the_embedded_database_is_interrupted_and_leaves_it_free() {
    let endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n";
    let worker = |timeout: &str, transactional: bool| {
        let run =
            format!("kind = \"sql\", store = \"ledger\", transactional = {transactional}, statement = \"{endless}\"");
        base(&format!("timeout = \"{timeout}\"\nrun = {{ {run} }}"))
    };
    let server = start(&worker("300ms", true)).await;
    let ended = run(&server).await;
    assert_eq!((&ended["state"], &ended["error"]), (&"timed_out".into(), &"took longer than 300ms".into()));
    // In a transaction it would hold the lock of the file that the ledger is in: nobody could record the wish to cancel it.
    server.write_base(&worker("10m", false));
    server.wait_for_health(|health| health["generation"] == 2).await;
    let id = ask(&server).await;
    run_that(&server, &id, |run: &Value| run["state"] == "running").await;
    assert_eq!(cancel(&server, &id).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_are_more_than_connections_wait_and_cost_no_run_its_lease() {
    let postgres = Postgres::start().unwrap();
    let store = format!(
        "[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\nmax_connections = 1\nconnect_timeout = \"1s\"\n",
        postgres.url()
    );
    let action = "run = { kind = \"sql\", store = \"main\", statement = \"select pg_sleep(4) as a_long_sleep\" }";
    let worker = format!("schedule = \"0 0 29 2 *\"\noverlap = \"allow\"\n{action}\n");
    let server = start(&format!("{store}[scheduler]\nstore = \"main\"\nlease = \"3s\"\n[workers.it]\n{worker}")).await;
    let runs = [ask(&server).await, ask(&server).await];
    statements(&postgres, 1).await;
    for id in &runs {
        let ended = run_that(&server, id, |run| !run["finished_at"].is_null()).await;
        assert_eq!((&ended["state"], &ended["attempt"]), (&"succeeded".into(), &1.into()), "{ended}");
    }
    let log = server.log();
    assert!(!log.contains("ledger does not answer") && !log.contains("lease"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_finds_the_columns_that_its_table_has_today() {
    const FIND: &str = "statement = \"select * from sessions\"";
    let postgres = Postgres::start().unwrap();
    postgres.sql("create table sessions as select 1 as id").unwrap();
    let store = format!("[stores.main]\nkind = \"postgres\"\nurl = \"{}\"\nmax_connections = 1\n", postgres.url());
    for transactional in [true, false] {
        let action = format!("run = {{ kind = \"sql\", store = \"main\", transactional = {transactional}, {FIND} }}\n");
        let server = start(&base(&format!("{action}{store}"))).await;
        let before = run(&server).await["result"].as_str().unwrap().to_owned();
        postgres.sql(&format!("alter table sessions add column more_{transactional} integer")).unwrap();
        let ended = run(&server).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert!(ended["result"].as_str().unwrap().contains(&format!("more_{transactional}")), "{before} {ended}");
    }
    let store = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:main.db\"\nmax_connections = 1\n";
    let action = format!("run = {{ kind = \"sql\", store = \"main\", {FIND} }}\n");
    let server = start(&base(&format!("{action}{store}"))).await;
    let mut database =
        SqliteConnection::connect(&format!("sqlite:{}", server.folder().join("main.db").display())).await.unwrap();
    for change in ["create table sessions (id integer)", "insert into sessions values (1)"] {
        sqlx::raw_sql(change).execute(&mut database).await.unwrap();
    }
    assert_eq!(run(&server).await["result"], "id\n1\n1 row");
    sqlx::raw_sql("alter table sessions add column more integer").execute(&mut database).await.unwrap();
    let ended = run(&server).await;
    assert_eq!(ended["result"], "id\tmore\n1\tnull\n1 row", "{ended}");
}
