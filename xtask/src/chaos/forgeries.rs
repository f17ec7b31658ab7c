//! The proof that the checker is not blind: what a defect would have left behind is written into a copy of the history, and the rule
//! that is there for it must find it.

use anyhow::{Context, Result, bail};

use super::checker::RULES;
use super::history::{Attempt, Event, History, What};

/// What a defect would have left behind, and the name of the rule that must find it.
struct Forgery {
    what: &'static str,
    rule: &'static str,
    forge: fn(&mut History) -> Option<()>,
}

const FORGERIES: [Forgery; 11] = [
    Forgery {
        what: "a tick that ran twice",
        rule: "effects that were made twice",
        forge: |history| {
            let hit = history.hits.last()?.clone();
            history.hits.push(hit);
            Some(())
        },
    },
    Forgery {
        what: "a tick that was lost",
        rule: "ticks that are missing",
        forge: |history| {
            let worker = history.runs.first()?.worker.clone();
            let newest = history.runs.iter().filter(|run| run.worker == worker).max_by_key(|run| run.tick)?.id.clone();
            history.runs.retain(|run| run.id != newest);
            Some(())
        },
    },
    Forgery {
        what: "a tick that was recorded by two",
        rule: "ticks that are recorded twice",
        forge: |history| {
            let mut run = history.runs.first()?.clone();
            run.id.push('x');
            history.runs.push(run);
            Some(())
        },
    },
    Forgery {
        what: "an effect whose run ended otherwise",
        rule: "effects without a run that succeeded (a zombie's write)",
        forge: |history| {
            let run = history.hits.last()?.run.clone();
            history.runs.iter_mut().find(|other| other.id == run)?.state = "failed".into();
            Some(())
        },
    },
    Forgery {
        what: "an end that was recorded without its effect",
        rule: "runs that succeeded without an effect",
        forge: |history| history.hits.pop().map(drop),
    },
    Forgery {
        what: "a run that two replicas made at once",
        rule: "attempts of one run that overlap in time",
        forge: |history| {
            let attempt = history.attempts.last()?.clone();
            history.attempts.push(Attempt { n: attempt.n + 1, replica: "zombie".into(), ..attempt });
            let finished = history.attempts.len().checked_sub(2)?;
            history.attempts.get_mut(finished)?.finished = None;
            Some(())
        },
    },
    Forgery {
        what: "an attempt that two replicas made",
        rule: "attempts that were made twice",
        forge: |history| {
            let mark = history.marks.last()?.clone();
            history.marks.push(mark);
            Some(())
        },
    },
    Forgery {
        what: "an attempt without a start",
        rule: "attempts that the ledger does not know (a zombie's)",
        forge: |history| {
            history.marks.last_mut()?.attempt += 50;
            Some(())
        },
    },
    Forgery {
        what: "a living replica that was judged",
        rule: "runs judged dead though their replica lived",
        forge: |history| {
            let attempt = history.attempts.last_mut()?;
            (attempt.outcome, attempt.replica) = ("crashed".into(), "alive".into());
            attempt.finished = Some(calm(&history.events)?);
            Some(())
        },
    },
    Forgery {
        what: "a run that nobody took over",
        rule: "runs that were started and never finished",
        forge: |history| {
            history.runs.last_mut()?.state = "running".into();
            Some(())
        },
    },
    Forgery {
        what: "a takeover that took a minute",
        rule: "takeovers later than a lease and 2 s",
        forge: |history| {
            let at = calm(&history.events)?;
            history.events.push(Event { at, what: What::Killed, replica: "dead".into() });
            let dead = Attempt {
                run: "forged".into(),
                n: 1,
                replica: "dead".into(),
                started: at,
                finished: Some(at),
                outcome: "crashed".into(),
            };
            let next = Attempt { n: 2, replica: "heir".into(), started: at + 60_000, ..dead.clone() };
            history.attempts.extend([dead, next]);
            Some(())
        },
    },
];

/// An hour after everything.
fn calm(events: &[Event]) -> Option<i64> {
    Some(events.iter().map(|event| event.at).max()? + 3_600_000)
}

/// Makes each forgery and lets its rule find it.
pub(super) fn prove(history: &History) -> Result<()> {
    let mut blind = Vec::new();
    for Forgery { what, rule, forge } in FORGERIES {
        let rule = RULES.iter().find(|other| other.name == rule).context("there is no such rule")?;
        let before = (rule.breaches)(history).len();
        let mut forged = history.clone();
        forge(&mut forged).with_context(|| format!("nothing was recorded that could be forged into {what}"))?;
        if (rule.breaches)(&forged).len() <= before {
            blind.push(what);
        }
    }
    if !blind.is_empty() {
        bail!("the checker is blind: it does not notice {}", blind.join(", "));
    }
    println!("{:>8}  forgeries, each noticed by its rule", FORGERIES.len());
    Ok(())
}
