//! From what was written to what it means. Pure: everything that had to be read was read by `config`.
//! Every section adds its mistakes to one list and goes on; only a list without errors becomes `Settings`.

use super::{Hash, Home, Profile, Settings, advice, stores::StoreKind};
use crate::clock::{self, Timestamp};
use crate::config::excerpt::point_into;
use crate::config::schema::Schema;
use crate::config::{Loaded, written::Written};
use crate::name::{SecretName, StoreName};
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Works out what one reading of the configuration means.
///
/// # Errors
/// Every mistake in it, those found while reading included.
pub fn compile(loaded: &Loaded, now: Timestamp) -> Result<(Settings, Vec<Problem>), Problems> {
    let profile = Profile(loaded.profile.clone());
    let mut compiler = Compiler { loaded, problems: loaded.problems.clone(), profile, now };
    // Where a whole file could not be read, what the rest would mean without it is nobody's question.
    let written = loaded.written.as_ref().filter(|_| !loaded.problems.lost_a_file());
    let settings = written.map(|written| compiler.settings(written));
    point_into(&mut compiler.problems, &loaded.texts, &Schema::new());
    match settings {
        Some(settings) if !compiler.problems.any() => Ok((settings, compiler.problems.warnings())),
        _ => Err(compiler.problems),
    }
}

/// What each section's part of the work shares.
pub(super) struct Compiler<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) problems: Problems,
    pub(super) profile: Profile,
    /// When this is: a schedule must have a tick after it.
    pub(super) now: Timestamp,
}

/// How a secret is written into the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Verbatim,
    /// Percent-encoded, so that `@` or `/` in a password cannot change a URL's shape.
    Url,
}

