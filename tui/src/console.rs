//! The loop: messages in, effects out, a frame when something changed. It waits for nothing but the next message.
//! It never asks a server and never blocks on the terminal.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyEventKind, MouseEventKind};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::message::{Effect, Msg};
use crate::model::target::Target;
use crate::model::{Look, Model};
use crate::net::{Link, QUEUE};
use crate::screen::Screen;
use crate::settings::Settings;
use crate::term::{self, Terminal};
use crate::update::update;
use crate::view;

/// At most twenty frames a second.
const FRAME: Duration = Duration::from_millis(50);
/// A key is answered sooner.
const AFTER_INPUT: Duration = Duration::from_millis(5);
/// Ages are told in seconds.
const TICK: Duration = Duration::from_secs(1);
/// Messages that are taken before a frame is drawn.
const BATCH: usize = 64;
/// How long it may take until a stop takes effect, and until its end is heard of: a stop that did not happen is told after it.
const STOPPED: Duration = Duration::from_millis(200);
/// Between two looks whether it ended.
const LOOK: Duration = Duration::from_millis(5);

/// Shows the console until the operator, or a signal, ends it.
pub(crate) async fn run(settings: Settings, look: Look, clock: Clock) -> std::io::Result<()> {
    let (tell, mut messages) = mpsc::channel(QUEUE);
    let targets = settings.targets.iter().map(|one| {
        let mut target = Target::new(&one.name, one.client.base_url(), settings.poll);
        target.danger = one.danger;
        target.token_advice = one.token.advice();
        target
    });
    let mut model = Model::new(targets.collect(), settings.keymap, look);
    model.mouse = settings.mouse;
    let links: Vec<Link> = settings
        .targets
        .iter()
        .enumerate()
        .map(|(id, one)| Link::start(id, one, settings.poll, clock, tell.clone()))
        .collect();
    let mut console = Console {
        terminal: Terminal::enter(model.mouse, tell.clone())?,
        screen: Screen::new(),
        links,
        clock,
        continued: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        quit: false,
    };
    model.size = crossterm::terminal::size().unwrap_or((80, 24));
    read_input(tell.clone())?;
    listen_to_signals(tell)?;
    console.carry_out(&mut model, Msg::Tick);
    console.draw(&model);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut drawn = Instant::now();
    // Whether something changed since the last frame, and whether a part of it was typed: that is not kept waiting.
    let (mut dirty, mut typed) = (false, false);
    while !console.quit {
        let least = |typed: bool| if typed { AFTER_INPUT } else { FRAME };
        let pause = least(typed).saturating_sub(drawn.elapsed());
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return Ok(()) };
                let mut next = Some(message);
                for _ in 0..BATCH {
                    let Some(message) = next else { break };
                    typed |= is_input(&message);
                    dirty |= !matches!(message, Msg::Written);
                    console.carry_out(&mut model, message);
                    next = messages.try_recv().ok();
                }
            }
            _ = ticks.tick() => {
                for text in term::panics() {
                    console.carry_out(&mut model, Msg::Note(text));
                }
                console.carry_out(&mut model, Msg::Tick);
                dirty = true;
            }
            () = tokio::time::sleep(pause), if dirty && !console.terminal.is_busy() => {}
        }
        if dirty && drawn.elapsed() >= least(typed) && !console.terminal.is_busy() && !console.quit {
            console.draw(&model);
            (drawn, dirty, typed) = (Instant::now(), false, false);
        }
    }
    Ok(())
}

const fn is_input(message: &Msg) -> bool {
    matches!(message, Msg::Key(_) | Msg::Paste(_) | Msg::Resize(..) | Msg::Wheel(_))
}

struct Console {
    terminal: Terminal,
    screen: Screen,
    links: Vec<Link>,
    clock: Clock,
    /// Tells that the process was stopped and goes on.
    continued: Signal,
    quit: bool,
}

impl Console {
    fn carry_out(&mut self, model: &mut Model, message: Msg) {
        for effect in update(model, message, self.clock.now()) {
            self.effect(model, effect);
        }
    }

