//! What the benches measure and a test cannot reach from outside: the time of a frame, without a terminal.
//! It is no part of any interface.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent};
use monolith_client::wire::Key;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::json;

use crate::clock::Clock;
use crate::feed::Source;
use crate::keymap::Keymap;
use crate::message::{Answer, Keys, Msg, Payload};
use crate::model::tables::KeyRow;
use crate::model::target::Target;
use crate::model::{Look, Model};
use crate::screen::Screen;
use crate::theme::Theme;
use crate::update::update;
use crate::view::view;

/// How long frames took.
#[derive(Debug, Default)]
pub struct Frames {
    /// A key is pressed, the model changes, the frame is drawn and compared with the one before.
    pub keys: Vec<Took>,
    /// The whole list comes anew, with one of its rows changed, and is filtered and sorted.
    pub lists: Vec<Took>,
}

/// What one frame took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    pub wall: Duration,
    /// Of the processor, whatever else the machine was doing in between.
    pub processor: Duration,
}

/// Draws so many frames with so many keys in the list; every hundredth is one of a new list.
#[must_use]
pub fn frames(rows: usize, frames: usize, (width, height): (u16, u16)) -> Frames {
    let clock = Clock::start();
    let target = Target::new("bench", "http://127.0.0.1", Duration::from_secs(1));
    let look = Look { theme: Theme::Dark, ascii: false };
    let mut model = Model::new(vec![target], Keymap::default(), look);
    let mut screen = Screen::new();
    let press = |model: &mut Model, code| update(model, Msg::Key(KeyEvent::from(code)), clock.now());
    update(&mut model, Msg::Resize(width, height), clock.now());
    // The poller keeps what it sent, and frees what was replaced.
    let mut sent = list(rows, 0);
    update(&mut model, answer(&sent, &clock), clock.now());
    press(&mut model, KeyCode::Char('7'));
    // By name, with a filter that every row passes.
    press(&mut model, KeyCode::Char('s'));
    press(&mut model, KeyCode::Char('s'));
    for letter in "/key\n".chars() {
        press(&mut model, if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) });
    }
    let mut took = Frames::default();
    for number in 0..frames {
        let is_list = number % 100 == 99;
        let msg = match is_list {
            true => answer(&list(rows, number), &clock),
            false => Msg::Key(KeyEvent::from(if number % 7 == 0 { KeyCode::PageDown } else { KeyCode::Down })),
        };
        let before = std::mem::replace(&mut sent, shown(&model));
        let (begun, used) = (Instant::now(), used());
        update(&mut model, msg, clock.now());
        let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
        view(&model, &mut frame, clock.now());
        let bytes = screen.bytes(frame);
        let frame = Took { wall: begun.elapsed(), processor: self::used().saturating_sub(used) };
        if is_list {
            took.lists.push(frame)
        } else {
            took.keys.push(frame)
        }
        drop((bytes, before));
    }
    took
}

/// Reads a text as the poller of metrics does, and says how many samples it holds.
///
/// # Errors
/// Says why it cannot be read.
pub fn parse(text: &str) -> Result<usize, String> {
    crate::metrics::read(text).map(|reading| reading.traffic.samples)
}

/// What the list that is shown was made from.
fn shown(model: &Model) -> Arc<Keys> {
    model.target().keys.value().cloned().unwrap_or_default()
}

/// How much of a processor this thread has used.
fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn list(rows: usize, changed: usize) -> Arc<Keys> {
    let key = |number: usize| {
        serde_json::from_value::<Key>(
            json!({"kid": format!("{number:012}"), "name": format!("key-{}", number * 7919 % rows),
            "owner": "bench", "environment": "test", "scopes": ["orders:read"], "state": "active",
            "created_at": "2026-01-30T08:00:00.000Z", "created_by": "ana", "expires_at": null,
            "last_used_at": (number == changed % rows).then_some("2026-01-31T08:00:00.000Z"),
            "disabled_at": null, "revoked_at": null, "revoke_reason": null, "rotated_to": null, "grace_until": null,
            "ip_allow": [], "rate_limit": null, "metadata": {}, "version": 1}),
        )
        .ok()
        .map(KeyRow::from)
    };
    Arc::new(Keys { items: (0..rows).filter_map(key).collect(), more: false })
}

fn answer(keys: &Arc<Keys>, clock: &Clock) -> Msg {
    Msg::Answer(Box::new(Answer {
        target: 0,
        source: Source::Keys,
        asked_at: clock.at(),
        next_in: Duration::from_secs(5),
        outcome: Ok(Payload::Keys(keys.clone())),
    }))
}
