//! Who may do what: every route with every role, and the attack list on admin tokens (A 1-8, 14, 30-32) on every route.
//! How a token is judged is tested beside `auth`; here stands that no route forgets to ask.

use crate::harness::{Answer, Api, IN_MEMORY, JWT_SECRET, TestMonolith, monolith};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

/// What only an admin may do.
const ADMIN_ONLY: [&str; 3] =
    ["/api/admin/api-keys/bulk-revoke", "/api/admin/api-keys/import", "/api/admin/tokens/deny"];
/// Routes whose answer does not end.
const ENDLESS: [&str; 1] = ["/api/admin/events"];
/// A file with something to find under each name.
const BASE: &str = "[server]\ndocs = \"public\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n[keys]\nstore = \"memory\"\n";

/// Every admin route of the API's own description, with names filled in that nothing has.
async fn admin_routes(server: &TestMonolith) -> Vec<(Method, String)> {
    let document = server.anyone().get("/openapi.json").await.ok();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let named = path.replace("{kid}", "nobody").replace("{name}", "nothing").replace("{id}", "0");
        for method in methods.as_object().unwrap().keys().filter(|_| path.starts_with("/api/admin/")) {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            routes.push((method, named.clone()));
        }
    }
    assert!(routes.len() >= 12, "{routes:?}");
    routes
}

/// An address that nobody asked from before.
pub fn address() -> String {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    Ipv4Addr::from_bits(0x0a00_0000 | ASKED.fetch_add(1, Ordering::Relaxed)).to_string()
}

/// Signed with HS256, whatever the header says.
pub fn sign(header: &str, payload: &str, secret: &str) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, crypto};
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let key = EncodingKey::from_secret(secret.as_bytes());
    format!("{message}.{}", crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap())
}

/// Asks from an address that nobody asked from before: too many failures from one are not told apart any more.
async fn ask(api: &Api, method: &Method, path: &str) -> Answer {
    let from = address();
    let body = if *method == Method::GET { None } else { Some(json!({"not": "a body of any route"})) };
    api.send(method.clone(), path, |request| {
        let request = request.header("x-forwarded-for", from);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    })
    .await
}

#[tokio::test]
async fn every_route_asks_for_the_role_it_needs_before_it_looks_for_anything() {
    let server = monolith(BASE).ready().await;
    let (anyone, viewer) = (server.anyone(), server.viewer());
    let (operator, admin) = (server.operator(), server.admin());
    for (method, path) in admin_routes(&server).await {
        ask(&anyone, &method, &path).await.refused(401, "unauthorized");
        if ENDLESS.contains(&path.as_str()) {
            continue;
        }
        let allowed = |answer: &Answer| !matches!(answer.status.as_u16(), 401 | 403);
        let (as_viewer, as_operator) = (ask(&viewer, &method, &path).await, ask(&operator, &method, &path).await);
        assert_eq!(allowed(&as_viewer), method == Method::GET, "viewer {method} {path}: {}", as_viewer.text);
        let for_operators = !ADMIN_ONLY.contains(&path.as_str());
        assert_eq!(allowed(&as_operator), for_operators, "operator {method} {path}: {}", as_operator.text);
        let as_admin = ask(&admin, &method, &path).await;
        assert!(allowed(&as_admin), "admin {method} {path}: {}", as_admin.text);
        assert!(!as_admin.status.is_server_error(), "admin {method} {path}: {}", as_admin.text);
    }
}

fn part(json: &Value) -> String {
    BASE64.encode(json.to_string())
}

pub fn claims() -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    json!({"sub": "eve", "role": "admin", "iss": "monolith", "aud": "monolith-admin",
           "iat": now, "nbf": now, "exp": now + 900, "jti": "1"})
}

