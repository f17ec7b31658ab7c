//! The one table of what can be done and by which key: help, footer, palette and documentation are made from it.
//! No key of it is one that tmux, screen, zellij or a shell takes, and no chord destroys anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A screen of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Screen {
    Overview,
    Traffic,
    Stores,
    Workers,
    Config,
    Audit,
    Keys,
    Targets,
    Messages,
}

impl Screen {
    pub(crate) const ALL: [Self; 9] = [
        Self::Overview,
        Self::Traffic,
        Self::Stores,
        Self::Workers,
        Self::Config,
        Self::Audit,
        Self::Keys,
        Self::Targets,
        Self::Messages,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Traffic => "Traffic",
            Self::Stores => "Stores",
            Self::Workers => "Workers",
            Self::Config => "Config",
            Self::Audit => "Audit",
            Self::Keys => "Keys",
            Self::Targets => "Targets",
            Self::Messages => "Messages",
        }
    }

    /// The next one, or the one before.
    pub(crate) fn step(self, forward: bool) -> Self {
        let count = Self::ALL.len();
        let next = if forward { self as usize + 1 } else { self as usize + count - 1 };
        Self::ALL.get(next % count).copied().unwrap_or(self)
    }
}

/// Where an act makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Everywhere,
    On(&'static [Screen]),
}

impl Scope {
    pub(crate) fn holds(self, screen: Screen) -> bool {
        match self {
            Self::Everywhere => true,
            Self::On(screens) => screens.contains(&screen),
        }
    }

    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::On(own), Self::On(others)) => own.iter().any(|screen| others.contains(screen)),
            _ => true,
        }
    }
}

macro_rules! acts {
    ($( $act:ident, $name:literal, [$($key:literal),+], $scope:expr, $help:literal; )+) => {
        /// Something an operator can do by a key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Act { $( $act, )+ }

        /// Everything that can be done, in the order of the help.
        pub(crate) const ACTS: &[Entry] = &[ $( Entry {
            act: Act::$act, name: $name, keys: &[$($key),+], scope: $scope, help: $help,
        }, )+ ];
    };
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) act: Act,
    /// Its name in console.toml and in the palette.
    pub(crate) name: &'static str,
    /// The keys it has unless console.toml says otherwise.
    keys: &'static [&'static str],
    pub(crate) scope: Scope,
    pub(crate) help: &'static str,
}

const WORKERS: Scope = Scope::On(&[Screen::Workers]);
const KEYS: Scope = Scope::On(&[Screen::Keys]);
const CONFIG: Scope = Scope::On(&[Screen::Config]);
const PANES: Scope = Scope::On(&[Screen::Config, Screen::Audit]);
const CHARTS: Scope = Scope::On(&[Screen::Overview, Screen::Traffic]);
use Scope::Everywhere;

acts! {
    Overview, "overview", ["1"], Everywhere, "what is wrong, worst first";
    Traffic, "traffic", ["2"], Everywhere, "requests by route";
    Stores, "stores", ["3"], Everywhere, "databases and their health";
    Workers, "workers", ["4"], Everywhere, "scheduled work, runs and output";
    Config, "config", ["5"], Everywhere, "the running configuration and its revisions";
    Audit, "audit", ["6"], Everywhere, "who did what, and recent warnings";
    Keys, "keys", ["7"], Everywhere, "API keys";
    Targets, "targets", ["8"], Everywhere, "all servers at once";
    Messages, "messages", ["`"], Everywhere, "everything this console had to say";
    NextScreen, "next-screen", ["tab"], Everywhere, "next screen";
    PreviousScreen, "previous-screen", ["backtab"], Everywhere, "previous screen";
    Down, "down", ["j", "down"], Everywhere, "down";
    Up, "up", ["k", "up"], Everywhere, "up";
    Top, "top", ["g", "home"], Everywhere, "first row";
    Bottom, "bottom", ["G", "end"], Everywhere, "last row";
    PageDown, "page-down", ["pagedown"], Everywhere, "a page down";
    PageUp, "page-up", ["pageup"], Everywhere, "a page up";
    Open, "open", ["enter"], Everywhere, "open: detail, runs, output, or the cause of a finding";
    Back, "back", ["esc"], Everywhere, "back; clears a filter";
    Filter, "filter", ["/"], Everywhere, "filter: text, !not, column:text, ~fuzzy";
    Palette, "palette", [":"], Everywhere, "do anything by its name";
    Help, "help", ["?"], Everywhere, "keys of this screen";
    Sort, "sort", ["s"], Everywhere, "sort by the next column";
    Reverse, "reverse", ["S"], Everywhere, "turn the order round";
    Pane, "pane", ["v"], PANES, "the other lists of this screen";
    Earlier, "earlier", ["["], CHARTS, "charts: earlier";
    Later, "later", ["]"], CHARTS, "charts: later";
    Freeze, "freeze", ["space"], Everywhere, "freeze the figures, or go on";
    Poll, "poll", ["r"], Everywhere, "ask now";
    CopyCell, "copy", ["y"], Everywhere, "copy the row's id";
    CopyRow, "copy-row", ["Y"], Everywhere, "copy the row as JSON";
    PickTarget, "target", ["c"], Everywhere, "choose another server";
    Unlock, "unlock", ["W"], Everywhere, "allow changes for five minutes, or lock again";
    CreateKey, "create-key", ["n"], KEYS, "create a key (unlocked)";
    RevokeKey, "revoke-key", ["x"], KEYS, "revoke the key (unlocked, by its typed name)";
    RotateKey, "rotate-key", ["R"], KEYS, "rotate the key (unlocked)";
    RunNow, "run-now", ["e"], WORKERS, "run the worker now (unlocked)";
    Pause, "pause", ["p"], WORKERS, "pause the worker with a reason, or resume it (unlocked)";
    CancelRun, "cancel-run", ["x"], WORKERS, "cancel the run (unlocked)";
    Follow, "follow", ["f"], WORKERS, "output: follow the end, or stay";
    Reload, "reload", ["R"], CONFIG, "reload the configuration (unlocked)";
    Explain, "explain", ["e"], CONFIG, "explain where a key's value comes from";
    Plan, "plan", ["p"], CONFIG, "plan: what would a file on this machine change?";
    Mouse, "mouse", ["m"], Everywhere, "mouse on or off; off leaves selecting text to the terminal";
    Repaint, "repaint", ["ctrl-l"], Everywhere, "draw everything anew";
    Suspend, "suspend", ["ctrl-z"], Everywhere, "stop; fg continues";
    Quit, "quit", ["q"], Everywhere, "quit; asks where a command is under way";
    Die, "die", ["ctrl-c"], Everywhere, "quit at once, from anywhere";
}

