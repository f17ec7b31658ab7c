//! Where a target's token comes from: a file that is watched, the environment, a command, or the system's keyring.
//! Never from the command line, never drawn, never in a message: what is told is only why there is none.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use monolith_client::{Client, Token};
use tokio::sync::{mpsc, watch};

use crate::message::{Msg, TargetId};

/// Where a server in `dev` leaves its token.
const DEV_TOKEN: &str = "data/dev.token";
/// A token is well below a kilobyte; a larger file is something else.
const LIMIT: u64 = 64 * 1024;
/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a command may take: it may have to ask somebody.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// A command or a keyring is not asked more often than so.
const AGAIN: Duration = Duration::from_secs(2);
/// What the keyring knows our entries by.
const KEYRING_SERVICE: &str = "monolith";

/// Where a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenSource {
    None,
    /// What a server in `dev` leaves where it was started, if it is there.
    Dev,
    File(PathBuf),
    Env(String),
    Command(Vec<String>),
    /// The account of an entry of the service `monolith`.
    Keyring(String),
}

impl TokenSource {
    /// Looks for the token; `None` where none was named.
    pub(crate) async fn find(&self) -> Result<Option<Token>, String> {
        match self {
            Self::None => Ok(None),
            Self::Dev if !Path::new(DEV_TOKEN).exists() => Ok(None),
            Self::Dev => read(Path::new(DEV_TOKEN)).map(Some),
            Self::File(path) => read(path).map(Some),
            Self::Env(name) => {
                let text = std::env::var_os(name).ok_or_else(|| format!("the variable {name} is not set"))?;
                parse(&text.to_string_lossy(), name).map(Some)
            }
            Self::Command(argv) => run(argv).await.map(Some),
            Self::Keyring(account) => run(&keyring(account)).await.map(Some),
        }
    }

    /// Where another token has to go when this one is refused.
    pub(crate) fn advice(&self) -> String {
        const MAKE: &str = "`monolith token create` makes one";
        match (self, self.file()) {
            (_, Some(file)) => format!("put another into {} ({MAKE})", file.display()),
            (Self::Env(name), _) => format!("start again with another in {name} ({MAKE})"),
            (Self::Command(argv), _) => {
                let program = argv.first().map(String::as_str).unwrap_or_default();
                format!("{program} has to give another; `:login` asks it again")
            }
            (Self::Keyring(account), _) => {
                format!("put another into the keyring for {account}, then `:login` ({MAKE})")
            }
            _ => MAKE.to_owned(),
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Dev => Some(Path::new(DEV_TOKEN)),
            Self::File(path) => Some(path),
            _ => None,
        }
    }
}

/// The program that every desktop of a system brings, so that no second keyring library is built in.
fn keyring(account: &str) -> Vec<String> {
    let argv: &[&str] = if cfg!(target_os = "macos") {
        &["security", "find-generic-password", "-s", KEYRING_SERVICE, "-w", "-a", account]
    } else {
        &["secret-tool", "lookup", "service", KEYRING_SERVICE, "account", account]
    };
    argv.iter().map(|word| (*word).to_owned()).collect()
}

fn read(path: &Path) -> Result<Token, String> {
    let name = path.display().to_string();
    let mut text = String::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    file.map_err(|error| format!("cannot read the token file {name}: {error}"))?;
    parse(&text, &name)
}

fn parse(text: &str, place: &str) -> Result<Token, String> {
    Token::parse(text).map_err(|error| format!("{place}: {error}"))
}

/// Runs a command and takes what it prints; what it complains is not repeated, for it may hold anything.
async fn run(argv: &[String]) -> Result<Token, String> {
    let (program, args) = argv.split_first().ok_or("the command is empty")?;
    let mut command = tokio::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_TIMEOUT, command.output()).await;
    let output = output.map_err(|_| format!("{program} took longer than {} s", COMMAND_TIMEOUT.as_secs()))?;
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} gave no token ({})", output.status));
    }
    parse(&String::from_utf8_lossy(&output.stdout), program)
}

/// Looks for the token of a target now, whenever it is asked to, and whenever its file changes.
pub(crate) fn start(
    target: TargetId,
    source: TokenSource,
    publish: watch::Sender<Client>,
    mut login: mpsc::Receiver<()>,
    to_console: mpsc::Sender<Msg>,
) {
    tokio::spawn(async move {
        let mut last = None;
        loop {
            let found = source.find().await;
            let told = found.as_ref().map(Option::is_some).map_err(Clone::clone);
            if last.as_ref() != Some(&found) {
                if let Ok(Some(token)) = &found {
                    publish.send_modify(|client| *client = client.clone().with_token(token.clone()));
                }
                last = Some(found);
            }
            if to_console.send(Msg::Token { target, found: told }).await.is_err() {
                return;
            }
            if !wait(&source, &mut login).await {
                return;
            }
        }
    });
}

/// Waits until there is a reason to look again; `false` at the end of the console.
async fn wait(source: &TokenSource, login: &mut mpsc::Receiver<()>) -> bool {
    let Some(file) = source.file() else {
        tokio::time::sleep(AGAIN).await;
        return login.recv().await.is_some();
    };
    let before = stamp(file);
    loop {
        tokio::select! {
            asked = login.recv() => return asked.is_some(),
            () = tokio::time::sleep(LOOK) => {
                if stamp(file) != before {
                    return true;
                }
            }
        }
    }
}

/// What changes when a file is written or replaced.
fn stamp(file: &Path) -> Option<(std::time::SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_gives_a_token_or_a_reason_without_its_output() {
        let sh = |script: &str| TokenSource::Command(["sh", "-c", script].map(str::to_owned).to_vec());
        assert_eq!(sh("echo tok").find().await, Ok(Some(Token::parse("tok").unwrap())));
        let failed = sh("echo secret; exit 3").find().await.unwrap_err();
        assert!(failed.contains("gave no token") && !failed.contains("secret"), "{failed}");
        let odd = sh("echo two words").find().await.unwrap_err();
        assert!(!odd.contains("words"), "{odd}");
    }

    #[tokio::test]
    async fn a_file_that_is_missing_is_named() {
        let missing = TokenSource::File("/nonexistent/token".into()).find().await.unwrap_err();
        assert!(missing.contains("/nonexistent/token"), "{missing}");
    }

    #[test]
    fn a_token_is_asked_from_the_keyring_of_the_system() {
        assert!(keyring("prod-eu").contains(&"prod-eu".to_owned()));
    }
}
