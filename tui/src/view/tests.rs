//! Every screen in every state, at every size, in every look: as reviewed pictures, and as rules that hold for all.
//! A picture is text with the letters of its styles under each line, because a theme can break without a word changing.

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::clock::At;
use crate::feed::{Source, Trouble};
use crate::fixture::{AT, Scene, dice, now, piece, scene};
use crate::message::Payload;
use crate::model::{ConfigPane, Look, WorkPane};
use crate::theme::Theme;
use crate::update::update;

const SIZES: [(u16, u16); 5] = [(120, 30), (80, 24), (60, 15), (40, 10), (1, 1)];
const ASCII: Look = Look { theme: Theme::None, ascii: true };
const LOOKS: [(&str, Look); 6] = [
    ("default", Look { theme: Theme::Default, ascii: false }),
    ("light", Look { theme: Theme::Light, ascii: false }),
    ("dark", Look { theme: Theme::Dark, ascii: false }),
    ("colour-blind", Look { theme: Theme::ColourBlind, ascii: false }),
    ("no colour", Look { theme: Theme::None, ascii: false }),
    ("ascii", ASCII),
];

/// A console on a screen, in a state.
fn shown(screen: Screen, state: Scene, look: Look) -> Model {
    let mut model = scene(state);
    model.look = look;
    model.screen = screen;
    update(&mut model, crate::message::Msg::Tick, now(AT));
    model
}

fn frame(model: &Model, size: (u16, u16)) -> Buffer {
    frame_at(model, size, AT)
}

fn frame_at(model: &Model, (width, height): (u16, u16), at: At) -> Buffer {
    let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
    view(model, &mut frame, now(at));
    frame
}

fn rows(frame: &Buffer) -> Vec<String> {
    let width = usize::from(frame.area.width);
    let rows = frame.content.chunks(width).map(|row| row.iter().map(Cell::symbol).collect::<String>());
    rows.map(|row| row.trim_end().to_owned()).collect()
}

fn text(frame: &Buffer) -> String {
    rows(frame).join("\n")
}

/// What is done to the letters of a cell.
type Style = (Color, Color, Modifier);

const fn style(cell: &Cell) -> Style {
    (cell.fg, cell.bg, cell.modifier)
}

/// A style in words: foreground, background, and the rest.
fn named((fg, bg, modifier): Style) -> String {
    let colour = |colour: Color| match colour {
        Color::Reset => "-".to_owned(),
        Color::Indexed(index) => index.to_string(),
        other => other.to_string().to_lowercase(),
    };
    let modifiers = [(Modifier::BOLD, " bold"), (Modifier::DIM, " dim"), (Modifier::REVERSED, " reversed")];
    let modifiers: String =
        modifiers.iter().filter(|(known, _)| modifier.contains(*known)).map(|(_, name)| *name).collect();
    format!("{} on {}{modifiers}", colour(fg), colour(bg))
}

fn styles(frame: &Buffer) -> Vec<Style> {
    frame.content.iter().map(style).collect()
}

/// Letters for styles. A letter stands for what a cell looks like in all looks at once, so that one picture holds them all.
#[derive(Default)]
struct Legend(Vec<[Style; LOOKS.len()]>);

impl Legend {
    const LETTERS: &'static [u8] = b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    fn letter(&mut self, looks: [Style; LOOKS.len()]) -> char {
        let place = self.0.iter().position(|known| *known == looks).unwrap_or_else(|| {
            self.0.push(looks);
            self.0.len() - 1
        });
        char::from(Self::LETTERS[place])
    }

    fn text(&self) -> String {
        let line = |(place, looks): (usize, &[Style; LOOKS.len()])| {
            let named: Vec<_> =
                LOOKS.iter().zip(looks).map(|((name, _), style)| format!("{name}: {}", named(*style))).collect();
            format!("'{}' {}\n", char::from(Self::LETTERS[place]), named.join(" | "))
        };
        self.0.iter().enumerate().map(line).collect()
    }
}

/// One picture in all looks: each line, and under it, where it is not plain, the letters of its styles. The looks differ in
/// styles alone, and ASCII in letters alone.
fn picture(model: &mut Model, size: (u16, u16), legend: &mut Legend) -> String {
    let frames = LOOKS.map(|(_, look)| {
        model.look = look;
        frame(model, size)
    });
    let [first, .., plain, ascii] = &frames;
    for frame in &frames[..LOOKS.len() - 1] {
        assert_eq!(text(frame), text(first));
    }
    assert_eq!(styles(plain), styles(ascii));
    let mut drawn = String::new();
    for (y, row) in rows(first).iter().enumerate() {
        let cells = (0..size.0).map(|x| {
            let place = first.index_of(x, y as u16);
            legend.letter(frames.each_ref().map(|frame| style(&frame.content[place])))
        });
        let letters: String = cells.collect();
        drawn += &format!("|{row}\n");
        if !letters.trim_end().is_empty() {
            drawn += &format!(":{}\n", letters.trim_end());
        }
    }
    drawn
}

