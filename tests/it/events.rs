//! What happens in a server, listened to over real HTTP for as long as it lives.

use crate::harness::{IN_MEMORY, PATIENCE, TestMonolith, monolith};
use serde_json::{Value, json};

/// Somebody who listens, and what was heard and not looked at yet.
pub struct Listener {
    response: reqwest::Response,
    heard: String,
    token: String,
}

#[derive(Debug)]
pub struct Heard {
    name: String,
    id: Option<String>,
    pub data: Value,
}

impl Listener {
    pub async fn begin(server: &TestMonolith, last: Option<&str>) -> Self {
        let token = server.run(&["token", "create", "listener", "--role", "viewer"]).stdout;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = http.get(format!("{}/api/admin/events", server.url()));
        let token = String::from_utf8(token).unwrap().trim().to_owned();
        request = request.bearer_auth(&token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Self { response, heard: String::new(), token }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((event, rest)) = self.heard.split_once("\n\n") {
                let line = |name: &str| event.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
                let heard = line("event:").map(|name| Heard {
                    name,
                    id: line("id:"),
                    data: serde_json::from_str(&line("data:").unwrap()).unwrap(),
                });
                self.heard = rest.to_owned();
                match heard {
                    Some(heard) => return Some(heard),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap().unwrap_or_default()?;
            self.heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event of this name.
    pub async fn hear(&mut self, name: &str) -> Heard {
        loop {
            let heard = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
            if heard.name == name {
                return heard;
            }
        }
    }
}

#[tokio::test]
async fn keys_runs_and_reloads_are_told_as_they_happen_and_what_was_missed_is_told_later() {
    let base = "[stores.embedded]\nkind = \"sqlite\"\nurl = \"sqlite:a.db\"\n[keys]\nstore = \"embedded\"\n[scheduler]\nstore = \"embedded\"\n\
                [workers.tidy]\nevery = \"1d\"\nrun = { kind = \"sql\", store = \"embedded\", statement = \"select 1\" }\n";
    let server = monolith(base).ready().await;
    let operator = server.operator();
    let mut listener = Listener::begin(&server, None).await;

    let issued = operator.post("/api/admin/api-keys", json!({"name": "ci"})).await;
    let kid = issued.ok()["kid"].clone();
    let created = listener.hear("key.created").await;
    assert_eq!((&created.data["subject"], &created.data["data"]["name"]), (&kid, &json!("ci")));
    assert!(!created.data.to_string().contains(issued.ok()["key"].as_str().unwrap()));
    operator.delete(&format!("/api/admin/api-keys/{}", kid.as_str().unwrap())).await.ok();
    let revoked = listener.hear("key.revoked").await;
    assert_eq!(revoked.data["subject"], kid);

    let run = operator.post("/api/admin/workers/tidy/run", json!({})).await.ok()["run_id"].clone();
    assert_eq!(listener.hear("run.started").await.data["subject"], run);
    let finished = listener.hear("run.finished").await;
    assert_eq!((&finished.data["subject"], &finished.data["data"]["state"]), (&run, &json!("succeeded")));

    server.write_base("[keys]\nstore = \"nowhere\"\n");
    let rejected = listener.hear("config.rejected").await;
    assert_eq!(rejected.data["data"]["problems"][0]["key"], "keys.store");
    assert_eq!(rejected.data["data"]["trigger"], "file");
    listener.hear("config.disk_differs").await;
    server.write_base(base);
    listener.hear("config.disk_matches").await;
    drop(listener);

    let mut again = Listener::begin(&server, revoked.id.as_deref()).await;
    assert_eq!(again.next().await.unwrap().name, "run.started", "what was missed comes first");
    for unknown in ["another-replica:3", "nonsense", &format!("{}:999999", created.data["replica"].as_str().unwrap())] {
        assert_eq!(Listener::begin(&server, Some(unknown)).await.next().await.unwrap().name, "reset", "{unknown}");
    }
}

#[tokio::test]
async fn a_store_that_goes_and_comes_back_is_told() {
    let redis = xtask::servers::Redis::start().unwrap();
    let base = format!(
        "{IN_MEMORY}[stores.cache]\nkind = \"redis\"\nrequired = false\nurl = \"{}\"\n\
                        probe = {{ every = \"100ms\", timeout = \"500ms\", down_after = 1, up_after = 1 }}\n",
        redis.url()
    );
    let server = monolith(&base).ready().await;
    server.wait_for_health(|health| health["stores"]["cache"] == "up").await;
    let mut listener = Listener::begin(&server, None).await;
    redis.kill().unwrap();
    let down = listener.hear("store.down").await;
    assert_eq!((&down.data["subject"], &down.data["data"]["kind"]), (&json!("cache"), &json!("redis")));
    redis.restart().unwrap();
    assert_eq!(listener.hear("store.up").await.data["subject"], "cache");
}

#[tokio::test]
async fn a_stream_outlives_the_limit_of_a_request_and_ends_with_the_server() {
    let server = monolith(&format!("{IN_MEMORY}[server]\nrequest_timeout = \"100ms\"\n")).ready().await;
    let operator = server.operator();
    let mut listener = Listener::begin(&server, None).await;
    let began = std::time::Instant::now();
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(50));
    while began.elapsed() < std::time::Duration::from_millis(400) {
        looks.tick().await;
    }
    operator.post("/api/admin/api-keys", json!({"name": "late"})).await.ok();
    listener.hear("key.created").await;
    server.anyone().get("/api/admin/events").await.refused(401, "unauthorized");
    let ended = tokio::task::spawn_blocking(move || server.terminate());
    while listener.next().await.is_some() {}
    assert_eq!(ended.await.unwrap(), Some(0), "a listener does not hold the end up");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_denied_and_the_others_go_on() {
    let server = monolith(IN_MEMORY).ready().await;
    let (mut thief, mut colleague) = (Listener::begin(&server, None).await, Listener::begin(&server, None).await);
    server.admin().post("/api/admin/tokens/deny", json!({"token": thief.token})).await.ok();
    while thief.next().await.is_some() {}
    server.operator().post("/api/admin/api-keys", json!({"name": "later"})).await.ok();
    colleague.hear("key.created").await;
}