impl Act {
    pub(crate) fn entry(self) -> &'static Entry {
        // Both are made from one list, in one order.
        ACTS.get(self as usize).unwrap_or(&ACTS[0])
    }

    /// The screen that an act of its own shows.
    pub(crate) fn screen(self) -> Option<Screen> {
        Screen::ALL.get(self as usize).copied()
    }
}

/// A key as it is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct Chord {
    code: KeyCode,
    ctrl: bool,
}

impl Chord {
    /// Reads `q`, `enter`, `ctrl-l`, `space`, `f5`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (ctrl, name) = text.strip_prefix("ctrl-").map_or((false, text), |rest| (true, rest));
        let mut letters = name.chars();
        let code = match (letters.next(), letters.next()) {
            (Some(letter), None) => KeyCode::Char(letter),
            _ => NAMED.iter().find(|(known, _)| *known == name).map(|(_, code)| *code)?,
        };
        Some(Self { code, ctrl })
    }
}

/// Keys that have a name.
const NAMED: [(&str, KeyCode); 15] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
    ("insert", KeyCode::Insert),
    ("delete", KeyCode::Delete),
];

impl From<KeyEvent> for Chord {
    fn from(event: KeyEvent) -> Self {
        Self { code: event.code, ctrl: event.modifiers.contains(KeyModifiers::CONTROL) }
    }
}

impl std::fmt::Display for Chord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ctrl {
            f.write_str("ctrl-")?;
        }
        match (NAMED.iter().find(|(_, code)| *code == self.code), self.code) {
            (Some((name, _)), _) => f.write_str(name),
            (None, KeyCode::Char(letter)) => f.write_char(letter),
            (None, other) => write!(f, "{other}"),
        }
    }
}

/// Which key does what.
#[derive(Debug, Clone)]
pub(crate) struct Keymap(Vec<(Chord, Act)>);

impl Default for Keymap {
    fn default() -> Self {
        let pairs = ACTS.iter().flat_map(|entry| entry.keys.iter().map(|key| (*key, entry.act)));
        Self(pairs.filter_map(|(key, act)| Some((Chord::parse(key)?, act))).collect())
    }
}

impl Keymap {
    /// The table with the keys that an operator chose; every mistake at once.
    pub(crate) fn with(chosen: &BTreeMap<String, Vec<String>>) -> Result<Self, Vec<String>> {
        let (mut map, mut mistakes) = (Self::default(), Vec::new());
        for (name, keys) in chosen {
            let Some(entry) = ACTS.iter().find(|entry| entry.name == name) else {
                mistakes.push(format!("keys.{name}: there is no such act; `monolith-tui keys` lists them"));
                continue;
            };
            map.0.retain(|(_, act)| *act != entry.act);
            for key in keys {
                match Chord::parse(key) {
                    Some(chord) => map.0.push((chord, entry.act)),
                    None => mistakes.push(format!("keys.{name}: {key:?} is no key")),
                }
            }
        }
        mistakes.extend(map.conflicts());
        // Without these two nobody gets out, or finds out how.
        for needed in [Act::Die, Act::Help] {
            if map.keys(needed).is_empty() {
                mistakes.push(format!("keys.{}: it needs a key", needed.entry().name));
            }
        }
        if mistakes.is_empty() { Ok(map) } else { Err(mistakes) }
    }

