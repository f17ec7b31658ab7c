//! What was written: reads every layer of the configuration, merges them and says where each value came from.
//! The only reader of configuration files, of the environment and of secret sources; what it all means is `settings`.

pub mod certificate; // the PEM files of server.tls
pub mod commands; // secrets that programs tell
pub mod compare; // which keys differ between two readings
pub mod environment; // the variables of the process, and which keys they set
pub mod excerpt; // the line that a mistake is in
pub mod explain; // where a value comes from
pub mod files; // reads a file that may be anything, within bounds
pub mod layers; // one layer each: its values and the place of every key
pub mod mask; // shows values without their secrets
pub mod merge; // lays the layers over each other
mod mounts; // files that can never change
pub mod posted; // texts that somebody posted in the place of the files
mod renamed; // keys under other names
pub mod schema; // the shape of the file, from the types of `written`
pub mod secrets; // resolves declared secrets
mod syntax; // what is wrong with a text that is not TOML
mod walk; // checks merged values against the schema
pub mod written; // what can be typed

use crate::name::SecretName;
use crate::problem::{Place, Problem, Problems};
use crate::secret::Secret;
use commands::{Asked, Commands};
use environment::Environment;
use layers::Layer;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use written::Written;

/// The profile of a laptop, used where none is named.
pub const DEFAULT_PROFILE: &str = "dev";

/// From where to read: what the command line and the process say.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config` or `MONOLITH_CONFIG`: then the file must exist.
    pub config: Option<PathBuf>,
    /// `--profile` or `MONOLITH_PROFILE`: then its file must exist.
    pub profile: Option<String>,
    /// The folder in which `monolith.toml` is looked for when none is named.
    pub working_dir: PathBuf,
    /// The variables of the process.
    pub environment: Environment,
    /// `--bind` and `--set`, as pairs of flag and `KEY=VALUE`.
    pub flags: Vec<(String, String)>,
    /// `--last-good`: where the files are broken at the start, what ran last is started in their place.
    pub last_good: bool,
    /// Whether it listens apart from the servers that share the files: where those listen is left out.
    pub apart: bool,
    /// Whether programs are asked for secrets, and what they told so far.
    pub commands: Commands,
    /// The Rust functions that workers can name; none in the plain binary.
    pub handlers: BTreeSet<String>,
}

/// One reading of all layers: what was written, where, and everything that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// The merged values; bad ones are replaced by their defaults, so that the rest can be judged, too.
    /// `None` where not even that was possible.
    pub written: Option<Written>,
    /// The merged values as they may be shown: every secret masked.
    pub values: serde_json::Value,
    /// What the masks hide, for comparing alone.
    pub hidden: compare::Hidden,
    /// Where each value comes from, for whoever asks.
    pub explain: explain::Explain,
    /// Where each key was written.
    pub places: Places,
    /// The value of each declared secret, or what is wrong with its source.
    pub secrets: compare::Secrets,
    /// The files of `server.tls`, where it is set and both can be read.
    pub pem: Option<certificate::Pem>,
    /// The secrets that programs tell.
    pub commands: Vec<Asked>,
    /// The secrets that are present but were not asked for; the value above only stands in for each.
    pub unasked: BTreeSet<SecretName>,
    /// The Rust functions that workers can name.
    pub handlers: BTreeSet<String>,
    /// The profile's name.
    pub profile: String,
    /// The folder that relative paths start from.
    pub base_dir: PathBuf,
    /// The base file, where there is one: from then on it must not vanish.
    pub base_file: Option<PathBuf>,
    /// The text of the base file; it may hold secrets, and is only compared and pointed into.
    pub base_text: Secret,
    /// The texts of all files that were read, to point into.
    pub texts: BTreeMap<String, Secret>,
    /// The layers, lowest first.
    pub layers: Vec<LayerInfo>,
    /// Everything that is wrong so far.
    pub problems: Problems,
    /// What the operator should know, one line each: what the original's variables did.
    pub notes: Vec<String>,
    /// The files that this reading depends on, also those that do not exist.
    pub files: BTreeSet<PathBuf>,
    /// SHA-256 over the content of those files, as this reading found them.
    pub digest: [u8; 32],
    /// The files among them that hold no secret.
    pub open_files: files::Open,
    /// Whether a mounted folder was swapped under this reading, so that it counts for nothing.
    torn: bool,
}