#[test]
fn every_screen_in_every_state_at_every_size_in_every_look() {
    for screen in Screen::ALL {
        let (mut pictures, mut legend) = (String::new(), Legend::default());
        // The first letter is a blank: what is plain.
        legend.letter(styles_of_nothing());
        for state in Scene::ALL {
            let mut model = shown(screen, state, LOOKS[0].1);
            for size in SIZES {
                let (width, height) = size;
                pictures += &format!("=== {state:?} {width}x{height}\n{}", picture(&mut model, size, &mut legend));
            }
        }
        let name = format!("frames_{}", screen.name().to_lowercase());
        insta::assert_snapshot!(name, format!("{}{pictures}", legend.text()));
    }
}

/// How a cell looks that nothing was drawn into.
fn styles_of_nothing() -> [Style; LOOKS.len()] {
    LOOKS.map(|(_, look)| {
        let mut cell = Cell::EMPTY;
        cell.set_style(look.theme.base());
        style(&cell)
    })
}

#[test]
fn every_screen_in_every_state_at_every_size_in_ascii() {
    for screen in Screen::ALL {
        let mut pictures = String::new();
        for state in Scene::ALL {
            let model = shown(screen, state, ASCII);
            for size in SIZES {
                let (width, height) = size;
                let picture = text(&frame(&model, size));
                pictures += &format!("=== {state:?} {width}x{height}\n{}\n", picture.trim_end());
            }
        }
        insta::assert_snapshot!(format!("ascii_{}", screen.name().to_lowercase()), pictures);
    }
}

#[test]
fn each_state_differs_in_words_from_each_other() {
    for screen in Screen::ALL {
        for size in [(80, 24), (40, 10), (30, 1), (1, 1)] {
            let ascii = ASCII;
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
            let frame = frame(&shown(screen, state, LOOKS[4].1), (120, 30));
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
            let picture = text(&frame(&shown(screen, state, ASCII), (120, 30)));
            assert!(picture.is_ascii(), "{screen:?} {state:?}:\n{picture}");
        }
    }
}

