//! Workers that call a URL, against a real HTTP server of the test's own.
//! Kinds of failure that the file can show are in the gallery, `tests/bad`.

use crate::harness::TestMonolith;
use crate::receiver::{Receiver, Reply};
use crate::runs::{ask, base, cancel, everything_told, run, run_that, start};
use serde_json::Value;

fn calls(url: &str, more: &str) -> String {
    base(&format!("run = {{ kind = \"http\", url = \"{url}\"{more} }}"))
}

async fn against(
    reply: impl Fn(&crate::receiver::Heard) -> Reply + Send + Sync + 'static,
    more: &str,
) -> (Receiver, TestMonolith) {
    let receiver = Receiver::start(reply).await;
    let server = start(&calls(&format!("{}/jobs", receiver.url()), more)).await;
    (receiver, server)
}

fn text<'v>(run: &'v Value, part: &str) -> &'v str {
    run[part].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_call_arrives_whole_and_says_which_run_it_is() {
    let more = ", method = \"POST\", body = \"{\\\"full\\\":true}\", headers = { content-type = \"application/json\" }";
    let (receiver, server) = against(|_| Reply::new(200, "rebuilt 7 pages"), more).await;
    let run = run(&server).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    assert!(
        text(&run, "result").starts_with("200 OK in ") && text(&run, "result").ends_with("\nrebuilt 7 pages"),
        "{run}"
    );
    let heard = receiver.heard().remove(0);
    assert_eq!((heard.method.as_str(), heard.path.as_str(), heard.body.as_str()), ("POST", "/jobs", "{\"full\":true}"));
    let header = |name: &str| heard.headers.get(name).map(String::as_str);
    assert_eq!(header("x-monolith-run-id"), run["id"].as_str());
    assert_eq!(header("idempotency-key"), run["id"].as_str());
    assert_eq!((header("x-monolith-run-worker"), header("x-monolith-run-attempt")), (Some("it"), Some("1")));
    assert_eq!((header("x-monolith-run-tick-at"), header("content-type")), (None, Some("application/json")));
}

#[tokio::test]
async fn a_tick_tells_its_instant_and_a_retry_is_the_same_run_with_another_attempt() {
    let receiver = Receiver::start(|heard| match heard.headers["x-monolith-run-attempt"].as_str() {
        "1" => Reply::new(503, "busy"),
        _ => Reply::new(204, ""),
    })
    .await;
    let retry = "retry = { attempts = 3, initial = \"100ms\" }\n";
    let every = calls(receiver.url(), "")
        .replace("schedule = \"0 0 29 2 *\"", &format!("every = \"1s\"\ntimeout = \"1s\"\n{retry}"));
    let server = start(&every).await;
    let heard = receiver.hear(2).await;
    let (first, again) = (&heard[0].headers, &heard[1].headers);
    assert_eq!(first["x-monolith-run-id"], again["x-monolith-run-id"]);
    assert_eq!(first["idempotency-key"], again["idempotency-key"]);
    assert_eq!((first["x-monolith-run-attempt"].as_str(), again["x-monolith-run-attempt"].as_str()), ("1", "2"));
    let run = run_that(&server, &first["x-monolith-run-id"], |run| run["state"] == "succeeded").await;
    assert_eq!(Some(first["x-monolith-run-tick-at"].as_str()), run["tick_at"].as_str());
    assert_eq!(run["attempts"][0]["error"], "answered 503 Service Unavailable, expected 2xx");
}

