//! Takes what pollers bring, and judges what it adds up to.
//! Only a change is told: a source that goes on failing in the same way says so once.

use std::sync::Arc;

use monolith_client::events::subject_of;

use super::interest;
use crate::clock::{At, Now};
use crate::feed::{Source, Trouble};
use crate::message::{Answer, Effect, Payload, TargetId};
use crate::model::target::{Logs, Output, Runs, Standing, Target, TokenState};
use crate::model::{Model, WorkPane, findings, tables};
use crate::words;

/// After so many refusals of a token it is looked for again.
const REFUSALS_A_LOGIN: u32 = 6;

/// Takes one answer.
pub(super) fn take(model: &mut Model, answer: Answer, now: Now, effects: &mut Vec<Effect>) {
    let (id, source) = (answer.target, answer.source);
    let wanted = Wanted { runs_of: runs_of(model), output_of: output_of(model), logs_of: model.logs_of.clone() };
    let Some(target) = model.targets.get_mut(id) else { return };
    let changed = store(target, answer, &wanted, now);
    let refused = is_refused(target, source, now);
    let failures = target.source(source, now.at).failures;
    if let Some((bad, text)) = news(target, source, changed, now) {
        let from = format!("{} {}", target.name, source.name());
        model.note(bad, from, text, now);
    }
    // A server that is back has everything to tell, whenever the other pollers meant to ask.
    if changed && source == Source::Health && failures == 0 {
        interest::nudge_target(model, id);
    }
    // A command or a keyring may have a fresh one, now or in a while.
    if refused && source == Source::Whoami && failures % REFUSALS_A_LOGIN == 1 {
        effects.push(Effect::Login(id));
    }
    if source == Source::Keys && !refused {
        super::command::look_for_unknown(model, id, now);
    }
}

/// What there is to say of a source, if anything: an outage is one line of its target, not one of each of its sources.
fn news(target: &mut Target, source: Source, changed: bool, now: Now) -> Option<(bool, String)> {
    let view = target.source(source, now.at);
    let Some(trouble) = view.trouble else {
        return target.told.remove(&source).then(|| (false, "answers again".to_owned()));
    };
    let is_news = match (source, trouble) {
        (Source::Events, _) | (_, Trouble::NeedsToken | Trouble::NotServed) => false,
        // The standing tells the first cause; this is another one.
        (Source::Health, _) => changed && target.standing.is_lost(),
        // A token that is refused is refused everywhere; it is told where the console asks who it is.
        (Source::Whoami, Trouble::Unauthorized(_)) => changed && !target.told.contains(&source),
        (_, Trouble::Unauthorized(_)) => false,
        // It may be the whole server's, which its health is about to tell, unless that was asked later and answered.
        (_, Trouble::Silent(_) | Trouble::Unreadable(_)) => {
            let since = target.source(source, now.at).failing_for.unwrap_or_default();
            let own = view.failures > 1 && target.health.trouble.is_none() && target.health.age(now.at) < Some(since);
            own && (changed || !target.told.contains(&source))
        }
        _ => changed,
    };
    let why = trouble.why().to_owned();
    if is_news && source != Source::Health {
        target.told.insert(source);
    }
    is_news.then_some((true, why))
}

fn is_refused(target: &Target, source: Source, now: Now) -> bool {
    matches!(target.source(source, now.at).trouble, Some(Trouble::Unauthorized(_)))
}

fn runs_of(model: &Model) -> Option<String> {
    match &model.pane.work {
        WorkPane::Runs { worker } | WorkPane::Output { worker, .. } => Some(worker.clone()),
        WorkPane::Workers => None,
    }
}

fn output_of(model: &Model) -> Option<String> {
    match &model.pane.work {
        WorkPane::Output { run, .. } => Some(run.clone()),
        _ => None,
    }
}

/// What is looked at, where a source tells of one thing at a time.
struct Wanted {
    runs_of: Option<String>,
    output_of: Option<String>,
    logs_of: Option<String>,
}

/// Whether the source got into trouble, into another one, or out of it.
fn store(target: &mut Target, answer: Answer, wanted: &Wanted, now: Now) -> bool {
    let Answer { source, asked_at, next_in, outcome, .. } = answer;
    let at = now.at;
    let payload = match outcome {
        Ok(payload) => payload,
        Err(trouble) => return fail(target, source, trouble, (asked_at, at), next_in),
    };
    match payload {
        Payload::Health(health) => {
            target.compare_clocks(&health, asked_at, now);
            compare_processes(target, &health, now);
            if target.standing.is_lost() {
                target.silent = target.health.age(at).map(|age| (at, age));
            }
            target.health.take(Ok(*health), asked_at, at, next_in)
        }
        Payload::Metrics(reading) => {
            target.history.look(at, reading.clone());
            target.metrics.take(Ok(reading), asked_at, at, next_in)
        }
        Payload::Whoami(whoami) => target.whoami.take(Ok(whoami), asked_at, at, next_in),
        Payload::Stores(stores) => target.stores.take(Ok(stores), asked_at, at, next_in),
        Payload::Workers(workers) => target.workers.take(Ok(workers), asked_at, at, next_in),
        // An answer about what was looked at before is none.
        Payload::Runs(worker, _) if wanted.runs_of.as_ref() != Some(&worker) => false,
        Payload::Runs(worker, items) => target.runs.take(Ok(Runs { worker, items }), asked_at, at, next_in),
        Payload::Output(piece) if wanted.output_of.as_ref() != Some(&piece.run.id) => false,
        Payload::Output(piece) => {
            let known = target.output.value().filter(|output| output.run.id == piece.run.id).cloned();
            let empty = Output { run: piece.run.clone(), text: String::new(), next: 0, done: false };
            let mut output = known.unwrap_or(empty);
            output.run = piece.run;
            output.add(piece.after, &piece.data, piece.next, piece.done);
            target.output.take(Ok(output), asked_at, at, next_in)
        }
        Payload::Keys(keys) => {
            let version = target.keys.version;
            let same = target.keys.value().is_some_and(|known| Arc::ptr_eq(known, &keys));
            let changed = target.keys.take(Ok(keys), asked_at, at, next_in);
            // A list of ten thousand that is the same is not sorted again.
            target.keys.version -= u64::from(same && target.keys.version > version);
            changed
        }
        Payload::Config(config) => {
            target.values = tables::value_rows(&config.values);
            target.config.take(Ok(*config), asked_at, at, next_in)
        }
        Payload::Revisions(revisions) => target.revisions.take(Ok(revisions), asked_at, at, next_in),
        Payload::Replicas(replicas) => target.replicas.take(Ok(replicas), asked_at, at, next_in),
        Payload::Audit(entries) => target.audit.take(Ok(entries), asked_at, at, next_in),
        Payload::Logs(request, _) if wanted.logs_of != request => false,
        Payload::Logs(request, items) => target.logs.take(Ok(Logs { request, items }), asked_at, at, next_in),
        Payload::Events => target.events.take(Ok(()), asked_at, at, next_in),
    }
}

