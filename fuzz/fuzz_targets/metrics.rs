//! The fuzzer of what the console reads from `/metrics`: any bytes are a text, read without a panic and without a loss.
//! What is asked of a case stands in `counting.rs`, which the ordinary tests run over the kept corpus.
#![no_main]

#[path = "../counting.rs"]
mod counting;
#[path = "../../tui/src/metrics.rs"]
#[allow(dead_code, reason = "the console draws more than is counted here")]
mod metrics;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: &[u8]| counting::try_text(case, |text| {
    let traffic = metrics::read(text)?.traffic;
    Ok(counting::Told { samples: traffic.samples, requests: traffic.requests, verifications: traffic.verifications })
}));
