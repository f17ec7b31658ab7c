//! The shipped gateway configurations: Caddy's run by the real Caddy, the others read; and the assertion that a service can
//! verify whatever its gateway let through. nginx' own is tested with the forms of forward-auth.

use crate::forward_auth::{Gateway, IDENTITY, free_port, key, service, until_it_answers};
use crate::harness::monolith;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A key made for these tests by `openssl genpkey -algorithm ed25519`.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEILGyHxSQUIkPpz3rvxBESRT0NremvFXaUYXCgwJ7cV73\n-----END PRIVATE KEY-----\n";
const BASE: &str = "[keys]\nstore = \"memory\"\n[policies.orders_read]\nscopes = [\"orders:read\"]\n";

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateways").join(name)).unwrap()
}

#[tokio::test]
async fn d64_caddy_with_the_shipped_configuration_lets_in_whom_it_should_and_believes_no_caller() {
    let server = monolith(BASE).ready().await;
    let limited =
        key(&server, json!({"name": "web", "owner": "shop", "scopes": ["orders:read"], "rate_limit": "2/d"})).await;
    let nobodys = key(&server, json!({"name": "nobodys", "scopes": ["orders:read"]})).await;
    let other = key(&server, json!({"name": "other"})).await;
    let (service_port, seen) = service().await;
    let port = free_port();
    let local = shipped("Caddyfile")
        .replace("127.0.0.1:8000", server.url().trim_start_matches("http://"))
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{service_port}"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
    fs::write(server.folder().join("Caddyfile"), local).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(server.folder().join("Caddyfile"));
    command.env("HOME", server.folder()).env("XDG_DATA_HOME", server.folder()).env("XDG_CONFIG_HOME", server.folder());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _gateway = Gateway(child.expect("caddy is needed: apt-get install caddy"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |headers: Vec<(&'static str, &str)>| {
        let request = http.get(format!("http://127.0.0.1:{port}/orders"));
        headers.into_iter().fold(request, |r, (name, value)| r.header(name, value)).send()
    };
    until_it_answers("caddy", async || ask(vec![]).await.is_ok()).await;
    let refused = ask(vec![]).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(
        refused.headers().contains_key("www-authenticate") && refused.text().await.unwrap().contains("key_refused")
    );
    assert_eq!(ask(vec![("x-api-key", &other)]).await.unwrap().status(), 403);
    for (forged, value) in [
        ("x-monolith-owner", "eve"),
        ("x_monolith_owner", "eve"),
        ("x.monolith.owner", "eve"),
        ("X-MONOLITH_owner", "eve"),
        ("x_monolith-owner", "eve"),
        ("x-monolith-assertion", "eve"),
    ] {
        let let_in = ask(vec![("x-api-key", &nobodys), (forged, value), (forged, "eve too")]).await.unwrap();
        assert_eq!(let_in.status(), 200, "{forged}");
        let head = seen.lock().unwrap().clone();
        assert!(head.contains("x-monolith-name: nobodys") && !head.contains("eve"), "{forged}: {head}");
        assert!(!head.contains("mono_test_"), "the key stays at the gateway: {head}");
    }
    for _ in 0..2 {
        assert_eq!(ask(vec![("x-api-key", &limited)]).await.unwrap().status(), 200);
    }
    let refused = ask(vec![("x-api-key", &limited)]).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
}

/// The names under which a configuration takes over what Monolith says.
fn lower(names: &Value) -> Vec<String> {
    let name = |value: &Value| value["exact"].as_str().or(value.as_str()).unwrap().to_lowercase();
    names.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn d65_the_gateways_that_are_not_run_here_take_over_every_header_and_let_nobody_in_by_accident() {
    let envoy: Value = serde_json::from_str(&shipped("envoy.json")).unwrap();
    let filters = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let authz = &filters["http_filters"][0]["typed_config"];
    assert_eq!(
        (&authz["failure_mode_allow"], &authz["status_on_error"]["code"]),
        (&json!(false), &json!("ServiceUnavailable"))
    );
    let service = &authz["http_service"];
    assert_eq!(service["path_prefix"], "/api/forward-auth/envoy/orders_read");
    assert_eq!(lower(&service["authorization_response"]["allowed_upstream_headers"]["patterns"]), IDENTITY);
    assert_eq!(filters["common_http_protocol_options"]["headers_with_underscores_action"], "REJECT_REQUEST");

    let apisix: Value = serde_json::from_str(&shipped("apisix.json")).unwrap();
    let plugin = &apisix["plugins"]["forward-auth"];
    assert!(plugin["uri"].as_str().unwrap().ends_with("/api/forward-auth/orders_read"));
    assert_eq!(
        (lower(&plugin["upstream_headers"]), &plugin["allow_degradation"]),
        (IDENTITY.map(str::to_owned).to_vec(), &json!(false))
    );
    assert_eq!(plugin["status_on_error"], 503);

    let traefik: toml_edit::DocumentMut = shipped("traefik.toml").parse().unwrap();
    let forward = &traefik["http"]["middlewares"]["monolith"]["forwardAuth"];
    assert!(forward["address"].as_str().unwrap().ends_with("/api/forward-auth/orders_read"));
    let names = forward["authResponseHeaders"].as_array().unwrap();
    let names: Vec<String> = names.iter().map(|name| name.as_str().unwrap().to_lowercase()).collect();
    assert_eq!(names, IDENTITY);
    assert_eq!(forward["trustForwardHeader"].as_bool(), Some(false));
}

#[tokio::test]
async fn d67_a_service_verifies_by_itself_whose_key_it_was() {
    let base = format!("{BASE}[forward_auth]\nassertion_key = \"fwd\"\n[secrets]\nfwd = {{ file = \"fwd.pem\" }}\n");
    let server = monolith(&base).file("fwd.pem", PEM).ready().await;
    let key = key(&server, json!({"name": "Zoë", "owner": "shop", "scopes": ["orders:read", "a:b"]})).await;
    let set = server.anyone().get("/.well-known/jwks.json").await.ok();
    let jwk = &set["keys"][0];
    assert_eq!(
        (&jwk["kty"], &jwk["crv"], &jwk["alg"], &jwk["use"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
    );
    let with = |r: reqwest::RequestBuilder| r.header("x-api-key", &key).header("x-monolith-assertion", "forged");
    let answer = server.anyone().send(Method::GET, "/api/forward-auth/orders_read", with).await;
    assert_eq!(answer.status, StatusCode::OK);
    let token = answer.headers["x-monolith-assertion"].to_str().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let json_of = |part: &str| -> Value { serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap() };
    let (header, claims) = (json_of(parts[0]), json_of(parts[1]));
    assert_eq!((&header["typ"], &header["kid"]), (&json!("monolith-assertion+jwt"), &jwk["kid"]));
    assert_eq!(
        (&claims["aud"], &claims["owner"], &claims["name"]),
        (&json!("orders_read"), &json!("shop"), &json!("Zoë"))
    );
    assert_eq!((&claims["scopes"], &claims["iss"]), (&json!(["orders:read", "a:b"]), &json!("monolith")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    let public = BASE64.decode(jwk["x"].as_str().unwrap()).unwrap();
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public);
    let message = format!("{}.{}", parts[0], parts[1]);
    public.verify(message.as_bytes(), &BASE64.decode(parts[2]).unwrap()).unwrap();
    public.verify(format!("{message}x").as_bytes(), &BASE64.decode(parts[2]).unwrap()).unwrap_err();
    // A 24: it is no admin token.
    server.with_token(token).get("/api/admin/whoami").await.refused(401, "unauthorized");
    // Another key is taken up by a reload, and none is a set without keys.
    server.write_base(BASE);
    let gone = |answer: &crate::harness::Answer| answer.json()["keys"] == json!([]);
    server.wait_for("/.well-known/jwks.json", gone).await;
    let answer = server.anyone().send(Method::GET, "/api/forward-auth/orders_read", with).await;
    assert_eq!(answer.headers["x-monolith-assertion"], "", "never the caller's own");
}

#[tokio::test]
async fn d70_an_address_list_is_judged_by_the_hop_that_nobody_could_forge() {
    let base =
        "[server]\ntrusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]\n[keys]\nstore = \"memory\"\n[policies.any]\n";
    let server = monolith(base).ready().await;
    let key = key(&server, json!({"name": "x", "ip_allow": ["203.0.113.7/32", "2001:db8::/32"]})).await;
    let from = async |hops: &[&str]| {
        let with = |request: reqwest::RequestBuilder| {
            hops.iter().fold(request.header("x-api-key", &key), |r, hop| r.header("x-forwarded-for", *hop))
        };
        server.anyone().send(Method::GET, "/api/forward-auth/any", with).await.status.as_u16()
    };
    for (hops, status) in [
        (&["203.0.113.7"][..], 200),
        (&["203.0.113.7, 10.1.1.1"], 200),
        (&["::ffff:203.0.113.7"], 200),
        (&["2001:db8::5"], 200),
        (&["198.51.100.1"], 403),
        (&["203.0.113.7, 198.51.100.1"], 403),
        (&["203.0.113.7", "198.51.100.1"], 403),
        (&["203.0.113.7:80"], 403),
        (&["[::1]:80"], 403),
        (&["garbage"], 403),
        (&["203.0.113.7, garbage"], 403),
        (&[""], 403),
        (&[], 403),
    ] {
        assert_eq!(from(hops).await, status, "{hops:?}");
    }
    // 69: from whoever is no trusted proxy none of it is believed.
    let server = monolith("[keys]\nstore = \"memory\"\n[policies.any]\n").ready().await;
    let key = crate::forward_auth::key(&server, json!({"name": "x", "ip_allow": ["203.0.113.7/32"]})).await;
    for header in ["x-forwarded-for", "x-real-ip", "forwarded", "x-client-ip", "true-client-ip"] {
        let with = |r: reqwest::RequestBuilder| r.header("x-api-key", &key).header(header, "203.0.113.7");
        server.anyone().send(Method::GET, "/api/forward-auth/any", with).await.refused(403, "ip_denied");
    }
}
