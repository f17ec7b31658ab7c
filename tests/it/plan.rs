//! What a text would change, told by the server that it is meant for, without changing, opening or looking up anything.
//! What each change takes is tested beside `settings::diff`.

use crate::harness::{Api, TestMonolith, monolith, stderr, stdout};
use serde_json::{Value, json};

const BASE: &str = r#"[stores.embedded]
kind = "sqlite"
url = "sqlite:a.db"
[keys]
store = "embedded"
[scheduler]
store = "embedded"
[workers.tidy]
every = "1d"
run = { kind = "sql", store = "embedded", statement = "select 1" }
"#;

async fn plan(operator: &Api, base: &str) -> Value {
    operator.post("/api/admin/config/plan", json!({"base": base})).await.ok()
}

fn told(plan: &Value) -> Vec<String> {
    let changes = plan["changes"].as_array().unwrap().iter();
    changes.map(|c| format!("{} {} {}", c["node"], c["effect"], c["keys"]).replace('"', "")).collect()
}

#[tokio::test]
async fn a_plan_tells_every_change_and_makes_none() {
    let server = monolith(BASE).ready().await;
    let operator = server.operator();
    assert_eq!(plan(&operator, BASE).await, json!({"valid": true, "problems": [], "changes": [], "withdrawn_runs": 0}));

    let edited = BASE
        .replace("store = \"embedded\"\n[scheduler]", "store = \"embedded\"\ndefault_ttl = \"1d\"\n[scheduler]")
        + "[stores.more]\nkind = \"sqlite\"\nurl = \"sqlite:new/b.db\"\n[server]\nbind = \"127.0.0.1:1\"\n";
    let planned = plan(&operator, &edited).await;
    assert_eq!(planned["valid"], true, "{planned}");
    assert_eq!(
        told(&planned),
        ["keys hot [keys.default_ttl]", "stores.more rebuild [stores.more]"],
        "--bind still wins"
    );
    let value = &planned["changes"][0]["values"][0];
    assert_eq!((&value["from"], &value["to"]), (&json!("90d"), &json!("1d")));

    assert!(!server.folder().join("new").exists());
    let health = server.anyone().get("/health").await.json();
    assert_eq!((&health["generation"], &health["config"]["disk_matches_running"]), (&json!(1), &json!(true)));
}

