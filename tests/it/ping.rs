//! Somebody outside is told of each success, and a run never waits for them.
//! The receiver is a real HTTP server of the test's own.

use crate::harness::TestMonolith;
use crate::receiver::{Heard, Receiver, Reply};
use crate::runs::{base, everything_told, run, start};

async fn pinging(reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static, script: &str) -> (Receiver, TestMonolith) {
    let receiver = Receiver::start(reply).await;
    let ping = format!("ping = \"{}/hunter2-path/${{secrets.p}}?t=hunter2-query\"\n", receiver.url());
    let run = format!("run = {{ kind = \"command\", argv = [\"sh\", \"-c\", \"{script}\"] }}\n");
    let secrets = "[secrets]\np = { literal = \"hunter2-secret\" }\n[telemetry]\nlog = \"trace\"\n";
    let server = start(&base(&format!("{ping}{run}{secrets}"))).await;
    (receiver, server)
}

async fn counted(server: &TestMonolith, outcome: &str) {
    let line = format!("monolith_worker_pings_total{{outcome=\"{outcome}\",worker=\"it\"}} 1");
    server.viewer().wait_for("/metrics", |answer| answer.text.contains(&line)).await;
}

#[tokio::test]
async fn each_success_is_told_and_no_failure_is() {
    let (receiver, server) = pinging(|_| Reply::new(200, "OK"), "test -e works").await;
    assert_eq!(run(&server).await["state"], "failed");
    std::fs::write(server.folder().join("works"), "").unwrap();
    assert_eq!(run(&server).await["state"], "succeeded");
    let heard = receiver.hear(1).await;
    assert_eq!(
        (heard[0].method.as_str(), heard[0].path.as_str()),
        ("GET", "/hunter2-path/hunter2-secret?t=hunter2-query")
    );
    counted(&server, "ok").await;
    assert_eq!(receiver.heard().len(), 1);
    let told = everything_told(&server).await;
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("hunter2")).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

#[tokio::test]
async fn a_ping_that_is_refused_is_tried_three_times_and_fails_no_run() {
    let (receiver, server) = pinging(|_| Reply::new(500, "hunter2"), "true").await;
    assert_eq!(run(&server).await["state"], "succeeded");
    receiver.hear(3).await;
    counted(&server, "failed").await;
    assert_eq!(receiver.heard().len(), 3);
    let log = server.log();
    assert!(log.contains("127.0.0.1 answered 500"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_run() {
    let (receiver, server) = pinging(|_| Reply::Nothing, "true").await;
    for _ in 0..3 {
        assert_eq!(run(&server).await["state"], "succeeded");
    }
    receiver.hear(3).await;
    assert_eq!(server.terminate(), Some(0), "nor the end of the process");
}
