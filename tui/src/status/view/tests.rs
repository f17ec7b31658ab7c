//! What an operator sees, as reviewed snapshots: well, unwell, without a token, and on a narrow terminal.
//! No terminal is touched.

use super::*;
use crate::status::paint;
use crate::status::tests::{degraded, healthy, without_token};

fn seen(status: &Status, width: u16) -> String {
    paint::plain(&draw(status, width))
}

#[test]
fn healthy_at_100_columns() {
    insta::assert_snapshot!(seen(&healthy(), 100));
}

#[test]
fn degraded_at_120_columns() {
    insta::assert_snapshot!(seen(&degraded(), 120));
}

#[test]
fn without_a_token_at_100_columns() {
    insta::assert_snapshot!(seen(&without_token(), 100));
}

#[test]
fn degraded_at_60_columns_loses_no_line() {
    let (narrow, wide) = (seen(&degraded(), 60), seen(&degraded(), 120));
    assert_eq!(narrow.lines().count(), wide.lines().count());
    assert!(narrow.lines().all(|line| line.chars().count() <= 60));
}

#[test]
fn what_is_cut_says_so() {
    let narrow = seen(&degraded(), 60);
    for (line, whole) in narrow.lines().zip(seen(&degraded(), 200).lines()) {
        let text = |line: &str| line.trim_matches(['│', ' ', '─', '┐', '┘', '┌', '└']).to_owned();
        assert!(text(line).contains('…') || text(line) == text(whole), "{line}\n{whole}");
    }
}

#[test]
fn the_state_of_things_has_a_colour_and_a_word() {
    let buffer = draw(&degraded(), 120);
    assert_eq!((buffer[(1, 0)].symbol(), buffer[(1, 0)].fg), ("D", Color::Yellow));
}

#[test]
fn a_server_cannot_write_codes_to_the_terminal() {
    let mut status = healthy();
    status.health.version = "\u{1b}[2J0.1.0".into();
    assert!(!seen(&status, 100).contains('\u{1b}'));
}

#[test]
fn a_process_that_only_runs_workers_is_not_said_to_lack_its_keys() {
    let mut status = healthy();
    status.health.role = monolith_client::wire::ProcessRole::Worker;
    (status.health.keys.fresh, status.health.keys.age_ms) = (false, None);
    let picture = seen(&status, 100);
    assert!(picture.contains("only runs workers") && !picture.contains("not loaded"), "{picture}");
}
