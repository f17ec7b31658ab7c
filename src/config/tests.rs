//! What users of other programs have suffered from, as tests of the reading: the numbers are those of the list of traps
//! that this program was designed against. And files that nobody would write, but somebody will have.

use super::environment::Environment;
use super::*;
use crate::problem::Problem;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::process::Command;
use tempfile::TempDir;

const STORE: &str = "[stores.main]\nkind = \"postgres\"\nurl = \"postgres://app@db/app\"\nmax_connections = 5\n";

/// A folder with a base file, and what to read it with.
struct Folder {
    dir: TempDir,
    sources: Sources,
}

fn folder(base: impl AsRef<[u8]>) -> Folder {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("monolith.toml"), base).unwrap();
    let sources = Sources { working_dir: dir.path().to_owned(), ..Sources::default() };
    Folder { dir, sources }
}

impl Folder {
    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn profile(mut self, name: &str) -> Self {
        self.sources.profile = Some(name.to_owned());
        self
    }

    fn env(mut self, pairs: &[(&str, &str)]) -> Self {
        self.sources.environment = Environment::from_pairs(pairs.iter().copied());
        self
    }

    fn set(mut self, assignment: &str) -> Self {
        self.sources.flags.push(("--set".into(), assignment.into()));
        self
    }

    fn load(&self) -> Loaded {
        load(&self.sources)
    }

    /// The shown value of a key, where nothing is wrong.
    #[track_caller]
    fn value(&self, key: &str) -> serde_json::Value {
        let loaded = self.load();
        assert_eq!(loaded.problems.errors(), []);
        loaded.explain.key(key).map_or(serde_json::Value::Null, |explained| explained.value)
    }

    /// The one mistake that there is.
    #[track_caller]
    fn mistake(&self) -> Problem {
        let errors = self.load().problems.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.into_iter().next().unwrap()
    }

    /// The value of a secret, byte for byte.
    #[track_caller]
    fn secret(&self, name: &str) -> Vec<u8> {
        let loaded = self.load();
        assert_eq!(loaded.problems.errors(), []);
        let (_, secret) = loaded.secrets.iter().find(|(known, _)| known.as_str() == name).unwrap();
        secret.as_ref().unwrap().expose().to_vec()
    }
}

// Trap 1: a missing or half-written file fell back to the defaults (pgdog, shunt).

#[test]
fn a_named_file_that_is_gone_is_never_taken_for_the_defaults() {
    let mut folder = folder("");
    folder.sources.config = Some("other.toml".into());
    assert!(folder.mistake().to_string().contains("there is no such file"));
}

#[test]
fn a_file_that_was_emptied_while_it_was_written_is_never_taken_for_the_defaults() {
    for text in ["", "\n", " \t\r\n\n", "\u{feff}"] {
        assert!(folder(text).mistake().message.contains("empty"), "{text:?}");
    }
    assert_eq!(folder("# the defaults are meant\n").value("server.docs"), "admin");
}

#[test]
fn without_any_file_in_the_working_folder_the_defaults_are_used_and_no_parent_folder_is_searched() {
    let folder = folder("[server]\ndocs = \"off\"\n").file("inner/readme", "");
    let inner = Sources { working_dir: folder.dir.path().join("inner"), ..Sources::default() };
    let loaded = load(&inner);
    assert_eq!((loaded.problems.errors(), loaded.base_file), (Vec::new(), None));
    assert_eq!(loaded.values["server"]["docs"], "admin");
}

// Trap 3: files of a ConfigMap are swapped all at once by one symbolic link (rathole, Traefik).

#[test]
fn a_config_map_swapped_in_the_middle_of_a_reading_never_mixes_its_layers() {
    let dir = tempfile::tempdir().unwrap();
    for (version, docs) in [("..one", "off"), ("..two", "public")] {
        fs::create_dir_all(dir.path().join(version)).unwrap();
        fs::write(dir.path().join(version).join("monolith.toml"), format!("[server]\ndocs = \"{docs}\"\n")).unwrap();
    }
    symlink("..one", dir.path().join("..data")).unwrap();
    symlink("..data/monolith.toml", dir.path().join("monolith.toml")).unwrap();
    let file = dir.path().join("monolith.toml");
    let mut reader = files::Reader::new(dir.path());
    assert!(String::from_utf8(reader.read(&file).unwrap()).unwrap().contains("off"));
    symlink("..two", dir.path().join("..data_tmp")).unwrap();
    fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    assert!(String::from_utf8(reader.read(&file).unwrap()).unwrap().contains("off"), "the version it began with");
    let next = files::Reader::new(dir.path()).read(&file).unwrap();
    assert!(String::from_utf8(next).unwrap().contains("public"), "the next reading sees the new one");
}

// Trap 7: what a flag or a variable said was lost at the first reload (process-compose).

