//! What an operator would have suffered: each test plays a session of keys and answers and looks at what came of it.
//! Time is a number; nothing waits and nobody is asked.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use monolith_client::wire::KeyText;

use super::*;
use crate::clock::At;
use crate::feed::{Condition, Source, Trouble};
use crate::fixture::{AT, Scene, console, dice, keys, now, payloads, piece, run, scene, tell};
use crate::keymap::Screen;
use crate::message::{Command, Done, Failure, Payload, Success};
use crate::model::dialog::Dialog;
use crate::model::rows::List;
use crate::model::target::Standing;
use crate::model::{ConfigPane, WorkPane};

/// An operator at a console: types, waits, and sees what was asked to be done.
struct Session {
    model: Model,
    at: At,
    effects: Vec<Effect>,
}

impl Session {
    fn on(model: Model) -> Self {
        Self { model, at: AT, effects: Vec::new() }
    }

    fn healthy() -> Self {
        Self::on(scene(Scene::Healthy))
    }

    fn send(&mut self, msg: Msg) {
        let effects = update(&mut self.model, msg, now(self.at));
        self.effects.extend(effects);
    }

    /// Presses keys one after the other, as slowly as a person who reads.
    fn press(&mut self, keys: &str) -> &mut Self {
        for letter in keys.chars() {
            self.code(match letter {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                letter => KeyCode::Char(letter),
            });
        }
        self
    }

    fn code(&mut self, code: KeyCode) -> &mut Self {
        self.at += Duration::from_millis(400);
        self.send(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        self
    }

    fn unlock(&mut self) -> &mut Self {
        self.press("Wprod-eu\n")
    }

    fn answer(&mut self, source: Source, outcome: Result<Payload, Trouble>) {
        tell(&mut self.model, 0, source, self.at, outcome);
    }

    /// The commands that were sent, with their tickets.
    fn sent(&self) -> Vec<(u64, &Command)> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { ticket, command, .. } => Some((*ticket, command)),
            _ => None,
        });
        sent.collect()
    }

    fn done(&mut self, outcome: Result<Success, Failure>) {
        let ticket = self.sent().last().unwrap().0;
        self.send(Msg::Done(Box::new(Done { target: 0, ticket, outcome })));
    }

    fn said(&self) -> &str {
        self.model.messages.first().map_or("", |message| message.text.as_str())
    }

    fn toast(&self) -> &str {
        self.model.toast.as_ref().map_or("", |(text, _)| text)
    }

    fn selected(&self) -> &str {
        select::selected(&self.model).unwrap_or_default()
    }

    fn quits(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Quit))
    }
}

#[test]
fn each_state_is_told_apart() {
    let standing = Scene::ALL.map(|one| scene(one).target().standing);
    let expected = [Standing::Healthy, Standing::Degraded, Standing::Stale, Standing::Unreachable, Standing::Healthy];
    assert_eq!(standing, expected);
    let refused = scene(Scene::Unauthorized);
    assert_eq!(refused.target().source(Source::Keys, AT).condition, Condition::Unauthorized);
    assert_eq!(refused.target().token_trouble(), Some("the token expired (request 018f-77)"));
}

#[test]
fn the_selection_stays_on_its_row_when_the_list_changes() {
    let mut session = Session::healthy();
    session.press("7j");
    assert_eq!(session.selected(), "7bNw0kLp93Cd");
    let mut other = keys();
    other.items.rotate_left(1);
    other.items.insert(0, crate::fixture::key("0000000000AA", Some("new"), "active").into());
    session.answer(Source::Keys, Ok(Payload::Keys(other.into())));
    assert_eq!(session.selected(), "7bNw0kLp93Cd");
}

#[test]
fn a_row_that_is_gone_leaves_its_neighbour_chosen() {
    let mut session = Session::healthy();
    session.press("7j");
    let mut fewer = keys();
    fewer.items.remove(1);
    session.answer(Source::Keys, Ok(Payload::Keys(fewer.into())));
    assert_eq!(session.selected(), "9zTr5vHs47Ef");
}

#[test]
fn nothing_changes_before_it_is_unlocked() {
    let mut session = Session::healthy();
    session.press("7xnR4epx5R");
    assert!(session.sent().is_empty() && session.model.dialog.is_none());
    assert!(session.toast().starts_with("read-only: W allows changes"), "{}", session.toast());
}

#[test]
fn an_unlock_needs_the_name_of_the_server_and_ends_by_itself() {
    let mut session = Session::healthy();
    session.press("Wstaging\n");
    assert!(!session.model.is_unlocked(session.at));
    session.code(KeyCode::Esc).unlock();
    assert!(session.model.is_unlocked(session.at));
    session.at += Duration::from_secs(301);
    session.send(Msg::Tick);
    assert!(session.model.unlocked.is_none());
}

