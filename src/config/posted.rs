//! Reads texts that somebody posted in the place of the files, under the environment and the flags of this process.
//! It opens no file, runs no command and resolves no secret: a secret is what it is now as long as its source is the same.

use super::certificate::{self, Pem};
use super::compare::{Said, Secrets, node_of};
use super::files::Reader;
use super::layers::Layer;
use super::secrets::Resolved;
use super::written::SecretSource;
use super::{LayerInfo, Loaded, Places, Sources, empty_base, explain, files, lay_over, merge, schema, secrets, walk};
use crate::name::SecretName;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The texts.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Of the base file.
    pub base: Secret,
    /// Of the profile's file; `None`: it stays as it is, empty: there is none.
    pub profile: Option<Secret>,
}

/// What they are read against: the reading that is running.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The folder that relative paths start from.
    pub base_dir: &'a Path,
    /// The profile's name.
    pub profile: &'a str,
    /// The texts of the files, by the names they are shown under.
    pub texts: &'a BTreeMap<String, Secret>,
    /// What they say.
    pub said: Said<'a>,
    /// The certificate and its key, where there is one.
    pub pem: Option<&'a Pem>,
}

/// Stands for a secret that was not looked up; long and varied enough for every rule about secrets.
const STAND_IN: &str = "not-looked-up-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The name that the base file is shown under where there is none yet.
const BASE: &str = "monolith.toml";

/// Reads the texts. Everything that is wrong stands in [`Loaded::problems`].
#[must_use]
pub fn read(posted: &Posted, frame: Frame<'_>, sources: &Sources) -> Loaded {
    let look_up = |understood: &mut Understood| {
        let nothing = Secrets::new();
        let said = Said { values: &understood.walked.values, hidden: &understood.walked.hidden, secrets: &nothing };
        let declared = understood.walked.written.as_ref().map(|written| &written.secrets);
        let secrets = by_sources(declared, frame.said, said, &understood.walked.places, &mut understood.problems);
        // The files of a certificate are compared by their names alone, as the sources of secrets are.
        let tls = |values: &serde_json::Value| values.get("server").and_then(|server| server.get("tls")).cloned();
        let same = tls(frame.said.values) == tls(&understood.walked.values);
        // Nothing is asked for a plan: what a program told before is what it tells.
        let secrets = Resolved { secrets, ..Resolved::default() };
        LookedUp { secrets, pem: frame.pem.filter(|_| same).cloned() }
    };
    let (base_dir, profile) = (frame.base_dir, frame.profile);
    understand(texts(posted, frame), Place { base_dir, base_name: base_name(frame.texts), profile }, sources, look_up)
}

/// Reads the texts of an earlier reading in the place of the files. What its secrets are is looked up now.
#[must_use]
pub fn read_again(texts: BTreeMap<String, Secret>, base_dir: &Path, profile: &str, sources: &Sources) -> Loaded {
    let base_name = base_name(&texts).to_owned();
    let look_up = |understood: &mut Understood| {
        let declared = understood.walked.written.as_ref().map(|written| &written.secrets);
        let mut files = Reader::new(base_dir);
        let (places, problems) = (&understood.walked.places, &mut understood.problems);
        let secrets = secrets::resolve(declared, places, sources, &mut files, problems);
        let tls = understood.walked.written.as_ref().and_then(|written| written.server.tls.as_ref());
        LookedUp { secrets, pem: tls.and_then(|tls| certificate::read(tls, places, &mut files, problems)) }
    };
    understand(texts, Place { base_dir, base_name: &base_name, profile }, sources, look_up)
}

/// Where texts would stand.
#[derive(Clone, Copy)]
struct Place<'a> {
    base_dir: &'a Path,
    base_name: &'a str,
    profile: &'a str,
}

/// Texts, before their secrets are known.
struct Understood {
    walked: walk::Read,
    problems: Problems,
}

/// What texts refer to.
struct LookedUp {
    secrets: Resolved,
    pem: Option<Pem>,
}

