//! Attacks on secrets and the audit (105-110). Sentinels in every place that can hold a secret (105): `sentinel`; a touched,
//! cut or refused audit (106, 107): `audit`; what is at rest (110): `attack_b`.
//! 108 is void: DESIGN §6, "Audit: every mutation, hash-chained" - no key seals the chain, so none is rotated.

use crate::harness::{IN_MEMORY, monolith};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn h109_whatever_a_caller_writes_stays_one_line_of_the_log_and_one_entry_of_the_audit() {
    let server = monolith(&format!("{IN_MEMORY}[telemetry]\nlog = \"trace\"\nformat = \"json\"\n")).ready().await;
    let operator = server.operator();
    let forged = "x\", \"level\":\"ERROR\", \"message\":\"forged";
    for name in ["a\u{1b}[31mred", "a\\nforged", forged, "\u{2028}forged", "{\"forged\":1}"] {
        let with = |r: reqwest::RequestBuilder| {
            r.header("user-agent", forged).header("x-request-id", "x\ty").json(&json!({"name": name, "owner": name}))
        };
        let answer = operator.send(Method::POST, "/api/admin/api-keys", with).await;
        assert!([201, 422].contains(&answer.status.as_u16()), "{}", answer.text);
        let id = answer.headers["x-request-id"].to_str().unwrap();
        assert!(!id.contains('\t') && !id.is_empty(), "{id}");
    }
    for path in ["/%0aforged", "/api/admin/api-keys/%1b%5b31m", "/api/admin/workers/%0d%0aforged"] {
        operator.get(path).await;
    }
    let log = server.log();
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(parsed["message"], "forged", "{line}");
    }
    assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.starts_with("forged")), "{log}");
    let audit = server.viewer().get("/api/admin/audit").await.ok();
    assert!(audit["items"].as_array().unwrap().iter().all(|entry| entry["action"] == "key.created"), "{audit}");
}