#[test]
fn a_dialog_that_was_left_open_past_the_end_of_the_lock_sends_nothing() {
    for keys in ["7xorders-ci", "7nci", "4je\t", "4jpwhy", "5R\t"] {
        let mut session = Session::healthy();
        session.unlock().press(keys);
        let open = session.model.dialog.clone();
        session.at += Duration::from_secs(301);
        session.press("\n");
        assert!(session.sent().is_empty(), "{keys}");
        assert!(open.is_some() && session.model.dialog == open, "{keys}: what was typed is kept");
        assert!(session.toast().starts_with("read-only again, nothing was sent"), "{}", session.toast());
    }
}

#[test]
fn another_server_is_never_unlocked_by_the_last_one() {
    let mut session = Session::healthy();
    session.unlock().press("c").code(KeyCode::Down).code(KeyCode::Enter);
    assert_eq!((session.model.current, session.model.unlocked), (1, None));
}

#[test]
fn a_key_is_revoked_by_its_typed_name_only() {
    let mut session = Session::healthy();
    session.unlock().press("7xorders-c\n");
    assert!(session.sent().is_empty());
    session.press("i").code(KeyCode::Tab).press("leaked\n");
    let revoke = Command::Revoke { kid: "4fQm2xYz81Ab".into(), name: "orders-ci".into(), reason: "leaked".into() };
    assert_eq!(session.sent(), [(1, &revoke)]);
}

#[test]
fn a_revocation_is_for_the_key_that_was_chosen_even_when_rows_move() {
    let mut session = Session::healthy();
    session.unlock().press("7x");
    let mut moved = keys();
    moved.items.swap(0, 1);
    session.answer(Source::Keys, Ok(Payload::Keys(moved.into())));
    session.press("orders-ci\n");
    assert!(matches!(session.sent()[..], [(_, Command::Revoke { kid, .. })] if kid == "4fQm2xYz81Ab"));
}

#[test]
fn a_key_that_somebody_changed_meanwhile_is_not_revoked() {
    for state in ["revoked", "gone", "changed"] {
        let mut session = Session::healthy();
        session.unlock().press("7x");
        let mut other = keys();
        match state {
            "revoked" => other.items[0] = crate::fixture::key("4fQm2xYz81Ab", Some("orders-ci"), "revoked").into(),
            "gone" => drop(other.items.remove(0)),
            _ => other.items[0] = monolith_client::wire::Key { version: 2, ..(*other.items[0]).clone() }.into(),
        }
        session.answer(Source::Keys, Ok(Payload::Keys(other.into())));
        session.press("orders-ci\n");
        assert!(session.sent().is_empty(), "{state}");
    }
}

#[test]
fn keys_that_were_pasted_into_a_dialog_before_it_was_read_do_nothing() {
    let mut session = Session::healthy();
    session.unlock().press("7x");
    session.at += Duration::from_millis(100);
    for letter in "orders-ci".chars() {
        session.send(Msg::Key(KeyEvent::from(KeyCode::Char(letter))));
    }
    session.send(Msg::Paste("orders-ci".into()));
    session.code(KeyCode::Enter);
    assert!(session.sent().is_empty());
}

#[test]
fn a_command_that_nobody_answered_is_looked_up_and_never_sent_again() {
    let mut session = Session::healthy();
    session.unlock().press("7xorders-ci\n");
    session.done(Err(Failure::Unknown("no answer within 10 s".into())));
    assert!(session.said().starts_with("UNKNOWN whether it did revoke orders-ci"), "{}", session.said());
    session.at += Duration::from_secs(2);
    session.answer(Source::Keys, Ok(Payload::Keys(keys().into())));
    assert_eq!(session.model.pending.len(), 1, "it may still be under way");
    let mut revoked = keys();
    revoked.items[0] = crate::fixture::key("4fQm2xYz81Ab", Some("orders-ci"), "revoked").into();
    session.answer(Source::Keys, Ok(Payload::Keys(revoked.into())));
    assert!(session.said().contains("it is revoked, since 07:00:00"), "{}", session.said());
    assert_eq!((session.sent().len(), session.model.pending.len()), (1, 0));
}

#[test]
fn a_revocation_that_a_proxy_holds_is_never_said_not_to_have_happened() {
    let mut session = Session::healthy();
    session.unlock().press("7xorders-ci\n");
    session.done(Err(Failure::Unknown("the connection broke".into())));
    session.at += Duration::from_secs(6);
    session.answer(Source::Keys, Ok(Payload::Keys(keys().into())));
    assert!(session.said().contains("does not show it so far; it may still happen"), "{}", session.said());
    let said = session.model.messages.len();
    session.at += Duration::from_secs(60);
    session.answer(Source::Keys, Ok(Payload::Keys(keys().into())));
    assert_eq!((session.model.messages.len(), session.model.pending.len()), (said, 1), "it is told once");
    let mut revoked = keys();
    revoked.items[0] = crate::fixture::key("4fQm2xYz81Ab", Some("orders-ci"), "revoked").into();
    session.answer(Source::Keys, Ok(Payload::Keys(revoked.into())));
    assert!(session.said().contains("it is revoked, since 07:00:00"), "{}", session.said());
    assert_eq!((session.sent().len(), session.model.pending.len()), (1, 0));
}