/// RFC 3986, section 2.3: what may stand unencoded anywhere in a URL.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Compiler<'_> {
    fn settings(&mut self, written: &Written) -> Settings {
        self.literal_secrets(written);
        let server = self.server(&written.server);
        let admin = self.admin(&written.admin, server.abroad());
        let stores = self.stores(&written.stores);
        let kind_of = |name: &StoreName| stores.get(name).map(|store| store.kind.clone());
        let kinds: BTreeMap<StoreName, StoreKind> =
            stores.keys().filter_map(|n| Some((n.clone(), kind_of(n)?))).collect();
        let keys = self.keys(&written.keys, &kinds, &written.stores);
        let policies = self.policies(&written.policies);
        let forward_auth = self.forward_auth(&written.forward_auth);
        let scheduler = self.scheduler(&written.scheduler, &kinds, &written.stores);
        let alerts = self.alerts(&written.alerts);
        self.alerts_without_cause(written);
        let workers = self.workers(&written.workers, &kinds, &written.stores);
        let telemetry = self.telemetry(&written.telemetry);
        Settings {
            profile: self.profile.clone(),
            server: Arc::new(server),
            admin: Arc::new(admin),
            stores,
            keys: Arc::new(keys),
            policies,
            forward_auth: Arc::new(forward_auth),
            scheduler: Arc::new(scheduler),
            alerts,
            workers,
            telemetry: Arc::new(telemetry),
            hash: Hash(short_hash(&without_local_keys(&self.loaded.values))),
        }
    }

    /// Adds a mistake at a key.
    pub(super) fn error(&mut self, key: &str, message: impl Into<String>) {
        self.problems.error(Problem::new(self.loaded.places.of(key), key, message));
    }

    /// Adds a mistake with advice.
    pub(super) fn error_with_hint(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.error(Problem::new(self.loaded.places.of(key), key, message).hint(hint));
    }

    /// Adds a mistake with advice, where there is any.
    pub(super) fn error_with_advice(&mut self, key: &str, message: impl Into<String>, advice: Option<String>) {
        match advice {
            Some(hint) => self.error_with_hint(key, message, hint),
            None => self.error(key, message),
        }
    }

    /// Adds something that is allowed but probably not meant.
    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.problems.warning(Problem::new(self.loaded.places.of(key), key, message));
    }

    /// The same with advice.
    pub(super) fn warn_with_hint(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.warning(Problem::new(self.loaded.places.of(key), key, message).hint(hint));
    }

    /// A length of time within bounds.
    pub(super) fn duration(&mut self, key: &str, text: &str, at_least: Duration) -> Duration {
        match clock::parse_duration(text) {
            Some(length) if length >= at_least => length,
            Some(_) => {
                self.error(key, format!("must be at least {}, found \"{text}\"", clock::write_duration(at_least)));
                at_least
            }
            None => {
                let message = format!("must be a length of time such as 500ms, 30s, 5m, 1h30m or 7d, found \"{text}\"");
                self.error_with_advice(key, message, advice::duration(text));
                at_least
            }
        }
    }

    /// A number of bytes: `64KiB`, `1MiB`.
    pub(super) fn size(&mut self, key: &str, text: &str) -> usize {
        parse_size(text).unwrap_or_else(|| {
            let message = format!("must be a size such as 512B, 64KiB or 1MiB, found \"{text}\"");
            self.error_with_advice(key, message, advice::size(text));
            1
        })
    }

    /// A number that must not be zero.
    pub(super) fn positive(&mut self, key: &str, number: u32) -> u32 {
        if number == 0 {
            self.error(key, "must be at least 1, found 0");
        }
        number.max(1)
    }

    /// The value of a secret that is referred to by name, if it has one; why not was told where it was declared.
    pub(super) fn secret(&mut self, key: &str, name: &str) -> Option<Secret> {
        match self.loaded.secrets.iter().find(|(known, _)| known.as_str() == name) {
            Some((_, Ok(secret))) => Some(secret.clone()),
            Some((_, Err(problem))) => {
                self.problems.error(problem.clone());
                None
            }
            None => {
                let known: Vec<&str> = self.loaded.secrets.keys().map(SecretName::as_str).collect();
                let message = format!("no secret `{name}` is declared under [secrets]");
                self.error_with_nearest(key, message, name, &known);
                None
            }
        }
    }

    /// Adds a mistake about a name that nothing has, with the name that was probably meant.
    pub(super) fn error_with_nearest(&mut self, key: &str, message: String, name: &str, known: &[&str]) {
        match crate::config::schema::nearest(name, known.iter().copied()) {
            Some(near) => self.error_with_hint(key, message, format!("did you mean `{near}`?")),
            None if known.is_empty() => self.error_with_hint(key, message, "none is declared"),
            None => self.error_with_hint(key, message, format!("declared are: {}", known.join(", "))),
        }
    }

    /// A text with each `${secrets.NAME}` replaced by its value; `$${` stands for `${`.
    pub(super) fn with_secrets(&mut self, key: &str, text: &Secret, encoding: Encoding) -> Secret {
        let Some(text) = text.expose_text() else { return text.clone() };
        let mut out: Vec<u8> = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(b"${");
                rest = after;
                continue;
            }
            out.extend_from_slice(before.as_bytes());
            let Some((reference, tail)) = after.split_once('}') else {
                self.error_with_hint(key, "`${` is never closed by `}`", "write `$${` for a literal `${`");
                return Secret::new(out);
            };
            match reference.strip_prefix("secrets.") {
                Some(name) => {
                    out.extend(self.secret(key, name).map(|secret| encoded(&secret, encoding)).unwrap_or_default())
                }
                None => self.error_with_hint(
                    key,
                    "a `${...}` refers to nothing: only ${secrets.NAME} is replaced here",
                    "declare it under [secrets], as in NAME = { env = \"...\" }; write `$${` for a literal `${`",
                ),
            }
            rest = tail;
        }
        out.extend_from_slice(rest.as_bytes());
        Secret::new(out)
    }

    /// The secrets that a text refers to, raw and as they stand in a URL: whatever repeats the text may show either.
    pub(super) fn secrets_in(&self, text: &Secret) -> Vec<Secret> {
        let names = text.expose_text().unwrap_or_default().split("${secrets.").skip(1);
        let names = names.filter_map(|rest| Some(rest.split_once('}')?.0));
        let known = |name: &str| self.loaded.secrets.iter().find(|(known, _)| known.as_str() == name);
        let values = names.filter_map(known).filter_map(|(_, value)| value.as_ref().ok());
        values.flat_map(|secret| [secret.clone(), Secret::new(encoded(secret, Encoding::Url))]).collect()
    }

    /// `memory`, or the name of a store that keys or ledger can live in.
    pub(super) fn home(
        &mut self,
        key: &str,
        text: &str,
        kinds: &BTreeMap<StoreName, StoreKind>,
        declared: &Declared,
    ) -> Home {
        if text == "memory" {
            if self.profile.is_strict() {
                let profile = self.profile.clone();
                self.error_with_hint(
                    key,
                    format!("is \"memory\", which is gone at restart; the profile {profile} is strict"),
                    "name a postgres or sqlite store, or use the profile dev or test",
                );
            }
            return Home::Memory;
        }
        match self.store(key, text, kinds, declared) {
            Some(name) => {
                if kinds.get(&name).is_some_and(|kind| !kind.is_sql()) {
                    self.error(key, format!("must be \"memory\" or a postgres or sqlite store; `{name}` is neither"));
                }
                Home::Store(name)
            }
            None => Home::Memory,
        }
    }

    /// The name of a declared and enabled store.
    pub(super) fn store(
        &mut self,
        key: &str,
        text: &str,
        kinds: &BTreeMap<StoreName, StoreKind>,
        declared: &Declared,
    ) -> Option<StoreName> {
        if let Some((name, _)) = kinds.iter().find(|(name, _)| name.as_str() == text) {
            return Some(name.clone());
        }
        if declared.contains_key(text) {
            if !self.problems.concern(&format!("stores.{text}")) {
                self.error(key, format!("the store `{text}` is switched off (enabled = false)"));
            }
        } else if !self.problems.concern(&format!("stores.{text}")) {
            let known: Vec<&str> = declared.keys().map(String::as_str).collect();
            self.error_with_nearest(key, format!("no store `{text}` is declared under [stores]"), text, &known);
        }
        None
    }

    /// Literal secrets are a convenience of `dev` and `test`.
    fn literal_secrets(&mut self, written: &Written) {
        for name in written.secrets.iter().filter_map(|(name, source)| source.literal.as_ref().map(|_| name)) {
            let key = format!("secrets.{name}.literal");
            let hint = "use { env = \"...\" } or { file = \"...\" }";
            if self.profile.is_strict() {
                let message = format!("a literal secret is refused in the profile {}, which is strict", self.profile);
                self.error_with_hint(&key, message, hint);
            } else {
                let message = "a literal secret is refused in every profile but dev and test";
                self.warn_with_hint(&key, message, hint);
            }
        }
    }
}