/// Signed by whatever algorithm the header names, as far as it is one of HMAC.
fn signed(header: &Value, secret: &str) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
    let message = format!("{}.{}", part(header), part(&claims()));
    let algorithm = match header["alg"].as_str() {
        Some("HS384") => Algorithm::HS384,
        Some("HS512") => Algorithm::HS512,
        _ => Algorithm::HS256,
    };
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), algorithm).unwrap();
    format!("{message}.{signature}")
}

/// The attacks of the list that need nothing but a token.
fn forged() -> Vec<(&'static str, String)> {
    let header = |alg: &str, kid: &str| json!({"alg": alg, "typ": "JWT", "kid": kid});
    let good = signed(&header("HS256", "default"), JWT_SECRET);
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned();
    let mut forged = vec![
        ("A 3: signature removed, dot kept", format!("{unsigned}.")),
        ("A 3: signature removed, dot dropped", unsigned.clone()),
        ("A 8: no kid", signed(&json!({"alg": "HS256", "typ": "JWT"}), JWT_SECRET)),
        ("A 14: five parts", format!("{good}.x.y")),
        ("A 14: two dots", "..".to_owned()),
        ("A 14: far too long", "a".repeat(20_000)),
    ];
    for alg in ["none", "None", "nOnE"] {
        forged.push(("A 2: no algorithm", format!("{}.{}.", part(&header(alg, "default")), part(&claims()))));
    }
    for alg in ["HS384", "HS512"] {
        forged.push(("A 4: another HMAC", signed(&header(alg, "default"), JWT_SECRET)));
    }
    for alg in ["RS256", "ES256", "EdDSA"] {
        forged.push(("A 5: an algorithm with public keys", signed(&header(alg, "default"), JWT_SECRET)));
    }
    // The library refuses to sign with nothing at all.
    for secret in ["\0", "secret", "changeme", "monolith"] {
        forged.push(("A 6: a secret that anybody would try", signed(&header("HS256", "default"), secret)));
    }
    for kid in ["../../dev/null", "' OR 1=1--", "\0", "unknown"] {
        forged.push(("A 7: a kid that is none", signed(&header("HS256", kid), JWT_SECRET)));
    }
    forged
}

#[tokio::test]
async fn a_forged_token_is_refused_on_every_route_in_the_same_words() {
    let server = monolith(BASE).ready().await;
    let routes = admin_routes(&server).await;
    let good = signed(&json!({"alg": "HS256", "typ": "JWT", "kid": "default"}), JWT_SECRET);
    server.with_token(&good).get("/api/admin/whoami").await.ok();
    let words = |body: &Value| {
        let mut body = body.clone();
        body["request_id"].take();
        body
    };
    let expected = words(&server.anyone().get("/api/admin/whoami").await.refused(401, "unauthorized"));
    for (attack, token) in forged() {
        let eve = server.with_token(&token);
        let answer = ask(&eve, &Method::GET, "/api/admin/whoami").await;
        assert_eq!(words(&answer.refused(401, "unauthorized")), expected, "{attack}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{attack}");
    }
    for (method, path) in &routes {
        for (attack, token) in forged().into_iter().filter(|(attack, _)| !attack.starts_with("A 14")) {
            let answer = ask(&server.with_token(&token), method, path).await;
            assert_eq!(answer.status, 401, "{attack}: {method} {path}");
        }
    }
    let log = server.log();
    let since = log.split("listening on").nth(1).unwrap();
    assert!(!since.contains("WARN") && !since.contains("ERROR"), "a refused token is no alarm:\n{log}");
}

#[tokio::test]
async fn a_kid_of_64_kilobytes_is_refused_before_anything_is_read() {
    let server = monolith(IN_MEMORY).ready().await;
    let token = signed(&json!({"alg": "HS256", "kid": "k".repeat(64 * 1024)}), JWT_SECRET);
    let answer = server.with_token(&token).get("/api/admin/whoami").await;
    assert!(matches!(answer.status.as_u16(), 401 | 431), "{}", answer.status);
    server.anyone().get("/health/live").await;
}

