//! What this machine has and may do: programs, packages, Docker, users.
//! It answers questions and runs one installer; which server comes first is decided in `found`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::User;
use tempfile::TempDir;

use crate::bounded;

/// Package lists and packages over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// A Docker engine that takes longer to say who it is would be of no use to the tests.
const ENGINE_LIMIT: Duration = Duration::from_secs(10);

/// What `--version` of a program may take.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// Where servers stand on systems that leave them out of an ordinary user's PATH.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Finds a program on the PATH or among the system's own.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// The nginx of this machine, for the tests of forward-auth behind a real gateway.
#[must_use]
pub fn nginx() -> Option<PathBuf> {
    program("nginx")
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The first number with a dot in what `program --version` says, or a question mark.
#[must_use]
pub fn version(program: &Path, flag: &str) -> String {
    // Some servers write their version to stderr.
    let said =
        bounded::output(Command::new("sh").args(["-c", r#""$0" "$1" 2>&1"#]).arg(program).arg(flag), VERSION_LIMIT);
    version_in(&said.unwrap_or_default()).unwrap_or_else(|| "?".to_owned())
}

fn version_in(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '=' | '/' | '(' | ')'))
        .map(|word| word.trim_start_matches('v').trim_end_matches(','))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
}

/// Whether a Docker engine answers; its command line alone is not enough.
#[must_use]
pub fn docker_answers() -> bool {
    let mut info = Command::new("docker");
    info.args(["info", "--format", "{{.ServerVersion}}"]);
    program("docker").is_some() && bounded::output(&mut info, ENGINE_LIMIT).is_ok_and(|said| !said.trim().is_empty())
}

/// Whether packages can be installed: as root on Debian or what is made of it.
#[must_use]
pub fn may_install() -> bool {
    is_root() && Path::new("/etc/debian_version").exists() && program("apt-get").is_some()
}

/// Installs Debian packages.
///
/// # Errors
/// When they cannot be installed within ten minutes.
pub fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-y", "-o", "DPkg::Lock::Timeout=120"]).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        bounded::output(&mut command, INSTALL_LIMIT)
    };
    apt(&["update"])?;
    let mut arguments = vec!["install", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments).map(drop)
}

/// Whether Python can make an environment here; Debian keeps that in a package of its own.
#[must_use]
pub fn has_venv() -> bool {
    let import = bounded::output(Command::new("python3").args(["-c", "import venv, ensurepip"]), VERSION_LIMIT);
    import.is_ok()
}

/// Whether this is root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Another user of this machine, for servers that refuse to be root.
#[derive(Clone, Debug)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Whom a server that refuses root should run as; none where this is an ordinary user.
    pub(super) fn other_than_root() -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user =
            user.context("there is neither a user `postgres` nor `nobody`, and PostgreSQL refuses to run as root")?;
        Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// Makes a command run as this user (and lose root's groups).
    pub(super) fn dress(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// A temporary folder that belongs to `account`, where it can reach it.
pub(super) fn folder_for(account: Option<&Account>) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("monolith-test-");
    let Some(account) = account else {
        return builder.tempdir().context("cannot create a temporary folder");
    };
    let candidates = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let open = candidates.iter().find(|folder| folder.ancestors().all(is_open_to_all));
    let folder = builder.tempdir_in(open.context("no temporary folder is open to other users")?)?;
    std::os::unix::fs::chown(folder.path(), Some(account.uid), Some(account.gid))
        .context("cannot give a folder away")?;
    Ok(folder)
}

fn is_open_to_all(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
}

/// The newest of the folders `parent/<version>/rest`, by the version's number.
pub(super) fn newest_version(parent: &Path, rest: impl AsRef<OsStr>) -> Option<PathBuf> {
    let rest = rest.as_ref();
    fs::read_dir(parent)
        .ok()?
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join(rest))))
        .filter(|(_, folder)| folder.is_dir())
        .max()
        .map(|(_, folder)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_says_its_version_in_its_own_way() {
        let said = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", "7.0.15"),
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("db version v7.0.5\nBuild Info: {", "7.0.5"),
        ];
        for (text, expected) in said {
            assert_eq!(version_in(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn version_10_is_newer_than_version_9() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9", "10", "not-a-version"] {
            fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
        }
        assert_eq!(newest_version(folder.path(), "bin"), Some(folder.path().join("10/bin")));
    }
}