#[test]
fn a_command_that_is_never_shown_is_given_up_after_a_while_and_keeps_nobody_from_quitting() {
    let mut session = Session::healthy();
    session.unlock().press("7xorders-ci\n");
    session.done(Err(Failure::Unknown("the connection broke".into())));
    session.at += Duration::from_secs(6);
    session.answer(Source::Keys, Ok(Payload::Keys(keys().into())));
    session.press("q");
    assert!(session.quits());
    session.at += Duration::from_secs(300);
    session.answer(Source::Keys, Ok(Payload::Keys(keys().into())));
    assert!(session.said().contains("look for it before you do it again"), "{}", session.said());
    assert!(session.model.pending.is_empty());
}

#[test]
fn a_list_that_is_not_whole_is_no_witness_that_a_key_was_not_made() {
    let mut session = Session::healthy();
    session.unlock().press("7nci\n");
    session.done(Err(Failure::Unknown("the connection broke".into())));
    session.at += Duration::from_secs(6);
    session.answer(Source::Keys, Ok(Payload::Keys(crate::message::Keys { more: true, ..keys() }.into())));
    assert!(session.said().contains("may hide it") && !session.said().contains("does not show"), "{}", session.said());
}

#[test]
fn whoever_lost_the_answer_to_a_run_is_told_where_to_look() {
    for (keys, said) in [
        ("4je\t\n", "look at its runs"),
        ("4jpwhy\n", "look whether it is paused"),
        ("5R\t\n", "look at the revisions"),
    ] {
        let mut session = Session::healthy();
        session.unlock().press(keys);
        session.done(Err(Failure::Unknown("no answer within 10 s".into())));
        assert!(session.said().contains(said) && !session.said().contains("looked up"), "{}", session.said());
        assert!(session.model.pending.is_empty());
    }
}

#[test]
fn what_became_of_a_command_is_said_of_its_server_also_where_another_is_looked_at() {
    let mut session = Session::healthy();
    session.unlock().press("7xorders-ci\n:target staging\n");
    assert_eq!(session.model.current, 1);
    session.done(Err(Failure::Unknown("no answer within 10 s".into())));
    assert_eq!(session.model.messages[0].from, "prod-eu");
    assert!(session.toast().starts_with("prod-eu: UNKNOWN"), "{}", session.toast());
    assert!(session.model.told[0].wants(Source::Keys), "it is looked up");
    let mut revoked = keys();
    revoked.items[0] = crate::fixture::key("4fQm2xYz81Ab", Some("orders-ci"), "revoked").into();
    session.answer(Source::Keys, Ok(Payload::Keys(revoked.into())));
    assert_eq!((session.model.messages[0].from.as_str(), session.model.pending.len()), ("prod-eu", 0));
    assert!(session.said().contains("it is revoked"), "{}", session.said());
}

fn issued(text: &str) -> Result<Success, Failure> {
    let record = (*keys().items.remove(0)).clone();
    Ok(Success::Issued(Box::new(monolith_client::wire::IssuedKey { record, key: Some(KeyText::new(text)) })))
}

/// The new key that is shown.
fn secret(session: &Session) -> Option<&str> {
    match &session.model.dialog {
        Some(Dialog::Secret(secret)) => Some(secret.text.expose()),
        _ => None,
    }
}

#[test]
fn two_new_keys_that_come_at_once_are_both_shown() {
    let mut session = Session::healthy();
    session.unlock().press("7na\nnb\n");
    for (ticket, text) in [(1, "mono_live_A"), (2, "mono_live_B")] {
        session.send(Msg::Done(Box::new(Done { target: 0, ticket, outcome: issued(text) })));
    }
    assert_eq!((secret(&session), session.model.keys_waiting()), (Some("mono_live_A"), 1));
    session.press("stored\n");
    assert_eq!(secret(&session), Some("mono_live_B"));
    session.press("stored\n");
    assert_eq!(session.model.dialog, None);
}

