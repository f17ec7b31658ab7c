//! The ways in which a file of the configuration changes in the field: kubelet's swap of a mounted folder, an editor's rename,
//! a deletion, a rewrite in place, a bind mount, and things that are no files at all.

use crate::harness::{Answer, IN_MEMORY, JWT_SECRET, TestMonolith, monolith};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes a mounted folder as kubelet does: a new version beside the old one, one rename of `..data`, and away with the old
/// (kubernetes, pkg/volume/util/atomic_writer.go).
struct AtomicWriter {
    folder: PathBuf,
    version: u32,
}

impl AtomicWriter {
    fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        Self { folder, version: 0 }
    }

    fn write(&mut self, files: &[(&str, &str)]) {
        let old = fs::read_link(self.folder.join("..data")).ok();
        self.version += 1;
        let name = format!("..2026_11_24_15_04_05.{:09}", self.version);
        for (file, text) in files {
            let path = self.folder.join(&name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let draft = self.folder.join("..data_tmp");
        symlink(&name, &draft).unwrap();
        fs::rename(&draft, self.folder.join("..data")).unwrap();
        for (file, _) in files {
            let first = Path::new(file).components().next().unwrap();
            // The visible names are made once and never again.
            drop(symlink(Path::new("..data").join(first), self.folder.join(first)));
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.folder.join(old)).unwrap();
        }
    }
}

/// A base file and a profile that carry the same number.
fn numbered(number: u32) -> [(String, String); 2] {
    let base = format!(
        "[server]\nbody_limit = \"{number}KiB\"\n[secrets]\njwt = {{ file = '../secret/jwt' }}\n[keys]\nmax_ttl = \"400d\"\n"
    );
    let profile = format!("[server]\nmax_connections = {number}\ndrain_delay = \"0s\"\n");
    [("monolith.toml".to_owned(), base), ("profiles/test.toml".to_owned(), profile)]
}

fn write(writer: &mut AtomicWriter, number: u32) {
    let files = numbered(number);
    writer.write(&files.each_ref().map(|(name, text)| (name.as_str(), text.as_str())));
}

async fn limits(api: &crate::harness::Api) -> (String, u64) {
    let values = api.get("/api/admin/config").await.ok()["values"].clone();
    let limit = values["server"]["body_limit"].as_str().unwrap().to_owned();
    (limit, values["server"]["max_connections"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_config_map_takes_effect_each_time_and_its_files_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = AtomicWriter::new(dir.path().join("config"));
    let mut secret = AtomicWriter::new(dir.path().join("secret"));
    write(&mut config, 101);
    secret.write(&[("jwt", JWT_SECRET)]);
    let server = monolith("# elsewhere\n")
        .without_env("JWT_SECRET")
        .env("MONOLITH_CONFIG", config.folder.join("monolith.toml").to_str().unwrap())
        .ready()
        .await;
    let viewer = Arc::new(server.viewer());
    let (stop, watching) = (Arc::new(AtomicBool::new(false)), Arc::clone(&viewer));
    let stopped = Arc::clone(&stop);
    let mixed = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            let (base, profile) = limits(&watching).await;
            assert_eq!(base, format!("{profile}KiB"), "files of two versions were mixed");
        }
    });
    for number in 102..122 {
        write(&mut config, number);
        viewer.wait_for("/api/admin/config", |answer| limit_is(answer, number)).await;
    }
    stop.store(true, Ordering::Relaxed);
    mixed.await.unwrap();

    let outcome = |health: &Value, word: &str| health["config"]["last_reload"]["trigger"] == word;
    assert!(outcome(&server.anyone().get("/health").await.json(), "file"), "{}", server.log());
    secret.write(&[("jwt", "Zx3nT9qLw2Rk8vBd5Hs7Jf4Gm6Pc1YaU")]);
    viewer.wait_for("/api/admin/whoami", |answer| answer.status == 401).await;
    server.wait_for_health(|health| outcome(health, "secret")).await;
    server.viewer().get("/api/admin/whoami").await.ok();
}

fn limit_is(answer: &Answer, number: u32) -> bool {
    answer.json()["values"]["server"]["body_limit"] == format!("{number}KiB")
}

fn with_ttl(days: u32) -> String {
    format!("{IN_MEMORY}max_ttl = \"{days}d\"\n")
}

async fn ttl_is(server: &TestMonolith, days: u32) {
    let is = |answer: &Answer| answer.json()["values"]["keys"]["max_ttl"] == format!("{days}d");
    server.viewer().wait_for("/api/admin/config", is).await;
}

