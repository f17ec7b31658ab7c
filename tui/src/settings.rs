//! `console.toml` and the command line, understood: which servers, which keys, which looks. Every mistake at once.
//! It opens one file, names no secret, and starts nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monolith_client::Client;
use monolith_client::client::Trust;
use serde::Deserialize;

use crate::keymap::Keymap;
use crate::theme::Theme;
use crate::token::TokenSource;

/// Settings are a page or two.
const FILE_LIMIT: u64 = 256 * 1024;
/// More servers than a screen has rows are not looked at by people.
const TARGETS_MAX: usize = 50;
/// Between two questions: not more often than people see, not so seldom that an outage is missed.
const POLL: std::ops::RangeInclusive<f64> = 0.2..=60.0;

/// What stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    theme: Theme,
    ascii: bool,
    mouse: bool,
    poll_seconds: Option<f64>,
    keys: BTreeMap<String, OneOrMany>,
    targets: Vec<WrittenTarget>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTarget {
    name: String,
    url: String,
    /// Drawn so that nobody takes it for another.
    #[serde(default)]
    danger: bool,
    /// A certificate in PEM that is trusted besides those of the system.
    ca: Option<PathBuf>,
    token: Option<WrittenToken>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WrittenToken {
    File(PathBuf),
    Env(String),
    Command(Vec<String>),
    Keyring(String),
}

/// What it all means.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) theme: Theme,
    pub(crate) ascii: bool,
    pub(crate) mouse: bool,
    pub(crate) poll: Duration,
    pub(crate) keymap: Keymap,
    pub(crate) targets: Vec<TargetSettings>,
}

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct TargetSettings {
    pub(crate) name: String,
    pub(crate) danger: bool,
    /// Without a token yet.
    pub(crate) client: Client,
    pub(crate) token: TokenSource,
}

impl Settings {
    /// Reads the file that was named, or the one in the usual place where there is one.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, Vec<String>> {
        let (path, text) = match named {
            Some(path) => {
                (path.to_owned(), Some(read(path).map_err(|error| vec![format!("{}: {error}", path.display())])?))
            }
            None => {
                let path = usual_place();
                let text = path.as_deref().filter(|path| path.exists()).map(read).transpose();
                let path = path.unwrap_or_default();
                (path.clone(), text.map_err(|error| vec![format!("{}: {error}", path.display())])?)
            }
        };
        let mistakes =
            |mistakes: Vec<String>| mistakes.into_iter().map(|text| format!("{}: {text}", path.display())).collect();
        Self::parse(text.as_deref().unwrap_or_default(), path.parent()).map_err(mistakes)
    }

    /// What a text means; paths in it start at a folder.
    fn parse(text: &str, folder: Option<&Path>) -> Result<Self, Vec<String>> {
        let written: Written = toml_edit::de::from_str(text).map_err(|error| vec![told(text, &error)])?;
        let mut mistakes = Vec::new();
        let chosen = written.keys.into_iter().map(|(name, keys)| match keys {
            OneOrMany::One(key) => (name, vec![key]),
            OneOrMany::Many(keys) => (name, keys),
        });
        let keymap = Keymap::with(&chosen.collect()).unwrap_or_else(|wrong| {
            mistakes.extend(wrong);
            Keymap::default()
        });
        let poll = written.poll_seconds.unwrap_or(1.0);
        if !POLL.contains(&poll) {
            mistakes.push(format!("poll_seconds: {poll} is not between {} and {}", POLL.start(), POLL.end()));
        }
        if written.targets.len() > TARGETS_MAX {
            mistakes.push(format!("targets: at most {TARGETS_MAX} are watched"));
        }
        let mut targets: Vec<TargetSettings> = Vec::new();
        for target in written.targets {
            match understand(target, folder) {
                Ok(target) if targets.iter().any(|other| other.name == target.name) => {
                    mistakes.push(format!("targets: two are called {}", target.name));
                }
                Ok(target) => targets.push(target),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let poll = Duration::try_from_secs_f64(poll).unwrap_or(Duration::from_secs(1));
        Ok(Self { theme: written.theme, ascii: written.ascii, mouse: written.mouse, poll, keymap, targets })
    }
}

/// Where a mistake is and what was expected there. What stands there is not repeated: it may be a token that was put into
/// the wrong place, and this is printed, mailed and kept in logs.
fn told(text: &str, error: &toml_edit::de::Error) -> String {
    let place = error.span().and_then(|span| text.get(..span.start)).map(|before| {
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: ")
    });
    format!("{}{}", place.unwrap_or_default(), expected(error.message()))
}

/// What a parser expected, without what it found: of its words only those that come from this program or from TOML itself.
fn expected(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        // Whatever was found stands before it, and it is the last that a parser says.
        Some((_, expected)) => format!("expected {expected}"),
        None if message.starts_with("missing field ") => message.to_owned(),
        None => "it cannot be read as TOML, or not as what belongs here".to_owned(),
    }
}

