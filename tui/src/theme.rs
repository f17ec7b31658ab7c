//! What good, bad, old and chosen look like: in sixteen colours, on light, on dark, without red and green, without any.
//! No state is told by a colour alone: each has a sign and a word, in ASCII where nothing else can be shown.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// What something means, for whoever draws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Good,
    Doubtful,
    Bad,
    Quiet,
    /// Names of columns, keys that can be pressed.
    Accent,
    Selected,
    /// Figures that were true once.
    Old,
}

/// A palette.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Theme {
    /// The terminal's own sixteen colours
    #[default]
    Default,
    /// Dark on light
    Light,
    /// Light on dark
    Dark,
    /// Blue and orange instead of green and red
    ColourBlind,
    /// Nothing but bold, dim and reversed
    None,
}

impl Theme {
    pub(crate) const ALL: [(Self, &'static str); 5] = [
        (Self::Default, "default"),
        (Self::Light, "light"),
        (Self::Dark, "dark"),
        (Self::ColourBlind, "colour-blind"),
        (Self::None, "none"),
    ];

    /// Text and background of the whole screen.
    pub(crate) const fn base(self) -> Style {
        match self {
            Self::Default | Self::None => Style::new(),
            Self::Light => Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(231)),
            Self::Dark | Self::ColourBlind => Style::new().fg(Color::Indexed(253)).bg(Color::Indexed(16)),
        }
    }

    pub(crate) fn style(self, tone: Tone) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match (tone, self) {
            (Tone::Plain, _) => Style::new(),
            (Tone::Strong, _) => bold,
            (Tone::Selected, _) => Style::new().add_modifier(Modifier::REVERSED),
            (Tone::Bad, Self::None) => bold,
            (_, Self::None) if matches!(tone, Tone::Quiet | Tone::Old) => Style::new().add_modifier(Modifier::DIM),
            (_, Self::None) => Style::new(),
            (Tone::Quiet | Tone::Old, Self::Default) => Style::new().add_modifier(Modifier::DIM),
            (Tone::Quiet | Tone::Old, Self::Light) => Style::new().fg(Color::Indexed(240)),
            (Tone::Quiet | Tone::Old, _) => Style::new().fg(Color::Indexed(247)),
            (Tone::Accent, _) => Style::new().fg(self.pick(Color::Cyan, 24, 80, 117)),
            (Tone::Good, _) => Style::new().fg(self.pick(Color::Green, 22, 78, 75)),
            (Tone::Doubtful, _) => Style::new().fg(self.pick(Color::Yellow, 94, 221, 229)),
            (Tone::Bad, _) => Style::new().fg(self.pick(Color::Red, 124, 210, 214)).add_modifier(Modifier::BOLD),
        }
    }

    const fn pick(self, own: Color, light: u8, dark: u8, blind: u8) -> Color {
        match self {
            Self::Default | Self::None => own,
            Self::Light => Color::Indexed(light),
            Self::Dark => Color::Indexed(dark),
            Self::ColourBlind => Color::Indexed(blind),
        }
    }
}

/// The signs that are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glyphs {
    pub(crate) good: &'static str,
    pub(crate) doubtful: &'static str,
    pub(crate) bad: &'static str,
    pub(crate) old: &'static str,
    pub(crate) quiet: &'static str,
    pub(crate) wait: &'static str,
    pub(crate) ask: &'static str,
    pub(crate) cursor: &'static str,
    /// Before the row of the server that is looked at.
    pub(crate) here: &'static str,
    pub(crate) dot: &'static str,
    pub(crate) line: &'static str,
    pub(crate) more: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) mark: &'static str,
    /// Corners and sides: top left, top right, bottom left, bottom right, horizontal, vertical.
    pub(crate) frame: [&'static str; 6],
    /// A chart from nothing to all.
    pub(crate) bars: [&'static str; 9],
}

pub(crate) const UNICODE: Glyphs = Glyphs {
    good: "●",
    doubtful: "▲",
    bad: "✖",
    old: "~",
    quiet: "○",
    wait: "…",
    ask: "?",
    cursor: "▌",
    here: "▸",
    dot: "·",
    line: "─",
    more: "…",
    up: "↑",
    down: "↓",
    mark: "┊",
    frame: ["╭", "╮", "╰", "╯", "─", "│"],
    bars: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

pub(crate) const ASCII: Glyphs = Glyphs {
    good: "+",
    doubtful: "!",
    bad: "X",
    old: "~",
    quiet: "o",
    wait: ".",
    ask: "?",
    cursor: "|",
    here: ">",
    dot: "-",
    line: "-",
    more: ">",
    up: "^",
    down: "v",
    mark: "|",
    frame: ["+", "+", "+", "+", "-", "|"],
    bars: [" ", ".", ".", ":", ":", "=", "=", "#", "#"],
};

impl Glyphs {
    /// The sign of a tone.
    pub(crate) const fn of(&self, tone: Tone) -> &'static str {
        match tone {
            Tone::Good => self.good,
            Tone::Doubtful => self.doubtful,
            Tone::Bad => self.bad,
            Tone::Old => self.old,
            _ => self.quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours that every terminal of 256 colours shares: a cube of six steps, and greys.
    fn rgb(colour: Color) -> [f64; 3] {
        let Color::Indexed(index) = colour else { panic!("{colour:?} is the terminal's own") };
        let step = |n: u8| if n == 0 { 0.0 } else { 55.0 + 40.0 * f64::from(n) };
        match index {
            16..=231 => {
                let n = index - 16;
                [step(n / 36), step(n / 6 % 6), step(n % 6)]
            }
            232.. => [8.0 + 10.0 * f64::from(index - 232); 3],
            _ => panic!("{index} is the terminal's own"),
        }
    }

    /// WCAG 2, relative luminance.
    fn luminance(colour: Color) -> f64 {
        let [r, g, b] = rgb(colour).map(|value| {
            let value = value / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn every_word_of_a_bundled_theme_can_be_read() {
        for theme in [Theme::Light, Theme::Dark, Theme::ColourBlind] {
            let base = theme.base();
            let background = luminance(base.bg.unwrap());
            for tone in [Tone::Plain, Tone::Good, Tone::Doubtful, Tone::Bad, Tone::Quiet, Tone::Accent, Tone::Old] {
                let text = luminance(theme.style(tone).fg.or(base.fg).unwrap());
                let (high, low) = if text > background { (text, background) } else { (background, text) };
                let contrast = (high + 0.05) / (low + 0.05);
                assert!(contrast >= 4.5, "{theme:?} {tone:?}: {contrast:.1}");
            }
        }
    }

    #[test]
    fn without_colours_no_cell_has_one() {
        for tone in [Tone::Good, Tone::Doubtful, Tone::Bad, Tone::Quiet, Tone::Accent, Tone::Old, Tone::Selected] {
            let style = Theme::None.style(tone);
            assert_eq!((style.fg, style.bg), (None, None), "{tone:?}");
        }
    }

    #[test]
    fn every_state_has_a_sign_of_its_own() {
        for glyphs in [UNICODE, ASCII] {
            let signs = [Tone::Good, Tone::Doubtful, Tone::Bad, Tone::Old, Tone::Quiet].map(|tone| glyphs.of(tone));
            let different: std::collections::BTreeSet<_> = signs.iter().collect();
            assert_eq!(different.len(), signs.len());
        }
        assert!(ASCII.bars.iter().chain(&ASCII.frame).all(|sign| sign.is_ascii()));
    }
}
