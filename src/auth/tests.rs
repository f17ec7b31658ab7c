//! The attack list on admin tokens (A 1-31), as far as it needs no server.

use super::*;
use crate::settings::admin::SigningKey;
use serde_json::{Value, json};

const SECRET: &str = "a-signing-key-of-enough-bytes-0123456789";
const NOW: i64 = 1_795_489_200;

fn rules() -> Admin {
    let key =
        |id: &str, secret: &str| SigningKey { id: id.into(), secret: SigningSecret::Declared(Secret::new(secret)) };
    Admin {
        signing_keys: vec![key("default", SECRET), key("old", "another-signing-key-of-enough-bytes-0123")],
        issuer: "monolith".into(),
        audience: "monolith-admin".into(),
        max_token_ttl: Duration::from_secs(86_400),
        ui: true,
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

fn claims() -> Value {
    json!({"sub": "ann", "role": "operator", "iss": "monolith", "aud": "monolith-admin",
           "iat": NOW, "nbf": NOW, "exp": NOW + 900, "jti": "1"})
}

fn signed_as(header: &str, payload: &str, secret: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn signed(payload: &str) -> String {
    signed_as(r#"{"alg":"HS256","typ":"JWT","kid":"default"}"#, payload, SECRET)
}

/// What a bearer is told where nothing was proved.
const UNPROVED: Result<Claims, Refusal> = Err(Refusal::Unproved(String::new()));

fn verdict(token: &str) -> Result<Claims, Refusal> {
    match Auth::new(&rules(), None).verify(token, now()) {
        Err(Refusal::Unproved(why)) => {
            assert!(!why.is_empty(), "`token inspect` says nothing");
            UNPROVED
        }
        other => other,
    }
}

fn with(key: &str, value: Value) -> Result<Claims, Refusal> {
    let mut claims = claims();
    claims[key] = value;
    verdict(&signed(&claims.to_string()))
}

fn without(key: &str) -> Result<Claims, Refusal> {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(key);
    verdict(&signed(&claims.to_string()))
}

#[test]
fn a_minted_token_is_accepted_and_says_who() {
    let auth = Auth::new(&rules(), None);
    let token = auth.mint("ann", Role::Operator, Duration::from_secs(900), now()).unwrap();
    let claims = auth.verify(&token, now()).unwrap();
    assert_eq!((claims.sub.as_str(), claims.role), ("ann", Role::Operator));
    assert!(auth.mint("ann", Role::Viewer, Duration::from_secs(86_401), now()).is_err());
    assert!(auth.mint("", Role::Viewer, Duration::from_secs(60), now()).is_err());
}

#[test]
fn every_key_verifies_and_the_first_one_signs() {
    let header = r#"{"alg":"HS256","kid":"old"}"#;
    assert!(verdict(&signed_as(header, &claims().to_string(), "another-signing-key-of-enough-bytes-0123")).is_ok());
    assert_eq!(verdict(&signed_as(header, &claims().to_string(), SECRET)), UNPROVED);
}

#[test]
fn a2_to_a14_a_header_that_is_not_ours_is_refused_without_a_word() {
    let payload = claims().to_string();
    for header in [
        r#"{"alg":"none","kid":"default"}"#,
        r#"{"alg":"nOnE","kid":"default"}"#,
        r#"{"alg":"HS384","kid":"default"}"#,
        r#"{"alg":"RS256","kid":"default"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"' OR 1=1--"}"#,
        r#"{"alg":"HS256","kid":"default\u0000"}"#,
        r#"{"alg":"HS256","kid":"default","jku":"http://127.0.0.1:1/keys"}"#,
        r#"{"alg":"HS256","kid":"default","jwk":{"kty":"oct","k":"AA"}}"#,
        r#"{"alg":"HS256","kid":"default","crit":["x"]}"#,
        r#"{"alg":"HS256","kid":"default","b64":false}"#,
        r#"{"alg":"HS256","kid":"default","typ":"monolith-assertion+jwt"}"#,
        r#"{"alg":"HS256","kid":"default","kid":"old"}"#,
    ] {
        assert_eq!(verdict(&signed_as(header, &payload, SECRET)), UNPROVED, "{header}");
    }
}

#[test]
fn a3_a6_a14_a27_a28_a_token_that_was_touched_is_refused_without_a_word() {
    let good = signed(&claims().to_string());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let payload = claims().to_string();
    let header = r#"{"alg":"HS256","typ":"JWT","kid":"default"}"#;
    let mut touched = vec![
        format!("{message}."),
        message.to_owned(),
        format!("{good}="),
        format!("{good}.x"),
        "..".to_owned(),
        ".".to_owned(),
        String::new(),
        "a".repeat(1_000_000),
        format!("{message}.{}", signature.replace(['-', '_'], "+")) + "A",
    ];
    for secret in ["x", "secret", "changeme", "monolith"] {
        touched.push(signed_as(header, &payload, secret));
    }
    let mut flipped = good.clone().into_bytes();
    let last = flipped.len() - 3;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    touched.push(String::from_utf8(flipped).unwrap());
    for token in touched {
        assert_eq!(verdict(&token), UNPROVED, "{}", token.chars().take(60).collect::<String>());
    }
    assert!(verdict(&good).is_ok());
}

#[test]
fn a15_to_a26_a_proved_token_is_told_what_it_lacks() {
    for key in ["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "role"] {
        assert!(matches!(without(key), Err(Refusal::Lacking(_))), "{key} missing");
        for value in [json!(null), json!([]), json!({})] {
            assert!(matches!(with(key, value.clone()), Err(Refusal::Lacking(_))), "{key} = {value}");
        }
    }
    for (key, value) in [
        ("exp", json!("never")),
        ("exp", json!("99999999999")),
        ("exp", json!(-1)),
        ("exp", json!(1.5e9)),
        ("exp", json!(NOW - 6)),
        ("exp", json!(NOW + 86_401)),
        ("nbf", json!("x")),
        ("nbf", json!(NOW + 3600)),
        ("iat", json!(NOW + 3600)),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("iss", json!("other")),
        ("sub", json!("")),
        ("jti", json!("")),
        ("role", json!("ADMIN")),
        ("role", json!(["viewer", "admin"])),
        ("role", json!("owner")),
    ] {
        assert!(matches!(with(key, value.clone()), Err(Refusal::Lacking(_))), "{key} = {value}");
    }
    assert!(matches!(verdict(&signed(r#"{"sub":"ann","role":"admin"}"#)), Err(Refusal::Lacking(_))), "the original's");
    let twice = claims().to_string().replacen('{', r#"{"role":"viewer","#, 1);
    assert!(matches!(verdict(&signed(&twice)), Err(Refusal::Lacking(_))), "a claim stands twice");
    assert!(verdict(&signed(&claims().to_string().replace(&(NOW + 900).to_string(), "1e400"))).is_err());
}

#[test]
fn a18_a21_the_bounds_are_where_they_are_said_to_be() {
    assert!(with("exp", json!(NOW - 4)).is_err(), "it expires before it was signed");
    let mut claims = claims();
    claims["iat"] = json!(NOW - 100);
    claims["nbf"] = json!(NOW - 100);
    claims["exp"] = json!(NOW - 4);
    assert!(verdict(&signed(&claims.to_string())).is_ok());
    assert!(with("aud", json!(["other", "monolith-admin"])).is_ok());
    assert!(with("iat", json!(NOW + 4)).is_ok());
}
