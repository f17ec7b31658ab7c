//! Reads files that may be anything: absent, a folder, a pipe, huge, not text, or swapped under our feet by kubelet.
//! It never looks into parent folders and never blocks on what is not a plain file.

use super::layers::Layer;
use crate::problem::{Place, Problem, Problems};
use crate::secret::Secret;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// The largest configuration or secret file: a thousand workers take a tenth of it.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// How many folders up a mounted one is looked for: a ConfigMap's items may have paths of their own.
const MOUNT_DEPTH: usize = 4;

/// Reads files of one reading, all from the same version of a mounted ConfigMap.
#[derive(Debug)]
pub struct Reader {
    base_dir: PathBuf,
    /// What the `..data` of each mounted folder pointed at when this reading first met it: kubelet swaps that link, and
    /// files of two versions must never mix.
    pins: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Whether a version was taken away while it was read.
    torn: bool,
    /// What was found in each file that was asked for.
    seen: BTreeMap<PathBuf, [u8; 32]>,
    /// The files among them that hold one secret each.
    secrets: BTreeSet<PathBuf>,
    /// The texts of layers, by the name they are shown under.
    texts: BTreeMap<String, Secret>,
}

impl Reader {
    /// Begins a reading.
    #[must_use]
    pub fn new(base_dir: &Path) -> Self {
        Self {
            base_dir: base_dir.to_path_buf(),
            pins: BTreeMap::new(),
            torn: false,
            seen: BTreeMap::new(),
            secrets: BTreeSet::new(),
            texts: BTreeMap::new(),
        }
    }

    /// The folder that relative paths start from.
    #[must_use]
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// The files that were asked for, found or not.
    #[must_use]
    pub fn seen(&self) -> BTreeSet<PathBuf> {
        self.seen.keys().cloned().collect()
    }

    /// The files among them that hold no secret.
    #[must_use]
    pub(super) fn open(&self) -> Open {
        let found = || self.seen.iter().filter(|(file, _)| !self.secrets.contains(*file));
        Open { files: found().map(|(file, _)| file.clone()).collect(), digest: digest_of(found()) }
    }

    /// Reads a file that holds one secret.
    pub(super) fn secret(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.secrets.insert(path.to_path_buf());
        self.read(path)
    }

    /// Whether a version of a mounted folder was taken away while it was read, so that the reading counts for nothing.
    #[must_use]
    pub(super) const fn is_torn(&self) -> bool {
        self.torn
    }

    /// SHA-256 over the content of the files that were asked for, exactly as they were read.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest_of(self.seen.iter())
    }

    /// Reads a layer; a file that is absent is none.
    pub(super) fn layer(&mut self, path: &Path, problems: &mut Problems) -> Option<Layer> {
        let shown = self.shown(path);
        let at = |line, column| Place::File { path: shown.clone(), line, column };
        let layer = match self.read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => {
                    // A byte order mark is what some editors put before UTF-8; it is not part of the text.
                    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                    self.texts.insert(shown.clone(), Secret::new(text));
                    Layer::from_toml(&shown, text, problems)
                }
                Err(error) => {
                    let (good, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
                    let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
                    let before = good.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                    let column = 1 + String::from_utf8_lossy(before).chars().count();
                    let byte = rest.first().copied().unwrap_or_default();
                    let problem =
                        Problem::new(at(line, column), "", format!("is not UTF-8 text: byte 0x{byte:02X} here"));
                    problems.error(problem.hint("save the file with the encoding UTF-8"));
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                problems.error(Problem::new(at(1, 1), "", format!("cannot be read: {}", plain(&error))));
                None
            }
        };
        if layer.is_none() {
            problems.lose_a_file();
        }
        layer
    }

    /// The texts of the layers that were read.
    pub(super) fn texts(&self) -> BTreeMap<String, Secret> {
        self.texts.clone()
    }

    /// Whether a layer that was read holds nothing but white space.
    pub(super) fn has_no_text(&self, path: &Path) -> bool {
        let text = self.texts.get(&self.shown(path));
        text.is_some_and(|text| text.expose().trim_ascii().is_empty())
    }

    /// The bytes of a file once more, or none.
    pub(super) fn text_of(&mut self, path: &Path) -> Vec<u8> {
        self.read_plain(path).unwrap_or_default()
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// When it is absent, unreadable, not a plain file, or larger than [`MAX_FILE`].
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let result = self.read_plain(path);
        let found = match &result {
            Ok(bytes) => Sha256::digest(bytes).into(),
            Err(error) => Sha256::digest(error.kind().to_string()).into(),
        };
        self.seen.insert(path.to_path_buf(), found);
        result
    }

    fn read_plain(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.pinned(path);
        // A pipe would hold us until somebody writes into it; opened this way, it says at once what it is.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a plain file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE / 1024 / 1024)));
        }
        Ok(bytes)
    }

    /// A path below a mounted folder, in the version that this reading began with.
    fn pinned(&mut self, path: &Path) -> PathBuf {
        for folder in path.ancestors().skip(1).take(MOUNT_DEPTH) {
            let pin =
                self.pins.entry(folder.to_path_buf()).or_insert_with(|| folder.join("..data").canonicalize().ok());
            let (Some(version), Ok(inside)) = (pin.as_ref(), path.strip_prefix(folder)) else { continue };
            if inside.components().any(|part| part == Component::ParentDir) {
                break;
            }
            let file = version.join(inside);
            if file.exists() {
                return file;
            }
            // Kubelet removes the old version after the swap.
            self.torn |= !version.exists();
        }
        path.to_path_buf()
    }

    /// A path as people want to read it: short where it stands beside the base file.
    pub(super) fn shown(&self, path: &Path) -> String {
        let from = self.base_dir.as_path();
        path.strip_prefix(from).unwrap_or(path).display().to_string()
    }
}

/// The files of one reading but for those of secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// The files, also those that do not exist.
    pub files: BTreeSet<PathBuf>,
    /// SHA-256 over their content.
    pub digest: [u8; 32],
}

fn digest_of<'a>(found: impl Iterator<Item = (&'a PathBuf, &'a [u8; 32])>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for (file, content) in found {
        hasher.update(file.as_os_str().as_encoded_bytes());
        hasher.update(content);
    }
    hasher.finalize().into()
}

/// SHA-256 over the content of files, found or not: equal as long as a reading would find the same.
#[must_use]
pub fn digest(base_dir: &Path, files: &BTreeSet<PathBuf>) -> [u8; 32] {
    let mut reader = Reader::new(base_dir);
    for file in files {
        // What went wrong is part of the digest.
        drop(reader.read(file));
    }
    reader.digest()
}

/// The names of the files of a folder that end in `end`, without it: for "did you mean".
pub(super) fn names_in(folder: &Path, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(end)?.to_owned())).collect();
    names.sort();
    names
}

/// An error of the operating system without its number.
pub(super) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}