#[test]
fn a_new_key_that_comes_while_the_next_is_typed_waits_and_no_letter_of_a_name_closes_it() {
    let mut session = Session::healthy();
    session.unlock().press("7na\nnord");
    session.send(Msg::Done(Box::new(Done { target: 0, ticket: 1, outcome: issued("mono_live_A") })));
    assert!(seen(&session).pop().unwrap().ends_with("1 new key shown next"), "{:#?}", seen(&session));
    session.press("ers\n");
    assert!(matches!(session.sent()[..], [_, (_, Command::Create { key })] if key.name == "orders"));
    assert_eq!(secret(&session), Some("mono_live_A"));
    // What is typed at once is not for a window that nobody has read.
    for letter in "stored\n".chars() {
        session.send(Msg::Key(KeyEvent::from(if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) })));
    }
    session.press("nservices\ns\n").code(KeyCode::Esc);
    assert_eq!(secret(&session), Some("mono_live_A"));
}

#[test]
fn a_late_answer_closes_no_dialog_and_no_window_of_a_new_key() {
    let plan = || {
        let plan = serde_json::json!({"valid": true, "changes": [], "problems": [], "withdrawn_runs": 0});
        Ok(Success::Planned(serde_json::from_value(plan).unwrap()))
    };
    let mut session = Session::healthy();
    session.unlock().press("7na\n5pnew.toml\n7xorders-ci");
    session.send(Msg::Done(Box::new(Done { target: 0, ticket: 2, outcome: plan() })));
    assert!(matches!(&session.model.dialog, Some(Dialog::Revoke(revoke)) if revoke.is_confirmed()));
    session.send(Msg::Done(Box::new(Done { target: 0, ticket: 1, outcome: issued("mono_live_A") })));
    session.code(KeyCode::Esc);
    assert_eq!(secret(&session), Some("mono_live_A"), "what cannot be asked for again comes first");
    session.press("stored\n");
    assert!(matches!(&session.model.dialog, Some(Dialog::Detail { title, .. }) if title == "Plan on prod-eu"));
}

#[test]
fn quitting_waits_for_a_new_key_that_came_in_the_meantime() {
    let mut session = Session::healthy();
    session.unlock().press("7na\nq");
    session.done(issued("mono_live_A"));
    session.press("y");
    assert!(!session.quits());
    assert_eq!(secret(&session), Some("mono_live_A"));
}

#[test]
fn a_new_key_is_shown_once_and_kept_nowhere() {
    let mut session = Session::healthy();
    session.unlock().press("7n\n");
    assert!(session.sent().is_empty(), "a key needs a name");
    session.press("ci").code(KeyCode::Tab).code(KeyCode::Tab).press("orders:read\n");
    assert!(matches!(session.sent()[..], [(_, Command::Create { key })] if key.scopes == ["orders:read"]));
    session.done(issued("mono_live_SECRET"));
    session.code(KeyCode::Esc).code(KeyCode::Enter).press("q");
    assert!(matches!(&session.model.dialog, Some(Dialog::Secret(secret)) if secret.leaving));
    session.press("s");
    assert!(session.model.dialog.is_some(), "one letter closes nothing");
    session.code(KeyCode::Backspace).code(KeyCode::Backspace).press("ystored\n");
    assert!(session.model.dialog.is_none());
    assert!(matches!(session.effects.last(), Some(Effect::Copy(text)) if text == "mono_live_SECRET"));
    session.press("Y");
    let kept = format!("{:?}", session.model);
    assert!(!kept.contains("SECRET") && !session.said().contains("SECRET"));
}

#[test]
fn a_run_is_looked_at_while_it_goes_on() {
    let mut session = Session::healthy();
    session.press("4j\n");
    assert_eq!(session.model.pane.work, WorkPane::Runs { worker: "rebuild_index".into() });
    session.answer(Source::Runs, Ok(Payload::Runs("another".into(), vec![run("x", "failed")])));
    assert_eq!(session.model.target().runs.value(), None, "an answer about what was looked at before");
    session.answer(Source::Runs, Ok(Payload::Runs("rebuild_index".into(), vec![run("018f-9", "running")])));
    session.code(KeyCode::Enter);
    session.answer(Source::Output, Ok(piece("018f-9", 0, "one\n", false)));
    session.answer(Source::Output, Ok(piece("018f-9", 0, "one\n", false)));
    session.answer(Source::Output, Ok(piece("018f-9", 4, "two\n", true)));
    assert_eq!(session.model.target().output.value().unwrap().text, "one\ntwo\n");
    session.code(KeyCode::Esc).code(KeyCode::Esc);
    assert_eq!(session.model.pane.work, WorkPane::Workers);
}

/// A session that looks at the output of a run, of a hundred lines, on a screen of ten.
fn at_output() -> Session {
    let mut session = Session::healthy();
    session.send(Msg::Resize(80, 17));
    session.press("4j\n");
    session.answer(Source::Runs, Ok(Payload::Runs("rebuild_index".into(), vec![run("018f-9", "running")])));
    session.code(KeyCode::Enter);
    let lines: String = (0..100).map(|line| format!("line {line}\n")).collect();
    session.answer(Source::Output, Ok(piece("018f-9", 0, &lines, false)));
    session
}

