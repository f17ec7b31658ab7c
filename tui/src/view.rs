//! Draws the model into a frame. It is pure: the same model at the same moment is always the same cells.
//! It fits every size from one cell up: columns, panels and words go in a declared order.

/// Charts out of characters.
mod chart;
/// Dialogs over the screen.
mod dialog;
/// The lines around every screen.
mod head;
/// A list with its columns.
mod list;
/// The screen that everything starts from.
mod overview;
/// Draws into cells.
mod pen;
/// The other screens.
mod screens;

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::clock::Now;
use crate::feed::Condition;
use crate::keymap::Screen;
use crate::model::Model;
use crate::model::dialog::Dialog;
use crate::model::target::SourceView;
use crate::theme::Tone;
use crate::update::select;
use crate::words;
use pen::{Pen, take};

/// Below this there is one line.
const SMALL: (u16, u16) = (40, 10);

/// Draws everything.
pub(crate) fn view(model: &Model, frame: &mut Buffer, now: Now) {
    let area = frame.area;
    let mut pen = Pen::new(frame, model.look);
    pen.clear(area);
    if area.width < SMALL.0 || area.height < SMALL.1 {
        match &model.dialog {
            // It can be read now or never.
            Some(Dialog::Secret(secret)) => dialog::bare_secret(&mut pen, area, secret.text.expose()),
            _ if model.keys_waiting() > 0 => {
                pen.put(area.x, area.y, area.width, Tone::Doubtful, "a new key waits: enlarge");
            }
            _ => head::tiny(&mut pen, area, model, now),
        }
        return;
    }
    let mut body = area;
    head::header(&mut pen, take(&mut body, 1), model, now);
    head::tabs(&mut pen, take(&mut body, 1), model);
    if model.screen != Screen::Overview {
        head::strip(&mut pen, take(&mut body, 1), model);
    }
    let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
    body.height = body.height.saturating_sub(1);
    let cx = select::cx(model, now);
    match model.screen {
        Screen::Overview => overview::draw(&mut pen, body, model, cx, now),
        screen => screens::draw(&mut pen, body, model, screen, cx, now),
    }
    pen.clear(footer);
    if model.prompt.is_some() {
        head::prompt(&mut pen, footer, area, model, now);
    } else {
        head::footer(&mut pen, footer, model, now);
    }
    if let Some(shown) = &model.dialog {
        dialog::draw(&mut pen, area, model, shown);
    }
}

/// How a source is, in a sign and words: what stands at the end of the title of its panel.
fn source_words(view: &SourceView<'_>) -> (Tone, String) {
    let why = view.trouble.map(|trouble| words::clean(trouble.gist()).into_owned()).unwrap_or_default();
    let again = || match view.next_in {
        Duration::ZERO => format!("{why} (try {} under way)", view.failures + 1),
        // Rounded up: a try that is due is not due in no time.
        wait => {
            let next = words::counted(wait + Duration::from_millis(999));
            format!("{why} (try {}, next in {next})", view.failures + 1)
        }
    };
    let age = view.age.map(words::counted).unwrap_or_default();
    let span = view.failing_for.map(words::counted).unwrap_or_default();
    match view.condition {
        Condition::Loading => (Tone::Quiet, "loading".to_owned()),
        // Its age is at most this, and the words stand still while all is well.
        Condition::Fresh => (Tone::Quiet, fresh_words(view)),
        Condition::Failing => (Tone::Doubtful, format!("NOT ANSWERING: {}", again())),
        Condition::Stale => (Tone::Old, format!("~ STALE {age}")),
        Condition::Unreachable => (Tone::Bad, format!("UNREACHABLE {span}: {}", again())),
        Condition::Unauthorized => (Tone::Doubtful, format!("TOKEN REFUSED: {why}")),
        Condition::Forbidden => (Tone::Doubtful, format!("FORBIDDEN: {why}")),
        Condition::NeedsToken | Condition::NotServed => (Tone::Quiet, why),
        Condition::Refused => (Tone::Doubtful, format!("REFUSED: {why}")),
        Condition::Unreadable => (Tone::Doubtful, format!("UNREADABLE: {why}")),
    }
}

/// The same in the title of a panel that is not the only one: what is wrong, and not why.
fn short_words(view: &SourceView<'_>) -> (Tone, String) {
    let (tone, words) = source_words(view);
    (tone, words.split(':').next().unwrap_or_default().to_owned())
}

/// The age of what is fresh: an upper bound while it is asked for in time, else the age itself.
fn fresh_words(view: &SourceView<'_>) -> String {
    match view.age {
        Some(age) if age > view.every * 2 => format!("{} old", words::steps(age)),
        _ => format!("<{} old", words::steps(view.every * 2)),
    }
}

#[cfg(test)]
mod tests;
