//! Who may do what: every route with every role, and the attack list on admin tokens (A 1-8, 14, 30-32) on every route.
//! How a token is judged is tested beside `auth`; here stands that no route forgets to ask.

use crate::harness::{Answer, Api, IN_MEMORY, JWT_SECRET, TestMonolith, monolith};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};

/// What only an admin may do.
const ADMIN_ONLY: [&str; 3] =
    ["/api/admin/api-keys/bulk-revoke", "/api/admin/api-keys/import", "/api/admin/tokens/deny"];
/// Routes whose answer does not end.
const ENDLESS: [&str; 1] = ["/api/admin/events"];
/// A file with something to find under each name.
const BASE: &str = "[server]\ndocs = \"public\"\n[keys]\nstore = \"memory\"\n";

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

async fn ask(api: &Api, method: &Method, path: &str) -> Answer {
    let body = if *method == Method::GET { None } else { Some(json!({"not": "a body of any route"})) };
    api.send(method.clone(), path, |request| match body {
        Some(body) => request.json(&body),
        None => request,
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

fn claims() -> Value {
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
        let answer = eve.get("/api/admin/whoami").await;
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