#[tokio::test]
async fn a_token_counts_only_where_it_belongs() {
    let server = monolith(IN_MEMORY).ready().await;
    let good = signed(&json!({"alg": "HS256", "typ": "JWT", "kid": "default"}), JWT_SECRET);
    let anyone = server.anyone();
    anyone.get(&format!("/api/admin/whoami?token={good}")).await.refused(401, "unauthorized");
    let cookie = |r: reqwest::RequestBuilder| r.header("cookie", format!("token={good}"));
    anyone.send(Method::GET, "/api/admin/whoami", cookie).await.refused(401, "unauthorized");
    let twice = |r: reqwest::RequestBuilder| {
        r.header("authorization", format!("Bearer {good}")).header("authorization", format!("Bearer {good}"))
    };
    anyone.send(Method::GET, "/api/admin/whoami", twice).await.refused(401, "unauthorized");
    let issued = server.operator().post("/api/admin/api-keys", json!({"name": "x"})).await.ok();
    let key = issued["key"].as_str().unwrap();
    server.with_token(key).get("/api/admin/whoami").await.refused(401, "unauthorized");
    assert!(!server.log().contains(&good), "a token reached the log");
}

/// A file with two signing keys, the first of which signs.
fn rotation(first: &str, others: &[&str]) -> String {
    let keys: Vec<String> = std::iter::once(first)
        .chain(others.iter().copied())
        .map(|id| format!("{{ id = \"{id}\", secret = \"{id}\" }}"))
        .collect();
    let secret = |id: &str| format!("{id} = {{ literal = \"{id}-Xq8Rt2Lw5Zk9Nv3Bc7Hj1Gf4Ds6Pa0Y\" }}\n");
    format!(
        "[keys]\nstore = \"memory\"\n[admin]\nsigning_keys = [{}]\n[secrets]\n{}{}",
        keys.join(", "),
        secret("spring"),
        secret("autumn")
    )
}

