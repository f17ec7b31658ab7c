//! Sends commands, and takes what became of them: done, refused, or nobody knows.
//! A command whose end nobody knows is looked for in what the server lists; it is never sent again.

use std::time::Duration;

use monolith_client::wire::{Explanation, KeyState, Outcome, Plan, Receipt, ReloadOutcome, RunState};

use super::interest;
use crate::clock::{Now, unix_ms};
use crate::message::{Command, Done, Effect, Failure, Success, TargetId};
use crate::model::dialog::{Dialog, Secret};
use crate::model::{Model, Pending, Unknown};
use crate::words;

/// After so long without an answer the lists should show it; what they do not show by then is told, and may still happen.
const LATE: Duration = Duration::from_secs(5);
/// A proxy may hold a request for so long and pass it on after all: until then it is looked for.
const WATCHED: Duration = Duration::from_secs(5 * 60);
/// Clocks are compared to the second.
const SLACK_MS: i64 = 2_000;

/// Sends a command.
pub(super) fn send(model: &mut Model, target: TargetId, command: Command, now: Now, effects: &mut Vec<Effect>) {
    model.tickets += 1;
    let ticket = model.tickets;
    if !command.is_a_question() {
        let name = model.targets.get(target).map(|target| target.name.clone()).unwrap_or_default();
        model.note(false, name, format!("sent: {}", command.title()), now);
    }
    let sent_ms = model.targets.get(target).map_or(now.unix_ms, |target| target.server_ms(now));
    let pending = Pending { ticket, target, command: command.clone(), sent_at: now.at, unknown: None, sent_ms };
    model.pending.push(pending);
    effects.push(Effect::Send { target, ticket, command });
}

/// Takes the end of a command.
pub(super) fn done(model: &mut Model, done: Done, now: Now) {
    let Some(place) = model.pending.iter().position(|pending| pending.ticket == done.ticket) else { return };
    let pending = model.pending.remove(place);
    for source in pending.command.touches() {
        interest::nudge(model, done.target, *source);
    }
    let title = pending.command.title();
    match done.outcome {
        Ok(success) => succeeded(model, done.target, &pending.command, success, now),
        Err(Failure::Refused(why)) => model.say(done.target, true, format!("could not {title}: {why}"), now),
        Err(Failure::Rejected(outcome)) => {
            model.say(done.target, true, "the reload was rejected; what ran goes on", now);
            reloaded(model, done.target, &outcome);
        }
        Err(Failure::Unknown(why)) if pending.command.is_a_question() => {
            model.say(done.target, true, format!("could not {title}: {why}"), now);
        }
        Err(Failure::Unknown(why)) => {
            let look = where_to_look(&pending.command);
            let next = look.map_or_else(|| "it is looked up and".to_owned(), |look| format!("{look}; it is"));
            let text = format!("UNKNOWN whether it did {title}: {why}; {next} not sent again");
            model.say(done.target, true, text, now);
            if look.is_none() {
                let unknown = Some(Unknown { since: now.at, told: false });
                model.pending.push(Pending { unknown, ..pending });
            }
        }
    }
}

/// Where the operator has to look for what became of a command; `None` where the console looks itself. A key tells what
/// was done to it; a run, a pause or a revision may as well be somebody else's.
const fn where_to_look(command: &Command) -> Option<&'static str> {
    match command {
        Command::Run { .. } | Command::Cancel { .. } => Some("look at its runs"),
        Command::Pause { .. } | Command::Resume { .. } => Some("look whether it is paused"),
        Command::Reload => Some("look at the revisions"),
        _ => None,
    }
}

