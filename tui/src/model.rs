//! Everything the console knows: its targets with what each source said, and what the operator is doing.
//! It is changed in `update` alone and drawn in `view` alone; no socket, no clock, no terminal.

/// What is asked before anything changes, and what is shown once.
pub(crate) mod dialog;
/// What an operator should look at, computed.
pub(crate) mod findings;
/// Rates and charts out of counters.
pub(crate) mod history;
/// A line that is being typed.
pub(crate) mod line;
/// Rows and columns: filter, sort, selection by id.
pub(crate) mod rows;
/// A text in a window.
pub(crate) mod sheet;
/// The columns of each list.
pub(crate) mod tables;
/// One server.
pub(crate) mod target;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use monolith_client::wire::{LogEntry, Run};

use crate::clock::{At, Now};
use crate::keymap::{Keymap, Screen};
use crate::message::{Command, Interest, TargetId};
use crate::theme::{ASCII, Glyphs, Theme, UNICODE};
use dialog::Dialog;
use line::Line;
use rows::{List, ListState};
use target::{Output, Target};

/// How long changes are allowed after they were unlocked.
pub(crate) const UNLOCKED: Duration = Duration::from_secs(5 * 60);
/// Messages that are kept.
const MESSAGES: usize = 500;
/// Rows of the screen around the output of a run.
const OUTPUT_AROUND: u16 = 7;
/// How long a remark stands in the footer.
const TOAST: Duration = Duration::from_secs(4);
/// Answers to be read that wait for their turn. New keys are not counted: each was asked for by hand, and none is dropped.
const WAITING: usize = 8;

/// How things look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) theme: Theme,
    pub(crate) ascii: bool,
}

impl Look {
    pub(crate) const fn glyphs(self) -> &'static Glyphs {
        if self.ascii { &ASCII } else { &UNICODE }
    }
}

/// The whole.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) targets: Vec<Target>,
    pub(crate) current: TargetId,
    pub(crate) screen: Screen,
    pub(crate) keymap: Keymap,
    pub(crate) look: Look,
    pub(crate) size: (u16, u16),
    pub(crate) mouse: bool,
    pub(crate) lists: BTreeMap<List, ListState>,
    pub(crate) pane: Pane,
    pub(crate) dialog: Option<Dialog>,
    /// What came while something else was open: new keys first, then what is only read.
    pub(crate) waiting: VecDeque<Dialog>,
    /// Input before this moment is for what stood there before the dialog.
    pub(crate) deaf_until: At,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) toast: Option<(String, At)>,
    /// The target as it was when it was frozen, and when that was.
    pub(crate) frozen: Option<(Box<Target>, At)>,
    /// Which target may be changed, and until when.
    pub(crate) unlocked: Option<(TargetId, At)>,
    pub(crate) pending: Vec<Pending>,
    /// The newest first: that is the one somebody looks for.
    pub(crate) messages: Vec<Message>,
    /// How many messages were there when the operator last looked.
    pub(crate) messages_seen: u64,
    pub(crate) messages_total: u64,
    /// How many points of the charts lie to the right of the screen.
    pub(crate) earlier: usize,
    pub(crate) tickets: u64,
    /// What each target is asked for out of turn.
    pub(crate) nudges: Vec<Interest>,
    /// What the pollers of each target were last told.
    pub(crate) told: Vec<Interest>,
    /// How far the output of a run is scrolled, where its end is not followed.
    pub(crate) scroll: usize,
    /// How far the text of a dialog is scrolled.
    pub(crate) dialog_scroll: usize,
    /// Whether the end of an output is followed.
    pub(crate) follow: bool,
    pub(crate) logs_of: Option<String>,
}

/// Which of the lists of a screen is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pane {
    pub(crate) work: WorkPane,
    pub(crate) config: ConfigPane,
    pub(crate) logs: bool,
}

/// How deep the operator looks into scheduled work.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum WorkPane {
    #[default]
    Workers,
    Runs {
        worker: String,
    },
    Output {
        worker: String,
        run: String,
    },
}

/// A list of the configuration screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ConfigPane {
    #[default]
    Values,
    Revisions,
    Replicas,
}

/// A line at the bottom that is being typed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompt {
    pub(crate) kind: PromptKind,
    pub(crate) line: Line,
    /// Which of the suggestions is chosen.
    pub(crate) chosen: usize,
}

