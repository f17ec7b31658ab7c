//! The API's description, as it was reviewed: no route, field or status code changes by accident.
//! After a change that is meant, `INSTA_UPDATE=always cargo test --test it openapi` writes it anew, to be read and committed.

use crate::harness::monolith;
use serde_json::Value;

const PUBLIC: &str = "[server]\ndocs = \"public\"\n[keys]\nstore = \"memory\"\n";

#[tokio::test]
async fn the_description_is_the_reviewed_one() {
    let server = monolith(PUBLIC).ready().await;
    let mut document = server.anyone().get("/openapi.json").await.ok();
    document["info"]["version"] = Value::from("of the build");
    let text = serde_json::to_string_pretty(&document).unwrap();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("openapi", text);
    });
}

#[tokio::test]
async fn the_description_is_for_whom_the_file_says() {
    let server = monolith("[keys]\nstore = \"memory\"\n").ready().await;
    for path in ["/openapi.json", "/docs"] {
        server.anyone().get(path).await.refused(401, "unauthorized");
        assert_eq!(server.viewer().get(path).await.status, 200, "{path}");
    }
    let server = monolith("[server]\ndocs = \"off\"\n[keys]\nstore = \"memory\"\n").ready().await;
    server.admin().get("/openapi.json").await.refused(404, "not_found");
    server.admin().get("/docs").await.refused(404, "not_found");
}

#[tokio::test]
async fn the_page_for_people_holds_every_route_and_runs_nothing() {
    let server = monolith(PUBLIC).ready().await;
    let answer = server.anyone().get("/docs").await;
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("script"), "{policy}");
    for nothing in ["<script", "<img", "<link", "http://", "https://", " on", "style="] {
        let inside = answer.text.split("</style>").nth(1).unwrap();
        let tags = inside.split('<').skip(1).filter_map(|rest| rest.split('>').next());
        assert!(!tags.map(|tag| format!("<{tag}")).any(|tag| tag.contains(nothing)), "{nothing}");
    }
    let document = server.anyone().get("/openapi.json").await.ok();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let heading = format!("<h3><b>{method}</b> <code>{path}</code></h3>");
            assert!(answer.text.contains(&heading), "{method} {path} is not on the page");
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(answer.text.contains(&format!("<section id=\"body-{name}\">")), "{name} is not on the page");
    }
}
