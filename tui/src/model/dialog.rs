//! Dialogs: what is asked before anything changes, bound to what was meant when it was opened, and what is shown once.
//! A dialog never changes which key, run or worker it is about, whatever the list behind it does.

use std::collections::BTreeMap;

use monolith_client::wire::{CreateKey, KeyText};

use super::line::Line;
use crate::message::{Command, TargetId};

/// A dialog.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Dialog {
    /// The keys of a screen.
    Help,
    /// Everything about one thing.
    Detail { title: String, lines: Vec<(String, String)> },
    /// Which server?
    PickTarget { chosen: TargetId },
    /// Changes are allowed after the name of the target was typed.
    Unlock { target: TargetId, line: Line, mistaken: bool },
    /// A key is ended after its name was typed.
    Revoke(Revoke),
    /// A new key.
    Create { target: TargetId, form: Form },
    /// A whole key, this once.
    Secret(Secret),
    /// Yes or no; no is chosen.
    Confirm { target: TargetId, command: Command, question: String, facts: Vec<(String, String)>, yes: bool },
    /// Why is it paused?
    Pause { target: TargetId, worker: String, line: Line },
    /// Quit although a command is under way?
    Quit,
}

/// A new key while it is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Secret {
    pub(crate) target: TargetId,
    pub(crate) kid: String,
    pub(crate) name: String,
    pub(crate) text: KeyText,
    pub(crate) copied: bool,
    /// What is typed to close it.
    pub(crate) line: Line,
    /// Whether somebody tried to leave in another way.
    pub(crate) leaving: bool,
}

/// The word that closes the window of a new key: no key that is pressed for something else closes it.
pub(crate) const STORED: &str = "stored";

impl Secret {
    pub(crate) fn new(target: TargetId, kid: String, name: String, text: KeyText) -> Self {
        Self { target, kid, name, text, copied: false, line: Line::default(), leaving: false }
    }
}

/// The revocation of one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Revoke {
    pub(crate) target: TargetId,
    /// The key that was chosen when the dialog was opened; it never changes.
    pub(crate) kid: String,
    /// What has to be typed: its name, or its id where it has none.
    pub(crate) name: String,
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) line: Line,
    pub(crate) reason: Line,
    pub(crate) at_reason: bool,
    /// Its version when the dialog was opened.
    pub(crate) version: u64,
    /// Why it cannot be revoked any more.
    pub(crate) gone: Option<String>,
}

impl Revoke {
    /// Whether everything that has to be typed was typed.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.gone.is_none() && self.line.text() == self.name
    }
}

/// The fields of a new key.
pub(crate) const FIELDS: [(&str, &str); 5] = [
    ("name", "what people call it"),
    ("owner", "whose it is"),
    ("scopes", "what it allows: orders:read orders:write"),
    ("ttl", "how long it lives: 90d; empty: the server's default"),
    ("ip allow", "from which networks: 10.0.0.0/8; empty: all"),
];

/// A form with five lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Form {
    pub(crate) lines: [Line; FIELDS.len()],
    pub(crate) at: usize,
    /// What is wrong with it.
    pub(crate) mistake: Option<String>,
}

impl Form {
    /// The line that is being typed.
    pub(crate) fn line(&mut self) -> &mut Line {
        let at = self.at % FIELDS.len();
        &mut self.lines[at]
    }

    pub(crate) fn step(&mut self, forward: bool) {
        let count = FIELDS.len();
        self.at = (if forward { self.at + 1 } else { self.at + count - 1 }) % count;
    }

    /// The key that is asked for; the server judges the rest.
    pub(crate) fn key(&self) -> Result<CreateKey, String> {
        let [name, owner, scopes, ttl, networks] =
            [0, 1, 2, 3, 4].map(|field: usize| self.lines.get(field).map(Line::text).unwrap_or_default());
        if name.trim().is_empty() {
            return Err("a key needs a name".to_owned());
        }
        let set = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let words = |text: String| text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Ok(CreateKey {
            name: name.trim().to_owned(),
            owner: set(owner),
            scopes: words(scopes),
            ttl: set(ttl),
            ip_allow: words(networks),
            expires_at: None,
            rate_limit: None,
            metadata: BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_a_key_or_a_mistake() {
        let mut form = Form::default();
        assert_eq!(form.key().unwrap_err(), "a key needs a name");
        form.line().insert(" ci ");
        form.step(false);
        form.line().insert("10.0.0.0/8, ::1");
        let key = form.key().unwrap();
        assert_eq!((key.name.as_str(), key.owner, key.ip_allow.len()), ("ci", None, 2));
    }
}
