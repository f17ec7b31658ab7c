//! A program of your own around Monolith: a handler that a worker names, and a route that asks who is there.
//! Run it with `cargo run --example embedded -- serve --config examples/embedded.toml`.

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use monolith::embed::{NoHandle, Run, Stores, Viewer};
use serde_json::{Value, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    monolith::Builder::from_args()
        .handler("count_visits", count_visits)
        .handler("wait", wait)
        .handler("stumble", stumble)
        .routes(Router::new().route("/visits/{page}", get(visits)))
        .run()
}

/// Why a visit was not counted.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    NoHandle(#[from] NoHandle),
    #[error("the database refused: {0}")]
    Database(#[from] sqlx::Error),
}

/// Counts a visit for each run, once: a second attempt of the same run finds its row there already.
async fn count_visits(run: Run) -> Result<(), Trouble> {
    let database = run.stores().sqlite("main")?;
    sqlx::raw_sql("create table if not exists visit (run text primary key)").execute(&database).await?;
    let visit = sqlx::query("insert into visit values ($1) on conflict do nothing").bind(run.id().to_string());
    let counted = visit.execute(&database).await?.rows_affected();
    run.log(format_args!("attempt {} of {}: {counted} counted", run.attempt(), run.worker()));
    Ok(())
}

/// Ends only when it is told to, and tidies up.
async fn wait(run: Run) -> Result<(), Trouble> {
    run.log("waiting");
    run.cancellation().cancelled().await;
    run.log("told to stop");
    Ok(())
}

/// What a mistake in a handler does: its run fails, and nothing else does.
async fn stumble(run: Run) -> Result<(), Trouble> {
    assert!(run.attempt() > 1_000, "this handler always stumbles");
    Ok(())
}

/// Answers whoever has a token.
async fn visits(
    Viewer(caller): Viewer,
    stores: Stores,
    axum::extract::Path(page): axum::extract::Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let database = stores.sqlite("main").map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let count = sqlx::query_scalar::<_, i64>("select count(*) from visit").fetch_one(&database).await;
    Ok(Json(json!({ "page": page, "asked_by": caller.subject, "visits": count.unwrap_or(0) })))
}
