//! What happens to the console, and what it asks to be done: the two lists between the pure core and the world.
//! They are values: a session can be replayed from its messages.

use std::sync::Arc;
use std::time::Duration;

use monolith_client::wire::{
    AuditEntry, Config, CreateKey, Explanation, Health, IssuedKey, LogEntry, Outcome, PauseWorker, Plan, Receipt,
    Replica, Revision, RotateKey, Run, Store, Whoami, Worker,
};

use crate::clock::At;
use crate::feed::{Source, Trouble};
use crate::metrics::Reading;
use crate::model::tables::KeyRow;

/// The place of a target in the list of targets.
pub(crate) type TargetId = usize;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A key was pressed.
    Key(crossterm::event::KeyEvent),
    /// A text was pasted.
    Paste(String),
    /// The wheel was turned: rows down, or up where negative.
    Wheel(i8),
    /// The terminal has another size.
    Resize(u16, u16),
    /// A poller asked.
    Answer(Box<Answer>),
    /// A target's token was looked for.
    Token { target: TargetId, found: Result<bool, String> },
    /// The server told of a change.
    Event { target: TargetId, name: String },
    /// A command ended.
    Done(Box<Done>),
    /// Time went by.
    Tick,
    /// A frame is out: the next one may go, if there is something new to show.
    Written,
    /// The process was continued after a stop.
    Continued,
    /// A part of the console itself has something to say.
    Note(String),
    /// The process was told to end.
    Terminate,
}

/// What a poller brings back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) target: TargetId,
    pub(crate) source: Source,
    /// When the question was asked.
    pub(crate) asked_at: At,
    /// In how long it will be asked again.
    pub(crate) next_in: Duration,
    pub(crate) outcome: Result<Payload, Trouble>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) enum Payload {
    Health(Box<Health>),
    Metrics(Reading),
    Whoami(Whoami),
    Stores(Vec<Store>),
    Workers(Vec<Worker>),
    Runs(String, Vec<Run>),
    Output(Box<Piece>),
    Keys(Arc<Keys>),
    Config(Box<Config>),
    Revisions(Vec<Revision>),
    Replicas(Vec<Replica>),
    Audit(Vec<AuditEntry>),
    /// Those of one request, or all.
    Logs(Option<String>, Vec<LogEntry>),
    Events,
}

/// All keys, or as many as the console takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Keys {
    pub(crate) items: Vec<KeyRow>,
    /// Whether there are more than were taken.
    pub(crate) more: bool,
}

/// A piece of a run's output, and the run as it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) run: Run,
    pub(crate) after: u64,
    pub(crate) data: String,
    pub(crate) next: u64,
    pub(crate) done: bool,
}

/// What is wanted of a target at the moment; its pollers follow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    wanted: Vec<Source>,
    /// How often each source was asked for out of turn.
    nudges: [u32; Source::ALL.len()],
    /// Whose runs.
    pub(crate) runs_of: Option<String>,
    /// Which run's output, and from which byte.
    pub(crate) output_of: Option<(String, u64)>,
    /// Only the log of this request.
    pub(crate) logs_of: Option<String>,
}

impl Interest {
    pub(crate) fn want(&mut self, source: Source) {
        if !self.wanted.contains(&source) {
            self.wanted.push(source);
        }
    }

    pub(crate) fn wants(&self, source: Source) -> bool {
        self.wanted.contains(&source)
    }

    /// Nothing but what was asked for out of turn.
    pub(crate) fn keeping_nudges(&self) -> Self {
        Self { nudges: self.nudges, ..Self::default() }
    }

    pub(crate) fn nudge(&mut self, source: Source) {
        if let Some(count) = self.nudges.get_mut(source as usize) {
            *count = count.wrapping_add(1);
        }
    }

    pub(crate) fn nudges(&self, source: Source) -> u32 {
        self.nudges.get(source as usize).copied().unwrap_or_default()
    }
}

/// Something that changes a server, or asks it a single question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Create {
        key: CreateKey,
    },
    Revoke {
        kid: String,
        name: String,
        reason: String,
    },
    Rotate {
        kid: String,
        name: String,
        rotate: RotateKey,
    },
    Run {
        worker: String,
    },
    Pause {
        worker: String,
        pause: PauseWorker,
    },
    Resume {
        worker: String,
    },
    Cancel {
        run: String,
        worker: String,
    },
    Reload,
    Explain {
        key: String,
    },
    /// The path of a file on this machine.
    Plan {
        file: String,
    },
}

impl Command {
    /// What it is called in messages.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Create { key } => format!("create the key {}", key.name),
            Self::Revoke { name, kid, .. } => format!("revoke {name} ({kid})"),
            Self::Rotate { name, kid, .. } => format!("rotate {name} ({kid})"),
            Self::Run { worker } => format!("run {worker}"),
            Self::Pause { worker, .. } => format!("pause {worker}"),
            Self::Resume { worker } => format!("resume {worker}"),
            Self::Cancel { run, .. } => format!("cancel the run {run}"),
            Self::Reload => "reload the configuration".to_owned(),
            Self::Explain { key } => format!("explain {key}"),
            Self::Plan { file } => format!("plan {file}"),
        }
    }

    /// What has to be looked at again afterwards, whatever came of it.
    pub(crate) const fn touches(&self) -> &'static [Source] {
        match self {
            Self::Create { .. } | Self::Revoke { .. } | Self::Rotate { .. } => &[Source::Keys, Source::Audit],
            Self::Run { .. } | Self::Pause { .. } | Self::Resume { .. } | Self::Cancel { .. } => {
                &[Source::Workers, Source::Runs, Source::Output, Source::Health]
            }
            Self::Reload => &[Source::Config, Source::Revisions, Source::Health],
            Self::Explain { .. } | Self::Plan { .. } => &[],
        }
    }

    /// The key that it is about, where that is there already.
    pub(crate) fn kid(&self) -> Option<&str> {
        match self {
            Self::Revoke { kid, .. } | Self::Rotate { kid, .. } => Some(kid),
            _ => None,
        }
    }

    /// Whether nothing changes by it.
    pub(crate) const fn is_a_question(&self) -> bool {
        matches!(self, Self::Explain { .. } | Self::Plan { .. })
    }
}

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) target: TargetId,
    /// The number it was given when it was sent.
    pub(crate) ticket: u64,
    pub(crate) outcome: Result<Success, Failure>,
}

/// What a command brought.
#[derive(Debug)]
pub(crate) enum Success {
    Issued(Box<IssuedKey>),
    Revoked(Receipt),
    Started(String),
    Worker(Box<Worker>),
    Cancelled(Box<Run>),
    Reloaded(Box<Outcome>),
    Explained(Explanation),
    Planned(Plan),
}

/// Why a command brought nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// It was not done: the server said so, or was never asked.
    Refused(String),
    /// It was sent, and nobody knows what became of it.
    Unknown(String),
    /// The reload was rejected; the outcome says why.
    Rejected(Box<Outcome>),
}

/// Something to be done outside the core.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The pollers of a target follow this from now on.
    Follow(TargetId, Interest),
    /// Sends a command.
    Send { target: TargetId, ticket: u64, command: Command },
    /// Puts a text into the terminal's clipboard.
    Copy(String),
    /// Looks for a target's token again.
    Login(TargetId),
    /// Tells the terminal whether the mouse is wanted.
    Mouse(bool),
    /// Draws everything anew, whatever the terminal shows.
    Repaint,
    /// Gives the terminal back and stops, until somebody continues the process.
    Suspend,
    /// Ends the console.
    Quit,
}