/// The lines that are seen.
fn seen(session: &Session) -> Vec<String> {
    let (width, height) = session.model.size;
    let mut frame = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, width, height));
    crate::view::view(&session.model, &mut frame, now(session.at));
    let rows = frame.content.chunks(usize::from(width));
    let rows = rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim().to_owned());
    rows.collect()
}

#[test]
fn whoever_stops_following_an_output_stays_where_he_is() {
    for (keys, first) in [("f", 90), ("k", 89), ("kkj", 89), ("gj", 1), ("gG", 90), ("fjjjk", 89)] {
        let mut session = at_output();
        assert_eq!(seen(&session)[6], "line 90");
        session.press(keys);
        assert_eq!(seen(&session)[6], format!("line {first}"), "{keys}");
        let more = (100..200).map(|line| format!("line {line}\n")).collect::<String>();
        let next = session.model.target().output.value().unwrap().next;
        session.answer(Source::Output, Ok(piece("018f-9", next, &more, false)));
        let stays = if keys == "gG" { 190 } else { first };
        assert_eq!(seen(&session)[6], format!("line {stays}"), "{keys}");
    }
}

#[test]
fn a_long_text_moves_with_every_key_after_its_end_and_takes_no_place_from_the_output_behind() {
    let mut session = at_output();
    session.press("kk?");
    let first = |session: &Session| seen(session)[3..12].join("\n");
    session.press("G");
    let end = first(&session);
    session.press("jjk");
    assert_ne!(first(&session), end, "the first step back is seen");
    session.press("j");
    assert_eq!(first(&session), end);
    session.send(Msg::Wheel(-3));
    assert_ne!(first(&session), end);
    session.code(KeyCode::Esc);
    assert_eq!(seen(&session)[6], "line 88");
}

#[test]
fn the_footer_offers_no_filter_where_there_is_no_list() {
    let mut session = at_output();
    let footer = |session: &Session| seen(session).pop().unwrap();
    assert!(!footer(&session).contains("filter"), "{}", footer(&session));
    session.code(KeyCode::Esc);
    assert!(footer(&session).contains("/ filter"), "{}", footer(&session));
}

#[test]
fn what_is_not_looked_at_is_not_asked_for() {
    let mut session = Session::healthy();
    let wants = |session: &Session, source| session.model.told[0].wants(source);
    assert!(wants(&session, Source::Stores) && !wants(&session, Source::Keys));
    session.press("7");
    assert!(!wants(&session, Source::Stores) && wants(&session, Source::Keys));
    assert!(session.model.told[1].wants(Source::Health) && !session.model.told[1].wants(Source::Metrics));
}

#[test]
fn a_finding_leads_to_its_cause() {
    let mut session = Session::on(scene(Scene::Degraded));
    session.code(KeyCode::Enter);
    assert_eq!((session.model.screen, session.selected()), (Screen::Stores, "cache"));
}

#[test]
fn a_frozen_picture_stands_still_while_the_state_goes_on() {
    let mut session = Session::healthy();
    session.press(" ");
    let asked = |session: &Session, source| session.model.told[0].wants(source);
    assert!(asked(&session, Source::Health) && !asked(&session, Source::Stores));
    session.answer(Source::Stores, Ok(Payload::Stores(Vec::new())));
    session.answer(Source::Health, Ok(Payload::Health(Box::new(crate::fixture::health(true)))));
    assert_eq!(session.model.shown().stores.value().unwrap().len(), 2);
    assert_eq!(session.model.target().standing, Standing::Degraded);
    session.press(" ");
    assert!(asked(&session, Source::Stores));
    assert_eq!(session.model.shown().stores.value().unwrap().len(), 0);
}

#[test]
fn a_frozen_picture_shows_no_runs_of_one_worker_under_the_name_of_another() {
    let mut session = Session::healthy();
    session.press("4j\n");
    session.answer(Source::Runs, Ok(Payload::Runs("rebuild_index".into(), vec![run("018f-9", "failed")])));
    session.press(" ");
    assert_eq!(session.model.list_state(List::Runs).order, [0]);
    session.code(KeyCode::Esc).press("k\n");
    assert_eq!(session.model.pane.work, WorkPane::Runs { worker: "expire_sessions".into() });
    assert!(session.model.list_state(List::Runs).order.is_empty() && session.model.runs().is_empty());
    session.code(KeyCode::Esc).press("j\n");
    assert_eq!(session.model.list_state(List::Runs).order, [0], "its own are still there");
}

