//! The other proof of the checker: the program itself, built with `--features seeded-bugs`, is run with each of its seeded bugs, and some
//! rule must be breached. The same build without a bug must pass.

use anyhow::{Result, bail};

use super::{Storm, checker};

/// The one bug that the database would make harmless, were it asked to keep ticks unique.
pub(super) const BLIND_ADVANCE: &str = "blind-advance";

/// The bugs of `src/work/seeded.rs`, what each leaves out, and how often a process is frozen so that it shows.
const BUGS: [(&str, &str, usize); 5] = [
    ("zombie-commits", "an effect is committed though its run's lease was lost", 2),
    ("unfenced-start", "a run is started though its claim was lost", 2),
    (BLIND_ADVANCE, "a schedule is moved without a compare-and-set, and a tick has no unique name", 0),
    ("advance-first", "a schedule is moved before its runs are recorded", 0),
    ("impatient-reaper", "runs are judged dead before their lease has run out", 0),
];

pub(super) fn prove(storm: &Storm) -> Result<()> {
    let mut unnoticed = Vec::new();
    for (bug, what, freeze_every) in BUGS {
        println!("\n{bug}: {what}");
        let slow = storm.slow || freeze_every > 0;
        let storm = Storm { slow, freeze_every, restart_every: 0, outage: 0, ..storm.clone() };
        let breached = checker::breached(&storm.rage(Some(bug))?);
        breached.iter().for_each(|rule| println!("   found:  {rule}"));
        if breached.is_empty() {
            println!("   not noticed");
            unnoticed.push(bug);
        }
    }
    println!("\nwithout a bug:");
    checker::check(&Storm { restart_every: 0, outage: 0, freeze_every: 2, ..storm.clone() }.rage(Some("none"))?)?;
    if !unnoticed.is_empty() {
        bail!("the checker does not notice {}", unnoticed.join(", "));
    }
    println!("{} bugs, each noticed", BUGS.len());
    Ok(())
}