/// What `[stores]` declares, switched off or not.
pub(super) type Declared = BTreeMap<String, crate::config::written::Store>;

fn encoded(secret: &Secret, encoding: Encoding) -> Vec<u8> {
    match (encoding, secret.expose_text()) {
        (Encoding::Url, Some(text)) => utf8_percent_encode(text, UNRESERVED).to_string().into_bytes(),
        _ => secret.expose().to_vec(),
    }
}

/// Reads a number of bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`, up to 16 GiB.
pub(super) fn parse_size(text: &str) -> Option<usize> {
    const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    const LARGEST: u64 = 16 << 30;
    let (number, factor) = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let bytes =
        number.parse::<u64>().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit()))?.checked_mul(*factor)?;
    usize::try_from(bytes).ok().filter(|_| bytes <= LARGEST && bytes > 0)
}

/// SHA-256 of a canonical JSON text (keys sorted), in hex, first sixteen digits.
pub(super) fn short_hash(value: &Json) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The values without what differs between replicas by nature.
fn without_local_keys(values: &Json) -> Json {
    let mut values = values.clone();
    if let Some(server) = values.get_mut("server").and_then(Json::as_object_mut) {
        for key in ["bind", "admin_bind", "data_dir"] {
            server.remove(key);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("1MiB"), Some(1_048_576));
        for bad in ["", "64", "64kb", "-1B", "0B", "1.5MiB", "17GiB", "99999999999999999999B", "+5B"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
