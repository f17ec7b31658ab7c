//! Variables that look as if they were meant for this program and are not read: one underscore where two belong, small
//! letters, a misspelt name. Only names are looked at; a warning is all that comes of it, for they may belong to others.

use super::variable;
use crate::config::schema::{Leaf, Schema};
use crate::problem::{Place, Problem, Problems};

const PREFIX: &str = "MONOLITH";
/// What is read although it has no two underscores: by the command line, or given to commands that this program starts.
const PLAIN: [&str; 7] = ["CONFIG", "PROFILE", "TOKEN", "RUN_WORKER", "RUN_TICK_AT", "RUN_ID", "RUN_ATTEMPT"];
/// The most words of a name that are put together in every possible way.
const MAX_WORDS: usize = 10;

/// Warns of every name that is probably a mistake.
pub(super) fn warn<'a>(names: impl Iterator<Item = &'a str>, schema: &Schema, problems: &mut Problems) {
    for name in names {
        if let Some((why, meant)) = meant(name, schema) {
            let problem = Problem::new(Place::Env(name.to_owned()), "", format!("is not read: {why}"));
            problems.warning(problem.hint(format!("did you mean {meant}?")));
        }
    }
}

/// Why a name is not read, and the one that was probably meant.
fn meant(name: &str, schema: &Schema) -> Option<(&'static str, String)> {
    let capitals = name.to_ascii_uppercase();
    let (prefix, rest) = capitals.split_once('_')?;
    if prefix != PREFIX {
        let near = strsim::damerau_levenshtein(prefix, PREFIX) <= 2;
        let key = rest.to_ascii_lowercase().replace("__", ".");
        let known = near && rest.contains("__") && schema.leaf(&key).is_some();
        return known.then(|| ("it begins with another word", variable(&key)));
    }
    if name.split_once('_').is_some_and(|(prefix, _)| prefix != PREFIX) {
        let known = rest.contains("__") || PLAIN.contains(&rest);
        return known.then_some(("the name of a variable is written in capitals", capitals));
    }
    if rest.contains("__") || PLAIN.contains(&rest) {
        return None;
    }
    if let Some(key) = key_of(&rest.to_ascii_lowercase(), schema) {
        return Some(("a section and its key are separated by two underscores", variable(&key)));
    }
    let near = PLAIN.iter().find(|plain| strsim::damerau_levenshtein(rest, plain) <= 2)?;
    Some(("there is no such variable", format!("{PREFIX}_{near}")))
}

/// The key that these words spell when they are put together in the right way.
fn key_of(words: &str, schema: &Schema) -> Option<String> {
    let words: Vec<&str> = words.split('_').collect();
    if words.len() < 2 || words.len() > MAX_WORDS {
        return None;
    }
    let ways = 1_u32..1 << (words.len() - 1);
    let keys: Vec<String> = ways.map(|dots| joined(&words, dots)).collect();
    let leaf = |key: &&String| schema.leaf(key).is_some_and(|leaf| leaf != Leaf::Structure);
    let structure = |key: &&String| schema.leaf(key).is_some() && key.matches('.').count() == 1;
    let fewest = keys.iter().filter(leaf).min_by_key(|key| key.matches('.').count());
    fewest.or_else(|| keys.iter().find(structure)).cloned()
}

/// The words with a dot in each gap that has its bit set, and an underscore in the others.
fn joined(words: &[&str], dots: u32) -> String {
    let mut key = String::new();
    for (n, word) in words.iter().enumerate() {
        if n > 0 {
            key.push(if dots >> (n - 1) & 1 == 1 { '.' } else { '_' });
        }
        key.push_str(word);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_read_says_which_one_would_be() {
        let schema = Schema::new();
        for (name, expected) in [
            ("MONOLITH_SERVER_BIND", Some("MONOLITH_SERVER__BIND")),
            ("MONOLITH_KEYS_MAX_TTL", Some("MONOLITH_KEYS__MAX_TTL")),
            ("MONOLITH_STORES_MAIN_DB_URL", Some("MONOLITH_STORES__MAIN_DB__URL")),
            ("MONOLITH_WORKERS_CLEAN_UP_RUN_STATEMENT", Some("MONOLITH_WORKERS__CLEAN_UP__RUN__STATEMENT")),
            ("MONOLITH_SERVER_TRUSTED_PROXIES", Some("MONOLITH_SERVER__TRUSTED_PROXIES")),
            ("MONOLITH_PROFLE", Some("MONOLITH_PROFILE")),
            ("MONOLTIH_SERVER__BIND", Some("MONOLITH_SERVER__BIND")),
            ("monolith_server__bind", Some("MONOLITH_SERVER__BIND")),
            // What Kubernetes sets for a service of this name, and what others may have.
            ("MONOLITH_PORT", None),
            ("MONOLITH_SERVICE_HOST", None),
            ("MONOLITH_PORT_8000_TCP_ADDR", None),
            ("MONOLITH_CONFIG", None),
            ("MONOLITH_RUN_ID", None),
            ("MONOLITH_TEST_POSTGRES_URL", None),
            ("PATH", None),
        ] {
            assert_eq!(meant(name, &schema).map(|(_, meant)| meant).as_deref(), expected, "{name}");
        }
    }
}
