//! What actions do when they work, fail, take too long or leave children behind, on real processes and databases.
//! The rules around an action are tested in `ledger` and `engine`.

use crate::secret::Secret;
use crate::settings::workers::{Action, Worker};
use crate::work::fixture::{Replica, command, execute, file, memory, number, plan, shell, sql, until, worker};
use crate::work::{RunState, RunView};
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::tempdir;

/// Makes one run of an action on the store `main`, which is also the ledger.
async fn once(action: Action, timeout: Duration) -> (RunView, String) {
    let database = memory().await;
    let a = Replica::start("a", plan(&database, [Worker { timeout, ..worker("one", action) }]));
    let run = a.run_now("one").await;
    let output = a.work.output(run.id, 0).await.unwrap().data;
    (run, output)
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_command_sees_its_run_its_own_variables_and_nothing_else() {
    let action = Action::Command {
        argv: vec!["env".into()],
        env: BTreeMap::from([("MODE".into(), Secret::new("fast")), ("TOKEN".into(), Secret::new("s3cr3t-t0ken"))]),
        cwd: "/".into(),
    };
    let (run, output) = once(action, MINUTE).await;
    let names: Vec<&str> = output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let run_names = ["MONOLITH_RUN_ATTEMPT", "MONOLITH_RUN_ID", "MONOLITH_RUN_TICK_AT", "MONOLITH_RUN_WORKER"];
    assert_eq!(sorted, [&["MODE"], &run_names[..], &["PATH", "TOKEN"]].concat());
    assert!(output.contains(&format!("MONOLITH_RUN_ID={}\n", run.id)) && output.contains("MODE=fast\n"));
    assert!(output.contains("TOKEN=[redacted]\n") && !output.contains("s3cr3t"));
}

#[tokio::test]
async fn a_time_out_ends_a_command_with_its_children() {
    let folder = tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!(
        "sleep 100 & echo $! >> {0}; trap '' TERM; echo started; sleep 100 & echo $! >> {0}; wait",
        pids.display()
    );
    let (run, output) = once(shell(&script), Duration::from_millis(500)).await;
    assert_eq!((run.state, run.error.as_deref()), (RunState::TimedOut, Some("took longer than 500ms")));
    assert_eq!(output, "started\n");
    let children: Vec<String> = std::fs::read_to_string(&pids).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(children.len(), 2);
    until(async || !children.iter().any(|pid| lives(pid))).await;
}

/// A killed child of ours that nobody has waited for yet is dead, too.
fn lives(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_its_run() {
    let (run, output) = once(shell("sleep 100 & echo $!"), MINUTE).await;
    assert_eq!(run.state, RunState::Succeeded);
    until(async || !lives(output.trim())).await;
}

#[tokio::test]
async fn a_long_output_keeps_its_end() {
    let (run, output) = once(shell("yes 0123456789 | head -c 1000000; echo the end"), MINUTE).await;
    assert_eq!((run.output_bytes, run.output_truncated), (1_000_008, true));
    assert!(output.len() <= 64 * 1024 && output.ends_with("the end\n"));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_failure_with_its_name() {
    let (run, _) = once(command(&["no-such-program"]), MINUTE).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.error.unwrap().starts_with("`no-such-program` cannot be started: "));
}

#[tokio::test]
async fn a_statement_and_the_record_of_its_end_are_one_transaction() {
    let folder = tempdir().unwrap();
    let database = file(folder.path()).await;
    execute(&database, "create table hits (run text, attempt integer)").await;
    // The statement sees its own run in progress; only a commit of both shows the effect together with the end.
    let inserts = "insert into hits select :run_id, :attempt from work_run where id = :run_id and state = 'running'";
    let fails =
        "insert into hits select :run_id, abs(-9223372036854775807 - :attempt) from (select 1 union all select 2)";
    let a = Replica::start("a", plan(&database, [worker("good", sql(inserts)), worker("bad", sql(fails))]));
    let good = a.run_now("good").await;
    assert_eq!((good.state, good.result.as_deref()), (RunState::Succeeded, Some("1 row affected")));
    let bad = a.run_now("bad").await;
    assert_eq!((bad.state, bad.error.as_deref()), (RunState::Failed, Some("refused: integer overflow")));
    assert_eq!(number(&database, "select count(*) from hits").await, 1);
}

#[tokio::test]
async fn a_query_keeps_its_first_rows() {
    let folder = tempdir().unwrap();
    let database = file(folder.path()).await;
    let query = "select 1 as n, 'a' as t, null as nil, 1.5 as r, x'00ff' as b, :tick_at as tick, :attempt as attempt";
    let a = Replica::start("a", plan(&database, [worker("one", sql(query))]));
    let run = a.run_now("one").await;
    assert_eq!(run.error, None);
    let expected = "n\tt\tnil\tr\tb\ttick\tattempt\n1\ta\tnull\t1.5\t(2 bytes)\tnull\t1\n1 row";
    assert_eq!(run.result.as_deref(), Some(expected));
}
