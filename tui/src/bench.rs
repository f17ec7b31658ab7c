//! What the benches measure and a test cannot reach from outside: the time of a frame, without a terminal.
//! It is no part of any interface.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::json;

use crate::clock::Clock;
use crate::feed::Source;
use crate::keymap::Keymap;
use crate::message::{Answer, Keys, Msg, Payload};
use crate::model::target::Target;
use crate::model::{Look, Model};
use crate::screen::Screen;
use crate::theme::Theme;
use crate::update::update;
use crate::view::view;

/// How long each of so many frames takes with so many keys in the list: a key is pressed, the model changes, the frame is
/// drawn and compared with the one before. Every hundredth frame the whole list comes anew, and is sorted and filtered.
#[must_use]
pub fn frames(rows: usize, frames: usize, (width, height): (u16, u16)) -> Vec<Duration> {
    let clock = Clock::start();
    let target = Target::new("bench", "http://127.0.0.1", Duration::from_secs(1));
    let look = Look { theme: Theme::Dark, ascii: false };
    let mut model = Model::new(vec![target], Keymap::default(), look);
    let mut screen = Screen::new();
    let press = |model: &mut Model, code| update(model, Msg::Key(KeyEvent::from(code)), clock.now());
    update(&mut model, Msg::Resize(width, height), clock.now());
    update(&mut model, list(rows, &clock), clock.now());
    press(&mut model, KeyCode::Char('7'));
    // By name, with a filter that every row passes.
    press(&mut model, KeyCode::Char('s'));
    press(&mut model, KeyCode::Char('s'));
    for letter in "/key\n".chars() {
        press(&mut model, if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) });
    }
    let mut took = Vec::with_capacity(frames);
    for number in 0..frames {
        let msg = match number % 100 {
            99 => list(rows, &clock),
            _ => Msg::Key(KeyEvent::from(if number % 7 == 0 { KeyCode::PageDown } else { KeyCode::Down })),
        };
        let begun = Instant::now();
        update(&mut model, msg, clock.now());
        let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
        view(&model, &mut frame, clock.now());
        let bytes = screen.bytes(frame);
        took.push(begun.elapsed());
        drop(bytes);
    }
    took
}

fn list(rows: usize, clock: &Clock) -> Msg {
    let key = |number: usize| {
        serde_json::from_value(json!({"kid": format!("{number:012}"), "name": format!("key-{}", number * 7919 % rows),
            "owner": "bench", "environment": "test", "scopes": ["orders:read"], "state": "active",
            "created_at": "2026-01-30T08:00:00.000Z", "created_by": "ana", "expires_at": null, "last_used_at": null,
            "disabled_at": null, "revoked_at": null, "revoke_reason": null, "rotated_to": null, "grace_until": null,
            "ip_allow": [], "rate_limit": null, "metadata": {}, "version": 1}))
        .ok()
    };
    let items = (0..rows).filter_map(key).collect();
    Msg::Answer(Box::new(Answer {
        target: 0,
        source: Source::Keys,
        asked_at: clock.at(),
        next_in: Duration::from_secs(5),
        outcome: Ok(Payload::Keys(Keys { items, more: false })),
    }))
}
