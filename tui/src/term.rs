//! The terminal: one guard for all ways in and out, and a writer that never keeps the console waiting.
//! Whatever ends the console, the terminal is as it was: a quit, an error, a panic, a signal.

use std::io::{Write, stdout};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::ThreadId;
use std::time::Duration;

use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{Command, cursor, queue};
use tokio::sync::mpsc;

use crate::message::Msg;

/// How long the last frame may take on its way out.
const LAST_FRAME: Duration = Duration::from_millis(80);
/// Panics of pollers that are remembered until they are shown.
const NOTES: usize = 16;

/// Whether the terminal is ours at the moment.
static ENTERED: AtomicBool = AtomicBool::new(false);
/// What panicked outside the thread that draws.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The terminal while it is ours.
pub(crate) struct Terminal {
    frames: SyncSender<Vec<u8>>,
    written: Receiver<()>,
    /// Writes that are not known to be out.
    under_way: usize,
    /// What goes with the next frame.
    later: Vec<u8>,
}

impl Terminal {
    /// Takes the terminal. `wake` is told when a frame is out.
    pub(crate) fn enter(mouse: bool, wake: mpsc::Sender<Msg>) -> std::io::Result<Self> {
        restore_on_panic(std::thread::current().id());
        take(mouse)?;
        let (frames, queue) = sync_channel::<Vec<u8>>(1);
        let (tell, written) = sync_channel(1);
        std::thread::Builder::new().name("writer".into()).spawn(move || write_frames(&queue, &tell, &wake))?;
        Ok(Self { frames, written, under_way: 0, later: Vec::new() })
    }

    /// Whether the last frame is still on its way; then the next one waits, and is the newest when it goes.
    pub(crate) fn is_busy(&mut self) -> bool {
        while self.under_way > 0 && self.written.try_recv().is_ok() {
            self.under_way -= 1;
        }
        self.under_way > 0
    }

    /// Sends a frame on its way, where none is under way.
    pub(crate) fn write(&mut self, frame: Vec<u8>) {
        let mut bytes = std::mem::take(&mut self.later);
        bytes.extend(frame);
        if !bytes.is_empty() && self.frames.try_send(bytes).is_ok() {
            self.under_way += 1;
        }
    }

    /// Sends bytes with the next frame.
    pub(crate) fn later(&mut self, bytes: Vec<u8>) {
        self.later.extend(bytes);
    }

    /// Gives the terminal back for a while; `resume` takes it again.
    pub(crate) fn suspend(&mut self) {
        self.drain();
        leave();
    }

    pub(crate) fn resume(&mut self, mouse: bool) {
        drop(take(mouse));
    }

    fn drain(&mut self) {
        while self.under_way > 0 && self.written.recv_timeout(LAST_FRAME).is_ok() {
            self.under_way -= 1;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.drain();
        leave();
    }
}

fn write_frames(queue: &Receiver<Vec<u8>>, tell: &SyncSender<()>, wake: &mpsc::Sender<Msg>) {
    while let Ok(bytes) = queue.recv() {
        let mut out = stdout().lock();
        // A terminal that is gone is noticed by SIGHUP.
        drop(out.write_all(&bytes).and_then(|()| out.flush()));
        drop(out);
        if tell.send(()).is_err() {
            return;
        }
        drop(wake.try_send(Msg::Written));
    }
}

fn take(mouse: bool) -> std::io::Result<()> {
    enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    let mut out = stdout().lock();
    queue!(out, EnterAlternateScreen, cursor::Hide, EnableBracketedPaste)?;
    if mouse {
        queue!(out, EnableMouseCapture)?;
    }
    out.flush()
}

/// Gives the terminal back, in the reverse order; a second call does nothing.
pub(crate) fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut bytes = Vec::new();
    drop(queue!(bytes, DisableMouseCapture, DisableBracketedPaste, cursor::Show, LeaveAlternateScreen));
    let mut out = stdout().lock();
    drop(out.write_all(&bytes).and_then(|()| out.flush()));
    drop(disable_raw_mode());
}

/// A panic of the thread that draws ends the console: the terminal comes back first. One of a poller does not end it, and
/// must not write over the screen.
fn restore_on_panic(drawing: ThreadId) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == drawing || !ENTERED.load(Ordering::SeqCst) {
            leave();
            before(info);
        } else if let Ok(mut panics) = PANICS.lock()
            && panics.len() < NOTES
        {
            let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
            panics.push(format!("a part of the console panicked at {}", place.unwrap_or_default()));
        }
    }));
}

/// What panicked since the last call.
pub(crate) fn panics() -> Vec<String> {
    PANICS.lock().map(|mut panics| std::mem::take(&mut *panics)).unwrap_or_default()
}

/// Bytes that switch the mouse on or off.
pub(crate) fn mouse(on: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    drop(if on { queue!(bytes, EnableMouseCapture) } else { queue!(bytes, DisableMouseCapture) });
    bytes
}

/// The most that is put into a clipboard: terminals drop what is longer.
const CLIPBOARD: usize = 74_000;

/// Bytes that put a text into the terminal's clipboard (OSC 52), wrapped where tmux stands in between; `None` where it is
/// too long.
pub(crate) fn copy(text: &str) -> Option<Vec<u8>> {
    let mut code = String::new();
    crossterm::clipboard::CopyToClipboard::to_clipboard_from(text).write_ansi(&mut code).ok()?;
    if code.len() > CLIPBOARD {
        return None;
    }
    let mut bytes = code.clone().into_bytes();
    if std::env::var_os("TMUX").is_some() {
        bytes.extend(format!("\u{1b}Ptmux;{}\u{1b}\\", code.replace('\u{1b}', "\u{1b}\u{1b}")).into_bytes());
    }
    Some(bytes)
}
