//! The same model without a screen: one look, a line for each change, a word and an exit code.
//! Data goes to stdout and nothing else does; what went wrong goes to stderr.

use std::collections::BTreeSet;
use std::io::{ErrorKind, IsTerminal, Write};

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::{Clock, Now};
use crate::feed::Source;
use crate::keymap::Keymap;
use crate::message::{Answer, Effect, Interest, Msg};
use crate::model::target::{Standing, Target, TokenState};
use crate::model::{Look, Model};
use crate::net::{Link, QUEUE, fetch};
use crate::options::{Failure, complain};
use crate::settings::Settings;
use crate::status::{Failed, Status, paint, view};
use crate::theme::Theme;
use crate::update::update;

/// What one look asks for.
const LOOK: [Source; 6] =
    [Source::Health, Source::Metrics, Source::Whoami, Source::Stores, Source::Workers, Source::Keys];
/// The exit code of a token that is missing or refused.
const UNAUTHORIZED: u8 = 5;
/// The shape of the JSON.
const SCHEMA: u32 = 1;
/// Columns where nobody can say how wide the output is.
const WIDTH_ELSEWHERE: u16 = 100;
/// Below this the tables hold nothing that can be read; a narrower terminal wraps.
const WIDTH_MIN: u16 = 60;
/// Above this an eye loses the line.
const WIDTH_MAX: u16 = 160;
/// Lines without frames are cut nowhere that matters: whoever shows them wraps them.
const WIDTH_LINEAR: u16 = 1_000;

/// What one look is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// Tables, in colour where it is a terminal.
    Coloured,
    /// Tables.
    Tables,
    /// Lines without frames.
    Linear,
}

/// A target after one look, and the moment that it is judged at.
struct Seen {
    target: Target,
    now: Now,
}

/// One look at every target.
pub(crate) async fn snapshot(settings: &Settings, clock: Clock, form: Form) -> Result<u8, Failure> {
    let seen = look(settings, clock).await?;
    let statuses: Vec<_> = seen.iter().map(|seen| (seen, Status::of(&seen.target))).collect();
    if form == Form::Json {
        let targets: Vec<Value> = statuses.iter().map(|(seen, status)| as_value(seen, status)).collect();
        let whole = json!({"schema": SCHEMA, "targets": targets});
        let text = serde_json::to_string_pretty(&whole);
        print(&(text.map_err(|error| Failure::new(1, format!("cannot write JSON: {error}")))? + "\n"))?;
    } else {
        for (seen, status) in &statuses {
            let text = status.as_ref().map_or_else(|failed| lost(&seen.target, failed), |status| screen(status, form));
            print(if form == Form::Linear { text.trim_start() } else { &text })?;
        }
    }
    let mut code = 0;
    for (Seen { target, .. }, status) in &statuses {
        code = code.max(without_token(target));
        match status {
            Ok(status) => {
                status.failures().iter().for_each(|failed| complain(&about(target, failed)));
                code = code.max(status.exit_code());
            }
            Err(failed) => {
                complain(&about(target, failed));
                code = code.max(failed.exit_code);
            }
        }
    }
    Ok(code)
}

/// The one line of a target that told nothing.
fn lost(target: &Target, failed: &Failed) -> String {
    let text = format!("{}  {} · {}", target.standing.word(), target.name, failed.why);
    format!(" {}\n", crate::words::clean(&text))
}

fn about(target: &Target, failed: &Failed) -> Failure {
    let failure = Failure::from(failed);
    Failure { message: format!("{}: {}", target.name, failure.message), ..failure }
}

fn as_value(Seen { target, now }: &Seen, status: &Result<Status, Failed>) -> Value {
    let ages = LOOK.iter().map(|source| {
        let age = target.source(*source, now.at).age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        (source.name().to_owned(), json!(age))
    });
    let mut value = match status {
        Ok(status) => json!(status),
        Err(failed) => json!({"target": target.name, "server": target.url, "failed": failed}),
    };
    if let Some(members) = value.as_object_mut() {
        members.insert("state".to_owned(), json!(target.standing));
        members.insert("findings".to_owned(), json!(target.findings));
        members.insert("age_ms".to_owned(), ages.collect());
    }
    value
}

