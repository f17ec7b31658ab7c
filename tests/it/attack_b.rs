//! Attacks on the text of a key and on verify (33-49), in each home that keys can have. Imported keys (48): `import`.
//! Verify answers 200 with a code (DESIGN §5: "always 200 `{valid, code, …}`; 503 only if undecidable").

use crate::harness::{Builder, IN_MEMORY, TestMonolith, monolith, postgres_text};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xtask::servers::Postgres;

const SQLITE: &str = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n";
const POLICY: &str = "[policies.any]\n[policies.daily]\nrate_limit = \"1/d\"\n";

async fn key(server: &TestMonolith, body: Value) -> (String, String) {
    let issued = server.operator().post("/api/admin/api-keys", body).await.ok();
    (issued["kid"].as_str().unwrap().to_owned(), issued["key"].as_str().unwrap().to_owned())
}

async fn verdict(server: &TestMonolith, question: Value) -> Value {
    server.anyone().post("/api/keys/verify", question).await.ok()
}

/// The check digits of a key are no secret: whoever forges one can write them.
fn with_check_digits(covered: &str) -> String {
    const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(covered.as_bytes()) as usize;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % 62];
        rest /= 62;
    }
    format!("{covered}{}", String::from_utf8(digits.to_vec()).unwrap())
}

async fn attacks(builder: Builder) {
    let server = builder.ready().await;
    let (kid, good) = key(&server, json!({"name": "x", "scopes": ["a"]})).await;
    let covered = good.get(..good.len() - 6).unwrap();
    let secret = covered.get(covered.len() - 32..).unwrap();
    let other = if secret.starts_with('0') { "1" } else { "0" };
    let wrong_secret =
        with_check_digits(&format!("{}{other}{}", covered.strip_suffix(secret).unwrap(), secret.get(1..).unwrap()));
    let unknown = with_check_digits(&covered.replace(&kid, "0123456789AB"));
    let live = with_check_digits(&covered.replace("mono_test_", "mono_live_"));
    let stored: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    let hashed = with_check_digits(&format!("mono_test_{kid}_{}", stored.get(..32).unwrap()));
    let case = good.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    for (number, text, code) in [
        (34, String::new(), "malformed"),
        (34, "   ".into(), "malformed"),
        (35, format!("{covered}000000"), "malformed"),
        (36, unknown, "invalid"),
        (37, wrong_secret, "invalid"),
        (38, good.replace("mono_test_", "mono_live_"), "malformed"),
        (38, live, "invalid"),
        (39, case.collect(), "malformed"),
        (40, good.replace('m', "м"), "malformed"),
        (40, format!("{good}%00"), "malformed"),
        (40, format!("{good}\r\nx-evil: 1"), "malformed"),
        (40, format!("{good}\0"), "malformed"),
        (40, format!(" {good}"), "malformed"),
        (40, "k".repeat(8192), "malformed"),
        (41, stored, "malformed"),
        (41, hashed, "invalid"),
    ] {
        let answer = verdict(&server, json!({"key": text})).await;
        assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!(code)), "attack {number}: {text}");
        let told: Vec<&String> =
            answer.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| k).collect();
        assert_eq!(told, ["code", "valid"], "attack {number} was told something");
    }
    // 33, 42, 43: no key, one where none belongs, more than one.
    let forward = |headers: Vec<(&'static str, String)>| {
        let with = |r: reqwest::RequestBuilder| headers.into_iter().fold(r, |r, (name, value)| r.header(name, value));
        let path = format!("/api/forward-auth/any?api_key={good}");
        let anyone = server.anyone();
        async move { anyone.send(Method::GET, &path, with).await }
    };
    forward(vec![]).await.refused(401, "key_refused");
    forward(vec![("x-api-key", good.clone()), ("x-api-key", good.clone())]).await.refused(401, "key_refused");
    forward(vec![("authorization", format!("Bearer {good}"))]).await.refused(401, "key_refused");
    assert_eq!(forward(vec![("x-api-key", good.clone())]).await.status, 200);
    // 45-47: switched off and on; a refusal is not charged; what one question was told is no answer to another.
    let path = format!("/api/admin/api-keys/{kid}");
    let operator = server.operator();
    let switch =
        async |state: &str| operator.send(Method::PATCH, &path, |r| r.json(&json!({"state": state}))).await.ok();
    switch("disabled").await;
    assert_eq!(verdict(&server, json!({"key": good})).await["code"], "disabled");
    switch("active").await;
    for _ in 0..3 {
        let question = json!({"key": good, "scopes": ["b"], "policy": "daily"});
        assert_eq!(verdict(&server, question).await["code"], "scope_missing");
    }
    assert_eq!(verdict(&server, json!({"key": good, "scopes": ["a"], "policy": "daily"})).await["code"], "valid");
    assert_eq!(verdict(&server, json!({"key": good, "scopes": ["b"]})).await["code"], "scope_missing");
    assert_eq!(
        verdict(&server, json!({"key": good, "scopes": ["a"], "policy": "daily"})).await["code"],
        "rate_limited"
    );
    // 89 and 94 on this route: what is no text is no key, and nothing else is taken.
    for body in [json!({"key": {"$ne": 1}}), json!({"key": 1}), json!({"key": null}), json!({"key": good, "cost": 0})] {
        server.anyone().post("/api/keys/verify", body).await.refused(422, "invalid");
    }
    // 42: it is nowhere in the log.
    assert!(!server.log().contains(secret), "a key reached the log");
}

#[tokio::test]
async fn b33_to_b47_in_memory() {
    attacks(monolith(&format!("{IN_MEMORY}{POLICY}"))).await;
}

#[tokio::test]
async fn b33_to_b47_in_sqlite() {
    attacks(monolith(&format!("{SQLITE}{POLICY}"))).await;
}

#[tokio::test]
async fn b33_to_b47_in_postgres() {
    let postgres = Postgres::start().unwrap();
    attacks(monolith(POLICY).env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1")).await;
    // 110: nothing at rest opens anything.
    let rows =
        postgres_text(&postgres, "select k::text from api_keys k union all select e::text from key_events e").await;
    assert!(!rows.is_empty() && !rows.iter().any(|row| row.contains("mono_test_")), "{rows:?}");
}

#[tokio::test]
async fn b49_an_old_pepper_verifies_until_it_is_taken_away() {
    let base = |peppers: &str| {
        format!(
            "[keys]\nstore = \"memory\"\npepper = [{peppers}]\n[secrets]\n\
             one = {{ literal = \"Xq8Rt2Lw5Zk9Nv3Bc7Hj1Gf4Ds6Pa0Y1\" }}\ntwo = {{ literal = \"Xq8Rt2Lw5Zk9Nv3Bc7Hj1Gf4Ds6Pa0Y2\" }}\n"
        )
    };
    let server = monolith(&base("\"one\"")).ready().await;
    let (_, old) = key(&server, json!({"name": "old"})).await;
    for (generation, peppers, code) in [(2, "\"two\", \"one\"", "valid"), (3, "\"two\"", "invalid")] {
        server.write_base(&base(peppers));
        server.wait_for_health(|health| health["generation"] == generation).await;
        assert_eq!(verdict(&server, json!({"key": old})).await["code"], code, "{peppers}");
    }
    let (_, new) = key(&server, json!({"name": "new"})).await;
    assert_eq!(verdict(&server, json!({"key": new})).await["code"], "valid");
}

// 44: beside `keys` (`b44_a_key_expires_by_the_clock_and_not_by_an_event`), where the clock is an argument.
