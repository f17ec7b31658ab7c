//! Revisions on disk: kept over a restart, bounded, private, and readable after a torn write.

use super::*;
use crate::clock::Timestamp;
use crate::runtime::report::Trigger;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

fn report(ending: Ending, generation: u64) -> Report {
    Report {
        attempt: generation,
        ending,
        generation,
        hash: "abc".into(),
        trigger: Trigger::File,
        actor: Some("me".into()),
        at: Timestamp::EPOCH,
        took: Duration::from_millis(3),
        nodes: Vec::new(),
        problems: Vec::new(),
    }
}

fn applied(word: &str) -> Applied {
    let texts = BTreeMap::from([("monolith.toml".to_owned(), Secret::new(word))]);
    Applied { texts, profile: "test".into(), values: json!({"server": {"docs": word}}) }
}

fn numbers(revisions: &Revisions) -> Vec<u64> {
    revisions.page(KEPT, None).0.iter().map(|revision| revision.revision).collect()
}

#[test]
fn they_outlive_a_restart_and_only_their_owner_can_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let before = Revisions::open(folder.path(), Part::Serve);
    before.add(&report(Ending::Applied, 1), || applied("off"));
    before.add(&report(Ending::Rejected, 1), || applied("never"));
    before.write();
    assert_eq!(before.trouble(), None);
    let mode = fs::metadata(folder.path().join("revisions.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let after = Revisions::open(folder.path(), Part::Serve);
    assert_eq!(numbers(&after), [2, 1]);
    after.add(&report(Ending::Applied, 1), || applied("off"));
    assert_eq!(numbers(&after), [2, 1], "a start with what ran last is nothing new");
    after.add(&report(Ending::Applied, 1), || applied("public"));
    let newest = &after.page(1, None).0[0];
    assert_eq!(newest.report.nodes[0].keys[0].key, "server.docs", "a start tells what differs from the process before");
    assert_eq!(after.last_applied().unwrap().1.texts["monolith.toml"], Secret::new("public"));
}

#[test]
fn a_torn_file_loses_its_torn_line_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let before = Revisions::open(folder.path(), Part::Serve);
    (1..=3).for_each(|n| before.add(&report(Ending::Applied, n), || applied(&n.to_string())));
    before.write();
    let file = folder.path().join("revisions.jsonl");
    let whole = fs::read(&file).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let after = Revisions::open(folder.path(), Part::Serve);
        let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count();
        assert!((lines..=lines + 1).contains(&numbers(&after).len()), "{length}");
    }
    fs::write(&file, b"\xff\xfe not ours\n").unwrap();
    assert_eq!(numbers(&Revisions::open(folder.path(), Part::Serve)), [0; 0]);
}

#[test]
fn fifty_are_kept_and_always_the_one_to_start_from() {
    let folder = tempfile::tempdir().unwrap();
    let revisions = Revisions::open(folder.path(), Part::Serve);
    revisions.add(&report(Ending::Applied, 1), || applied("good"));
    (0..3 * KEPT).for_each(|_| revisions.add(&report(Ending::Rejected, 1), || applied("never")));
    revisions.write();
    let again = Revisions::open(folder.path(), Part::Serve);
    assert_eq!(numbers(&again).len(), KEPT);
    assert_eq!((again.last_applied().unwrap().0, numbers(&again)[0]), (1, 3 * KEPT as u64 + 1));
    let (first, next) = again.page(20, None);
    let (second, _) = again.page(20, next);
    assert_eq!(second[0].revision, first[19].revision - 1);
    assert!(again.page(KEPT, Some(1)).0.is_empty(), "there is nothing before the first");
}

#[test]
fn what_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), "a file where the folder should be").unwrap();
    let revisions = Revisions::open(&folder.path().join("data"), Part::Serve);
    revisions.add(&report(Ending::Applied, 1), || applied("x"));
    revisions.write();
    assert!(revisions.trouble().unwrap().contains("revisions.jsonl"));
}