fn succeeded(model: &mut Model, of: TargetId, command: &Command, success: Success, now: Now) {
    match success {
        Success::Issued(issued) => {
            let (kid, name) = (issued.record.kid.clone(), issued.record.name.clone().unwrap_or_default());
            model.say(of, false, format!("the key {name} ({kid}) was created"), now);
            if let Some(text) = issued.key {
                model.bring(Dialog::Secret(Secret::new(of, kid, name, text)));
            }
        }
        Success::Revoked(receipt) => {
            let text = format!("{}: {}", command.title(), receipt_words(&receipt));
            model.say(of, !receipt.complete, text, now);
        }
        Success::Started(run) => model.say(of, false, format!("{}: run {run} is queued", command.title()), now),
        Success::Worker(worker) => {
            let worker = words::clean(&worker.name).into_owned();
            let did = if matches!(command, Command::Pause { .. }) { "paused" } else { "resumed" };
            model.say(of, false, format!("{worker} is {did}"), now);
        }
        Success::Cancelled(run) => {
            let worker = words::clean(&run.worker);
            let text = match run.state {
                // The server has asked it to end; the lists tell when it has.
                RunState::Claimed | RunState::Running => format!("asked to cancel the run of {worker}"),
                state => format!("the run of {worker} is {state}"),
            };
            model.say(of, false, text, now);
        }
        Success::Reloaded(outcome) => {
            model.say(of, false, reload_words(&outcome), now);
            if outcome.outcome != ReloadOutcome::Unchanged {
                reloaded(model, of, &outcome);
            }
        }
        Success::Explained(explanation) => explained(model, of, &explanation),
        Success::Planned(plan) => planned(model, of, &plan),
    }
}

/// The title of an answer: it names its server where there are several, for it may be read while another is looked at.
fn title(model: &Model, of: TargetId, title: &str) -> String {
    match model.targets.get(of).filter(|_| model.targets.len() > 1) {
        Some(target) => format!("{title} on {}", target.label()),
        None => title.to_owned(),
    }
}

fn receipt_words(receipt: &Receipt) -> String {
    let Receipt { replicas_known: known, replicas_acked: acked, .. } = receipt;
    let bound = receipt.bound_ms.map_or_else(
        || "nothing bounds when the others will".to_owned(),
        |ms| format!("the others will within {}", words::millis(ms)),
    );
    let all =
        if *known == 1 { "the one replica refuses it".to_owned() } else { format!("all {known} replicas refuse it") };
    match (receipt.complete, receipt.lag_ms) {
        (true, Some(lag)) => format!("done, {all} after {}", words::millis(lag)),
        (true, None) => format!("done, {all}"),
        (false, _) => format!("done, {acked} of {known} replicas refuse it so far; {bound}"),
    }
}

fn reload_words(outcome: &Outcome) -> String {
    let took = words::millis(outcome.duration_ms);
    match outcome.outcome {
        ReloadOutcome::Applied => format!("generation {} runs, after {took}", outcome.generation),
        ReloadOutcome::Unchanged => "the files say what runs already".to_owned(),
        ReloadOutcome::Rejected => "the reload was rejected; what ran goes on".to_owned(),
    }
}

fn reloaded(model: &mut Model, of: TargetId, outcome: &Outcome) {
    let mut lines = vec![
        ("outcome".to_owned(), outcome.outcome.to_string()),
        ("generation".to_owned(), outcome.generation.to_string()),
        ("took".to_owned(), words::millis(outcome.duration_ms)),
    ];
    for node in &outcome.nodes {
        let error = node.error.as_deref().map(|error| format!(": {}", words::clean(error))).unwrap_or_default();
        lines.push((words::clean(&node.node).into_owned(), format!("{}{error}", node.effect)));
    }
    lines.extend(outcome.problems.iter().flat_map(problem));
    model.bring(Dialog::Detail { title: title(model, of, "Reload"), lines });
}

/// A mistake of a configuration with its place.
pub(crate) fn problem(problem: &monolith_client::wire::Problem) -> Vec<(String, String)> {
    let place = match (&problem.file, problem.line, &problem.env) {
        (Some(file), Some(line), _) => format!("{file}:{line}"),
        (Some(file), None, _) => file.clone(),
        (None, _, Some(env)) => env.clone(),
        (None, _, None) => problem.key.clone(),
    };
    let key = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
    let text = words::clean(&format!("{key}{}", problem.message)).into_owned();
    let mut lines = vec![(words::clean(&place).into_owned(), text)];
    if let Some(hint) = &problem.hint {
        lines.push((String::new(), format!("hint: {}", words::clean(hint))));
    }
    lines
}

fn explained(model: &mut Model, of: TargetId, explanation: &Explanation) {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => words::clean(text).into_owned(),
        other => words::clean(&other.to_string()).into_owned(),
    };
    let mut lines = vec![("value".to_owned(), text(&explanation.value))];
    if explanation.masked {
        lines.push(("masked".to_owned(), "it is a secret, or holds one".to_owned()));
    }
    for layer in &explanation.layers {
        let place = layer.place.as_deref().map(|place| format!("  {}", words::clean(place))).unwrap_or_default();
        let wins = if layer.wins { "  wins" } else { "" };
        lines.push((words::clean(&layer.layer).into_owned(), format!("{}{place}{wins}", text(&layer.value))));
    }
    let title = title(model, of, &format!("Explain {}", words::clean(&explanation.key)));
    model.bring(Dialog::Detail { title, lines });
}