#[test]
fn the_lines_of_one_request_are_not_shown_as_those_of_another() {
    let mut session = Session::healthy();
    let lines = || {
        let all = payloads(false).into_iter().find_map(|(_, payload)| match payload {
            Payload::Logs(_, lines) => Some(lines),
            _ => None,
        });
        all.unwrap()
    };
    session.press(":request a\n:request b\n");
    session.answer(Source::Logs, Ok(Payload::Logs(Some("a".into()), lines())));
    assert!(session.model.logs().is_empty(), "an answer that was under way");
    session.answer(Source::Logs, Ok(Payload::Logs(Some("b".into()), lines())));
    assert_eq!(session.model.logs().len(), 1);
    session.press(" :request a\n");
    assert!(session.model.logs().is_empty(), "nor in a frozen picture");
}

#[test]
fn eight_and_enter_stays_on_the_server_that_is_looked_at() {
    let mut session = Session::healthy();
    session.press(":target st\n8\n");
    assert_eq!(session.model.targets[session.model.current].name, "staging");
    session.press("8k\n8\n");
    assert_eq!(session.model.targets[session.model.current].name, "prod-eu");
}

#[test]
fn the_palette_does_anything_by_its_name() {
    let mut session = Session::healthy();
    session.press(":target st\n");
    assert_eq!(session.model.current, 1);
    session.press(":theme li\n:explain server.bind\n:request 018f-70\n");
    assert_eq!(session.model.look.theme, crate::theme::Theme::Light);
    assert!(matches!(session.sent()[..], [(_, Command::Explain { key })] if key == "server.bind"));
    assert_eq!((session.model.screen, session.model.logs_of.as_deref()), (Screen::Audit, Some("018f-70")));
    session.press(":nonsense\n");
    assert_eq!(session.toast(), "nothing is called \"nonsense\"");
}

#[test]
fn what_belongs_to_another_screen_is_done_by_its_name_too() {
    let mut session = Session::healthy();
    session.unlock().press(":Reload\n");
    assert_eq!(session.model.screen, Screen::Config);
    assert!(matches!(&session.model.dialog, Some(Dialog::Confirm { command: Command::Reload, .. })));
    session.code(KeyCode::Esc).press("1:revoke\n");
    assert_eq!((session.model.screen, &session.model.dialog), (Screen::Keys, &None), "no row was chosen yet");
    assert_eq!(session.toast(), "choose a row, then x (revoke-key)");
}

#[test]
fn a_name_is_found_in_capitals_and_the_whole_name_first() {
    let mut session = Session::healthy();
    session.model.targets[1].name = "Staging-EU".into();
    session.press(":target staging-eu\n");
    assert_eq!(session.model.current, 1);
    session.model.targets[0].name = "a".into();
    session.model.targets[1].name = "ab".into();
    session.model.targets.swap(0, 1);
    session.press(":TARGET A\n");
    assert_eq!(session.model.targets[session.model.current].name, "a");
}

#[test]
fn a_finding_of_the_server_leads_to_its_row_whatever_was_filtered_there() {
    let mut session = Session::on(scene(Scene::Degraded));
    session.press("3/main\n1");
    let mut health = crate::fixture::health(true);
    let findings = health.findings.as_mut().unwrap();
    findings.truncate(1);
    findings[0].subject = "stores.cache".into();
    session.answer(Source::Health, Ok(Payload::Health(Box::new(health.clone()))));
    session.press("g\n");
    assert_eq!((session.model.screen, session.selected()), (Screen::Stores, "cache"));
    let tls = health.findings.as_mut().unwrap();
    (tls[0].code, tls[0].subject) = ("certificate_expires".into(), "stores.main".into());
    session.answer(Source::Health, Ok(Payload::Health(Box::new(health))));
    session.press("5v1g\n");
    assert_eq!((session.model.screen, session.selected()), (Screen::Config, "stores.main.url"));
}

#[test]
fn whoever_rotates_a_key_reads_its_name() {
    let mut session = Session::healthy();
    session.unlock().press("7R");
    assert!(seen(&session).iter().any(|line| line.contains("name        orders-ci")), "{:#?}", seen(&session));
}

#[test]
fn a_filter_works_as_it_is_typed_and_esc_takes_it_away() {
    let mut session = Session::healthy();
    session.press("7/!revoked name:orders");
    assert_eq!(session.model.list_state(List::Keys).order, [0]);
    session.code(KeyCode::Enter).code(KeyCode::Esc);
    assert_eq!(session.model.list_state(List::Keys).order, [0, 1, 2]);
}

#[test]
fn sorting_goes_through_the_columns_and_back_to_the_servers_order() {
    let mut session = Session::healthy();
    session.press("7ssS");
    assert_eq!(session.model.list_state(List::Keys).sort, Some((1, true)));
    assert_eq!(session.model.list_state(List::Keys).order, [0, 1, 2], "orders-ci, billing-prod, nameless");
    session.press("ssssssss");
    assert_eq!(session.model.list_state(List::Keys).sort, None);
}