#[tokio::test]
async fn signing_keys_are_rotated_without_logging_anybody_out() {
    let server = monolith(&rotation("spring", &[])).ready().await;
    let old = server.token("operator");
    let reload = async |text: &str, generation: u64| {
        server.write_base(text);
        server.wait_for_health(|health| health["generation"] == generation).await;
    };
    reload(&rotation("autumn", &["spring"]), 2).await;
    server.with_token(&old).get("/api/admin/whoami").await.ok();
    let new = server.token("operator");
    let header: Value = serde_json::from_slice(&BASE64.decode(new.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(header["kid"], "autumn", "the first key signs");
    server.with_token(&new).get("/api/admin/whoami").await.ok();
    reload(&rotation("autumn", &[]), 3).await;
    server.with_token(&new).get("/api/admin/whoami").await.ok();
    server.with_token(&old).get("/api/admin/whoami").await.refused(401, "unauthorized");
}

#[tokio::test]
async fn a_stolen_token_is_denied_on_every_replica_until_it_expires() {
    let postgres = xtask::servers::Postgres::start().unwrap();
    let start = || monolith("# all in the environment\n").env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1");
    let (one, two) = (start().ready().await, start().ready().await);
    let (stolen, other, found) = (one.token("viewer"), one.token("viewer"), one.token("operator"));
    let jti = |token: &str| -> Value {
        let claims = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["jti"].clone()
    };
    two.with_token(&stolen).get("/api/admin/whoami").await.ok();
    let deny = json!({"jti": jti(&stolen), "reason": "stolen"});
    one.operator().post("/api/admin/tokens/deny", deny.clone()).await.refused(403, "forbidden");
    let denied = one.admin().post("/api/admin/tokens/deny", deny.clone()).await.ok();
    assert_eq!(denied["jti"], jti(&stolen));
    let refused = one.with_token(&stolen).get("/api/admin/whoami").await.refused(401, "token_refused");
    assert_eq!(refused["detail"], "the token was denied");
    let is_refused = |answer: &Answer| answer.status == 401;
    two.with_token(&stolen).wait_for("/api/admin/whoami", is_refused).await;
    one.with_token(&other).get("/api/admin/whoami").await.ok();
    let again = one.admin().post("/api/admin/tokens/deny", deny).await.ok();
    assert_eq!(again, denied, "the first denial stands");
    // A whole token, as somebody found it, is denied for as long as it would have lived.
    let found_whole = one.admin().post("/api/admin/tokens/deny", json!({"token": found})).await.ok();
    assert!(found_whole["expires_at"].as_str() < denied["expires_at"].as_str(), "{found_whole} {denied}");
    one.with_token(&found).get("/api/admin/whoami").await.refused(401, "token_refused");
    for body in [json!({}), json!({"jti": "a", "token": found}), json!({"jti": ""}), json!({"token": "x.y.z"})] {
        one.admin().post("/api/admin/tokens/deny", body).await.refused(422, "invalid");
    }
    let two = two.crash().ready().await;
    two.with_token(&stolen).wait_for("/api/admin/whoami", is_refused).await;
    assert!(!one.log().contains(&found), "a token reached the log");
}

#[tokio::test]
async fn whoever_fails_too_often_is_slowed_and_whoever_has_a_token_is_not() {
    let base = "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n[keys]\nstore = \"memory\"\n";
    let server = monolith(base).ready().await;
    let from = async |api: &Api, address: &str| {
        api.send(Method::GET, "/api/admin/whoami", |request| request.header("x-forwarded-for", address)).await
    };
    let eve = server.with_token("a.b.c");
    let mut slowed = 0;
    for n in 0..200 {
        match from(&eve, "198.51.100.7").await {
            answer if answer.status == 401 => {}
            answer => {
                assert!(n >= 100, "the failure {n} was slowed already");
                answer.refused(429, "too_many_failures");
                assert_eq!(answer.headers["retry-after"], "1");
                slowed += 1;
            }
        }
    }
    assert!(slowed > 0, "two hundred failures in a row were all let through");
    from(&server.viewer(), "198.51.100.7").await.ok();
    from(&eve, "198.51.100.8").await.refused(401, "unauthorized");
    let question = |request: reqwest::RequestBuilder| {
        request.header("x-forwarded-for", "198.51.100.7").json(&json!({"key": "mono_test_nobody"}))
    };
    let verdict = server.anyone().send(Method::POST, "/api/keys/verify", question).await.ok();
    assert_eq!(verdict["code"], "malformed", "verify is exempt");
}

#[tokio::test]
async fn a_token_that_is_refused_is_explained_to_whoever_holds_the_configuration() {
    let builder = monolith(IN_MEMORY);
    let inspect = |token: &str| -> (bool, String) {
        let mut child = crate::harness::binary(
            builder.path(),
            &[("MONOLITH_PROFILE".to_owned(), "test".to_owned()), ("JWT_SECRET".to_owned(), JWT_SECRET.to_owned())],
        )
        .args(["token", "inspect"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["valid"], output.status.success());
        (output.status.success(), said["reason"].as_str().unwrap_or_default().to_owned())
    };
    let good = signed(&json!({"alg": "HS256", "typ": "JWT", "kid": "default"}), JWT_SECRET);
    assert_eq!(inspect(&good), (true, String::new()));
    for (token, why) in [
        ("one.two", "2 parts"),
        (&signed(&json!({"alg": "HS512", "kid": "default"}), JWT_SECRET), "alg"),
        (&signed(&json!({"alg": "HS256", "kid": "spring"}), JWT_SECRET), "which are: default"),
        (&signed(&json!({"alg": "HS256"}), JWT_SECRET), "missing field `kid`"),
        (&signed(&json!({"alg": "HS256", "kid": "default", "jku": "http://x"}), JWT_SECRET), "unknown field `jku`"),
        (&signed(&json!({"alg": "HS256", "kid": "default"}), "another"), "not one of the key `default`"),
    ] {
        let (valid, reason) = inspect(token);
        assert!(!valid && reason.contains(why), "{token}: {reason}");
    }
}
