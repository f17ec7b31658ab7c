//! Workers that send a command to MongoDB: a real one where the machine has it, else the stand-in, which knows neither time limits nor
//! every command. Kinds of failure that the file can show are in the gallery, `tests/bad`.

use crate::harness::TestMonolith;
use crate::runs::{ask, base, cancel, everything_told, run, run_that, start};
use mongodb::bson::{Document, doc};
use xtask::servers::Mongo;

fn sends(mongo: &Mongo, command: &str) -> String {
    let address = mongo.url().trim_start_matches("mongodb://");
    let store = format!(
        "[stores.docs]\nkind = \"mongodb\"\nurl = \"mongodb://{address}/?appName=hunter2-app\"\nconnect_timeout = \"2s\"\n"
    );
    let run =
        format!("[workers.it.run]\nkind = \"mongodb\"\nstore = \"docs\"\ndatabase = \"app\"\ncommand = {command}\n");
    base(&format!("{run}{store}"))
}

async fn against(mongo: &Mongo, command: &str) -> TestMonolith {
    start(&sends(mongo, command)).await
}

async fn found(mongo: &Mongo, collection: &str) -> Vec<Document> {
    let client = mongodb::Client::with_uri_str(mongo.url()).await.unwrap();
    let command = doc! { "find": collection, "filter": {} };
    let answer = client.database("app").run_command(command).await.unwrap();
    let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.iter().map(|found| found.as_document().unwrap().clone()).collect()
}

#[tokio::test]
async fn a_command_is_done_in_the_order_it_was_written_and_knows_which_run_it_is() {
    let mongo = Mongo::start().unwrap();
    let documents = "[{ z = 1, run = \"${run.id}\", worker = \"${run.worker}\", attempt = \"${run.attempt}\", at = { \"$date\" = \"2026-11-24T03:00:00Z\" }, a = 1.5 }]";
    // By name alone `documents` would come first, and be the command.
    let server = against(&mongo, &format!("{{ insert = \"seen\", documents = {documents} }}")).await;
    let run = run(&server).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    assert!(run["result"].as_str().unwrap().contains("\"n\": 1"), "{run}");
    let seen = found(&mongo, "seen").await.remove(0);
    assert_eq!((seen.get_str("run").ok(), seen.get_str("worker").ok()), (run["id"].as_str(), Some("it")));
    assert_eq!((seen.get_str("attempt").ok(), seen.get_i32("z").ok()), (Some("1"), Some(1)));
    assert_eq!(seen.get_datetime("at").unwrap().timestamp_millis(), 1_795_489_200_000);
    let keys: Vec<&String> = seen.keys().filter(|key| *key != "_id").collect();
    assert_eq!(keys, ["z", "run", "worker", "attempt", "at", "a"]);
}

#[tokio::test]
async fn a_write_that_is_refused_inside_a_good_answer_is_a_failure_and_its_retry_the_same_run() {
    let mongo = Mongo::start().unwrap();
    let documents = "[{ _id = \"${run.id} ${run.attempt}\" }, { _id = \"only once\" }, { _id = \"only once\" }]";
    let text = sends(&mongo, &format!("{{ insert = \"seen\", documents = {documents} }}"));
    let text = text.replace("[workers.it.run]", "retry = { attempts = 2, initial = \"100ms\" }\n[workers.it.run]");
    let failed = run(&start(&text).await).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["error"].as_str().unwrap().starts_with("refused 1 of its writes, the first: "), "{failed}");
    let ids: Vec<String> =
        found(&mongo, "seen").await.iter().map(|seen| seen.get_str("_id").unwrap().to_owned()).collect();
    let id = failed["id"].as_str().unwrap();
    assert_eq!(ids, [format!("{id} 1"), "only once".into(), format!("{id} 2")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_left_at_the_time_out_and_when_somebody_cancels() {
    let mongo = Mongo::start().unwrap();
    let text = sends(&mongo, "{ count = \"seen\" }").replace("[workers.it.run]", "timeout = \"1s\"\n[workers.it.run]");
    let server = start(&text).await;
    assert_eq!(run(&server).await["state"], "succeeded");
    mongo.pause().unwrap();
    let hung = run(&server).await;
    assert_eq!((&hung["state"], &hung["error"]), (&"timed_out".into(), &"took longer than 1s".into()));
    server.write_base(&text.replace("timeout = \"1s\"", "timeout = \"1m\""));
    server.wait_for_health(|health| health["generation"] == 2).await;
    let id = ask(&server).await;
    run_that(&server, &id, |run| run["state"] == "running").await;
    assert_eq!(cancel(&server, &id).await["state"], "cancelled");
    mongo.resume().unwrap();
    assert_eq!(run(&server).await["state"], "succeeded");
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_failure_without_its_address() {
    let mongo = Mongo::start().unwrap();
    let server = against(&mongo, "{ count = \"seen\" }").await;
    mongo.kill().unwrap();
    let failed = run(&server).await;
    assert_eq!(failed["state"], "failed");
    assert!(failed["error"].as_str().unwrap().starts_with("cannot be reached: "), "{failed}");
    assert!(!everything_told(&server).await.contains("hunter2"));
}
