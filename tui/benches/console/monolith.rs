//! The server as it is shipped, in a folder of its own: it is started, killed, and brought back on the same port.
//! It ends with whoever started it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::pty::Terminal;

pub struct Monolith {
    child: Child,
    pub url: String,
    folder: tempfile::TempDir,
}

impl Monolith {
    pub fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("profiles")).unwrap();
        for file in ["monolith.toml", "profiles/dev.toml"] {
            std::fs::copy(root.join(file), folder.path().join(file)).unwrap();
        }
        let (child, url) = serve(folder.path(), "127.0.0.1:0");
        Self { child, url, folder }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Brings it back where it was.
    pub fn restart(&mut self) {
        let (child, url) = serve(self.folder.path(), self.url.trim_start_matches("http://"));
        assert_eq!(url, self.url);
        self.child = child;
    }

    pub fn console(&self) -> Terminal {
        Terminal::start(&["--server", &self.url], self.folder.path(), (80, 24))
    }

    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("data/dev.token")
    }

    /// How many samples its metrics hold.
    pub fn samples(&self) -> u64 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_monolith-tui"));
        command.args(["snapshot", "--json", "--server", &self.url]).current_dir(self.folder.path());
        let whole: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        whole["targets"][0]["traffic"]["value"]["samples"].as_u64().unwrap()
    }
}

fn serve(folder: &Path, bind: &str) -> (Child, String) {
    let mut command = Command::new(binary());
    command.args(["serve", "--bind", bind]).current_dir(folder).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (child, url.trim().to_owned())
}

/// Built beside the console, or for debugging.
fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_monolith-tui")).parent().unwrap();
    let binaries = [built.join("monolith"), built.with_file_name("debug").join("monolith")];
    binaries.into_iter().find(|binary| binary.exists()).expect("build the server first: cargo build")
}

impl Drop for Monolith {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