#[test]
fn quitting_asks_while_a_command_is_under_way_and_ctrl_c_never_does() {
    let mut session = Session::healthy();
    session.unlock().press("7xorders-ci\nq");
    assert!(!session.quits() && session.model.dialog == Some(Dialog::Quit));
    session.press("n");
    assert!(!session.quits());
    session.send(Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(session.quits());
}

#[test]
fn a_trouble_is_told_once_and_its_end_too() {
    let mut session = Session::healthy();
    let before = session.model.messages.len();
    for _ in 0..5 {
        session.at += Duration::from_secs(1);
        session.answer(Source::Health, Ok(Payload::Health(Box::new(crate::fixture::health(false)))));
        session.answer(Source::Stores, Err(Trouble::Silent("connection refused".into())));
    }
    session.answer(Source::Stores, Ok(Payload::Stores(Vec::new())));
    let told = session.model.messages.iter().rev().skip(before).filter(|message| message.from == "prod-eu stores");
    let told: Vec<_> = told.map(|message| message.text.as_str()).collect();
    assert_eq!(told, ["connection refused", "answers again"]);
}

#[test]
fn an_outage_is_told_once_a_target_and_change() {
    let mut session = Session::healthy();
    let before = session.model.messages.len();
    for second in 0..20_u64 {
        session.at += Duration::from_secs(1);
        for (source, payload) in payloads(false) {
            let dead = (3..12).contains(&second);
            session.answer(source, if dead { Err(Trouble::Silent("connection refused".into())) } else { Ok(payload) });
        }
    }
    let told = session.model.messages.iter().rev().skip(before).filter(|message| message.from.starts_with("prod-eu"));
    let told: Vec<_> = told.map(|message| format!("{} {}", message.from, message.text)).collect();
    let expected = [
        "prod-eu is NOT ANSWERING: connection refused",
        "prod-eu is UNREACHABLE: connection refused",
        "prod-eu is OK again; it was not heard for 10s",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_source_that_fails_before_the_health_was_asked_says_nothing() {
    let mut session = Session::healthy();
    let before = session.model.messages.len();
    let silent = || Err(Trouble::Silent("connection refused".into()));
    for _ in 0..2 {
        session.at += Duration::from_millis(250);
        session.answer(Source::Workers, silent());
    }
    for _ in 0..4 {
        session.at += Duration::from_secs(1);
        session.answer(Source::Health, silent());
        session.answer(Source::Workers, silent());
    }
    let told = session.model.messages.iter().rev().skip(before);
    let told: Vec<_> = told.filter(|one| one.from.starts_with("prod")).map(|one| one.text.as_str()).collect();
    assert_eq!(told, ["is NOT ANSWERING: connection refused", "is UNREACHABLE: connection refused"]);
}

#[test]
fn a_refused_token_is_told_once_however_often_its_server_is_lost() {
    let mut session = Session::healthy();
    let refused = || Err(Trouble::Unauthorized("the token expired".into()));
    for outcome in [refused(), Err(Trouble::Silent("no answer".into())), refused()] {
        session.at += Duration::from_millis(300);
        session.answer(Source::Whoami, outcome);
    }
    let told = session.model.messages.iter().filter(|one| one.from == "prod-eu whoami").count();
    assert_eq!(told, 1);
}

#[test]
fn another_cause_of_an_outage_is_told_too() {
    let mut session = Session::healthy();
    for why in ["connection refused"; 5].into_iter().chain(["no answer within 1.5 s"; 2]) {
        session.at += Duration::from_secs(1);
        session.answer(Source::Health, Err(Trouble::Silent(why.into())));
    }
    assert_eq!(session.said(), "no answer within 1.5 s");
}

#[test]
fn a_cancelled_run_is_not_said_to_be_running() {
    for (state, said) in [
        ("running", "asked to cancel the run of rebuild_index"),
        ("cancelled", "the run of rebuild_index is cancelled"),
    ] {
        let mut session = Session::healthy();
        session.press("4j\n");
        session.answer(Source::Runs, Ok(Payload::Runs("rebuild_index".into(), vec![run("018f-9", "running")])));
        session.unlock().press("x").code(KeyCode::Tab).press("\n");
        session.done(Ok(Success::Cancelled(Box::new(run("018f-9", state)))));
        assert_eq!(session.said(), said);
    }
}

#[test]
fn one_replica_is_not_called_all_of_them() {
    for (known, said) in [(1, "the one replica refuses it after 12 ms"), (3, "all 3 replicas refuse it after 12 ms")] {
        let mut session = Session::healthy();
        session.unlock().press("7xorders-ci\n");
        let receipt = serde_json::json!({"kid": "4fQm2xYz81Ab", "revoked_at": "2026-01-31T08:30:00.000Z",
            "reason": null, "replicas_known": known, "replicas_acked": known, "lag_ms": 12, "complete": true,
            "bound_ms": null});
        session.done(Ok(Success::Revoked(serde_json::from_value(receipt).unwrap())));
        assert_eq!(session.said(), format!("revoke orders-ci (4fQm2xYz81Ab): done, {said}"));
    }
}

#[test]
fn sorting_says_what_comes_first() {
    let mut session = Session::healthy();
    session.press("6sS");
    assert_eq!(session.toast(), "sorted by when, newest first");
    session.press("7ssS");
    assert_eq!(session.toast(), "sorted by name, z to a");
    session.press("2sssS");
    assert_eq!(session.toast(), "sorted by req/s, largest first");
}

#[test]
fn an_event_makes_the_console_ask_at_once() {
    let mut session = Session::healthy();
    session.press("7");
    let before = session.model.told[0].nudges(Source::Keys);
    session.send(Msg::Event { target: 0, name: "key.revoked".into() });
    assert_ne!(session.model.told[0].nudges(Source::Keys), before);
}

#[test]
fn a_viewer_is_told_that_his_role_changes_nothing() {
    let mut session = Session::healthy();
    let viewer = serde_json::json!({"sub": "v", "role": "viewer", "expires_at": "2026-01-31T09:11:00.000Z",
        "replica": "r1"});
    session.answer(Source::Whoami, Ok(Payload::Whoami(serde_json::from_value(viewer).unwrap())));
    session.unlock().press("7n");
    assert_eq!(session.toast(), "your role, viewer, changes nothing");
}

#[test]
fn panes_of_the_configuration_follow_each_other() {
    let mut session = Session::healthy();
    session.press("5v");
    assert_eq!(session.model.pane.config, ConfigPane::Revisions);
    assert!(session.model.told[0].wants(Source::Revisions));
}

fn monkey_key(seed: &mut u64) -> Msg {
    const LETTERS: &[u8] = b"12345678`jkgGyYsSvnxRepfrmcW:/?!~ []qaz\t";
    const CODES: [KeyCode; 10] = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageDown,
        KeyCode::Backspace,
        KeyCode::Left,
        KeyCode::End,
    ];
    match dice(seed) % 20 {
        0 => Msg::Paste("日本\u{202e}\u{1b}[2J\n\n".repeat(dice(seed) as usize % 9)),
        1 => Msg::Resize(1 + (dice(seed) % 500) as u16, 1 + (dice(seed) % 200) as u16),
        2 => Msg::Wheel((dice(seed) % 7) as i8 - 3),
        3..8 => Msg::Key(KeyEvent::from(CODES[dice(seed) as usize % CODES.len()])),
        _ => Msg::Key(KeyEvent::from(KeyCode::Char(char::from(LETTERS[dice(seed) as usize % LETTERS.len()])))),
    }
}

/// In a few seconds of a debug build; `MONOLITH_MONKEYS=100` plays a hundred of them.
const STEPS: u32 = 1_000;

#[test]
fn a_monkey_breaks_nothing_and_revokes_nothing() {
    let monkeys = std::env::var_os("MONOLITH_MONKEYS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(10_u64);
    for monkey in 1..=monkeys {
        let mut seed = monkey.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut session = Session::on(if monkey % 2 == 0 { scene(Scene::Degraded) } else { console() });
        for _ in 0..STEPS {
            session.at += Duration::from_millis(dice(&mut seed) % 700);
            match dice(&mut seed) % 10 {
                0 => {
                    let mut all = payloads(dice(&mut seed).is_multiple_of(2));
                    let (source, payload) = all.swap_remove(dice(&mut seed) as usize % all.len());
                    let bad = dice(&mut seed).is_multiple_of(3);
                    session.answer(source, if bad { Err(Trouble::Silent("reset".into())) } else { Ok(payload) });
                }
                1 => session.send(Msg::Tick),
                _ => {
                    let msg = monkey_key(&mut seed);
                    session.send(msg);
                }
            }
            let (width, height) = session.model.size;
            // A picture of every step would take minutes; sizes and dialogs come round often enough.
            if dice(&mut seed).is_multiple_of(20) {
                let mut frame = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, width, height));
                crate::view::view(&session.model, &mut frame, now(session.at));
            }
            if let Some(list) = session.model.list() {
                let state = session.model.list_state(list);
                assert!(state.at < state.order.len().max(1), "monkey {monkey}: {list:?}");
                assert_eq!(state.selected.is_some(), !state.order.is_empty(), "monkey {monkey}: {list:?}");
            }
        }
        let revoked = session.sent().iter().any(|(_, command)| matches!(command, Command::Revoke { .. }));
        assert!(!revoked, "monkey {monkey}");
    }
}