#[tokio::test]
async fn every_way_to_save_a_file_takes_effect() {
    let server = monolith(&with_ttl(101)).ready().await;
    // Beside and renamed.
    server.write_base(&with_ttl(102));
    ttl_is(&server, 102).await;
    // In place.
    fs::write(server.base(), with_ttl(103)).unwrap();
    ttl_is(&server, 103).await;
    // As vim does with a backup: the old one moved away, a new one written.
    fs::rename(server.base(), server.folder().join("monolith.toml~")).unwrap();
    fs::write(server.base(), with_ttl(104)).unwrap();
    ttl_is(&server, 104).await;
    // Deleted and made again, with the deletion seen.
    fs::remove_file(server.base()).unwrap();
    server.wait_for_health(|health| health["config"]["last_reload"]["outcome"] == "rejected").await;
    fs::write(server.base(), with_ttl(105)).unwrap();
    ttl_is(&server, 105).await;
    // Made a link to a file that is then rewritten where nobody watches.
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real.toml");
    fs::write(&target, with_ttl(106)).unwrap();
    fs::remove_file(server.base()).unwrap();
    symlink(&target, server.base()).unwrap();
    ttl_is(&server, 106).await;
    fs::write(&target, with_ttl(107)).unwrap();
    ttl_is(&server, 107).await;
    server.wait_for_health(|health| health["status"] == "ok").await;
}

#[tokio::test]
async fn what_is_no_file_is_refused_and_the_watching_goes_on() {
    let server = monolith(&with_ttl(101)).ready().await;
    let (viewer, operator) = (server.viewer(), server.operator());
    let refused = |answer: &Answer, words: &str| {
        let problems = answer.json()["disk"]["problems"].clone();
        let told = |problem: &Value| problem["message"].as_str().is_some_and(|message| message.contains(words));
        problems.as_array().is_some_and(|problems| problems.iter().any(told))
    };
    fs::remove_file(server.base()).unwrap();
    assert!(Command::new("mkfifo").arg(server.base()).status().unwrap().success());
    viewer.wait_for("/api/admin/config", |answer| refused(answer, "it is not a plain file")).await;
    fs::remove_file(server.base()).unwrap();
    fs::create_dir(server.base()).unwrap();
    operator.post("/api/admin/config/reload", Value::Null).await.refused(422, "config_rejected");
    viewer.wait_for("/api/admin/config", |answer| refused(answer, "there is no such file")).await;
    fs::remove_dir(server.base()).unwrap();
    symlink("monolith.toml", server.base()).unwrap();
    viewer.wait_for("/api/admin/config", |answer| refused(answer, "symbolic links")).await;
    fs::remove_file(server.base()).unwrap();
    fs::write(server.base(), b"a = \"\xff\"\n").unwrap();
    viewer.wait_for("/api/admin/config", |answer| refused(answer, "not UTF-8")).await;
    fs::write(server.base(), vec![b'#'; 10 << 20]).unwrap();
    viewer.wait_for("/api/admin/config", |answer| refused(answer, "larger than 4 MiB")).await;
    fs::write(server.base(), with_ttl(102)).unwrap();
    ttl_is(&server, 102).await;
    assert_eq!(operator.post("/api/admin/config/reload", Value::Null).await.ok()["outcome"], json!("unchanged"));
}

/// A mount that is taken away at the end.
struct Bind(PathBuf);

impl Bind {
    /// `None` where this machine does not permit it.
    fn mount(from: &Path, to: &Path) -> Option<Self> {
        let mounted =
            Command::new("mount").arg("--bind").arg(from).arg(to).status().is_ok_and(|status| status.success());
        mounted.then(|| Self(to.to_owned()))
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_bind_mounted_file_that_is_rewritten_in_place_takes_effect() {
    let host = tempfile::tempdir().unwrap();
    let outside = host.path().join("outside.toml");
    fs::write(&outside, with_ttl(101)).unwrap();
    let folder = monolith(&with_ttl(101));
    let Some(_mounted) = Bind::mount(&outside, &folder.path().join("monolith.toml")) else {
        println!("this machine does not permit bind mounts: only the rewriting in place was tried, elsewhere");
        return;
    };
    let server = folder.ready().await;
    fs::write(&outside, with_ttl(102)).unwrap();
    ttl_is(&server, 102).await;
}