#[test]
fn variables_and_flags_win_at_every_reading_alike() {
    let folder = folder("[server]\ndocs = \"off\"\nbind = \"127.0.0.1:1\"\n")
        .env(&[("MONOLITH_SERVER__DOCS", "admin"), ("MONOLITH_SERVER__BIND", "127.0.0.1:2")])
        .set("server.bind=127.0.0.1:3");
    let (first, second) = (folder.load(), folder.load());
    assert_eq!(first.values, second.values);
    assert_eq!(first.values["server"]["docs"], "admin");
    assert_eq!(first.values["server"]["bind"], "127.0.0.1:3");
}

// Trap 10: the last store could not be removed (Traefik).

#[test]
fn removing_the_last_store_and_worker_really_removes_them() {
    let worker = "[workers.w]\nevery = \"30s\"\nrun = { kind = \"command\", argv = [\"true\"] }\n";
    let full = folder(format!("{STORE}{worker}"));
    assert!(full.value("stores.main").is_object());
    fs::write(full.dir.path().join("monolith.toml"), "# nothing left\n").unwrap();
    assert!(full.value("stores.main").is_null());
    assert!(full.value("workers.w").is_null());
}

// Trap 11: a numeric password failed, was printed, or arrived changed (figment).

#[test]
fn a_password_of_digits_brackets_or_quotes_arrives_byte_for_byte() {
    for password in
        ["123456", "true", "[x]", "{a = 1}", "\"q\"", "  pw \n", "a=b", "pä55\\n", "${secrets.jwt}", "0x1F", "1e3"]
    {
        let by_variable = folder("[secrets]\npg = { env = \"PG\" }\n").env(&[("PG", password)]);
        assert_eq!(by_variable.secret("pg"), password.as_bytes(), "{password:?} by a variable");
        let by_file = folder("[secrets]\npg = { file = \"pg\" }\n").file("pg", format!("{password}\n"));
        assert_eq!(by_file.secret("pg"), password.as_bytes(), "{password:?} by a file");
        let set = folder("[secrets]\npg = { literal = \"x\" }\n").env(&[("MONOLITH_SECRETS__PG__LITERAL", password)]);
        assert_eq!(set.secret("pg"), password.as_bytes(), "{password:?} by a variable that sets the key");
    }
}

#[test]
fn a_secret_that_is_not_utf_8_arrives_byte_for_byte() {
    let bytes = vec![0xff, 0x00, 0xfe, b'\r', b'\n', b'\n'];
    let by_file = folder("[secrets]\npg = { file = \"pg\" }\n").file("pg", &bytes);
    assert_eq!(by_file.secret("pg"), bytes[..5], "one newline is dropped, nothing else");
    let mut by_variable = folder("[secrets]\npg = { env = \"PG\" }\n");
    by_variable.sources.environment = Environment::from_pairs([("PG", OsString::from_vec(vec![0xff, 0xfe]))]);
    assert_eq!(by_variable.secret("pg"), [0xff, 0xfe]);
}

// Trap 13: a missing secret file was logged and replaced by an empty password (Caddy).

#[test]
fn a_secret_file_that_is_missing_or_empty_is_an_error_and_never_an_empty_password() {
    let missing = folder("[secrets]\npg = { file = \"pg\" }\n");
    assert!(missing.mistake().message.contains("there is no such file"));
    for content in ["", "\n"] {
        let empty = folder("[secrets]\npg = { file = \"pg\" }\n").file("pg", content);
        assert!(empty.mistake().message.contains("is empty"), "{content:?}");
    }
    assert!(folder("[secrets]\npg = { env = \"PG\" }\n").env(&[("PG", "")]).mistake().message.contains("is empty"));
}

// A variable made a store that nobody declared, and the declared one was not changed (figment).

#[test]
fn no_variable_conjures_a_store_that_nobody_declared() {
    let folder = folder(STORE).env(&[("MONOLITH_STORES__MAIN_DB__MAX_CONNECTIONS", "7")]);
    assert!(folder.mistake().message.contains("no store `main_db` is declared"));
    assert!(folder.load().values["stores"].get("main_db").is_none());
}

// What layers do to each other (section 3.1).

#[test]
fn a_profile_removes_what_the_base_file_sets() {
    let base = format!("{STORE}\n[server]\ndocs = \"off\"\ntls = {{ cert = \"c\", key = \"k\" }}\n");
    let above = "unset = [\"server.tls\", \"server.docs\", \"stores.main\"]\n";
    let folder = folder(base).file("profiles/test.toml", above).profile("test");
    assert!(folder.value("server.tls").is_null());
    assert_eq!(folder.value("server.docs"), "admin", "the default is back");
    assert!(folder.value("stores.main").is_null());
}

