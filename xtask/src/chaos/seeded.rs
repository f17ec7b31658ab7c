//! The other proof of the checker: the program itself, built with `--features seeded-bugs`, is run with each of its seeded bugs, and some
//! rule must be breached. The same build without a bug must pass.

use anyhow::{Result, bail};

use super::{Storm, checker};

/// The one bug that the database would make harmless, were it asked to keep ticks unique.
pub(super) const BLIND_ADVANCE: &str = "blind-advance";

/// What makes a bug show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Kills,
    /// Processes are frozen that hold runs for the next instants.
    Freezes,
    /// Processes are frozen in the middle of statements that take a while: then every slot is busy, and nothing is held.
    FreezesInStatements,
}

/// The bugs that the program has for this proof, what each leaves out, and by what it shows.
const BUGS: [(&str, &str, By); 5] = [
    ("zombie-commits", "an effect is committed though its run's lease was lost", By::FreezesInStatements),
    ("unfenced-start", "a run is started though its claim was lost", By::Freezes),
    (BLIND_ADVANCE, "a schedule is moved without a compare-and-set, and a tick has no unique name", By::Kills),
    ("advance-first", "a schedule is moved before its runs are recorded", By::Kills),
    ("impatient-reaper", "runs are judged dead before their lease has run out", By::Kills),
];

pub(super) fn prove(storm: &Storm) -> Result<()> {
    let mut unnoticed = Vec::new();
    for (bug, what, by) in BUGS {
        println!("\n{bug}: {what}");
        let freeze_every = if by == By::Kills { 0 } else { 2 };
        let slow = storm.slow || by == By::FreezesInStatements;
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