#[test]
fn two_themes_never_look_alike() {
    let seen: std::collections::HashSet<_> = LOOKS
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
fn whatever_fails_when_a_state_that_is_old_is_not_drawn_as_good() {
    let mut drawn_good = 0;
    for schedule in 1..=300_u64 {
        let mut seed = schedule.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut model = shown(Screen::Stores, Scene::Healthy, LOOKS[0].1);
        let stores = model.target().stores.value().unwrap().clone();
        let mut at = AT;
        for _ in 0..10 {
            at += Duration::from_millis(dice(&mut seed) % 9_000);
            let outcome = match dice(&mut seed) % 3 {
                0 => Err(Trouble::Silent("connection refused".into())),
                _ => Ok(Payload::Stores(stores.clone())),
            };
            crate::fixture::tell(&mut model, 0, Source::Stores, at, outcome);
            at += Duration::from_millis(dice(&mut seed) % 9_000);
            // The server itself is heard, or not.
            if !dice(&mut seed).is_multiple_of(4) {
                let health = Payload::Health(Box::new(crate::fixture::health(false)));
                crate::fixture::tell(&mut model, 0, Source::Health, at, Ok(health));
            }
            update(&mut model, crate::message::Msg::Tick, now(at));
            let is_fresh = model.target().stores.shown(at).is_fresh();
            let frame = frame_at(&model, (80, 24), at);
            let (_, lists) = frame.content.split_at(3 * 80);
            let good = lists.iter().filter(|cell| cell.symbol() == crate::theme::UNICODE.good).count();
            assert_eq!(good, if is_fresh { stores.len() } else { 0 }, "{schedule}:\n{}", text(&frame));
            drawn_good += good;
        }
    }
    assert!(drawn_good > 0);
}

#[test]
fn a_server_that_is_lost_has_no_figure_that_looks_true() {
    for (screen, lines) in [(Screen::Overview, 5), (Screen::Traffic, 2), (Screen::Stores, 2), (Screen::Workers, 2)] {
        let mut model = shown(screen, Scene::Healthy, LOOKS[0].1);
        // Every feed but the health may still miss two of its intervals.
        let at = AT + Duration::from_millis(3_100);
        for second in 1..=2 {
            let silent = Trouble::Silent("connection refused".into());
            crate::fixture::tell(&mut model, 0, Source::Health, AT + Duration::from_secs(second), Err(silent));
        }
        update(&mut model, crate::message::Msg::Tick, now(at));
        assert_eq!(model.target().standing, crate::model::target::Standing::Unreachable);
        let frame = frame_at(&model, (120, 30), at);
        let picture = text(&frame);
        let good = frame.content.iter().filter(|cell| cell.fg == Color::Green).count();
        assert!(good == 0 && !picture.contains(crate::theme::UNICODE.good), "{screen:?}:\n{picture}");
        let marked = picture.lines().skip(2).filter(|line| line.contains('~') && !line.starts_with('─'));
        assert!(marked.count() >= lines, "{screen:?}:\n{picture}");
        let running = picture.lines().find(|line| line.contains("disk matches"));
        assert!(running.is_none_or(|line| line.starts_with("  ~ prod")), "{picture}");
    }
}

#[test]
fn the_last_run_of_a_worker_and_its_next_tick_are_two_things() {
    let line = |state, size| {
        let picture = text(&frame(&shown(Screen::Overview, state, LOOKS[0].1), size));
        picture.lines().find(|line| line.contains("expire_ses")).unwrap_or_default().to_owned()
    };
    assert!(
        line(Scene::Healthy, (120, 30)).contains("last ● succeeded  next 5m"),
        "{}",
        line(Scene::Healthy, (120, 30))
    );
    assert!(line(Scene::Healthy, (100, 30)).contains("● succeeded next 5m"), "{}", line(Scene::Healthy, (100, 30)));
    assert!(line(Scene::Stale, (80, 24)).contains("last ~ succeeded  next ~5m"), "{}", line(Scene::Stale, (80, 24)));
}

#[test]
fn the_list_of_targets_shows_the_worst_first_and_where_one_is() {
    let mut model = scene(Scene::Healthy);
    for second in 0..2 {
        let at = AT.saturating_sub(Duration::from_secs(second));
        crate::fixture::tell(&mut model, 1, Source::Health, at, Err(Trouble::Unreadable("a page".into())));
    }
    model.targets[0].danger = true;
    press(&mut model, "8");
    let picture = rows(&frame(&model, (80, 24)));
    let line = |name: &str| picture.iter().position(|line| line.contains(name) && line.contains("  ")).unwrap();
    assert!(line("staging  ") < picture.iter().rposition(|line| line.contains("! prod-eu")).unwrap(), "{picture:#?}");
    assert!(picture.iter().any(|line| line.starts_with("▸! prod-eu")), "{picture:#?}");
    let chosen = frame(&model, (80, 24))
        .content
        .chunks(80)
        .skip(3)
        .position(|row| row.iter().all(|cell| cell.modifier.contains(Modifier::REVERSED)));
    assert!(picture[chosen.unwrap() + 3].contains("prod-eu"), "the cursor begins where one is");
}

#[test]
fn a_frozen_picture_does_not_keep_a_dead_server_young_among_the_targets() {
    let mut model = shown(Screen::Targets, Scene::Healthy, LOOKS[0].1);
    press(&mut model, " ");
    for second in 1..=4 {
        let silent = Trouble::Silent("connection refused".into());
        crate::fixture::tell(&mut model, 1, Source::Health, AT + Duration::from_secs(second), Err(silent));
    }
    let at = AT + Duration::from_secs(90);
    update(&mut model, crate::message::Msg::Tick, now(at));
    let picture = text(&frame_at(&model, (120, 30), at));
    assert!(picture.contains("UNREACHABLE") && !picture.contains("2/2 up"), "{picture}");
    assert!(picture.contains("~ 1m"), "{picture}");
}

#[test]
fn a_refused_token_is_seen_in_the_list_of_targets_at_every_size() {
    for size in [(120, 30), (80, 24), (40, 10)] {
        let model = shown(Screen::Targets, Scene::Unauthorized, ASCII);
        let picture = text(&frame(&model, size));
        let list = picture.split_once("TARGET").unwrap().1;
        assert!(list.contains("! TOKEN REFUSED"), "{picture}");
        let refused = list.find("prod-eu").unwrap();
        assert!(refused < list.find("staging").unwrap(), "{picture}");
    }
}

#[test]
fn a_file_that_was_rejected_is_broken_on_every_screen() {
    for screen in [Screen::Overview, Screen::Config] {
        let picture = text(&frame(&shown(screen, Scene::Degraded, LOOKS[0].1), (120, 30)));
        assert!(picture.contains("DISK BROKEN") && !picture.contains("DISK DIFFERS"), "{picture}");
    }
}

#[test]
fn the_clock_of_an_outage_goes_on() {
    let picture = text(&frame(&shown(Screen::Overview, Scene::Stale, LOOKS[0].1), (120, 30)));
    for said in ["STALE 12s", "health ~12s", "~ STALE 12s ─", "error    12s"] {
        assert!(picture.contains(said), "{said}:\n{picture}");
    }
    let list = text(&frame(&shown(Screen::Targets, Scene::Stale, LOOKS[0].1), (120, 30)));
    assert!(list.contains("~ STALE          12s      ~ 12s"), "{list}");
}

#[test]
fn the_time_that_is_left_to_change_things_is_rounded_up() {
    let mut model = scene(Scene::Healthy);
    press(&mut model, "Wprod-eu\n");
    let left = |after| text(&frame_at(&model, (120, 30), AT + Duration::from_secs(after)));
    for (after, said) in [(1, "UNLOCKED 5m"), (61, "UNLOCKED 4m"), (245, "UNLOCKED 55s")] {
        assert!(left(after).contains(said), "{after}: {}", left(after));
    }
}

#[test]
fn a_panel_does_not_say_its_trouble_twice() {
    let mut model = shown(Screen::Overview, Scene::Healthy, LOOKS[0].1);
    crate::fixture::tell(&mut model, 0, Source::Audit, AT, Ok(Payload::Audit(Vec::new())));
    for second in 1..=4 {
        for source in [Source::Health, Source::Audit] {
            let silent = Trouble::Silent("connection refused".into());
            crate::fixture::tell(&mut model, 0, source, AT + Duration::from_secs(second), Err(silent));
        }
    }
    let picture = text(&frame_at(&model, (120, 30), AT + Duration::from_secs(5)));
    let (_, panel) = picture.split_once("What changed").unwrap();
    assert!(panel.contains("~ nothing yet") && panel.matches("UNREACHABLE").count() == 1, "{picture}");
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
    let keys = crate::message::Keys { items: vec![evil.into()], more: false };
    crate::fixture::tell(&mut model, 0, Source::Keys, AT, Ok(Payload::Keys(keys.into())));
    model.screen = Screen::Keys;
    update(&mut model, crate::message::Msg::Tick, now(AT));
    let picture = text(&frame(&model, (120, 30)));
    assert!(picture.contains("evil") && !picture.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{picture}");
}

#[test]
fn the_pictures_in_the_documentation_are_what_is_drawn() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/console.md")).unwrap();
    for (state, size) in [(Scene::Degraded, (120, 30)), (Scene::Unreachable, (80, 24)), (Scene::Unauthorized, (60, 15))]
    {
        let picture = text(&frame(&shown(Screen::Overview, state, LOOKS[0].1), size));
        assert!(page.contains(&picture), "docs/console.md lacks {state:?} as it is drawn now:\n{picture}");
    }
    let mut model = scene(Scene::Healthy);
    press(&mut model, "Wprod-eu\n7xorders-ci\tleaked");
    let picture = text(&frame(&model, (100, 26)));
    assert!(page.contains(picture.trim_end()), "docs/console.md lacks Dialog as it is drawn now:\n{picture}");
}

/// Presses keys, so fast that nothing grows old, before dialogs that hear at once.
fn press(model: &mut Model, keys: &str) {
    for (second, letter) in (1_u64..).zip(keys.chars()) {
        let code = match letter {
            '\n' => crossterm::event::KeyCode::Enter,
            '\t' => crossterm::event::KeyCode::Tab,
            letter => crossterm::event::KeyCode::Char(letter),
        };
        let mut moment = now(AT);
        moment.at += std::time::Duration::from_millis(second);
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
        for (width, height) in [(100, 26), (60, 15), (40, 10)] {
            let picture = text(&frame(&model, (width, height)));
            pictures += &format!("=== {name} {width}x{height}\n{}\n", picture.trim_end());
        }
    }
    insta::assert_snapshot!("dialogs", pictures);
}

/// A console that shows a new key.
fn with_secret() -> Model {
    let mut model = scene(Scene::Healthy);
    let text = monolith_client::wire::KeyText::new(SECRET);
    let (kid, name) = ("4fQm2xYz81Ab".to_owned(), "orders-ci".to_owned());
    let secret = crate::model::dialog::Secret::new(0, kid, name, text);
    model.dialog = Some(crate::model::dialog::Dialog::Secret(secret));
    model
}

const SECRET: &str = "mono_live_4fQm2xYz81Ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJK_Xy9";

#[test]
fn a_new_key_can_be_read_to_its_end_wherever_it_fits_and_the_way_out_is_named() {
    for size in [(120, 30), (80, 24), (60, 15), (40, 10), (30, 8), (20, 5), (80, 2)] {
        let picture = text(&frame(&with_secret(), size));
        let letters: String = picture.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        assert!(letters.contains(SECRET), "{size:?}:\n{picture}");
        assert!(picture.contains("stored enter"), "{size:?}:\n{picture}");
    }
    let picture = text(&frame(&with_secret(), (20, 3)));
    assert!(picture.contains("window") && !picture.contains("mono_live"), "{picture}");
}

#[test]
fn a_new_key_that_waits_is_told_also_where_there_is_room_for_one_line() {
    let mut model = with_secret();
    model.waiting.extend(model.dialog.replace(Dialog::Help));
    assert_eq!(text(&frame(&model, (30, 3))).trim(), "a new key waits: enlarge");
}

#[test]
fn whoever_cannot_leave_a_new_key_is_told_how() {
    let mut model = with_secret();
    press(&mut model, "q");
    for size in [(80, 24), (40, 10)] {
        let picture = text(&frame(&model, size));
        assert!(picture.contains("type stored, then enter"), "{picture}");
    }
}

#[test]
fn what_an_empty_line_of_a_new_key_means_is_the_servers_default() {
    let mut model = scene(Scene::Healthy);
    press(&mut model, "Wprod-eu\n7nci\t\t\t");
    let said = |model: &Model| text(&frame(model, (100, 26)));
    assert!(said(&model).contains("how long it lives: 90d; empty: the server's default"), "{}", said(&model));
    model
        .target_mut()
        .values
        .push(crate::model::tables::ValueRow { key: "keys.default_ttl".into(), value: "30d".into() });
    assert!(said(&model).contains("empty: the server's default, 30d"), "{}", said(&model));
}

#[test]
fn help_is_broken_between_words() {
    let mut model = scene(Scene::Healthy);
    press(&mut model, "7?");
    let picture = text(&frame(&model, (60, 15)));
    assert!(picture.contains("(unlocked, by its typed ") && picture.contains("│            name)"), "{picture}");
}

#[test]
fn a_dialog_says_what_its_enter_does() {
    let mut model = scene(Scene::Healthy);
    press(&mut model, "Wstaging\n");
    assert!(text(&frame(&model, (60, 15))).contains("that is not its name"));
    press(&mut model, "x");
    assert!(!text(&frame(&model, (60, 15))).contains("that is not its name"));
    let mut model = scene(Scene::Healthy);
    press(&mut model, "Wprod-eu\n7xorders\n");
    let picture = text(&frame(&model, (100, 26)));
    assert!(picture.contains("enter nothing, until its name is typed"), "{picture}");
    press(&mut model, "-ci\tleaked");
    let picture = text(&frame(&model, (100, 26)));
    assert!(picture.contains("its name    orders-ci") && picture.contains("reason      leaked"), "{picture}");
}

#[test]
fn no_id_is_cut_beside_a_column_that_is_empty() {
    let mut model = scene(Scene::Healthy);
    press(&mut model, "4j\n");
    let mut run = crate::fixture::run("018f6b2c-77aa-7b1c-9d2e-0123456789ab", "succeeded");
    run.replica = Some("monolith-7d9f8c-x2x5q".into());
    crate::fixture::tell(&mut model, 0, Source::Runs, AT, Ok(Payload::Runs("rebuild_index".into(), vec![run])));
    let picture = text(&frame(&model, (130, 30)));
    assert!(picture.contains("018f6b2c-77aa-7b1c-9d2e-0123456789ab"), "{picture}");
    assert!(picture.contains("monolith-7d9f8c-x2x5q"), "{picture}");
}

#[test]
fn a_filter_for_a_column_that_is_none_says_so() {
    let mut model = scene(Scene::Healthy);
    press(&mut model, "7/nosuch:dev\n");
    let picture = text(&frame(&model, (120, 30)));
    let said =
        "no column is called nosuch; there are kid, name, state, owner, scopes, env, created, last-used, expires";
    assert!(picture.contains(said), "{picture}");
    let mut model = scene(Scene::Healthy);
    press(&mut model, "7/name:nobody\n");
    assert!(text(&frame(&model, (120, 30))).contains("nothing fits the filter; Esc clears it"));
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