impl Loaded {
    /// What is compared with another reading.
    #[must_use]
    pub const fn said(&self) -> compare::Said<'_> {
        compare::Said { values: &self.values, hidden: &self.hidden, secrets: &self.secrets }
    }
}

/// What is told about a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// Such as `monolith.toml` or `environment`.
    pub name: String,
    /// The file's path, or what it is made of.
    pub source: String,
    /// SHA-256 of its text in hex, first sixteen digits.
    pub hash: String,
}

/// Where each key of the merged values was written: the place of the layer that won.
#[derive(Debug, Clone, Default)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of a key, or of the nearest table around it that was written.
    #[must_use]
    pub fn of(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            match self.0.get(key) {
                Some(place) if *place != Place::Nowhere => return place.clone(),
                _ => match key.rfind(['.', '[']).and_then(|end| key.get(..end)) {
                    Some(parent) => key = parent,
                    None => return Place::Nowhere,
                },
            }
        }
    }

    /// Whether anyone wrote this very key, as opposed to a built-in default.
    #[must_use]
    pub fn wrote(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|place| *place != Place::Nowhere)
    }

    /// Every key that was written, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, place)| **place != Place::Nowhere).map(|(key, _)| key.as_str())
    }
}

/// How often a reading is begun again because a version of a mounted folder was taken away under it.
const MAX_TORN: usize = 5;

/// Reads all layers. Never fails: everything that is wrong stands in [`Loaded::problems`].
#[must_use]
pub fn load(sources: &Sources) -> Loaded {
    let mut loaded = load_once(sources);
    for _ in 1..MAX_TORN {
        if !loaded.torn {
            break;
        }
        loaded = load_once(sources);
    }
    loaded
}

fn load_once(sources: &Sources) -> Loaded {
    let mut problems = Problems::default();
    let mut notes = Vec::new();
    let (base_file, base_dir) = base_of(sources);
    let profile = sources.profile.clone().unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
    let schema = schema::Schema::new();
    let mut files = files::Reader::new(&base_dir);
    let mut stack = Vec::new();
    let base = files.layer(&base_file, &mut problems);
    let found = base.is_some();
    if sources.config.is_some() && !found && !problems.lost_a_file() {
        problems.error(nothing_there(sources, &files.shown(&base_file)));
        problems.lose_a_file();
    }
    if found && files.has_no_text(&base_file) {
        empty_base(files.shown(&base_file), &mut problems);
    }
    stack.extend(base);
    stack.extend(profile_layer(sources, &profile, &mut files, &mut problems));
    let written = stack.iter().map(|layer| base_dir.join(&layer.source));
    mounts::warn(written.collect::<Vec<_>>().iter().map(PathBuf::as_path), &files, &mut problems);
    lay_over(&mut stack, sources, &schema, &mut notes, &mut problems);

    let as_read = stack.clone();
    let merged = merge::merge(stack, &profile, &mut problems);
    let walk::Read { written, values, hidden, places } = walk::read(&schema, &merged, &mut problems);
    let explain = match merged.layers.first() {
        Some(defaults) => explain::Explain::new(&schema, defaults, &as_read, &values, &places),
        None => explain::Explain::default(),
    };
    let declared = written.as_ref().map(|w| &w.secrets);
    let secrets::Resolved { secrets, commands, unasked } =
        secrets::resolve(declared, &places, sources, &mut files, &mut problems);
    let tls = written.as_ref().and_then(|w| w.server.tls.as_ref());
    let pem = tls.and_then(|tls| certificate::read(tls, &places, &mut files, &mut problems));
    let (digest, open_files, torn) = (files.digest(), files.open(), files.is_torn());
    Loaded {
        written,
        values,
        hidden,
        explain,
        places,
        secrets,
        pem,
        commands,
        unasked,
        handlers: sources.handlers.clone(),
        profile,
        base_dir,
        texts: files.texts(),
        base_text: Secret::new(files.text_of(&base_file)),
        base_file: found.then_some(base_file),
        layers: merged.layers.iter().map(Layer::info).collect(),
        problems,
        notes,
        files: files.seen(),
        digest,
        open_files,
        torn,
    }
}

