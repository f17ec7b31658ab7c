//! What the pollers of each target should ask for: what is looked at, and the health of all.
//! A source that nobody looks at is not asked for.

use crate::feed::Source;
use crate::keymap::Screen;
use crate::message::{Effect, Interest, TargetId};
use crate::model::{ConfigPane, Model, WorkPane};

/// Tells the pollers of those targets for which something changed.
pub(super) fn tell(model: &mut Model, effects: &mut Vec<Effect>) {
    for id in 0..model.targets.len() {
        let wanted = interest(model, id);
        if let Some(told) = model.told.get_mut(id).filter(|told| **told != wanted) {
            *told = wanted.clone();
            effects.push(Effect::Follow(id, wanted));
        }
    }
}

/// Asks for something out of turn.
pub(super) fn nudge(model: &mut Model, id: TargetId, source: Source) {
    // What was told stays what it was, so that the difference is seen and told.
    if let Some(target) = model.nudges.get_mut(id) {
        target.nudge(source);
    }
}

/// Asks for everything that is wanted, of all targets.
pub(super) fn nudge_all(model: &mut Model) {
    for id in 0..model.targets.len() {
        nudge_target(model, id);
    }
}

/// Asks for everything that is wanted of one target.
pub(super) fn nudge_target(model: &mut Model, id: TargetId) {
    for source in Source::ALL {
        nudge(model, id, source);
    }
}

fn interest(model: &Model, id: TargetId) -> Interest {
    let mut interest = model.nudges.get(id).map(Interest::keeping_nudges).unwrap_or_default();
    interest.want(Source::Health);
    interest.want(Source::Whoami);
    // What became of a command is looked up also where somebody looks at another server.
    if model.pending.iter().any(|pending| pending.target == id) {
        interest.want(Source::Keys);
        interest.want(Source::Workers);
    }
    if id != model.current {
        return interest;
    }
    // The rates of the other screens stay whole while one looks at this one.
    interest.want(Source::Metrics);
    interest.want(Source::Events);
    // In a frozen picture nobody sees what the lists would say; what alarms rest on goes on.
    for source in if model.frozen.is_none() { screen(model) } else { &[] } {
        interest.want(*source);
    }
    let target = model.target();
    match &model.pane.work {
        WorkPane::Workers => {}
        WorkPane::Runs { worker } => interest.runs_of = Some(worker.clone()),
        WorkPane::Output { run, .. } => {
            let after = target.output.value().filter(|output| output.run.id == *run).map_or(0, |output| output.next);
            interest.output_of = Some((run.clone(), after));
        }
    }
    interest.logs_of.clone_from(&model.logs_of);
    interest
}

fn screen(model: &Model) -> &'static [Source] {
    match model.screen {
        Screen::Overview => &[Source::Stores, Source::Workers, Source::Audit],
        Screen::Traffic | Screen::Targets | Screen::Messages => &[],
        Screen::Stores => &[Source::Stores],
        Screen::Workers => match model.pane.work {
            WorkPane::Workers => &[Source::Workers],
            WorkPane::Runs { .. } => &[Source::Workers, Source::Runs],
            WorkPane::Output { .. } => &[Source::Output],
        },
        Screen::Config => match model.pane.config {
            ConfigPane::Values => &[Source::Config],
            ConfigPane::Revisions => &[Source::Config, Source::Revisions],
            ConfigPane::Replicas => &[Source::Config, Source::Replicas],
        },
        Screen::Audit if model.pane.logs => &[Source::Logs],
        Screen::Audit => &[Source::Audit],
        Screen::Keys => &[Source::Keys],
    }
}
