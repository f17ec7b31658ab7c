//! API keys as rows, made for ten thousand of them.
//! No secret of a key is anywhere near: the server lists none.

use std::borrow::Cow;

use monolith_client::wire::{Key, KeyState};
use serde_json::Value;

use super::{Tone, ago, ago_cell, ahead, clean, json, time_rank};
use crate::model::rows::{Cell, Column, Cx, Rank, Row};

impl Row for Key {
    const COLUMNS: &'static [Column] = &[
        Column::new("KID", 12, 0, 0),
        Column::new("NAME", 14, 2, 0),
        Column::new("STATE", 10, 0, 0),
        Column::new("OWNER", 10, 1, 3),
        Column::new("SCOPES", 14, 3, 4),
        Column::new("ENV", 4, 0, 6),
        Column::new("CREATED", 8, 0, 5),
        Column::new("LAST USED", 9, 0, 1),
        Column::new("EXPIRES", 10, 0, 2),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.kid)
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::plain(clean(&self.kid)),
            1 => Cell::or_dash(self.name.as_deref().map(clean)),
            2 => Cell::state(key_tone(self.state), self.state.as_str()),
            3 => Cell::or_dash(self.owner.as_deref().map(clean)),
            4 => Cell::or_dash(Some(clean(&self.scopes.join(" "))).filter(|scopes| !scopes.is_empty())),
            5 => Cell::quiet(self.environment.map_or("-", |environment| environment.as_str())),
            6 => ago_cell(Some(&self.created_at), cx),
            7 => self.last_used_at.as_ref().map_or_else(|| Cell::quiet("never"), |time| ago_cell(Some(time), cx)),
            _ => match (&self.revoked_at, &self.expires_at) {
                (Some(at), _) => Cell::quiet(format!("{} ago", ago(at, cx))),
                (None, Some(at)) => Cell::plain(ahead(at, cx)),
                (None, None) => Cell::quiet("never"),
            },
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank {
        match column {
            6 => time_rank(Some(&self.created_at)),
            7 => time_rank(self.last_used_at.as_ref()),
            8 => time_rank(self.expires_at.as_ref()),
            1 => lower(self.name.as_deref()),
            3 => lower(self.owner.as_deref()),
            _ => Rank::Text(self.cell(column, cx).text),
        }
    }

    fn words(&self, _: &Cx, out: &mut String) {
        let texts = [Some(self.kid.as_str()), self.name.as_deref(), self.owner.as_deref(), Some(self.state.as_str())];
        for text in texts.into_iter().flatten().chain(self.scopes.iter().map(String::as_str)) {
            // A key's id is told apart by the case of its letters, but nobody types it so.
            match text.is_ascii() {
                true => out.extend(text.bytes().map(|byte| char::from(byte.to_ascii_lowercase()))),
                false => out.push_str(&text.to_lowercase()),
            }
            out.push(' ');
        }
    }

    fn json(&self) -> Value {
        json(self)
    }
}

fn lower(text: Option<&str>) -> Rank {
    text.map_or(Rank::Nothing, |text| Rank::Text(text.to_lowercase()))
}

const fn key_tone(state: KeyState) -> Tone {
    match state {
        KeyState::Active => Tone::Good,
        KeyState::Disabled | KeyState::Retiring => Tone::Doubtful,
        KeyState::Expired | KeyState::Revoked => Tone::Quiet,
    }
}