fn understand(
    texts: BTreeMap<String, Secret>,
    place: Place<'_>,
    sources: &Sources,
    look_up: impl FnOnce(&mut Understood) -> LookedUp,
) -> Loaded {
    let mut problems = Problems::default();
    let mut notes = Vec::new();
    let schema = schema::Schema::new();
    let base_text = texts.get(place.base_name).cloned().unwrap_or_else(|| Secret::new(""));
    if base_text.expose_text().is_none_or(|text| text.trim().is_empty()) {
        empty_base(place.base_name.to_owned(), &mut problems);
    }
    // The base comes first, whatever the names are.
    let mut names: Vec<&String> = texts.keys().collect();
    names.sort_by_key(|name| name.as_str() != place.base_name);
    let layer = |name: &String| Layer::from_toml(name, texts.get(name)?.expose_text()?, &mut problems);
    let mut stack: Vec<Layer> = names.into_iter().filter_map(layer).collect();
    lay_over(&mut stack, sources, &schema, &mut notes, &mut problems);
    let as_read = stack.clone();
    let merged = merge::merge(stack, place.profile, &mut problems);
    let walked = walk::read(&schema, &merged, &mut problems);
    let explain = match merged.layers.first() {
        Some(defaults) => explain::Explain::new(&schema, defaults, &as_read, &walked.values, &walked.places),
        None => explain::Explain::default(),
    };
    let mut understood = Understood { walked, problems };
    let LookedUp { secrets: Resolved { secrets, commands, unasked }, pem } = look_up(&mut understood);
    let Understood { walked: walk::Read { written, values, hidden, places }, problems } = understood;
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
        profile: place.profile.to_owned(),
        base_dir: place.base_dir.to_path_buf(),
        base_file: None,
        base_text,
        texts,
        layers: merged.layers.iter().map(Layer::info).collect::<Vec<LayerInfo>>(),
        problems,
        notes,
        files: BTreeSet::new(),
        digest: [0; 32],
        open_files: files::Open::default(),
        torn: false,
    }
}

/// The name of the running base file.
fn base_name(texts: &BTreeMap<String, Secret>) -> &str {
    texts.keys().find(|name| !is_profile(name)).map_or(BASE, String::as_str)
}

fn is_profile(name: &str) -> bool {
    name.starts_with("profiles/")
}

fn texts(posted: &Posted, frame: Frame<'_>) -> BTreeMap<String, Secret> {
    let mut texts = frame.texts.clone();
    texts.insert(base_name(frame.texts).to_owned(), posted.base.clone());
    if let Some(text) = &posted.profile {
        texts.retain(|name, _| !is_profile(name));
        if !text.is_empty() {
            texts.insert(format!("profiles/{}.toml", frame.profile), text.clone());
        }
    }
    texts
}

/// The secrets, compared by their sources alone.
fn by_sources(
    declared: Option<&BTreeMap<String, SecretSource>>,
    running: Said<'_>,
    posted: Said<'_>,
    places: &Places,
    problems: &mut Problems,
) -> Secrets {
    let mut secrets = Secrets::new();
    let changed: BTreeSet<String> = running
        .differences(&posted)
        .into_iter()
        .map(|change| node_of(&change.key).to_owned())
        .filter(|node| node.starts_with("secrets."))
        .collect();
    for (text, source) in declared.into_iter().flatten() {
        let key = format!("secrets.{text}");
        let name = match SecretName::parse(text) {
            Ok(name) => name,
            Err(error) => {
                problems.error(Problem::new(places.of(&key), key, error.to_string()));
                continue;
            }
        };
        let known = running.secrets.get(&name).filter(|_| !changed.contains(&key)).cloned();
        let value = match known {
            Some(value) => value,
            None => match by_source(source) {
                Ok(secret) => Ok(secret),
                Err(why) => Err(Problem::new(places.of(&key), &key, why)),
            },
        };
        if let (Err(problem), true) = (&value, changed.contains(&key)) {
            problems.error(problem.clone());
        }
        secrets.insert(name, value);
    }
    secrets
}

fn by_source(source: &SecretSource) -> Result<Secret, &'static str> {
    let given = [source.env.is_some(), source.file.is_some(), source.command.is_some(), source.literal.is_some()];
    match (given.iter().filter(|given| **given).count(), &source.literal) {
        (1, Some(literal)) if literal.is_empty() => Err("the value is empty"),
        (1, Some(literal)) => Ok(literal.clone()),
        (1, None) => Ok(Secret::new(STAND_IN)),
        _ => Err("a secret has exactly one source: env, file, command or literal"),
    }
}