fn fail(
    target: &mut Target,
    source: Source,
    trouble: Trouble,
    (asked_at, at): (At, At),
    next_in: std::time::Duration,
) -> bool {
    macro_rules! into {
        ($($source:ident => $feed:ident),+) => {
            match source { $( Source::$source => target.$feed.take(Err(trouble), asked_at, at, next_in), )+ }
        };
    }
    into!(Health => health, Metrics => metrics, Whoami => whoami, Stores => stores, Workers => workers, Runs => runs,
        Output => output, Keys => keys, Config => config, Revisions => revisions, Replicas => replicas, Audit => audit,
        Logs => logs, Events => events)
}

/// A new process counts from nothing; a new generation is marked on the charts.
fn compare_processes(target: &mut Target, health: &monolith_client::wire::Health, now: Now) {
    let Some(before) = target.health.value() else { return };
    if before.started_at != health.started_at && before.replica == health.replica
        || before.replica != health.replica && before.started_at < health.started_at
    {
        target.history.restart(now.at);
    } else if before.generation < health.generation {
        target.history.mark(now.at);
    }
}

/// Takes what became of the search for a token.
pub(super) fn token(model: &mut Model, id: TargetId, found: Result<bool, String>, now: Now) {
    let Some(target) = model.targets.get_mut(id) else { return };
    let state = match found {
        Ok(true) => TokenState::Found,
        Ok(false) => TokenState::None,
        Err(why) => TokenState::Missing(why),
    };
    if target.token != state {
        let name = format!("{} token", target.name);
        let said = match &state {
            TokenState::Missing(why) => Some((true, why.clone())),
            TokenState::Found if target.token != TokenState::Unknown => Some((false, "a token was found".to_owned())),
            _ => None,
        };
        target.token = state;
        if let Some((bad, text)) = said {
            model.note(bad, name, text, now);
        }
    }
    interest::nudge_target(model, id);
}

/// Takes a change that the server told: what it is about is asked for at once.
pub(super) fn event(model: &mut Model, id: TargetId, name: &str) {
    let sources: &[Source] = match subject_of(name) {
        "key" => &[Source::Keys, Source::Audit],
        "run" | "worker" => &[Source::Workers, Source::Runs, Source::Output],
        "store" => &[Source::Stores, Source::Health],
        "config" => &[Source::Config, Source::Revisions, Source::Health],
        "replica" => &[Source::Replicas],
        "audit" => &[Source::Audit],
        _ => &Source::ALL,
    };
    for source in sources.iter().filter(|source| **source != Source::Events) {
        interest::nudge(model, id, *source);
    }
}

/// Judges every target, and keeps when its standing changed.
pub(super) fn judge(model: &mut Model, now: Now) {
    let mut told = Vec::new();
    for target in &mut model.targets {
        let standing = target.judge(now.at);
        if standing != target.standing {
            told.push((target.name.clone(), standing, target.standing, said(target, standing)));
            target.standing = standing;
            target.standing_since = now.at;
        }
        target.lose(standing.is_lost());
        target.findings = findings::find(target, now);
    }
    for (name, standing, before, text) in told {
        let ordinary = standing == Standing::Healthy && before == Standing::Connecting;
        // That it does not answer was said; that it is lost will be.
        let between = standing == Standing::Stale && before == Standing::NotAnswering;
        if !ordinary && !between {
            model.note(standing.is_bad(), name, text, now);
        }
    }
}

/// What a target has become, and why, where it is not the server that says so.
fn said(target: &Target, standing: Standing) -> String {
    let word = standing.word();
    let answers = matches!(standing, Standing::Healthy | Standing::Degraded | Standing::Down);
    let why = target.health.trouble.as_ref().map(Trouble::why);
    match (target.standing, target.silent, why) {
        (before, Some((_, span)), _) if answers && before.is_lost() => {
            format!("is {word} again; it was not heard for {}", words::counted(span))
        }
        (Standing::NotAnswering | Standing::Unreadable, ..) if answers => format!("is {word} again"),
        (_, _, Some(why)) if !answers => format!("is {word}: {why}"),
        _ => format!("is {word}"),
    }
}