/// What a prompt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromptKind {
    Filter,
    Palette,
    Explain,
    Plan,
}

/// A command that was sent and has not been answered, or whose end nobody knows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pending {
    pub(crate) ticket: u64,
    pub(crate) target: TargetId,
    pub(crate) command: Command,
    pub(crate) sent_at: At,
    /// Where nobody knows how it ended: it is looked for in what the server lists, and never sent again.
    pub(crate) unknown: Option<Unknown>,
    /// What the server's clock said when it was sent.
    pub(crate) sent_ms: i64,
}

/// That nobody knows how a command ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Unknown {
    pub(crate) since: At,
    /// Whether the operator was told that the server does not show it so far.
    pub(crate) told: bool,
}

impl Pending {
    /// Keeps that the operator was told of it; it is looked for as before.
    pub(crate) fn tell(&mut self) {
        if let Some(unknown) = &mut self.unknown {
            unknown.told = true;
        }
    }

    /// Whether quitting would keep something from the operator that he has not been told.
    pub(crate) fn is_news(&self) -> bool {
        !self.unknown.is_some_and(|unknown| unknown.told)
    }
}

/// Something the console had to say.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Message {
    /// Its number since the start.
    pub(crate) number: u64,
    pub(crate) at: String,
    pub(crate) bad: bool,
    /// The target and the source, or the console.
    pub(crate) from: String,
    pub(crate) text: String,
}

impl Model {
    pub(crate) fn new(targets: Vec<Target>, keymap: Keymap, look: Look) -> Self {
        let told = vec![Interest::default(); targets.len()];
        let nudges = told.clone();
        Self {
            targets,
            current: 0,
            screen: Screen::Overview,
            keymap,
            look,
            size: (80, 24),
            mouse: false,
            lists: BTreeMap::new(),
            pane: Pane::default(),
            dialog: None,
            waiting: VecDeque::new(),
            deaf_until: Duration::ZERO,
            prompt: None,
            toast: None,
            frozen: None,
            unlocked: None,
            pending: Vec::new(),
            messages: Vec::new(),
            messages_seen: 0,
            messages_total: 0,
            earlier: 0,
            tickets: 0,
            nudges,
            told,
            scroll: 0,
            dialog_scroll: 0,
            follow: true,
            logs_of: None,
        }
    }

    /// The target whose screens are shown, as it is.
    pub(crate) fn target(&self) -> &Target {
        // There is always one: the settings refuse an empty list.
        self.targets.get(self.current).unwrap_or(&self.targets[0])
    }

    pub(crate) fn target_mut(&mut self) -> &mut Target {
        let current = if self.current < self.targets.len() { self.current } else { 0 };
        &mut self.targets[current]
    }

    /// The target as it is drawn: as it is, or as it was when it was frozen.
    pub(crate) fn shown(&self) -> &Target {
        self.frozen.as_ref().map_or_else(|| self.target(), |(target, _)| target)
    }

    /// The moment that ages are told at: in a frozen picture no figure grows older.
    pub(crate) fn shown_at(&self, now: Now) -> Now {
        match &self.frozen {
            Some((_, at)) => Now { at: *at, unix_ms: now.unix_ms - ms(now.at.saturating_sub(*at)) },
            None => now,
        }
    }

    /// The list that keys act on, where the screen has one.
    pub(crate) fn list(&self) -> Option<List> {
        Some(match self.screen {
            Screen::Overview => List::Findings,
            Screen::Traffic => List::Routes,
            Screen::Stores => List::Stores,
            Screen::Workers => match self.pane.work {
                WorkPane::Workers => List::Workers,
                WorkPane::Runs { .. } => List::Runs,
                WorkPane::Output { .. } => return None,
            },
            Screen::Config => match self.pane.config {
                ConfigPane::Values => List::Values,
                ConfigPane::Revisions => List::Revisions,
                ConfigPane::Replicas => List::Replicas,
            },
            Screen::Audit if self.pane.logs => List::Logs,
            Screen::Audit => List::Audit,
            Screen::Keys => List::Keys,
            Screen::Targets => List::Targets,
            Screen::Messages => List::Messages,
        })
    }

    /// The runs that are known of the worker that is looked at; a frozen picture may hold those of another.
    pub(crate) fn runs(&self) -> &[Run] {
        let own = self.shown().runs.value().filter(|_| !self.is_other(List::Runs));
        own.map_or(&[], |runs| runs.items.as_slice())
    }