#[tokio::test]
async fn what_would_be_rejected_is_told_with_its_place_in_the_posted_text() {
    let server = monolith(BASE).ready().await;
    let operator = server.operator();
    let planned = plan(&operator, &format!("{BASE}every = \"2d\"\n[server]\ndocs = \"offf\"\n")).await;
    assert_eq!((&planned["valid"], &planned["changes"]), (&json!(false), &json!([])));
    let places: Vec<_> = planned["problems"].as_array().unwrap().iter().map(|p| (&p["file"], &p["line"])).collect();
    assert_eq!(places[0], (&json!("monolith.toml"), &json!(11)), "{planned}");

    let planned = plan(&operator, &format!("{BASE}[server]\ndata_dir = \"elsewhere\"\n")).await;
    assert_eq!(planned["valid"], false);
    assert_eq!(told(&planned), ["server restart [server.data_dir]"]);
    let problem = &planned["problems"][0];
    assert_eq!((&problem["key"], &problem["line"]), (&json!("server.data_dir"), &json!(12)));

    let text = json!({"base": BASE, "profile": "[server]\nbody_limits = \"1B\"\n"});
    let planned = operator.post("/api/admin/config/plan", text).await.ok();
    assert_eq!(planned["problems"][0]["file"], "profiles/test.toml", "{planned}");

    operator.post("/api/admin/config/plan", json!({"base": ""})).await.ok()["problems"][0]["message"].as_str().unwrap();
    operator.post("/api/admin/config/plan", json!({"base": "x".repeat(2 << 20)})).await.refused(413, "body_too_large");
    operator.post("/api/admin/config/plan", json!({"file": "/etc/passwd"})).await.refused(422, "invalid");
    server.viewer().post("/api/admin/config/plan", json!({"base": BASE})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_plan_compares_secrets_by_their_source_and_looks_none_up() {
    let base = format!(
        "{BASE}[secrets]\npw = {{ file = \"pw\" }}\n[stores.pg]\nkind = \"postgres\"\nrequired = false\nurl = \"postgres://x:${{secrets.pw}}@127.0.0.1:1/x\"\n"
    );
    let server = monolith(&base).file("pw", "hunter2").ready().await;
    let operator = server.operator();
    // The file is gone: nobody notices, because nobody looks.
    let files = [server.folder().join("pw"), server.folder().join("ran")];
    std::fs::rename(&files[0], server.folder().join("hidden")).unwrap();
    assert_eq!(told(&plan(&operator, &base).await), Vec::<String>::new());
    std::fs::rename(server.folder().join("hidden"), &files[0]).unwrap();

    let asks = base.replace("file = \"pw\"", "env = \"NOT_SET_ANYWHERE\"");
    let planned = plan(&operator, &asks).await;
    assert_eq!(planned["valid"], true, "{planned}");
    assert_eq!(told(&planned), ["stores.pg rebuild [secrets.pw]", "secrets.pw hot [secrets.pw.env,secrets.pw.file]"]);
    assert!(!planned.to_string().contains("hunter2"));
    assert!(!files[1].exists());
}

#[tokio::test]
async fn runs_that_wait_for_a_worker_that_would_be_gone_are_counted() {
    let server = monolith(BASE).arg("--no-workers").ready().await;
    let operator = server.operator();
    server.operator().post("/api/admin/workers/tidy/run", json!({})).await.ok();
    let without = BASE.split("[workers.tidy]").next().unwrap();
    assert_eq!(plan(&operator, without).await["withdrawn_runs"], 1);
    let other = BASE.replace("1d", "2d");
    assert_eq!(plan(&operator, &other).await["withdrawn_runs"], 0, "what somebody asked for survives an edit");
    assert_eq!(plan(&operator, BASE).await["withdrawn_runs"], 0);
}

/// Runs `check --against` in the server's own folder.
fn against(server: &TestMonolith, token: &str, extra: &[&str]) -> (Option<i32>, String, String) {
    let file = server.folder().join("token");
    std::fs::write(&file, token).unwrap();
    let mut args = vec!["check", "--against", server.url(), "--token-file", "token", "--config", "next/monolith.toml"];
    args.extend(extra);
    let output = server.run(&args);
    (output.status.code(), stdout(&output), stderr(&output))
}

#[tokio::test]
async fn check_against_a_server_says_what_it_would_do_by_words_and_exit_code() {
    let server = monolith(BASE).ready().await;
    let created = server.run(&["token", "create", "me", "--role", "operator"]);
    let token = stdout(&created);
    std::fs::create_dir_all(server.folder().join("next/profiles")).unwrap();
    std::fs::copy(server.folder().join("profiles/test.toml"), server.folder().join("next/profiles/test.toml")).unwrap();
    let next = |text: &str| std::fs::write(server.folder().join("next/monolith.toml"), text).unwrap();

    next(BASE);
    assert_eq!(against(&server, &token, &[]), (Some(0), "ok: the server runs this already\n".into(), String::new()));
    next(&BASE.replace("every = \"1d\"", "every = \"2d\""));
    let (code, out, _) = against(&server, &token, &[]);
    insta::assert_snapshot!(format!("exit code {code:?}\n{out}"), @r#"
    exit code Some(0)
    hot       workers.tidy
      workers.tidy.every: "1d" -> "2d"
    ok: the server would apply this
    "#);
    next(&format!("{BASE}[server]\ndata_dir = \"elsewhere\"\n"));
    let (code, out, err) = against(&server, &token, &[]);
    insta::assert_snapshot!(format!("exit code {code:?}\n{out}{err}"), @r#"
    exit code Some(1)
    restart   server
      server.data_dir: "data" -> "elsewhere"
    error: monolith.toml:12:12: server.data_dir: cannot change while the process runs
      hint: restart the process to apply it, or put the old value back
    error: the server would reject this and change nothing
    "#);
    next("[server]\nbnid = 1\n");
    let (code, out, _) = against(&server, &token, &["--format", "json"]);
    assert_eq!(code, Some(3));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["problems"][0]["key"], "server.bnid");
    assert_eq!(against(&server, "nonsense", &[]).0, Some(5));
    assert_eq!(against(&server, &token, &["--profile", "prod"]).0, Some(1));
    assert_eq!(server.anyone().get("/health").await.json()["generation"], 1);
}
