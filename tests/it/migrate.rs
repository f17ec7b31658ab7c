//! Replicas that start at once on an empty database, one of which dies in the middle of the migration.
//! Each is a process of its own with a login of its own, by which the database tells who is at work.

use crate::harness::{PATIENCE, TestMonolith, monolith, postgres_text};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::time::Instant;
use xtask::servers::Postgres;

const REPLICAS: usize = 5;

fn start(postgres: &Postgres, login: &str) -> TestMonolith {
    let url = postgres.url_for(login, "fleet");
    monolith("# see the environment\n").env("DATABASE_URL", &url).env("USE_DB_KEYS", "1").start()
}

/// The login that waits in the middle of its work.
async fn who_migrates(postgres: &Postgres) -> String {
    let give_up = Instant::now() + PATIENCE;
    let waiting = "select usename::text from pg_stat_activity where wait_event_type = 'Lock' and usename like 'r%'";
    loop {
        if let Some(login) = postgres_text(postgres, waiting).await.pop() {
            return login;
        }
        assert!(Instant::now() < give_up, "nobody began to migrate");
    }
}

#[tokio::test]
async fn five_replicas_start_on_an_empty_database_though_one_is_killed_in_the_middle_of_the_migration() {
    let postgres = Postgres::start().unwrap();
    postgres.sql("create database fleet").unwrap();
    let logins: Vec<String> = (1..=REPLICAS).map(|n| format!("r{n}")).collect();
    for login in &logins {
        postgres.sql(&format!("create role {login} superuser login")).unwrap();
    }
    // Somebody else is just making the second table, so that whoever migrates stands still after the first.
    let mut obstacle = PgConnection::connect(&postgres.url_for("test", "fleet")).await.unwrap();
    let mut making = obstacle.begin().await.unwrap();
    sqlx::raw_sql("create table key_events (seq bigint)").execute(&mut *making).await.unwrap();

    let mut fleet: Vec<(String, TestMonolith)> =
        logins.iter().map(|login| (login.clone(), start(&postgres, login))).collect();
    let dying = who_migrates(&postgres).await;
    let position = fleet.iter().position(|(login, _)| *login == dying).unwrap();
    drop(fleet.remove(position).1.crash());
    making.rollback().await.unwrap();

    for (login, server) in &fleet {
        server.wait_for("/health/ready", |answer| answer.status == 200).await;
        let issued = server.operator().post("/api/admin/api-keys", json!({"name": login})).await.ok();
        let verdict = server.anyone().post("/api/keys/verify", json!({"key": issued["key"]})).await.ok();
        assert_eq!(verdict["valid"], true, "{login}: {verdict}");
    }
    let applied = |server: &TestMonolith| server.log().matches("migration 0001_keys applied").count();
    assert_eq!(fleet.iter().map(|(_, server)| applied(server)).sum::<usize>(), 1, "the schema is applied once");
}
