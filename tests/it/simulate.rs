//! Ticks as they are foretold: `workers simulate` over daylight saving and outages, and the next ticks that `check` shows.
//! No server runs here; that the ledger keeps to what is foretold is tested beside `work`.

use crate::harness::{Builder, monolith, stderr, stdout};
use serde_json::{Value, json};

fn with_worker(worker: &str) -> Builder {
    monolith(&format!(
        "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:it.db\"\n[scheduler]\nstore = \"main\"\n\
         [workers.it]\n{worker}\nrun = {{ kind = \"sql\", store = \"main\", statement = \"select 1\" }}\n"
    ))
}

/// The lines of `simulate --output json`.
#[track_caller]
fn simulated(worker: &str, args: &[&str]) -> Vec<Value> {
    let output = with_worker(worker).run(&[&["workers", "simulate", "it", "--output", "json"], args].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Hour and minute, count and outcome of each line.
fn fates(lines: &[Value]) -> Vec<(&str, u64, &str)> {
    lines
        .iter()
        .map(|line| {
            let at = line["from"].as_str().unwrap().get(11..16).unwrap();
            (at, line["count"].as_u64().unwrap(), line["outcome"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn the_days_on_which_clocks_are_changed_are_marked() {
    let nightly = "schedule = \"30 2 * * *\"\ntimezone = \"America/New_York\"";
    let output = with_worker(nightly).run(&["workers", "simulate", "it", "--from", "2026-03-07", "--to", "2026-03-10"]);
    insta::assert_snapshot!(stdout(&output), @r"
    TICK                      IN America/New_York        STARTS                    OUTCOME  NOTE
    2026-03-07T07:30:00.000Z  2026-03-07T02:30:00-05:00  2026-03-07T07:30:00.000Z  on_time
    2026-03-08T07:00:00.000Z  2026-03-08T03:00:00-04:00  2026-03-08T07:00:00.000Z  on_time  clocks +1h at 2026-03-08T03:00:00-04:00
    2026-03-09T06:30:00.000Z  2026-03-09T02:30:00-04:00  2026-03-09T06:30:00.000Z  on_time
    ");
    let autumn = simulated(nightly, &["--from", "2026-11-01", "--to", "2026-11-02", "--tz", "UTC"]);
    assert_eq!(autumn[0]["local"], "2026-11-01T07:30:00+00:00", "told in another zone: {autumn:?}");
}

#[test]
fn an_outage_is_answered_as_catch_up_says() {
    let day = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T05:00:00Z"];
    let outage = [&day[..], &["--outage", "2026-01-01T00:30:00Z..2026-01-01T03:30:00Z"]].concat();
    let told = |policy: &str| {
        let worker = format!("every = \"1h\"\ncatch_up = {{ policy = \"{policy}\", max = 2 }}");
        simulated(&worker, &outage)
    };
    assert_eq!(fates(&told("skip")), [("00:00", 1, "on_time"), ("01:00", 3, "missed"), ("04:00", 1, "on_time")]);
    let last = told("last");
    assert_eq!(
        fates(&last),
        [("00:00", 1, "on_time"), ("01:00", 2, "missed"), ("03:00", 1, "caught_up"), ("04:00", 1, "on_time")]
    );
    assert_eq!((&last[1]["to"], &last[1]["starts_at"]), (&json!("2026-01-01T02:00:00.000Z"), &Value::Null));
    assert_eq!(last[2]["starts_at"], "2026-01-01T03:30:00.000Z");
    assert_eq!(
        fates(&told("all")),
        [
            ("00:00", 1, "on_time"),
            ("01:00", 1, "missed"),
            ("02:00", 1, "caught_up"),
            ("03:00", 1, "caught_up"),
            ("04:00", 1, "on_time")
        ]
    );
}

#[test]
fn a_short_outage_makes_a_tick_late_and_a_long_one_misses_thousands_in_one_line() {
    let short =
        ["--from", "2026-01-01", "--to", "2026-01-01T00:02", "--outage", "2026-01-01T00:00:50..2026-01-01T00:01:10"];
    let late = simulated("every = \"1m\"\ntimeout = \"5s\"", &short);
    assert_eq!(fates(&late), [("00:00", 1, "on_time"), ("00:01", 1, "late")]);
    assert_eq!(late[1]["starts_at"], "2026-01-01T00:01:10.000Z");

    let weekend =
        ["--from", "2026-01-01", "--to", "2026-01-03T00:00:01", "--outage", "2026-01-01T00:00:01..2026-01-03"];
    let lost = simulated("every = \"1s\"\ntimeout = \"500ms\"\ncatch_up = { policy = \"skip\" }", &weekend);
    assert_eq!(lost[1]["count"], 172_800, "{lost:?}");
}

#[test]
fn jitter_moves_each_start_by_the_same_length_each_time_it_is_asked() {
    let args = ["--from", "2026-01-01", "--to", "2026-01-01T03:00"];
    let worker = "every = \"1h\"\njitter = \"10m\"";
    let told = simulated(worker, &args);
    assert_eq!(told, simulated(worker, &args));
    for line in &told {
        let (tick, start) = (line["from"].as_str().unwrap(), line["starts_at"].as_str().unwrap());
        assert!(tick < start && start.get(11..15) == tick.get(11..15), "within ten minutes: {line}");
    }
}

#[test]
fn what_cannot_be_simulated_says_why() {
    let refused = |args: &[&str], code: i32, says: &str| {
        let output = with_worker("every = \"1h\"").run(&[&["workers", "simulate"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    };
    refused(&["nobody", "--from", "now", "--to", "+1h"], 1, "declared are: it");
    refused(&["it", "--from", "now", "--to", "-1h"], 2, "--to must end after it begins");
    refused(&["it", "--from", "soon", "--to", "+1h"], 2, "must be an instant such as");
    refused(&["it", "--from", "now", "--to", "+1h", "--tz", "Europe/Berln"], 2, "IANA name");
    refused(&["it", "--from", "now", "--to", "+1h", "--outage", "now"], 2, "`..` between them");
    refused(&["it", "--from", "now", "--to", "+1h", "--set", "server.bind=x"], 3, "server.bind");
}

#[test]
fn check_shows_when_each_worker_is_due_next_in_utc_and_in_its_zone() {
    let builder = with_worker("schedule = \"0 3 * * *\"\ntimezone = \"Asia/Kolkata\"\n");
    let output = builder.run(&["check"]);
    let said = stdout(&output);
    assert!(said.contains("0 3 * * * in Asia/Kolkata") && said.contains("T21:30:00.000Z"), "{said}");
    assert_eq!(said.matches("T03:00:00+05:30").count(), 5, "{said}");
    let told: Value = serde_json::from_str(&stdout(&builder.run(&["check", "--format", "json"]))).unwrap();
    let worker = &told["workers"]["it"];
    assert_eq!((&worker["timezone"], worker["next"].as_array().unwrap().len()), (&json!("Asia/Kolkata"), 5), "{told}");
    let off = with_worker("every = \"1h\"\nenabled = false").run(&["check"]);
    assert!(!stdout(&off).contains("NEXT"), "a worker that is switched off is due never: {}", stdout(&off));
}
