//! Texts that lie about being whole, and texts that look odd and are fine.
//! No test asks a server.

use super::*;

const WHOLE: &str = "\
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{method=\"GET\",route=\"/api/admin/api-keys/:kid\",status=\"200\"} 41
http_requests_total{method=\"GET\",route=\"/health\",status=\"204\"} 1
http_requests_total{method=\"GET\",route=\"/health\",status=\"503\"} 2 1769847300000
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{method=\"GET\",route=\"/health\",le=\"0.1\"} 2
http_request_duration_seconds_bucket{method=\"GET\",route=\"/health\",le=\"+Inf\"} 3
http_request_duration_seconds_sum{method=\"GET\",route=\"/health\"} 0.3
http_request_duration_seconds_count{method=\"GET\",route=\"/health\"} 3
http_request_duration_seconds_bucket{method=\"POST\",route=\"/health\",le=\"0.1\"} 0
http_request_duration_seconds_bucket{method=\"POST\",route=\"/health\",le=\"+Inf\"} 1
http_request_duration_seconds_sum{method=\"POST\",route=\"/health\"} 9
http_request_duration_seconds_count{method=\"POST\",route=\"/health\"} 1
# TYPE gc_seconds summary
gc_seconds{quantile=\"0.5\"} NaN
gc_seconds{quantile=\"0.99\"} +Inf
gc_seconds_sum 1
gc_seconds_count 2

# TYPE http_connections gauge
http_connections 3
process_resident_memory_bytes 2.4641536e+07
monolith_config_last_reload_timestamp_seconds NaN
";

fn refused(text: &str) -> String {
    Samples::read(text).unwrap_err()
}

#[test]
fn a_whole_text_is_read_with_every_line_of_its_histograms() {
    let traffic = Samples::read(WHOLE).unwrap().traffic();
    assert_eq!(traffic.samples, 18);
    assert_eq!(traffic.requests, BTreeMap::from([("2xx".into(), 42), ("5xx".into(), 2)]));
    assert_eq!((traffic.connections, traffic.memory_bytes), (Some(3), Some(24_641_536)));
}

#[test]
fn a_cut_at_any_byte_of_the_last_line_is_seen() {
    let text = WHOLE.trim_end();
    let last = text.rfind('\n').unwrap() + 1;
    for end in last + 1..=text.len() {
        let (start, _) = text.split_at(end);
        assert!(refused(start).contains("is cut off"), "{end}");
    }
}

#[test]
fn a_page_is_not_metrics() {
    assert_eq!(refused("\n<!doctype html>\n<p>hello 1\n"), "it is an HTML page");
}

#[test]
fn nothing_is_not_metrics() {
    assert_eq!(refused("# TYPE a counter\n"), "it holds no sample");
}

#[test]
fn a_value_that_is_no_number_is_not_dropped_silently() {
    assert_eq!(refused("a 1\nb one\nc 3\n"), "2 of its 3 samples could be read");
}

#[test]
fn a_bucket_without_its_bound_is_not_dropped_silently() {
    let text = "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{x=\"1\"} 1\na_sum 1\na_count 1\n";
    assert_eq!(refused(text), "3 of its 4 samples could be read");
}

#[test]
fn a_label_the_parser_would_mangle_is_refused() {
    for value in ["a,b", "a=b", "{a", "a}", "a\\\"b"] {
        let text = format!("ok 1\na{{x=\"{value}\"}} 1\n");
        assert_eq!(refused(&text), "line 2 holds a label that cannot be read without loss", "{value}");
    }
}

#[test]
fn escapes_that_the_parser_can_carry_are_read() {
    let text = "monolith_key_verifications_total{code=\"a\\\\b\\nc\"} 2\n";
    let traffic = Samples::read(text).unwrap().traffic();
    assert_eq!(traffic.verifications, BTreeMap::from([("a\\b\nc".into(), 2)]));
}

#[test]
fn an_odd_number_is_a_number() {
    let text = "http_connections +Inf\nprocess_resident_memory_bytes NaN\n";
    let traffic = Samples::read(text).unwrap().traffic();
    assert_eq!((traffic.connections, traffic.memory_bytes), (Some(u64::MAX), Some(0)));
}

#[test]
fn a_line_that_the_parser_would_bend_is_refused() {
    for (line, why) in [
        ("a{b=\"1\", c=\"2\"} 3", "holds a label that cannot be read without loss"),
        ("a{1b=\"1\"} 3", "holds a label that cannot be read without loss"),
        ("a{} 3", "holds a label that cannot be read without loss"),
        ("a{b=\"1\"}3", "is no sample"),
        ("a 3 garbage", "is no sample"),
        ("a 3 1769847300000 0.5", "is no sample"),
        ("a 3\u{b}b 1", "is no sample"),
        ("a:b 3", "is no sample"),
        ("1a 3", "is no sample"),
        ("a", "is no sample"),
    ] {
        assert_eq!(refused(&format!("ok 1\n{line}\n")), format!("line 2 {why}"), "{line}");
    }
}

#[test]
fn counts_that_overflow_stay_the_largest() {
    let text = "http_requests_total{status=\"200\"} +Inf\nhttp_requests_total{status=\"204\"} 7\n";
    assert_eq!(Samples::read(text).unwrap().traffic().requests, BTreeMap::from([("2xx".into(), u64::MAX)]));
}

#[path = "../../../fuzz/counting.rs"]
#[allow(unreachable_pub, reason = "the fuzzer shares it")]
mod counting;

/// As the fuzzer does, which tries millions more.
#[test]
fn every_kept_case_of_the_fuzzer_is_read_without_loss_or_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/metrics");
    let (mut whole, mut refused) = (0, 0);
    for file in std::fs::read_dir(folder).unwrap() {
        let case = std::fs::read(file.unwrap().path()).unwrap();
        counting::try_text(&case, |text| {
            let read = Samples::read(text).map(|samples| samples.traffic());
            if read.is_ok() {
                whole += 1
            } else {
                refused += 1
            }
            let traffic = read?;
            let (samples, requests) = (traffic.samples, traffic.requests);
            Ok(counting::Told { samples, requests, verifications: traffic.verifications })
        });
    }
    assert!(whole > 3 && refused > 10, "{whole} {refused}");
}

fn dice(seed: &mut u64) -> usize {
    crate::fixture::dice(seed) as usize
}

/// Changes, drops, doubles or adds something somewhere.
fn mangle(text: &mut Vec<char>, seed: &mut u64) {
    const ODD: &[char] =
        &['{', '}', ',', '=', '"', '\\', ' ', '\n', '#', 'e', '-', '.', '+', '7', ':', '_', 'é', '\u{0}', '<'];
    let place = dice(seed) % text.len().max(1);
    let end = (place + dice(seed) % 40).min(text.len());
    match dice(seed) % 4 {
        0 => drop(text.drain(place..end)),
        1 => text.insert(place, ODD[dice(seed) % ODD.len()]),
        2 => text.splice(place..place, text[place..end].to_vec()).for_each(drop),
        _ => text[place] = ODD[dice(seed) % ODD.len()],
    }
}

/// The names on the lines that hold a sample, read by nobody but this.
fn names_of(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut names: Vec<_> = lines.map(|line| line.split(['{', ' ', '\t']).next().unwrap_or("").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn no_mangled_text_loses_a_sample_silently() {
    let mut read = 0;
    for number in 1..=3_000_u64 {
        let mut seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut text: Vec<char> = WHOLE.chars().collect();
        for _ in 0..=dice(&mut seed) % 3 {
            mangle(&mut text, &mut seed);
        }
        let text: String = text.into_iter().collect();
        let Ok(samples) = Samples::read(&text) else { continue };
        read += 1;
        let mut names: Vec<String> = samples
            .0
            .iter()
            .flat_map(|sample| {
                let name = match sample.value {
                    Value::Histogram(_) => format!("{}_bucket", sample.metric),
                    _ => sample.metric.clone(),
                };
                std::iter::repeat_n(name, lines_of(sample))
            })
            .collect();
        names.sort();
        assert_eq!(names, names_of(&text), "{number}:\n{text}");
    }
    assert!(read > 300, "{read}");
}
