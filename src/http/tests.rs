//! The whole process inside a test, so that faults can be put into the steps of a reload and pointers be compared.
//! What can be seen from outside alone is tested in `tests/it`.

use super::Http;
use crate::config::Sources;
use crate::config::environment::Environment;
use crate::runtime::failpoints::{Fault, Step};
use crate::runtime::report::{Ending, Trigger};
use crate::runtime::{App, Part, start};
use crate::work::handler::Handlers;
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const RUNNING: &str = r#"
[server]
bind = "127.0.0.1:0"
drain_delay = "0s"
[stores.embedded]
kind = "sqlite"
url = "sqlite:a.db"
[stores.other]
kind = "sqlite"
url = "sqlite:b.db"
[keys]
store = "embedded"
[scheduler]
store = "embedded"
"#;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

async fn started() -> (TempDir, Arc<App>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("monolith.toml"), RUNNING).unwrap();
    let sources = Sources {
        working_dir: folder.path().to_path_buf(),
        environment: Environment::from_pairs([("JWT_SECRET", "7Qm0vKxY2bN5tR8wZ1cF4hJ6kL9pS3dG")]),
        ..Sources::default()
    };
    let app = start(sources, Part::Serve, Arc::new(Http::default()), Handlers::default(), false).await.unwrap();
    let ready = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while !app.is_ready() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();
    (folder, app)
}

async fn health(app: &App) -> Value {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let answer = http.get(format!("http://{}/health", app.address().unwrap())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_any_step_of_a_reload_leaves_what_is_running_untouched_to_the_pointer() {
    let (folder, app) = started().await;
    let (before, tasks) = (Arc::clone(&app.snapshot()), app.tasks.count());
    let edited = RUNNING.replace("b.db", "c.db").replace("127.0.0.1:0", "127.0.0.2:0");
    app.fail_points.set(Some((Step::Read, Fault::Error)));
    fs::write(folder.path().join("monolith.toml"), edited).unwrap();
    for (step, fault) in Step::ALL.into_iter().flat_map(|step| [(step, Fault::Error), (step, Fault::Panic)]) {
        app.fail_points.set(Some((step, fault)));
        let report = app.reload(Trigger::Api, None).await.unwrap();
        assert_eq!((report.ending, report.generation), (Ending::Rejected, 1), "{step:?} {fault:?}");
        assert!(!report.problems.is_empty(), "{step:?} {fault:?}");
        assert!(Arc::ptr_eq(&before, &app.snapshot()), "{step:?} {fault:?}");
        // One of the start may still have been ending when they were counted, and the outcome is recorded by another;
        // none may be left behind.
        let left = async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            while app.tasks.count() > tasks {
                looks.tick().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, left).await.is_ok(), "{step:?} {fault:?}");
        let health = health(&app).await;
        assert_eq!((health["status"].as_str(), health["generation"].as_u64()), (Some("degraded"), Some(1)));
        assert_eq!(health["config"]["disk_matches_running"], false);
    }
    app.fail_points.set(None);
    app.reload(Trigger::Api, None).await.unwrap();
    // Whether it was this wish or the watcher's, the file is taken up.
    assert_eq!(app.snapshot().generation, 2);
    assert!(app.address().unwrap().to_string().starts_with("127.0.0.2:"));
    assert_eq!(health(&app).await["status"], "ok");
    assert!(app.tasks.stop(PATIENCE).await);
}