fn screen(status: &Status, form: Form) -> String {
    let terminal = std::io::stdout().is_terminal();
    let size = if terminal { crossterm::terminal::size().ok() } else { None };
    // Some terminals do not know their size and say zero.
    let size = size.filter(|(columns, _)| *columns > 0);
    let width = match form {
        Form::Linear => WIDTH_LINEAR,
        _ => size.map_or(WIDTH_ELSEWHERE, |(columns, _)| columns.clamp(WIDTH_MIN, WIDTH_MAX)),
    };
    let buffer = view::draw(status, width);
    match form {
        Form::Linear => paint::linear(&buffer),
        Form::Coloured if terminal => paint::coloured(&buffer),
        _ => paint::plain(&buffer),
    }
}

/// One word a target.
pub(crate) async fn check(settings: &Settings, clock: Clock) -> Result<u8, Failure> {
    let seen = look(settings, clock).await?;
    let mut code = 0;
    for Seen { target, .. } in &seen {
        let (own, why) = match Status::of(target) {
            Ok(status) => (status.exit_code(), status.failures().first().map(|failed| failed.why.clone())),
            Err(failed) => (failed.exit_code, Some(failed.why)),
        };
        let finding = || {
            let worst = target.findings.first().filter(|_| target.standing != Standing::Healthy)?;
            Some(format!("{}: {}", worst.subject, worst.message))
        };
        let own = own.max(without_token(target));
        let why = why
            .or_else(|| target.token_trouble().map(str::to_owned))
            .or_else(finding)
            .map(|why| format!("  {}", crate::words::clean(&why)))
            .unwrap_or_default();
        print(&format!("{} {}{why}\n", target.name, word(target, own)))?;
        code = code.max(own);
    }
    Ok(code)
}

/// The exit code of a target whose token was not found; it says why.
fn without_token(target: &Target) -> u8 {
    let TokenState::Missing(why) = &target.token else { return 0 };
    complain(&Failure::new(UNAUTHORIZED, format!("{}: {why}", target.name)));
    UNAUTHORIZED
}

/// What a code stands for, where the health alone does not say.
fn word(target: &Target, code: u8) -> &'static str {
    match code {
        4 => Standing::Unreachable.word(),
        5 => "UNAUTHORIZED",
        6 => Standing::Unreadable.word(),
        _ => target.standing.word(),
    }
}

/// Asks everything once, all targets at the same time.
async fn look(settings: &Settings, clock: Clock) -> Result<Vec<Seen>, Failure> {
    // One look may take as long as its questions, and is not old by then.
    let targets = targets(settings, settings.poll.max(fetch::ONCE_TIMEOUT));
    let mut looks: Vec<(Model, Vec<Came>)> = targets.map(|target| (model(vec![target]), Vec::new())).collect();
    let mut asked = tokio::task::JoinSet::new();
    for (id, one) in settings.targets.iter().enumerate() {
        let token = match one.token.find().await {
            Ok(token) => token,
            // It goes without, and says why: how a server is may be known to everyone.
            Err(why) => {
                if let Some((model, _)) = looks.get_mut(id) {
                    update(model, Msg::Token { target: 0, found: Err(why) }, clock.now());
                }
                None
            }
        };
        let client = match token {
            Some(token) => one.client.clone().with_token(token),
            None => one.client.clone(),
        };
        for source in LOOK {
            let client = client.clone();
            asked.spawn(async move {
                let asked_at = clock.at();
                let outcome = fetch::fetch(&client, source, &Interest::default(), fetch::ONCE_TIMEOUT).await;
                let answer = Answer { target: 0, source, asked_at, next_in: std::time::Duration::ZERO, outcome };
                (id, Came { answer, now: clock.now() })
            });
        }
    }
    while let Some(came) = asked.join_next().await {
        let (id, came) = came.map_err(|error| Failure::new(1, format!("a question failed: {error}")))?;
        if let Some((_, all)) = looks.get_mut(id) {
            all.push(came);
        }
    }
    Ok(looks.into_iter().map(|(model, came)| judge(model, came)).collect())
}

