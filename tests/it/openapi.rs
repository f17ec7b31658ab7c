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
    server.anyone().get("/openapi.json").await.refused(401, "unauthorized");
    server.viewer().get("/openapi.json").await.ok();
    let server = monolith("[server]\ndocs = \"off\"\n[keys]\nstore = \"memory\"\n").ready().await;
    server.admin().get("/openapi.json").await.refused(404, "not_found");
}
