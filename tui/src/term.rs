//! The terminal: one guard for all ways in and out, and a writer that never keeps the console waiting.
//! Whatever ends the console, the terminal is as it was: a quit, an error, a panic, a signal. A terminal that takes no byte
//! keeps nobody: no way out waits for a lock, and each wait has a limit.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{Command, cursor, queue};
use rustix::fs::OFlags;
use tokio::sync::mpsc;

use crate::message::Msg;

/// How long the last frame may take on its way out, and what gives the terminal back after it: together less than the tenth
/// of a second in which the console has to be gone.
const LAST_FRAME: Duration = Duration::from_millis(50);
const LEAVING: Duration = Duration::from_millis(30);
/// Between two tries to write without waiting.
const AGAIN: Duration = Duration::from_millis(2);
/// A frame goes out in pieces, so that whoever leaves does not have to wait for all of it.
const PIECE: usize = 1_024;
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
        let out = File::from(stdout().as_fd().try_clone_to_owned()?);
        let (frames, queue) = sync_channel::<Vec<u8>>(1);
        let (tell, written) = sync_channel(1);
        std::thread::Builder::new().name("writer".into()).spawn(move || write_frames(out, &queue, &tell, &wake))?;
        // Last: nothing after it fails and leaves the terminal taken.
        Ok(Self { frames, written, under_way: 0, later: take(mouse)? })
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
        self.leave();
    }

    pub(crate) fn resume(&mut self, mouse: bool) {
        let mut bytes = take(mouse).unwrap_or_default();
        bytes.append(&mut self.later);
        self.later = bytes;
    }

    fn leave(&mut self) {
        let until = Instant::now() + LAST_FRAME;
        // A panic may have given it back already.
        while ENTERED.load(Ordering::SeqCst)
            && self.under_way > 0
            && self.written.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
        {
            self.under_way -= 1;
        }
        leave(LEAVING);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Writes past the lock of standard output: it blocks for as long as the terminal does, and nobody else may wait for it.
fn write_frames(mut out: File, queue: &Receiver<Vec<u8>>, tell: &SyncSender<()>, wake: &mpsc::Sender<Msg>) {
    while let Ok(bytes) = queue.recv() {
        for piece in bytes.chunks(PIECE) {
            // A terminal that is gone is noticed by SIGHUP, and one that was given back gets no rest of a frame.
            if !ENTERED.load(Ordering::SeqCst) || out.write_all(piece).is_err() {
                break;
            }
        }
        if tell.send(()).is_err() {
            return;
        }
        drop(wake.try_send(Msg::Written));
    }
}

/// Takes the terminal, and says what has to go before the next frame.
fn take(mouse: bool) -> std::io::Result<Vec<u8>> {
    enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    let mut bytes = Vec::new();
    queue!(bytes, EnterAlternateScreen, cursor::Hide, EnableBracketedPaste)?;
    if mouse {
        queue!(bytes, EnableMouseCapture)?;
    }
    Ok(bytes)
}

/// Gives the terminal back, in the reverse order; a second call does nothing. Whether the terminal took the bytes for it
/// within the limit: where it does not, its settings are restored all the same, and nobody waits.
fn leave(limit: Duration) -> bool {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return true;
    }
    let until = Instant::now() + limit;
    drop(disable_raw_mode());
    let mut bytes = Vec::new();
    // A frame may have been cut anywhere.
    drop(queue!(bytes, EndSynchronizedUpdate, ResetColor));
    drop(queue!(bytes, DisableMouseCapture, DisableBracketedPaste, cursor::Show, LeaveAlternateScreen));
    write_within(&bytes, until).is_ok()
}

/// Writes without ever waiting for the terminal. It is opened anew: the flag for it is shared by all who have the same
/// opening of a file, and the shell that started the console is one of them.
#[expect(clippy::disallowed_methods, reason = "whoever leaves has nothing else to do meanwhile, and it has a limit")]
fn write_within(bytes: &[u8], until: Instant) -> std::io::Result<()> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let own = rustix::termios::ttyname(stdout(), Vec::new()).ok().and_then(|name| name.into_string().ok());
    let open = |path: &str| OpenOptions::new().write(true).custom_flags(flags).open(path);
    let mut out = own.as_deref().map_or_else(|| open("/dev/tty"), |name| open(name).or_else(|_| open("/dev/tty")))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => std::thread::sleep(AGAIN),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A panic of the thread that draws ends the console: the terminal comes back first. One of a poller does not end it, and
/// must not write over the screen.
fn restore_on_panic(drawing: ThreadId) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == drawing || !ENTERED.load(Ordering::SeqCst) {
            // What would be told on a terminal that takes nothing would keep the console for ever.
            if leave(LAST_FRAME + LEAVING) || !stderr().is_terminal() {
                before(info);
            }
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
