//! Every screen in every state, at every size, in every look: as reviewed pictures, and as rules that hold for all.
//! A picture is text; its styles are told beside it, run by run, because a theme can break without a letter changing.

use ratatui::style::{Color, Modifier};

use super::*;
use crate::feed::Source;
use crate::fixture::{AT, Scene, now, piece, scene};
use crate::message::Payload;
use crate::model::{ConfigPane, Look, WorkPane};
use crate::theme::Theme;
use crate::update::update;

const SIZES: [(u16, u16); 5] = [(120, 30), (80, 24), (60, 15), (40, 10), (1, 1)];
const LOOKS: [(&str, Look); 5] = [
    ("default", Look { theme: Theme::Default, ascii: false }),
    ("light", Look { theme: Theme::Light, ascii: false }),
    ("dark", Look { theme: Theme::Dark, ascii: false }),
    ("no colour", Look { theme: Theme::None, ascii: false }),
    ("ascii", Look { theme: Theme::None, ascii: true }),
];

/// A console on a screen, in a state.
fn shown(screen: Screen, state: Scene, look: Look) -> Model {
    let mut model = scene(state);
    model.look = look;
    model.screen = screen;
    update(&mut model, crate::message::Msg::Tick, now(AT));
    model
}

fn frame(model: &Model, (width, height): (u16, u16)) -> Buffer {
    let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
    view(model, &mut frame, now(AT));
    frame
}

fn rows(frame: &Buffer) -> Vec<String> {
    let width = usize::from(frame.area.width);
    let rows = frame.content.chunks(width).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    rows.map(|row| row.trim_end().to_owned()).collect()
}

fn text(frame: &Buffer) -> String {
    rows(frame).join("\n")
}

/// The styles of each row: how many cells, then the style.
fn styles(frame: &Buffer) -> String {
    let name = |cell: &ratatui::buffer::Cell| {
        let colour = |colour: Color| match colour {
            Color::Reset => "-".to_owned(),
            Color::Indexed(index) => index.to_string(),
            other => other.to_string().to_lowercase(),
        };
        let modifiers = [(Modifier::BOLD, "b"), (Modifier::DIM, "d"), (Modifier::REVERSED, "r")];
        let modifiers: String =
            modifiers.iter().filter(|(modifier, _)| cell.modifier.contains(*modifier)).map(|(_, name)| *name).collect();
        format!("{}/{}{modifiers}", colour(cell.fg), colour(cell.bg))
    };
    let mut told = String::new();
    for row in frame.content.chunks(usize::from(frame.area.width)) {
        let mut runs: Vec<(usize, String)> = Vec::new();
        for cell in row {
            let style = name(cell);
            match runs.last_mut() {
                Some((count, last)) if *last == style => *count += 1,
                _ => runs.push((1, style)),
            }
        }
        let runs: Vec<_> = runs.iter().map(|(count, style)| format!("{count} {style}")).collect();
        told += &format!("{}\n", runs.join(", "));
    }
    told
}

#[test]
fn every_screen_in_every_state_at_every_size() {
    for screen in Screen::ALL {
        let mut pictures = String::new();
        for state in Scene::ALL {
            let model = shown(screen, state, LOOKS[0].1);
            for size in SIZES {
                let (width, height) = size;
                let picture = text(&frame(&model, size));
                pictures += &format!("=== {state:?} {width}x{height}\n{}\n", picture.trim_end());
            }
        }
        insta::assert_snapshot!(format!("frames_{}", screen.name().to_lowercase()), pictures);
    }
}

#[test]
fn every_screen_in_every_look() {
    for (name, look) in LOOKS {
        let mut told = String::new();
        for screen in Screen::ALL {
            for state in Scene::ALL {
                let frame = frame(&shown(screen, state, look), (80, 24));
                let letters = if look.ascii { text(&frame).trim_end().to_owned() + "\n" } else { String::new() };
                told += &format!("=== {} {state:?}\n{letters}{}", screen.name(), styles(&frame));
            }
        }
        insta::assert_snapshot!(format!("styles_{}", name.replace(' ', "_")), told);
    }
}

#[test]
fn each_state_differs_in_words_from_each_other() {
    for screen in Screen::ALL {
        for size in [(80, 24), (40, 10)] {
            let ascii = LOOKS[4].1;
            let pictures: std::collections::BTreeSet<_> =
                Scene::ALL.iter().map(|state| text(&frame(&shown(screen, *state, ascii), size))).collect();
            assert_eq!(pictures.len(), Scene::ALL.len(), "{screen:?} at {size:?}");
        }
    }
}

#[test]
fn without_colours_no_cell_has_one_and_the_chosen_row_is_seen() {
    for screen in Screen::ALL {
        for state in Scene::ALL {
            let frame = frame(&shown(screen, state, LOOKS[3].1), (120, 30));
            assert!(frame.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset), "{screen:?}");
            let reversed = frame.content.iter().filter(|cell| cell.modifier.contains(Modifier::REVERSED)).count();
            assert!(reversed > 0, "{screen:?} {state:?}");
        }
    }
}