#[test]
fn a_layer_may_remove_a_key_and_say_it_anew() {
    let above = "unset = [\"stores.main\"]\n[stores.main]\nkind = \"postgres\"\nurl = \"postgres://b@db/b\"\n";
    let folder = folder(STORE).file("profiles/test.toml", above).profile("test");
    assert_eq!(folder.value("stores.main.max_connections"), 10, "nothing of the old one is left");
}

#[test]
fn half_of_a_replaced_value_never_survives_under_the_new_name() {
    let base = "[secrets]\npg = { command = [\"vault\"], timeout = \"5s\" }\n\n[stores.main]\nkind = \"postgres\"\nurl = \"postgres://app@db/app\"\npooler = \"transaction\"\n\n[workers.w]\nschedule = \"@daily\"\nrun = { kind = \"sql\", store = \"main\", statement = \"select 1\" }\n";
    let above = "[secrets]\npg = { literal = \"x\" }\n\n[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:a.db\"\n\n[workers.w]\nevery = \"30s\"\nrun = { kind = \"command\", argv = [\"true\"] }\n";
    let folder = folder(base).file("profiles/test.toml", above).profile("test");
    assert!(folder.value("secrets.pg.command").is_null() && folder.value("secrets.pg.timeout").is_null());
    assert!(folder.value("stores.main.pooler").is_null());
    assert!(folder.value("workers.w.schedule").is_null() && folder.value("workers.w.run.store").is_null());
}

#[test]
fn tables_merge_key_by_key_and_arrays_replace() {
    let base = format!("{STORE}\n[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.1.0.0/16\"]\n");
    let above = "[stores.main]\nmax_connections = 7\n\n[server]\ntrusted_proxies = [\"::1/128\"]\n";
    let folder = folder(base).file("profiles/test.toml", above).profile("test");
    assert_eq!(folder.value("stores.main.max_connections"), 7);
    assert_eq!(folder.value("server.trusted_proxies"), serde_json::json!(["::1/128"]));
}

#[test]
fn a_file_that_cannot_be_read_draws_no_tail_of_mistakes_that_only_follow_from_it() {
    let above = "[stores.main]\nmax_connections = 7\n\n[secrets]\npg = { env = \"PG\" }\n";
    let folder = folder("[stores.main\n").file("profiles/test.toml", above).profile("test");
    let told: Vec<String> = folder.load().problems.errors().iter().map(ToString::to_string).collect();
    assert!(told.first().is_some_and(|first| first.contains("not valid TOML")), "{told:?}");
    assert!(told.iter().all(|told| !told.contains("kind")), "{told:?}");
}

// Files that nobody would write.

#[test]
fn a_pipe_in_the_place_of_a_file_never_holds_the_process() {
    let folder = folder("");
    let file = folder.dir.path().join("monolith.toml");
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert!(folder.mistake().message.contains("not a plain file"));
}

#[test]
fn a_folder_a_device_and_a_loop_of_links_are_told_as_what_they_are() {
    let folder =
        folder("[secrets]\na = { file = \"profiles\" }\nb = { file = \"/dev/zero\" }\nc = { file = \"loop\" }\n")
            .file("profiles/test.toml", "");
    symlink("loop", folder.dir.path().join("loop")).unwrap();
    let told: Vec<String> = folder.load().problems.errors().iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().filter(|told| told.contains("not a plain file")).count() == 2, "{told:?}");
    assert!(told.iter().any(|told| told.contains("cannot be read")), "{told:?}");
}

#[test]
fn a_file_of_ten_megabytes_is_refused_before_it_is_parsed() {
    let large = "# a comment\n".repeat(10 * 1024 * 1024 / 12);
    assert!(folder(large).mistake().message.contains("larger than 4 MiB"));
}

#[test]
fn a_text_without_end_or_ground_is_refused_without_exhausting_the_stack() {
    let deep = 100_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a = ".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[a{}]", ".a".repeat(deep)),
        format!("[[a{}]]", ".a".repeat(deep)),
        format!("a = \"\"\"{}", "\\\n".repeat(deep)),
    ] {
        assert!(folder(&text).load().problems.any(), "{}", text.chars().take(20).collect::<String>());
    }
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    let problem = folder(b"[server]\nbind = \"\xff\"\n").mistake();
    assert_eq!(problem.place, Place::File { path: "monolith.toml".into(), line: 2, column: 9 });
    let problem = folder("[server]\nbind = \"a\0b\"\n").mistake();
    assert!(problem.message.contains("U+0000"), "{problem}");
}

#[test]
fn line_ends_and_a_mark_of_another_system_change_neither_meaning_nor_place() {
    let folder = folder("\u{feff}[server]\r\ndocs = \"off\"\r\nbnid = \"x\"\r\n");
    let problem = folder.mistake();
    assert_eq!(problem.place, Place::File { path: "monolith.toml".into(), line: 3, column: 1 });
    assert_eq!(folder.load().values["server"]["docs"], "off");
}
