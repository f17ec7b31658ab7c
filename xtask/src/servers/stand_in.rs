//! The stand-in for MongoDB where there is no real one: `nx-27017`, a server that speaks MongoDB's wire protocol on SQLite,
//! in a Python environment under the target folder. A test only looks it up; installing is left to `cargo xtask`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::machine;
use crate::bounded;

/// The series that was tried with the official driver.
const REQUIREMENT: &str = "nx-27017~=0.8.0";

/// Four small packages over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(5 * 60);

/// An installed stand-in.
#[derive(Debug)]
pub struct StandIn {
    folder: PathBuf,
}

impl StandIn {
    /// The one that `cargo xtask test` installed.
    ///
    /// # Errors
    /// When there is none; then it says how to get it.
    pub fn installed() -> Result<Self> {
        let stand_in = Self { folder: target_folder().join("test-servers").join("nx-27017") };
        if !stand_in.is_complete() {
            bail!(
                "there is no mongod on this machine, and no stand-in in {} (hint: `cargo xtask stand-in` installs it)",
                stand_in.folder.display()
            );
        }
        Ok(stand_in)
    }

    /// Installs it where it is missing: an environment of Python's own, and the package in it.
    ///
    /// # Errors
    /// When there is no Python 3 with `venv`, or the package cannot be had.
    pub fn install() -> Result<Self> {
        if let Ok(stand_in) = Self::installed() {
            return Ok(stand_in);
        }
        let servers = target_folder().join("test-servers");
        fs::create_dir_all(&servers).with_context(|| format!("cannot create {}", servers.display()))?;
        let lock = File::create(servers.join("nx-27017.lock")).context("cannot create a lock")?;
        lock.lock().context("cannot wait for another installation")?;
        let stand_in = Self { folder: servers.join("nx-27017") };
        if !stand_in.is_complete() {
            stand_in.create()?;
        }
        Ok(stand_in)
    }

    fn create(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).context("cannot remove a half-made environment")?;
        }
        let python = machine::program("python3").context("there is no python3 on this machine")?;
        bounded::output(Command::new(python).args(["-m", "venv"]).arg(&self.folder), INSTALL_LIMIT)
            .context("cannot create a Python environment (Debian: apt-get install python3-venv)")?;
        let mut pip = Command::new(self.python());
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT]);
        bounded::output(&mut pip, INSTALL_LIMIT).with_context(|| format!("cannot install {REQUIREMENT}"))?;
        fs::write(self.marker(), REQUIREMENT).context("cannot mark the environment as complete")
    }

    /// The version that was installed.
    #[must_use]
    pub fn version(&self) -> String {
        let libraries = fs::read_dir(self.folder.join("lib")).into_iter().flatten().flatten();
        let packages = libraries.filter_map(|python| fs::read_dir(python.path().join("site-packages")).ok());
        let names = packages.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let version = |name: String| Some(name.strip_prefix("nx_27017-")?.strip_suffix(".dist-info")?.to_owned());
        names.filter_map(version).next().unwrap_or_else(|| "?".to_owned())
    }

    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("bin").join("python")
    }

    pub(super) fn arguments(&self, data: &Path, port: u16) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![self.script().into(), "--data-dir".into(), data.into()];
        arguments.extend(["--host".into(), "127.0.0.1".into(), "--port".into(), port.to_string().into()]);
        // Left alone, it logs to one fixed file for everybody.
        arguments.extend(["--log-file".into(), data.with_file_name("nx-27017.log").into()]);
        arguments.extend(["--pid-file".into(), data.with_file_name("nx-27017.pid").into()]);
        arguments
    }

    fn script(&self) -> PathBuf {
        self.folder.join("bin").join("nx-27017")
    }

    /// Written last, so that an installation that was cut off is not taken for one.
    fn marker(&self) -> PathBuf {
        self.folder.join("complete")
    }

    /// A Python that has moved since leaves a dead link behind, which `exists` sees.
    fn is_complete(&self) -> bool {
        let marked = fs::read_to_string(self.marker()).is_ok_and(|requirement| requirement == REQUIREMENT);
        marked && self.python().exists() && self.script().exists()
    }
}

/// Cargo's target folder: the one this very program was built into.
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let of_program = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()).map(Path::to_owned);
    of_program
        .or_else(|| std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target"))
}
