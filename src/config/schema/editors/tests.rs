//! The schema for editors against the program: what the one takes, the other takes, as far as a schema can say it.
//! A real validator judges, as an editor's does.

use super::*;

#[test]
fn what_has_a_built_in_value_is_not_asked_for() {
    let schema = for_editors();
    assert_eq!(schema.get("required"), None);
    assert_eq!(schema.pointer("/$defs/Server/required"), None);
    assert_eq!(schema.pointer("/$defs/Server/properties/bind/default"), Some(&json!("127.0.0.1:8000")));
    assert_eq!(schema.pointer("/$defs/Worker/required"), Some(&json!(["run"])));
    assert_eq!(schema.pointer("/$defs/Store/oneOf/0/required"), Some(&json!(["kind", "url"])));
}

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/monolith.schema.json");
    let committed: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(committed, for_editors(), "stale: run `cargo run -- schema > monolith.schema.json`");
}

/// A TOML text as an editor's validator sees it.
fn as_json(text: &str) -> Option<Json> {
    let mut problems = Problems::default();
    let layer = Layer::from_toml("monolith.toml", text, &mut problems)?;
    (!problems.any()).then(|| serde_json::to_value(&layer.dict).unwrap())
}

fn root() -> std::path::PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// The names and texts of the files of a folder with an ending.
fn texts(folder: &str, end: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|found| found == end));
    files
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), std::fs::read_to_string(&path).ok()?)))
        .collect()
}

#[test]
fn the_shipped_file_and_every_profile_please_an_editor() {
    let validator = jsonschema::validator_for(&for_editors()).unwrap();
    let mut files = texts("profiles", "toml");
    files.push(("monolith".into(), std::fs::read_to_string(root().join("monolith.toml")).unwrap()));
    assert!(files.len() >= 5);
    for (name, text) in files {
        let errors: Vec<String> =
            validator.iter_errors(&as_json(&text).unwrap()).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

/// What `check` says where the shape of a file is wrong, as opposed to its meaning.
fn is_about_shape(message: &str) -> bool {
    const SHAPES: [&str; 9] = [
        "there is no such key",
        "must be text, found",
        "must be a table, found",
        "must be an array, found",
        "must be true or false, found",
        "must be a whole number, found",
        "is missing",
        "is not a key of the kind",
        "must be \"",
    ];
    let is_shape = SHAPES.iter().any(|shape| message.contains(shape));
    is_shape && (!message.contains("must be \"") || message.contains(", found"))
}

#[test]
fn what_check_refuses_for_its_shape_an_editor_underlines_too() {
    let validator = jsonschema::validator_for(&for_editors()).unwrap();
    let mut seen = 0;
    for (name, text) in texts("tests/bad", "toml") {
        let snapshot = std::fs::read_to_string(root().join(format!("tests/bad/snapshots/{name}.snap"))).unwrap();
        let in_the_file = |line: &&str| line.starts_with("error: monolith.toml:") && is_about_shape(line);
        let Some(message) = snapshot.lines().find(in_the_file) else { continue };
        let base = text.split("\n#@ beside\n").next().unwrap();
        if let Some(value) = as_json(base) {
            assert!(!validator.is_valid(&value), "{name} pleases the editor, but not us: {message}");
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen}");
}