/// The base file was named, and there is none.
fn nothing_there(sources: &Sources, shown: &str) -> Problem {
    let named = sources.config.as_deref().map(Path::as_os_str);
    let by_variable = named == sources.environment.get("MONOLITH_CONFIG");
    let place = if by_variable { Place::Env("MONOLITH_CONFIG".into()) } else { Place::Flag("--config".into()) };
    Problem::new(place, "", format!("there is no such file: {shown}"))
}

/// Where servers listen.
const ADDRESSES: [&str; 2] = ["server.bind", "server.admin_bind"];

/// Lays what this process was given over the files: the environment, then the flags.
fn lay_over(
    stack: &mut Vec<Layer>,
    sources: &Sources,
    schema: &schema::Schema,
    notes: &mut Vec<String>,
    problems: &mut Problems,
) {
    stack.extend(environment::well_known(&sources.environment, stack, notes, problems));
    stack.extend(environment::declared(&sources.environment, stack, schema, problems));
    if sources.apart {
        stack.iter_mut().for_each(|layer| ADDRESSES.iter().for_each(|key| layer.remove(key)));
    }
    stack.extend(environment::flags(&sources.flags, stack, schema, problems));
}

fn empty_base(path: String, problems: &mut Problems) {
    let place = Place::File { path, line: 1, column: 1 };
    let problem = Problem::new(place, "", "the file is empty, as one is that was cut off while it was written");
    problems.error(problem.hint("if the defaults are meant, put a comment into it"));
    problems.lose_a_file();
}

/// The profile's file, which must exist where the profile was named.
fn profile_layer(
    sources: &Sources,
    profile: &str,
    files: &mut files::Reader,
    problems: &mut Problems,
) -> Option<Layer> {
    let named = sources.profile.is_some();
    let by_variable = sources.environment.text("MONOLITH_PROFILE") == Some(profile);
    let place = if by_variable { Place::Env("MONOLITH_PROFILE".into()) } else { Place::Flag("--profile".into()) };
    let folder = files.base_dir().join("profiles");
    let problem = if crate::name::is_name(profile) {
        let path = folder.join(format!("{profile}.toml"));
        let layer = files.layer(&path, problems);
        if layer.is_some() || !named || path.exists() {
            return layer;
        }
        Problem::new(place, "", format!("there is no profile `{profile}`: {} does not exist", files.shown(&path)))
    } else {
        let message = format!("`{profile}` cannot be a profile: use lower-case letters, digits and underscores");
        Problem::new(place, "", message)
    };
    problems.lose_a_file();
    let known = files::names_in(&folder, ".toml");
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    problems.error(match schema::nearest(profile, known.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => problem.hint(format!("there are no profiles in {}", files.shown(&folder))),
        None => problem.hint(format!("there are: {}", known.join(", "))),
    });
    None
}

/// The base file and the folder it stands in; a named folder means the `monolith.toml` in it.
fn base_of(sources: &Sources) -> (PathBuf, PathBuf) {
    let named = sources.config.clone().unwrap_or_else(|| PathBuf::from("monolith.toml"));
    let file = sources.working_dir.join(named);
    let file = if file.is_dir() { file.join("monolith.toml") } else { file };
    let dir = file.parent().map_or_else(|| sources.working_dir.clone(), Path::to_path_buf);
    (file, dir)
}

#[cfg(test)]
mod tests;
