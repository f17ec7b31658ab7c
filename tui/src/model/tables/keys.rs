//! API keys as rows, made for ten thousand of them.
//! No secret of a key is anywhere near: the server lists none.

use std::borrow::Cow;
use std::ops::Deref;

use monolith_client::wire::{Key, KeyState};
use serde_json::Value;

use super::{Tone, ago_cell, ahead, clean, json, time_rank};
use crate::model::rows::{Cell, Column, Cx, Rank, Row};

/// A key, with what a list of ten thousand is filtered and sorted by. That is made where the list is read, so that whoever
/// draws it only compares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyRow {
    key: Key,
    /// Everything a filter may find, in small letters.
    words: String,
    name: Option<String>,
    owner: Option<String>,
}

impl From<Key> for KeyRow {
    fn from(key: Key) -> Self {
        let texts = [Some(key.kid.as_str()), key.name.as_deref(), key.owner.as_deref(), Some(key.state.as_str())];
        let texts = texts.into_iter().flatten().chain(key.scopes.iter().map(String::as_str));
        // A key's id is told apart by the case of its letters, but nobody types it so.
        let words = texts.flat_map(|text| [text, " "]).collect::<String>().to_lowercase();
        let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        Self { name: lower(&key.name), owner: lower(&key.owner), words, key }
    }
}

impl Deref for KeyRow {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.key
    }
}

impl Row for KeyRow {
    const COLUMNS: &'static [Column] = &[
        Column::new("KID", 12, 0, 0),
        Column::new("NAME", 14, 2, 0),
        Column::new("STATE", 10, 0, 0),
        Column::new("OWNER", 10, 1, 3),
        Column::new("SCOPES", 14, 3, 4),
        Column::new("ENV", 4, 0, 6),
        Column::new("CREATED", 8, 0, 5).past(),
        Column::new("LAST USED", 9, 0, 1).past(),
        Column::new("EXPIRES", 10, 0, 2).ahead(),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.kid)
    }

    fn cell(&self, column: usize, cx: &Cx) -> Cell {
        match column {
            0 => Cell::plain(clean(&self.kid)),
            1 => Cell::or_dash(self.key.name.as_deref().map(clean)),
            2 => Cell::state(key_tone(self.state), self.state.as_str()),
            3 => Cell::or_dash(self.key.owner.as_deref().map(clean)),
            4 => Cell::or_dash(Some(clean(&self.scopes.join(" "))).filter(|scopes| !scopes.is_empty())),
            5 => Cell::quiet(self.environment.map_or("-", |environment| environment.as_str())),
            6 => ago_cell(Some(&self.created_at), cx),
            7 => self.last_used_at.as_ref().map_or_else(|| Cell::quiet("never"), |time| ago_cell(Some(time), cx)),
            _ => self.expires_at.as_ref().map_or_else(|| Cell::quiet("never"), |at| Cell::plain(ahead(at, cx))),
        }
    }

    fn rank(&self, column: usize, cx: &Cx) -> Rank<'_> {
        match column {
            6 => time_rank(Some(&self.created_at)),
            7 => time_rank(self.last_used_at.as_ref()),
            8 => time_rank(self.expires_at.as_ref()),
            1 => small(self.name.as_ref()),
            3 => small(self.owner.as_ref()),
            _ => Rank::text(self.cell(column, cx).text),
        }
    }

    fn words(&self, _: &Cx) -> Cow<'_, str> {
        Cow::Borrowed(&self.words)
    }

    fn json(&self) -> Value {
        json(&self.key)
    }
}

fn small(text: Option<&String>) -> Rank<'_> {
    text.map_or(Rank::Nothing, |text| Rank::text(text.as_str()))
}

const fn key_tone(state: KeyState) -> Tone {
    match state {
        KeyState::Active => Tone::Good,
        KeyState::Disabled | KeyState::Retiring => Tone::Doubtful,
        KeyState::Expired | KeyState::Revoked => Tone::Quiet,
    }
}
