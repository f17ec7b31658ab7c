//! The whole process inside a test, so that faults can be put into the steps of a reload and pointers be compared.
//! What can be seen from outside alone is tested in `tests/it`.

use super::Http;
use crate::config::Sources;
use crate::config::environment::Environment;
use crate::runtime::failpoints::{Fault, Step};
use crate::runtime::report::{Ending, Trigger};
use crate::runtime::{App, Part, start};
use crate::work::handler::Handlers;
use axum::routing::get;
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

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
    started_beside("", Http::default()).await
}

/// With this in front of the file, and with these routes.
async fn started_beside(first: &str, http: Http) -> (TempDir, Arc<App>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("monolith.toml"), RUNNING.replacen("[server]\n", &format!("[server]\n{first}"), 1))
        .unwrap();
    let sources = Sources {
        working_dir: folder.path().to_path_buf(),
        environment: Environment::from_pairs([("JWT_SECRET", "7Qm0vKxY2bN5tR8wZ1cF4hJ6kL9pS3dG")]),
        ..Sources::default()
    };
    let app = start(sources, Part::Serve, Arc::new(http), Handlers::default(), false).await.unwrap();
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

fn told(app: &App) -> String {
    String::from_utf8(app.metrics.render().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_hangs_or_panics_or_loses_its_client_is_counted() {
    let begun = Arc::new(Notify::new());
    let begins = Arc::clone(&begun);
    let hangs = get(move || {
        begins.notify_one();
        std::future::pending::<()>()
    });
    let stumbles = get(|| async { assert!(std::hint::black_box(false), "this handler always stumbles") });
    let routes = axum::Router::new().route("/hangs", hangs).route("/stumbles", stumbles);
    let (_folder, app) = started_beside("request_timeout = \"1s\"\n", Http::beside(routes)).await;
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let url = |path: &str| format!("http://{}{path}", app.address().unwrap());
    assert_eq!(http.get(url("/stumbles")).send().await.unwrap().status(), 500);
    assert_eq!(http.get(url("/hangs")).send().await.unwrap().status(), 503);
    begun.notified().await;
    let half =
        "POST /api/keys/verify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    let mut talking = TcpStream::connect(app.address().unwrap()).await.unwrap();
    talking.write_all(half.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    talking.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 503");
    let mut leaving = TcpStream::connect(app.address().unwrap()).await.unwrap();
    leaving.write_all(b"GET /hangs HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    begun.notified().await;
    drop(leaving);
    let counted = ["GET /stumbles 500", "GET /hangs 503", "POST /api/keys/verify 503", "GET /hangs 499"];
    let lines = counted.map(|counted| {
        let [method, route, status] = counted.split(' ').collect::<Vec<_>>()[..] else { panic!("{counted}") };
        format!("http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} 1\n")
    });
    let all = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while !lines.iter().all(|line| told(&app).contains(line)) {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, all).await.is_ok(), "{lines:#?} in\n{}", told(&app));
    assert!(app.tasks.stop(PATIENCE).await);
}