    fn effect(&mut self, model: &mut Model, effect: Effect) {
        match effect {
            Effect::Follow(id, interest) => self.link(id, |link| link.follow(interest)),
            Effect::Send { target, ticket, command } => self.link(target, |link| link.send(ticket, command)),
            Effect::Login(id) => self.link(id, Link::login),
            Effect::Copy(text) => match term::copy(&text) {
                Some(bytes) => self.terminal.later(bytes),
                None => model.toast("too long for a terminal's clipboard", self.clock.now()),
            },
            Effect::Mouse(on) => self.terminal.later(term::mouse(on)),
            Effect::Repaint => self.screen.forget(),
            Effect::Suspend => self.suspend(model),
            Effect::Quit => self.quit = true,
        }
    }

    fn link(&self, id: usize, act: impl FnOnce(&Link)) {
        if let Some(link) = self.links.get(id) {
            act(link);
        }
    }

    /// Stops the whole job, as the terminal itself would: whoever started the console from a script or a pipe gets the shell
    /// back. Whoever continues it finds the console as it was, with everything asked anew. Nothing here handles the signal, so
    /// it does what it does by default; where nobody could continue the job, the system ignores it, and that is said.
    #[expect(
        clippy::disallowed_methods,
        reason = "it stands still on purpose: nothing may be drawn while it is stopped"
    )]
    fn suspend(&mut self, model: &mut Model) {
        #[cfg(debug_assertions)]
        panic_where_asked("suspend");
        self.terminal.suspend();
        // What was told before is not about this stop.
        self.is_continued();
        let raised = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
        let until = Instant::now() + STOPPED;
        let mut stopped = self.is_continued();
        while !stopped && Instant::now() < until {
            std::thread::sleep(LOOK);
            stopped = self.is_continued();
        }
        self.terminal.resume(model.mouse);
        self.carry_out(model, Msg::Continued);
        if !stopped {
            let why =
                raised.err().map_or_else(|| "no shell is there that could continue it".to_owned(), |e| e.to_string());
            model.toast(format!("it did not stop: {why}"), self.clock.now());
        }
    }

    /// Whether the process was continued since this was last asked.
    fn is_continued(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut continued = false;
        while self.continued.poll_recv(&mut context) == Poll::Ready(Some(())) {
            continued = true;
        }
        continued
    }

    fn draw(&mut self, model: &Model) {
        #[cfg(debug_assertions)]
        panic_where_asked("draw");
        let (width, height) = model.size;
        let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
        view::view(model, &mut frame, self.clock.now());
        let bytes = self.screen.bytes(frame);
        self.terminal.write(bytes);
    }
}

/// Panics in a debug build where a test asks for it, to see that the terminal comes back.
#[cfg(debug_assertions)]
pub(crate) fn panic_where_asked(place: &str) {
    let asked = std::env::var_os("MONOLITH_TUI_PANIC");
    assert!(asked.is_none_or(|asked| asked != place), "a test asked for it");
}

/// Reads keys on a thread of its own: reading a terminal blocks.
fn read_input(tell: mpsc::Sender<Msg>) -> std::io::Result<()> {
    let read = move || {
        while let Ok(event) = crossterm::event::read() {
            let message = match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => Msg::Key(key),
                Event::Paste(text) => Msg::Paste(text),
                Event::Resize(width, height) => Msg::Resize(width, height),
                Event::Mouse(mouse) => match mouse.kind {
                    MouseEventKind::ScrollDown => Msg::Wheel(3),
                    MouseEventKind::ScrollUp => Msg::Wheel(-3),
                    _ => continue,
                },
                _ => continue,
            };
            if tell.blocking_send(message).is_err() {
                return;
            }
        }
        // Nobody can type any more.
        drop(tell.blocking_send(Msg::Terminate));
    };
    std::thread::Builder::new().name("input".into()).spawn(read).map(drop)
}

fn listen_to_signals(tell: mpsc::Sender<Msg>) -> std::io::Result<()> {
    let ends = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
    for kind in ends {
        let (mut signals, tell) = (signal(kind)?, tell.clone());
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                drop(tell.send(Msg::Terminate).await);
            }
        });
    }
    // crossterm loses a change of size that comes together with a key: this makes sure of it.
    let mut sizes = signal(SignalKind::window_change())?;
    tokio::spawn(async move {
        while sizes.recv().await.is_some() {
            if let Ok((width, height)) = crossterm::terminal::size() {
                drop(tell.send(Msg::Resize(width, height)).await);
            }
        }
    });
    Ok(())
}