    fn conflicts(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (index, (chord, act)) in self.0.iter().enumerate() {
            for (other, rival) in self.0.iter().skip(index + 1) {
                if chord == other && act != rival && act.entry().scope.overlaps(rival.entry().scope) {
                    told.push(format!("{chord} is the key of both {} and {}", act.entry().name, rival.entry().name));
                }
            }
        }
        told
    }

    /// What a key does on a screen.
    pub(crate) fn act(&self, chord: Chord, screen: Screen) -> Option<Act> {
        self.0.iter().find(|(own, act)| *own == chord && act.entry().scope.holds(screen)).map(|(_, act)| *act)
    }

    /// The keys of an act.
    pub(crate) fn keys(&self, act: Act) -> Vec<String> {
        self.0.iter().filter(|(_, own)| *own == act).map(|(chord, _)| chord.to_string()).collect()
    }

    /// The first key of an act, or a dash.
    pub(crate) fn key(&self, act: Act) -> String {
        self.keys(act).into_iter().next().unwrap_or_else(|| "-".to_owned())
    }

    /// Keys and what they do: those of a screen first, then those of everywhere.
    pub(crate) fn help(&self, screen: Screen) -> Vec<(String, String)> {
        let own = ACTS.iter().filter(|entry| matches!(entry.scope, Scope::On(_)) && entry.scope.holds(screen));
        let everywhere = ACTS.iter().filter(|entry| entry.scope == Scope::Everywhere);
        let lines = own.chain(everywhere).map(|entry| (self.keys(entry.act).join(" "), entry.help.to_owned()));
        lines.filter(|(keys, _)| !keys.is_empty()).collect()
    }

    /// The whole table in Markdown, for the documentation.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "| Key | Act | Where | What it does |\n|---|---|---|---|\n".to_owned();
        for entry in ACTS {
            let code = |key: String| if key == "`" { "`` ` ``".to_owned() } else { format!("`{key}`") };
            let keys: Vec<_> = self.keys(entry.act).into_iter().map(code).collect();
            let place = match entry.scope {
                Scope::Everywhere => "everywhere".to_owned(),
                Scope::On(screens) => screens.iter().map(|screen| screen.name()).collect::<Vec<_>>().join(", "),
            };
            text += &format!("| {} | `{}` | {place} | {} |\n", keys.join(" "), entry.name, entry.help);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(name: &str, keys: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(name.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect())])
    }

    #[test]
    fn every_key_of_the_table_is_one_and_none_has_two_meanings() {
        let written: usize = ACTS.iter().map(|entry| entry.keys.len()).sum();
        assert_eq!(Keymap::default().0.len(), written);
        assert_eq!(Keymap::default().conflicts(), Vec::<String>::new());
        for (index, entry) in ACTS.iter().enumerate() {
            assert_eq!(entry.act as usize, index);
        }
    }

    #[test]
    fn no_key_is_taken_by_what_the_console_runs_in() {
        // tmux, screen, zellij, readline and XON/XOFF.
        let taken = ["a", "b", "d", "g", "h", "j", "k", "n", "o", "p", "q", "r", "s", "t", "w"];
        for entry in ACTS {
            for key in entry.keys {
                let stolen = key.strip_prefix("ctrl-").is_some_and(|key| taken.contains(&key));
                assert!(!stolen && !key.starts_with("alt-"), "{key}");
            }
        }
    }

    #[test]
    fn no_chord_destroys_anything() {
        for entry in ACTS.iter().filter(|entry| entry.help.contains("unlocked")) {
            assert!(entry.keys.iter().all(|key| key.chars().count() == 1), "{}", entry.name);
        }
    }

    #[test]
    fn a_key_can_be_another_one() {
        let map = Keymap::with(&chosen("quit", &["f", "Q"]));
        assert_eq!(map.unwrap_err(), ["f is the key of both follow and quit"]);
        let map = Keymap::with(&chosen("quit", &["Q"])).unwrap();
        assert_eq!(map.act(Chord::parse("Q").unwrap(), Screen::Keys), Some(Act::Quit));
        assert_eq!(map.act(Chord::parse("q").unwrap(), Screen::Keys), None);
    }

    #[test]
    fn a_key_of_two_screens_does_what_the_screen_says() {
        let map = Keymap::default();
        let x = Chord::parse("x").unwrap();
        let seen = [Screen::Keys, Screen::Workers, Screen::Stores].map(|screen| map.act(x, screen));
        assert_eq!(seen, [Some(Act::RevokeKey), Some(Act::CancelRun), None]);
    }

    #[test]
    fn mistakes_are_told_all_at_once() {
        let mut keys = chosen("qiut", &["q"]);
        keys.append(&mut chosen("die", &[]));
        keys.append(&mut chosen("help", &["hyper-x"]));
        assert_eq!(Keymap::with(&keys).unwrap_err().len(), 4);
    }
}