#[test]
fn in_ascii_every_sign_is_ascii() {
    for screen in Screen::ALL {
        for state in Scene::ALL {
            let picture = text(&frame(&shown(screen, state, LOOKS[4].1), (120, 30)));
            assert!(picture.is_ascii(), "{screen:?} {state:?}:\n{picture}");
        }
    }
}

#[test]
fn two_themes_never_look_alike() {
    let seen: std::collections::BTreeSet<_> = LOOKS
        .iter()
        .map(|(_, look)| styles(&frame(&shown(Screen::Overview, Scene::Degraded, *look), (80, 24))))
        .collect();
    assert_eq!(seen.len(), LOOKS.len() - 1, "ascii differs from no colour in its letters alone");
}

#[test]
fn what_is_old_never_looks_good() {
    for screen in [Screen::Stores, Screen::Workers, Screen::Overview] {
        for state in [Scene::Stale, Scene::Unreachable] {
            let frame = frame(&shown(screen, state, LOOKS[0].1), (120, 30));
            // The other target, in the list of targets, may be well.
            let good = frame.content.iter().filter(|cell| cell.fg == Color::Green).count();
            assert_eq!(good, 0, "{screen:?} {state:?}\n{}", text(&frame));
            assert!(!text(&frame).contains(crate::theme::UNICODE.good), "{screen:?} {state:?}");
        }
    }
}

#[test]
fn a_figure_that_is_too_old_is_not_shown_as_one() {
    let picture = text(&frame(&shown(Screen::Overview, Scene::Unreachable, LOOKS[0].1), (120, 30)));
    assert!(picture.contains("- (was") && picture.contains("req/s, 1m ago)"), "{picture}");
}

#[test]
fn a_stranger_writes_no_codes_and_turns_no_line_around() {
    let mut model = scene(Scene::Healthy);
    let evil = crate::fixture::key("4fQm2xYz81Ab", Some("\u{1b}[2J\u{202e}evil\u{200b}"), "active");
    let keys = crate::message::Keys { items: vec![evil], more: false };
    crate::fixture::tell(&mut model, 0, Source::Keys, AT, Ok(Payload::Keys(keys)));
    model.screen = Screen::Keys;
    update(&mut model, crate::message::Msg::Tick, now(AT));
    let picture = text(&frame(&model, (120, 30)));
    assert!(picture.contains("evil") && !picture.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{picture}");
}

/// Presses keys, slowly enough for dialogs.
fn press(model: &mut Model, keys: &str) {
    for (second, letter) in (1_u64..).zip(keys.chars()) {
        let code = match letter {
            '\n' => crossterm::event::KeyCode::Enter,
            '\t' => crossterm::event::KeyCode::Tab,
            letter => crossterm::event::KeyCode::Char(letter),
        };
        let mut moment = now(AT);
        moment.at += std::time::Duration::from_millis(second * 400);
        update(model, crate::message::Msg::Key(code.into()), moment);
        model.deaf_until = std::time::Duration::ZERO;
    }
    model.toast = None;
}

#[test]
fn dialogs_panes_and_prompts() {
    let sessions = [
        ("help", "7?"),
        ("palette", ":re"),
        ("filter", "7/orders !rev"),
        ("unlock", "Wprod"),
        ("revoke", "Wprod-eu\n7xorders-ci\tleaked"),
        ("create", "Wprod-eu\n7nci\t\torders:read"),
        ("pause", "Wprod-eu\n4jpincident 42"),
        ("confirm", "Wprod-eu\n4je"),
        ("detail", "7\n"),
        ("target", "cj"),
        ("revisions", "5v"),
        ("replicas", "5vv"),
        ("logs", "6v"),
        ("frozen", " "),
    ];
    let mut pictures = String::new();
    for (name, keys) in sessions {
        let mut model = scene(Scene::Healthy);
        press(&mut model, keys);
        pictures += &format!("=== {name}\n{}\n", text(&frame(&model, (100, 26))).trim_end());
    }
    insta::assert_snapshot!("dialogs", pictures);
}

#[test]
fn the_output_of_a_run() {
    let mut model = scene(Scene::Healthy);
    model.screen = Screen::Workers;
    model.pane.work = WorkPane::Output { worker: "rebuild_index".into(), run: "018f-9".into() };
    let data = "reading\n\tindex of 3 files\n\u{1b}[31mred\u{1b}[0m\n";
    crate::fixture::tell(&mut model, 0, Source::Output, AT, Ok(piece("018f-9", 0, data, false)));
    insta::assert_snapshot!("output", text(&frame(&model, (80, 12))));
}

#[test]
fn panes_say_what_a_server_does_not_serve() {
    let mut model = scene(Scene::Healthy);
    model.target_mut().revisions = crate::feed::Feed::new(std::time::Duration::from_secs(5));
    crate::fixture::tell(&mut model, 0, Source::Revisions, AT, Err(crate::feed::Trouble::NotServed));
    model.screen = Screen::Config;
    model.pane.config = ConfigPane::Revisions;
    update(&mut model, crate::message::Msg::Tick, now(AT));
    let picture = text(&frame(&model, (80, 24)));
    assert!(picture.contains("not served by this server"), "{picture}");
}
