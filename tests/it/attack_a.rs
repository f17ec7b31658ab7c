//! Attacks on admin tokens (1-32), against the real server. Every forged token on every route: `tokens`; a token that lacks
//! something is told what (DESIGN §5: "a token whose signature verifies is told what it lacks").

use crate::harness::{JWT_SECRET, TestMonolith, monolith};
use crate::tokens::{address, claims, sign};
use reqwest::Method;
use serde_json::json;
use std::net::TcpListener;

const BASE: &str = "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n[keys]\nstore = \"memory\"\n";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT","kid":"default"}"#;

/// A token of any header and payload, signed with the server's own secret.
fn signed(header: &str, payload: &str) -> String {
    sign(header, payload, JWT_SECRET)
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The claims with one of them as text that need not be JSON of its kind.
fn with(name: &str, value: &str) -> String {
    let mut all = claims();
    all[name] = json!("@");
    all.to_string().replace("\"@\"", value)
}

fn without(name: &str) -> String {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(name);
    all.to_string()
}

async fn whoami(server: &TestMonolith, authorization: &str) -> (u16, String) {
    let with =
        |r: reqwest::RequestBuilder| r.header("authorization", authorization).header("x-forwarded-for", address());
    let answer = server.anyone().send(Method::GET, "/api/admin/whoami", with).await;
    let code =
        if answer.status == 200 { String::new() } else { answer.json()["code"].as_str().unwrap_or("-").to_owned() };
    (answer.status.as_u16(), code)
}

#[tokio::test]
async fn a1_to_a14_and_a27_to_a31_what_was_not_signed_here_is_refused_without_a_word() {
    let server = monolith(BASE).ready().await;
    // 10: nobody is asked for a key.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let payload = claims().to_string();
    let good = signed(HEADER, &payload);
    assert_eq!(whoami(&server, &format!("Bearer {good}")).await, (200, String::new()));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let flipped = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let spare = {
        // The last character of 32 bytes in base64 has two spare bits.
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.iter().position(|c| *c == *good.as_bytes().last().unwrap()).unwrap();
        format!("{}{}", good.strip_suffix(|_: char| true).unwrap(), char::from(alphabet[last ^ 1]))
    };
    let header = |more: &str| format!(r#"{{"alg":"HS256","typ":"JWT","kid":"default",{more}}}"#);
    let plain = |header: &str| format!("{}.{}.", base64_of(header), base64_of(&payload));
    for (number, token) in [
        (2, plain(r#"{"alg":"none","kid":"default"}"#)),
        (2, plain(r#"{"alg":"nOnE","kid":"default"}"#)),
        (3, format!("{message}.")),
        (3, message.to_owned()),
        (5, signed(r#"{"alg":"RS256","kid":"default"}"#, &payload)),
        (5, signed(r#"{"alg":"EdDSA","kid":"default"}"#, &payload)),
        (6, sign(HEADER, &payload, "changeme")),
        (6, sign(HEADER, &payload, "local-development-only")),
        (7, signed(r#"{"alg":"HS256","kid":"../../dev/null"}"#, &payload)),
        (7, signed(r#"{"alg":"HS256","kid":"' OR 1=1--"}"#, &payload)),
        (7, signed(r#"{"alg":"HS256","kid":"default\u0000"}"#, &payload)),
        (8, signed(r#"{"alg":"HS256","typ":"JWT"}"#, &payload)),
        (10, signed(&header(&format!(r#""jku":"{url}""#)), &payload)),
        (10, signed(&header(&format!(r#""x5u":"{url}""#)), &payload)),
        (11, signed(&header(r#""jwk":{"kty":"oct","k":"AA"}"#), &payload)),
        (12, signed(&header(r#""crit":["x"]"#), &payload)),
        (13, signed(&header(r#""b64":false"#), &payload)),
        (14, format!("{good}.x.y")),
        (14, "a.b".into()),
        (14, "..".into()),
        (14, ".".into()),
        (24, signed(r#"{"alg":"HS256","typ":"monolith-assertion+jwt","kid":"default"}"#, &payload)),
        (25, signed(r#"{"alg":"HS256","kid":"old","kid":"default"}"#, &payload)),
        (27, flipped(&good, good.len() - 5)),
        (27, spare),
        (27, format!("{good}=")),
        (27, format!("{message}.{}", signature.replace('-', "+").replace('_', "/") + "+")),
        (28, flipped(&good, 5)),
        (28, flipped(&good, message.len() - 5)),
    ] {
        let refused = whoami(&server, &format!("Bearer {token}")).await;
        assert_eq!(refused, (401, "unauthorized".into()), "attack {number}: {token}");
    }
    // 14: a megabyte is too much for any header; 31: two tokens are none.
    let large = server
        .anyone()
        .send(Method::GET, "/api/admin/whoami", |r| r.header("authorization", "a".repeat(1 << 20)))
        .await;
    assert!([400, 401, 431].contains(&large.status.as_u16()), "{}", large.status);
    for scheme in ["", "Basic ", "bearer", "Token "] {
        assert_eq!(whoami(&server, &format!("{scheme}{good}")).await.0, 401, "`{scheme}`");
    }
    assert_eq!(whoami(&server, &format!("BEARER  {good}")).await.0, 200, "the scheme has no case");
    let asked = listener.accept();
    assert!(asked.is_err(), "somebody was asked for a key");
    assert!(!server.log().contains(signature), "a token reached the log");
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn a15_to_a26_what_was_signed_here_is_told_what_it_lacks_and_never_widened() {
    let server = monolith(BASE).ready().await;
    let later = now() + 3600;
    let twice = claims().to_string().replacen('{', r#"{"role":"viewer","#, 1);
    let mut cases: Vec<(u32, String)> = vec![
        (15, without("exp")),
        (17, with("nbf", "\"x\"")),
        (17, with("nbf", &later.to_string())),
        (17, without("nbf")),
        (18, with("exp", &(now() - 60).to_string())),
        (19, with("iat", &later.to_string())),
        (19, without("iat")),
        (20, with("exp", &(now() + 25 * 3600).to_string())),
        (21, without("aud")),
        (21, with("aud", "\"other\"")),
        (21, with("aud", "[\"other\"]")),
        (22, without("iss")),
        (22, with("iss", "\"other\"")),
        (23, without("sub")),
        (23, with("sub", "\"\"")),
        (25, twice),
    ];
    for exp in ["\"never\"", "\"99999999999\"", "null", "[]", "-1", "1e400", "NaN", "{}", "true"] {
        cases.push((16, with("exp", exp)));
    }
    for role in
        ["\"OWNER\"", "\"ADMIN\"", "\"root\"", "[\"viewer\",\"admin\"]", "{}", "null", "1", "\"admin \"", "\"\""]
    {
        cases.push((26, with("role", role)));
    }
    for (number, payload) in cases {
        let (status, code) = whoami(&server, &format!("Bearer {}", signed(HEADER, &payload))).await;
        assert_eq!((status, code.as_str()), (401, "token_refused"), "attack {number}: {payload}");
    }
    // 18: four seconds past its end is within the leeway of five.
    let mut late = claims();
    (late["iat"], late["nbf"], late["exp"]) = (json!(now() - 100), json!(now() - 100), json!(now() - 3));
    assert_eq!(whoami(&server, &format!("Bearer {}", signed(HEADER, &late.to_string()))).await.0, 200);
    let several = with("aud", "[\"other\",\"monolith-admin\"]");
    assert_eq!(whoami(&server, &format!("Bearer {}", signed(HEADER, &several))).await.0, 200, "21");
}

// 1, 4, 30, 31, 32: `tokens`, on every route. 9: `tokens::signing_keys_are_rotated_without_logging_anybody_out`.
// 29: `tokens::a_stolen_token_is_denied_on_every_replica_until_it_expires`; a `min_iat` for a subject is void: DESIGN §5, "by
// `jti`, until it expires".