#[tokio::test]
async fn another_status_than_expected_is_a_failure_that_shows_the_answer() {
    let (_receiver, server) = against(|_| Reply::new(500, "the index is locked"), "").await;
    let failed = run(&server).await;
    assert_eq!(
        (&failed["state"], text(&failed, "error")),
        (&"failed".into(), "answered 500 Internal Server Error, expected 2xx")
    );
    assert!(text(&failed, "result").ends_with("the index is locked"), "{failed}");
    let (_receiver, server) = against(|_| Reply::new(409, ""), ", expect_status = [200, 409]").await;
    assert_eq!(run(&server).await["state"], "succeeded");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_and_its_path_is_not() {
    let server = start(&calls("http://127.0.0.1:9/hunter2-in-the-path", "")).await;
    let failed = run(&server).await;
    assert_eq!(failed["state"], "failed");
    assert!(text(&failed, "error").starts_with("127.0.0.1: cannot connect: "), "{failed}");
    assert!(!everything_told(&server).await.contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_at_the_time_out() {
    for reply in [|_: &_| Reply::Nothing, |_: &_| Reply::HalfABody] {
        let receiver = Receiver::start(reply).await;
        let server = start(&calls(receiver.url(), "").replace("run =", "timeout = \"2s\"\nrun =")).await;
        let run = run(&server).await;
        assert_eq!((&run["state"], text(&run, "error")), (&"timed_out".into(), "took longer than 2s"));
        receiver.lose(1).await;
    }
}

#[tokio::test]
async fn a_cancelled_call_is_cut_off() {
    let (receiver, server) = against(|_| Reply::Nothing, "").await;
    let id = ask(&server).await;
    receiver.hear(1).await;
    let run = cancel(&server, &id).await;
    assert_eq!((&run["state"], text(&run, "error")), (&"cancelled".into(), "cancelled by test-operator"));
    receiver.lose(1).await;
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_host_and_never_takes_a_secret_elsewhere() {
    let thief = Receiver::start(|_| Reply::new(200, "thanks")).await;
    let elsewhere = format!("{}/stolen", thief.url());
    let reply = move |heard: &crate::receiver::Heard| match heard.path.as_str() {
        "/jobs" => Reply::redirect(307, "/moved".into()),
        "/moved" => Reply::redirect(307, elsewhere.clone()),
        _ => Reply::new(404, ""),
    };
    let (receiver, server) = against(reply, ", headers = { x-api-key = \"hunter2-hunter2\" }").await;
    let failed = run(&server).await;
    assert_eq!(failed["state"], "failed");
    assert!(text(&failed, "error").contains("leads to another host"), "{failed}");
    let paths: Vec<String> = receiver.heard().into_iter().map(|heard| heard.path).collect();
    assert_eq!(paths, ["/jobs", "/moved"]);
    assert!(thief.heard().is_empty());
}

#[tokio::test]
async fn a_huge_answer_is_kept_by_its_first_bytes() {
    let (_receiver, server) = against(|_| Reply::new(200, "y".repeat(3_000_000)), "").await;
    let run = run(&server).await;
    assert_eq!(run["state"], "succeeded");
    assert!(text(&run, "result").len() < 5_000 && text(&run, "result").ends_with("(the rest is not shown)"));
}

#[tokio::test]
async fn a_secret_is_sent_where_it_belongs_and_never_shown_though_the_other_end_repeats_it() {
    let receiver = Receiver::start(|heard| {
        Reply::new(500, format!("{} {} {}", heard.path, heard.headers["authorization"], heard.body))
    })
    .await;
    let secrets = "[secrets]\na = { literal = \"hunter2/in url\" }\nb = { literal = \"hunter2-in-header\" }\nc = { literal = \"hunter2-in-body\" }\n";
    let more = ", method = \"POST\", headers = { authorization = \"Bearer ${secrets.b}\" }, body = \"k=${secrets.c}\"";
    let text = calls(&format!("{}/hook/${{secrets.a}}?t=hunter2-query", receiver.url()), more) + secrets;
    let server = start(&text.replace("[stores.", "[telemetry]\nlog = \"trace\"\n[stores.")).await;
    let failed = run(&server).await;
    let heard = receiver.heard().remove(0);
    assert_eq!(heard.path, "/hook/hunter2%2Fin%20url?t=hunter2-query");
    assert_eq!(
        (heard.headers["authorization"].as_str(), heard.body.as_str()),
        ("Bearer hunter2-in-header", "k=hunter2-in-body")
    );
    assert!(failed["result"].as_str().unwrap().contains("[redacted] [redacted] k=[redacted]"), "{failed}");
    let told = everything_told(&server).await;
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("hunter2")).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}
