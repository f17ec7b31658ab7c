//! The fuzzer's kept cases, the gallery, and every prefix of the shipped file: read, understood and answered without a
//! panic. What is asked of each stands in `fuzz/reading.rs`, which the fuzzer runs over millions more.

#[path = "../../fuzz/reading.rs"]
pub mod reading;

use reading::try_case;
use std::fs;
use std::path::Path;

fn cases(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

#[test]
fn no_kept_case_of_the_fuzzer_makes_the_reader_panic() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["fuzz/corpus/load", "tests/bad"] {
        let cases = cases(folder);
        assert!(!cases.is_empty(), "{folder} is empty");
        for (name, case) in cases {
            let told = std::panic::catch_unwind(|| try_case(dir.path(), &case));
            assert!(told.is_ok(), "{name}");
        }
    }
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_an_error_or_valid_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let whole = include_bytes!("../../monolith.toml");
    for end in 0..=whole.len() {
        try_case(dir.path(), &whole[..end]);
    }
}
