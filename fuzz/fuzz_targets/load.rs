//! The fuzzer: any bytes are a case, which must be read, understood and answered without a panic.
//! What is asked of a case stands in `reading.rs`, which the ordinary tests run over the kept corpus.
#![no_main]

#[path = "../reading.rs"]
mod reading;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// In memory where the system offers that: a disk would be the slowest part.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder for the cases")
});

fuzz_target!(|case: &[u8]| reading::try_case(FOLDER.path(), case));
