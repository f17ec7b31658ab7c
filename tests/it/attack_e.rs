//! Attacks on the admin API's authorization and input (77-90). Every route × role (77): `tokens`; one key for fifty repeated
//! wishes and pages under inserts (85, 86): beside `keys`, and here over HTTP.
//! 78, 79 and 83 are void: DESIGN §5, "Roles: `viewer` reads; `operator` also creates, patches, rotates and revokes keys": no
//! key belongs to a caller. 90 is void: DESIGN has no inbox for leaks; `revoke` takes a whole, leaked key (§4).

use crate::harness::{Builder, IN_MEMORY, monolith};
use reqwest::Method;
use serde_json::{Value, json};
use xtask::servers::Postgres;

#[expect(clippy::too_many_lines, reason = "a list: one attack after another on one server, by number")]
async fn attacks(builder: Builder) {
    let server = builder.ready().await;
    let (operator, admin) = (server.operator(), server.admin());
    let create = async |body: Value| operator.post("/api/admin/api-keys", body).await;
    let issued = create(json!({"name": "x", "owner": "o", "metadata": {"a": "1"}})).await.ok();
    let kid = issued["kid"].as_str().unwrap();
    let path = format!("/api/admin/api-keys/{kid}");
    // 80: nobody chooses what the program decides.
    for field in ["kid", "hash", "created_at", "created_by", "version", "state", "environment", "last_used_at"] {
        let mut body = json!({"name": "x"});
        body[field] = json!("mine");
        create(body).await.refused(422, "invalid");
    }
    create(json!({"name": "x", "revoked_at": null})).await.refused(422, "invalid");
    // 82: absent stays, null clears.
    let patch = async |body: Value| operator.send(Method::PATCH, &path, |r| r.json(&body)).await;
    assert_eq!(patch(json!({"name": "y"})).await.ok()["owner"], "o");
    assert_eq!(patch(json!({"owner": null})).await.ok()["owner"], Value::Null);
    assert_eq!(patch(json!({})).await.ok()["name"], "y");
    patch(json!({"name": null})).await.refused(422, "invalid");
    // 84: no end in the past, beyond the rules, or none.
    for body in [
        json!({"ttl": "0s"}),
        json!({"ttl": "-1s"}),
        json!({"ttl": "9999d"}),
        json!({"expires_at": "2020-01-01T00:00:00Z"}),
        json!({"expires_at": "2999-01-01T00:00:00Z"}),
        json!({"ttl": "1h", "expires_at": "2030-01-01T00:00:00Z"}),
    ] {
        let mut wish = json!({"name": "x"});
        body.as_object().unwrap().iter().for_each(|(name, value)| wish[name] = value.clone());
        create(wish).await.refused(422, "invalid");
    }
    // 86: pages are bounded, whatever is asked for; no hash is told.
    let listed = operator.get("/api/admin/api-keys?limit=1000000000").await;
    listed.ok();
    assert!(!listed.text.contains("hash") && !listed.text.contains("secret"), "{}", listed.text);
    for query in ["limit=-1", "limit=x", "after=%00", "sort=hash", "state=any", "unknown=1"] {
        operator.get(&format!("/api/admin/api-keys?{query}")).await.refused(422, "invalid");
    }
    // 87, 89: stored as it is, or refused; never obeyed.
    let deep = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
    let deep = operator
        .send(Method::POST, "/api/admin/api-keys", |r| {
            r.header("content-type", "application/json").body(format!("{{\"name\":\"x\",\"metadata\":{deep}}}"))
        })
        .await;
    assert!([400, 422].contains(&deep.status.as_u16()), "{}", deep.status);
    for name in ["a\r\nb", "a\0b", "", &"x".repeat(10_240), "\u{202e}txt.exe\n"] {
        create(json!({"name": name})).await.refused(422, "invalid");
    }
    for text in [
        "<script>alert(1)</script>",
        "'; drop table api_keys; --",
        "\" or \"\"=\"",
        "%s%n",
        "${secrets.jwt}",
        "a\u{202e}b",
    ] {
        let made = create(json!({"name": text, "owner": text, "metadata": {text: text}})).await.ok();
        assert_eq!(
            (&made["name"], &made["owner"], &made["metadata"][text]),
            (&json!(text), &json!(text), &json!(text))
        );
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = operator.get(&format!("/api/admin/api-keys?owner={query}")).await.ok();
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{text}");
        let removed = operator
            .delete(&format!("/api/admin/api-keys/{}?reason={query}", made["kid"].as_str().unwrap()))
            .await
            .ok();
        assert_eq!(removed["reason"], text);
        for route in ["/api/admin/api-keys", "/api/admin/workers", "/api/admin/runs"] {
            let answer = operator.get(&format!("{route}/{query}")).await;
            assert_eq!(answer.status, 404, "{route}/{text}");
        }
    }
    for body in [
        json!({"name": {"$ne": 1}}),
        json!({"name": ["x"]}),
        json!({"name": "x", "scopes": {"$gt": ""}}),
        json!({"name": "x", "owner": 1}),
        json!(["x"]),
        json!("x"),
        json!(null),
    ] {
        create(body).await.refused(422, "invalid");
    }
    // 81: nothing brings an ended key back.
    operator.delete(&path).await.ok();
    for body in [json!({"revoked_at": null}), json!({"state": "active"}), json!({"expires_at": "2027-01-01T00:00:00Z"})]
    {
        patch(body).await.refused(409, "conflict");
    }
    // 85: fifty at once make one key.
    let repeated = (0..50).map(|_| {
        operator.send(Method::POST, "/api/admin/api-keys", |r| {
            r.header("idempotency-key", "one").json(&json!({"name": "one"}))
        })
    });
    let answers = futures_util::future::join_all(repeated).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((created, answers.iter().filter(|answer| answer.status == 200).count()), (1, 49));
    let kids: std::collections::BTreeSet<String> =
        answers.iter().map(|answer| answer.json()["kid"].to_string()).collect();
    assert_eq!(kids.len(), 1);
    // 88: an empty wish is not a wish for all.
    for body in [
        json!({"reason": "x", "dry_run": false}),
        json!({"owner": null, "reason": "x", "dry_run": false}),
        json!({"owner": "o", "scope": "s", "reason": "x", "dry_run": true}),
    ] {
        admin.post("/api/admin/api-keys/bulk-revoke", body).await.refused(422, "invalid");
    }
    let empty = json!({"owner": "", "reason": "x", "dry_run": false});
    assert_eq!(admin.post("/api/admin/api-keys/bulk-revoke", empty).await.ok()["revoked"], 0);
    server.anyone().get("/health/live").await;
}

#[tokio::test]
async fn e78_to_e89_in_memory() {
    attacks(monolith(IN_MEMORY)).await;
}

#[tokio::test]
async fn e78_to_e89_in_sqlite() {
    attacks(monolith("[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:keys.db\"\n[keys]\nstore = \"main\"\n")).await;
}

#[tokio::test]
async fn e78_to_e89_in_postgres() {
    let postgres = Postgres::start().unwrap();
    attacks(monolith("# in the environment\n").env("DATABASE_URL", postgres.url()).env("USE_DB_KEYS", "1")).await;
}