/// An answer, and when it came.
#[derive(Debug)]
struct Came {
    answer: Answer,
    now: Now,
}

/// Judges a target by answers that are as old as each was when it came: one that takes its time makes no other look old.
fn judge(mut model: Model, came: Vec<Came>) -> Seen {
    let wall = came.iter().find(|came| came.answer.source == Source::Health).map_or(0, |came| came.now.unix_ms);
    let now = Now { at: came.iter().map(|came| came.now.at).max().unwrap_or_default(), unix_ms: wall };
    for Came { answer, now: then } in came {
        let asked_at = now.at.saturating_sub(then.at.saturating_sub(answer.asked_at));
        update(&mut model, Msg::Answer(Box::new(Answer { asked_at, ..answer })), now);
    }
    model.target_mut().health.give_up();
    update(&mut model, Msg::Tick, now);
    Seen { target: model.target().clone(), now }
}

fn targets(settings: &Settings, poll: std::time::Duration) -> impl Iterator<Item = Target> {
    settings.targets.iter().map(move |one| Target {
        token_advice: one.token.advice(),
        ..Target::new(&one.name, one.client.base_url(), poll)
    })
}

fn model(targets: Vec<Target>) -> Model {
    Model::new(targets, Keymap::default(), Look { theme: Theme::None, ascii: true })
}

/// A line for each change of a target: its state, or its findings.
pub(crate) async fn watch(settings: Settings, clock: Clock, jsonl: bool) -> Result<u8, Failure> {
    let mut model = model(targets(&settings, settings.poll).collect());
    let (tell, mut messages) = mpsc::channel(QUEUE);
    let links: Vec<Link> = settings
        .targets
        .iter()
        .enumerate()
        .map(|(id, one)| Link::start(id, one, settings.poll, clock, tell.clone()))
        .collect();
    let mut told: Vec<Option<(Standing, BTreeSet<String>)>> = vec![None; links.len()];
    let broken = |error: std::io::Error| Failure::new(1, format!("cannot listen to signals: {error}"));
    let mut ends = (signal(SignalKind::interrupt()).map_err(broken)?, signal(SignalKind::terminate()).map_err(broken)?);
    let mut ticks = tokio::time::interval(settings.poll);
    loop {
        let message = tokio::select! {
            message = messages.recv() => message.unwrap_or(Msg::Terminate),
            _ = ticks.tick() => Msg::Tick,
            _ = ends.0.recv() => return Ok(0),
            _ = ends.1.recv() => return Ok(0),
        };
        for effect in update(&mut model, message, clock.now()) {
            match effect {
                Effect::Follow(id, interest) => {
                    links.get(id).into_iter().for_each(|link| link.follow(interest.clone()))
                }
                Effect::Login(id) => links.get(id).into_iter().for_each(Link::login),
                Effect::Quit => return Ok(0),
                _ => {}
            }
        }
        for (target, told) in model.targets.iter().zip(&mut told) {
            let findings = target.findings.iter().map(|one| format!("{} {}", one.subject, one.code)).collect();
            let now = (target.standing, findings);
            let is_news = target.standing != Standing::Connecting && told.as_ref() != Some(&now);
            if is_news {
                if !print(&change(target, clock, jsonl))? {
                    return Ok(0);
                }
                *told = Some(now);
            }
        }
    }
}

fn change(target: &Target, clock: Clock, jsonl: bool) -> String {
    let at = crate::clock::rfc3339(clock.now().unix_ms);
    if jsonl {
        let line = json!({"schema": SCHEMA, "at": at, "target": target.name, "state": target.standing,
            "findings": target.findings});
        return format!("{line}\n");
    }
    let worst = target.findings.first().map(|one| format!("  {}: {}", one.subject, one.message)).unwrap_or_default();
    let count = crate::words::count(target.findings.len(), "finding");
    format!("{at} {} {} ({count}){}\n", target.name, target.standing.word(), crate::words::clean(&worst))
}

/// Writes to stdout, and says whether anybody reads: whoever closed the pipe has read enough, and is told nothing.
pub(crate) fn print(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(1, format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(true),
    }
}