    /// The lines that are known of the request that is looked at, or of all.
    pub(crate) fn logs(&self) -> &[LogEntry] {
        let own = self.shown().logs.value().filter(|_| !self.is_other(List::Logs));
        own.map_or(&[], |logs| logs.items.as_slice())
    }

    /// Whether what is known is about another thing than the one that the title of the list names.
    pub(crate) fn is_other(&self, list: List) -> bool {
        match (list, &self.pane.work) {
            (List::Runs, WorkPane::Runs { worker } | WorkPane::Output { worker, .. }) => {
                self.shown().runs.value().is_some_and(|runs| runs.worker != *worker)
            }
            (List::Logs, _) => self.shown().logs.value().is_some_and(|logs| logs.request != self.logs_of),
            _ => false,
        }
    }

    /// What is known of the output of the run that is looked at.
    pub(crate) fn output(&self) -> Option<&Output> {
        let WorkPane::Output { run, .. } = &self.pane.work else { return None };
        self.shown().output.value().filter(|output| output.run.id == *run)
    }

    /// The line of the output that stands first when the last one is seen.
    pub(crate) fn output_last(&self) -> usize {
        let lines = self.output().map_or(0, |output| output.text.lines().count());
        lines.saturating_sub(usize::from(self.size.1.saturating_sub(OUTPUT_AROUND)))
    }

    pub(crate) fn list_state(&self, list: List) -> &ListState {
        static NONE: ListState = ListState::EMPTY;
        self.lists.get(&list).unwrap_or(&NONE)
    }

    /// How many commands are under way of which the operator was told nothing yet.
    pub(crate) fn under_way(&self) -> usize {
        self.pending.iter().filter(|pending| pending.is_news()).count()
    }

    /// Whether the current target may be changed.
    pub(crate) fn is_unlocked(&self, now: At) -> bool {
        self.unlocked.is_some_and(|(target, until)| target == self.current && now < until)
    }

    /// Says something in the footer, for a moment.
    pub(crate) fn toast(&mut self, text: impl Into<String>, now: Now) {
        self.toast = Some((text.into(), now.at + TOAST));
    }

    /// Keeps something that was said, for the screen of messages.
    pub(crate) fn note(&mut self, bad: bool, from: impl Into<String>, text: impl Into<String>, now: Now) {
        self.messages.truncate(MESSAGES - 1);
        self.messages_total += 1;
        let (number, at) = (self.messages_total, crate::clock::rfc3339(now.unix_ms));
        self.messages.insert(0, Message { number, at, bad, from: from.into(), text: text.into() });
    }

    /// Says something of a target in the footer and keeps it; the footer names one that is not looked at.
    pub(crate) fn say(&mut self, of: TargetId, bad: bool, text: impl Into<String>, now: Now) {
        let text = text.into();
        let name = self.targets.get(of).map(|target| target.name.clone()).unwrap_or_default();
        let toast = if of == self.current { text.clone() } else { format!("{name}: {text}") };
        self.note(bad, name, text, now);
        self.toast(toast, now);
    }

    /// Keeps what an answer brought until nothing else is open: nobody loses what he types or reads to it.
    pub(crate) fn bring(&mut self, dialog: Dialog) {
        if matches!(dialog, Dialog::Secret(_)) {
            self.waiting.insert(self.keys_waiting(), dialog);
            return;
        }
        if self.waiting.len() - self.keys_waiting() >= WAITING {
            // The oldest of those that can be asked for again.
            self.waiting.remove(self.keys_waiting());
        }
        self.waiting.push_back(dialog);
    }

    /// How many new keys wait to be shown.
    pub(crate) fn keys_waiting(&self) -> usize {
        self.waiting.iter().filter(|dialog| matches!(dialog, Dialog::Secret(_))).count()
    }

    /// Opens a dialog; what was typed before it could be read is not for it.
    pub(crate) fn ask(&mut self, dialog: Dialog, now: Now) {
        /// Nobody reads a question faster.
        const DEAF: Duration = Duration::from_millis(300);
        self.deaf_until = now.at + DEAF;
        self.dialog_scroll = 0;
        self.dialog = Some(dialog);
    }
}

/// A span in milliseconds, as instants of the API are counted.
pub(crate) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