fn understand(target: WrittenTarget, folder: Option<&Path>) -> Result<TargetSettings, String> {
    let name = target.name.trim().to_owned();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("targets: a target needs a name".to_owned());
    }
    let client = client(&target, folder).map_err(|error| format!("targets.{name}: {error}"))?;
    let token = match target.token {
        None if client.is_loopback() => TokenSource::Dev,
        None => TokenSource::None,
        Some(WrittenToken::File(path)) => TokenSource::File(at_home(&path, folder)),
        Some(WrittenToken::Env(name)) => TokenSource::Env(name),
        Some(WrittenToken::Command(argv)) if argv.is_empty() => {
            return Err(format!("targets.{name}: the command of its token is empty"));
        }
        Some(WrittenToken::Command(argv)) => TokenSource::Command(argv),
        Some(WrittenToken::Keyring(account)) => TokenSource::Keyring(account),
    };
    Ok(TargetSettings { name, danger: target.danger, client, token })
}

fn client(target: &WrittenTarget, folder: Option<&Path>) -> Result<Client, String> {
    let trust = match &target.ca {
        None => Trust::System,
        Some(path) => {
            let path = at_home(path, folder);
            Trust::Also(read(&path).map_err(|error| format!("{}: {error}", path.display()))?.into_bytes())
        }
    };
    Client::trusting(&target.url, &trust).map_err(|error| error.to_string())
}

/// A path of the file: `~/` is the home folder, and a relative one starts where the file is.
fn at_home(path: &Path, folder: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => folder.map_or_else(|| path.to_owned(), |folder| folder.join(path)),
    }
}

/// `$XDG_CONFIG_HOME/monolith/console.toml`, else `~/.config/monolith/console.toml`.
pub(crate) fn usual_place() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("monolith").join("console.toml"))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_at_all_is_fine() {
        let settings = Settings::parse("", None).unwrap();
        assert_eq!((settings.targets.len(), settings.poll), (0, Duration::from_secs(1)));
    }

    #[test]
    fn a_whole_file_is_understood() {
        let text = r#"
            theme = "colour-blind"
            ascii = true
            poll_seconds = 2
            [keys]
            quit = "Q"
            down = ["j", "down"]
            [[targets]]
            name = "prod-eu"
            url = "https://monolith.example"
            danger = true
            token = { file = "prod.token" }
            [[targets]]
            name = "here"
            url = "http://127.0.0.1:8000"
            [[targets]]
            name = "vault"
            url = "https://vault.example"
            token = { command = ["vault", "token"] }
        "#;
        let settings = Settings::parse(text, Some(Path::new("/etc/console"))).unwrap();
        let tokens: Vec<_> = settings.targets.iter().map(|target| target.token.clone()).collect();
        let expected = [
            TokenSource::File("/etc/console/prod.token".into()),
            TokenSource::Dev,
            TokenSource::Command(vec!["vault".into(), "token".into()]),
        ];
        assert_eq!(tokens, expected);
        assert_eq!((settings.theme, settings.ascii, settings.targets[0].danger), (Theme::ColourBlind, true, true));
    }

    #[test]
    fn mistakes_are_told_all_at_once() {
        let text = r#"
            poll_seconds = 0.01
            [keys]
            quit = "f"
            fly = "u"
            [[targets]]
            name = "a"
            url = "monolith.example"
            [[targets]]
            name = "b"
            url = "http://127.0.0.1"
            [[targets]]
            name = "b"
            url = "http://127.0.0.1"
        "#;
        let mistakes = Settings::parse(text, None).unwrap_err();
        assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
    }

    #[test]
    fn a_token_in_the_file_is_refused_without_being_repeated() {
        let target = "[[targets]]\nname = 'a'\nurl = 'http://127.0.0.1'\n";
        for line in [
            "token = 'eyJhbGciOi.secret'",
            "token = eyJhbGciOi.secret",
            "token = { file = 'x', eyJhbGciOi.secret = 1 }",
            "token = { 'eyJhbGciOi.secret' = 'x' }",
            "token = { command = 'eyJhbGciOi.secret' }",
            "token = 'eyJhbGciOi.secret",
            "danger = 'eyJhbGciOi.secret, expected nothing'",
            "ca = 1 eyJhbGciOi.secret",
            "eyJhbGciOi.secret",
            "eyJhbGciOi = 'secret'",
        ] {
            let mistakes = Settings::parse(&format!("{target}{line}\n"), None).unwrap_err().join("\n");
            assert!(mistakes.starts_with("line 4, column ") && !mistakes.contains("secret"), "{line}: {mistakes}");
        }
        let lacks = Settings::parse("[[targets]]\nname = 'a'\n", None).unwrap_err().join("\n");
        assert_eq!(lacks, "line 1, column 1: missing field `url`");
    }
}