fn planned(model: &mut Model, of: TargetId, plan: &Plan) {
    let verdict = if plan.valid { "it would be applied" } else { "it would be rejected" };
    let mut lines = vec![("verdict".to_owned(), verdict.to_owned())];
    for change in &plan.changes {
        let keys = change.keys.iter().map(|key| words::clean(key).into_owned()).collect::<Vec<_>>().join(", ");
        lines.push((words::clean(&change.node).into_owned(), format!("{}  {keys}", change.effect)));
    }
    if plan.changes.is_empty() && plan.valid {
        lines.push(("changes".to_owned(), "none".to_owned()));
    }
    if plan.withdrawn_runs > 0 {
        lines.push(("withdrawn runs".to_owned(), plan.withdrawn_runs.to_string()));
    }
    lines.extend(plan.problems.iter().flat_map(problem));
    model.bring(Dialog::Detail { title: title(model, of, "Plan"), lines });
}

/// Looks in a fresh list of keys for what became of commands that nobody answered.
pub(super) fn look_for_unknown(model: &mut Model, id: TargetId, now: Now) {
    let Some(target) = model.targets.get(id) else { return };
    let Some(keys) = target.keys.shown(now.at).any().filter(|_| target.keys.trouble.is_none()) else { return };
    let asked_at = now.at.saturating_sub(target.keys.age(now.at).unwrap_or_default());
    let mut told = Vec::new();
    for pending in model.pending.iter().filter(|pending| pending.target == id) {
        let Some(unknown) = pending.unknown else { continue };
        let found = match &pending.command {
            Command::Revoke { kid, .. } => {
                keys.items.iter().find(|key| key.kid == *kid && key.state == KeyState::Revoked).map(|key| {
                    let at = key.revoked_at.as_deref().map(words::time_of_day).unwrap_or_default();
                    (false, format!("it is revoked, since {at}"))
                })
            }
            Command::Create { key } => keys.items.iter().find_map(|other| {
                let young = unix_ms(&other.created_at).is_some_and(|at| at >= pending.sent_ms - SLACK_MS);
                (other.name.as_ref() == Some(&key.name) && young).then(|| {
                    let text = format!("{} was created, but its secret never arrived: revoke it", other.kid);
                    (true, text)
                })
            }),
            Command::Rotate { kid, .. } => keys
                .items
                .iter()
                .find(|key| key.kid == *kid && key.rotated_to.is_some())
                .map(|_| (true, "it was rotated, but the new secret never arrived: rotate the new key".to_owned())),
            _ => None,
        };
        let age = asked_at.saturating_sub(unknown.since);
        // A list that is not whole is no witness of a key that it does not hold.
        let hidden = keys.more && pending.command.kid().is_none_or(|kid| keys.items.iter().all(|key| key.kid != kid));
        let verdict = match found {
            Some((bad, text)) => Some((bad, text, true)),
            None if age >= WATCHED => Some((true, given_up(hidden), true)),
            None if age >= LATE && !unknown.told => Some((true, not_shown(hidden), false)),
            None => None,
        };
        if let Some((bad, text, over)) = verdict {
            told.push((pending.ticket, bad, format!("{}: {text}", pending.command.title()), over));
        }
    }
    for (ticket, bad, text, over) in told {
        match over {
            true => model.pending.retain(|pending| pending.ticket != ticket),
            false => model.pending.iter_mut().filter(|pending| pending.ticket == ticket).for_each(Pending::tell),
        }
        model.say(id, bad, text, now);
    }
}

/// What is said of a command that the list does not show: never that it was not done, for it may be on its way.
fn not_shown(hidden: bool) -> String {
    match hidden {
        true => "the list is longer than what is read of it, and may hide it; look for it before you do it again",
        false => "the server does not show it so far; it may still happen, and is looked for for five minutes",
    }
    .to_owned()
}

fn given_up(hidden: bool) -> String {
    match hidden {
        true => "it was not seen in the part of the list that is read; look for it before you do it again",
        false => "the server did not show it for five minutes; look for it before you do it again",
    }
    .to_owned()
}
