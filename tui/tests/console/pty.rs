//! A terminal that nobody sits at: it shows what the program writes, and types what a test wants typed.
//! It says what the terminal was before and what it is afterwards.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};

/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What was written, and what it looks like.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

type Watched = Arc<(Mutex<Shown>, Condvar)>;

/// How fast the terminal takes what is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Free,
    /// Not at all, like a line that stands still.
    Held,
    /// So many bytes a second.
    #[allow(dead_code, reason = "only a bench has the time")]
    Slow(usize),
    /// It is gone.
    Closed,
}

/// In how many portions a slow line brings what it brings in a second.
const PORTIONS: u64 = 20;

type Paced = Arc<(Mutex<Pace>, Condvar)>;

pub struct Terminal {
    shown: Watched,
    keys: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    // Kept open, so that the terminal outlives the program.
    _slave: Box<dyn SlavePty + Send>,
    before: String,
    started: Instant,
    pace: Paced,
}

impl Terminal {
    /// Starts the program in a terminal of so many columns and rows, in a folder.
    pub fn start(args: &[&str], folder: &Path, size: (u16, u16)) -> Self {
        Self::start_with(args, folder, size, &[])
    }

    /// The same, with variables.
    pub fn start_with(args: &[&str], folder: &Path, size: (u16, u16), env: &[(&str, &str)]) -> Self {
        Self::run(env!("CARGO_BIN_EXE_monolith-tui"), args, folder, size, env)
    }

    /// The same for a program that starts the console.
    pub fn run(program: &str, args: &[&str], folder: &Path, (cols, rows): (u16, u16), env: &[(&str, &str)]) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let before = format!("{:?}", pair.master.get_termios().unwrap());
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(folder);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.env("HOME", folder);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        env.iter().for_each(|(name, value)| command.env(name, value));
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        let parser = vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0);
        let shown: Watched = Arc::new((Mutex::new(Shown { parser, bytes: Vec::new() }), Condvar::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = Some(pair.master.take_writer().unwrap());
        let watched = shown.clone();
        let pace: Paced = Arc::new((Mutex::new(Pace::Free), Condvar::new()));
        let paced = pace.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 65_536];
            loop {
                let Some(most) = portion(&paced).map(|most| most.min(piece.len())) else { return };
                let Ok(count @ 1..) = reader.read(&mut piece[..most]) else { return };
                let mut shown = watched.0.lock().unwrap();
                shown.parser.process(&piece[..count]);
                shown.bytes.extend_from_slice(&piece[..count]);
                watched.1.notify_all();
            }
        });
        Self { shown, keys, child, master: Some(pair.master), _slave: pair.slave, before, started, pace }
    }

    /// From now on the terminal takes what is written at this pace.
    pub fn pace(&self, pace: Pace) {
        *self.pace.0.lock().unwrap() = pace;
        self.pace.1.notify_all();
    }

    /// The terminal goes away; the program hears of it, or not.
    pub fn hang_up(&mut self) {
        self.pace(Pace::Closed);
        (self.keys, self.master) = (None, None);
    }

    pub fn press(&mut self, keys: &str) {
        let terminal = self.keys.as_mut().unwrap();
        terminal.write_all(keys.as_bytes()).unwrap();
        terminal.flush().unwrap();
    }

    /// Waits until the screen is as wanted, and says how long that took since the last look at the clock.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Duration {
        let begun = Instant::now();
        let mut shown = self.shown.0.lock().unwrap();
        loop {
            let text = shown.parser.screen().contents();
            if wanted(&text) {
                return begun.elapsed();
            }
            let left = PATIENCE.checked_sub(begun.elapsed());
            let Some(left) = left else { panic!("never saw {what}:\n{text}") };
            shown = self.shown.1.wait_timeout(shown, left).unwrap().0;
        }
    }

    /// Waits until these words are on the screen.
    #[track_caller]
    pub fn see(&self, words: &str) -> Duration {
        self.wait_for(words, |text| text.contains(words))
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn text(&self) -> String {
        self.shown.0.lock().unwrap().parser.screen().contents()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.shown.0.lock().unwrap().bytes.clone()
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        self.shown.0.lock().unwrap().parser.screen_mut().set_size(rows.try_into().unwrap(), cols.try_into().unwrap());
        self.master.as_ref().unwrap().resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for the end of the program: its exit code, and how long that took.
    #[track_caller]
    pub fn end(&mut self) -> (u32, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.exit_code(), begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "it never ended:\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Whether the settings of the line are what they were.
    pub fn is_cooked(&self) -> bool {
        format!("{:?}", self.master.as_ref().unwrap().get_termios().unwrap()) == self.before
    }

    /// What is left open in the terminal, after the last byte has arrived; nothing, where all is well.
    pub fn left_open(&self) -> Vec<String> {
        let left = |screen: &vt100::Screen| {
            let mut left = Vec::new();
            let states = [
                (screen.alternate_screen(), "the alternate screen"),
                (screen.hide_cursor(), "a hidden cursor"),
                (screen.bracketed_paste(), "bracketed paste"),
                (screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None, "the mouse"),
            ];
            left.extend(states.iter().filter(|(open, _)| *open).map(|(_, name)| (*name).to_owned()));
            left
        };
        let begun = Instant::now();
        let mut shown = self.shown.0.lock().unwrap();
        // The last bytes may be on their way while the program is already gone.
        while !left(shown.parser.screen()).is_empty() && begun.elapsed() < PATIENCE / 6 {
            shown = self.shown.1.wait_timeout(shown, PATIENCE / 60).unwrap().0;
        }
        let mut open = left(shown.parser.screen());
        if !self.is_cooked() {
            open.push("other settings of the line".to_owned());
        }
        open
    }
}

/// How much may be read now; it waits while the line stands still, and a while where it is slow.
fn portion((pace, changed): &(Mutex<Pace>, Condvar)) -> Option<usize> {
    let now = *changed.wait_while(pace.lock().unwrap(), |pace| *pace == Pace::Held).unwrap();
    match now {
        Pace::Closed => None,
        Pace::Slow(bytes) => {
            std::thread::park_timeout(Duration::from_millis(1_000 / PORTIONS));
            Some(bytes / PORTIONS as usize)
        }
        Pace::Free | Pace::Held => Some(usize::MAX),
    }
}

/// How many frames were written: each begins with the mark that makes it appear at once.
pub fn frames(bytes: &[u8]) -> usize {
    let mark = b"\x1b[?2026h";
    bytes.windows(mark.len()).filter(|window| window == mark).count()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
