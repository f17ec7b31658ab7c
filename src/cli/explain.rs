//! `monolith explain KEY`: the value that is used, and what every layer says about it.
//! Works on a configuration with mistakes in it, too: that is when it is needed.

use super::report::{self, Failure};
use crate::config::explain::{Explanation, Silence, Voice};
use crate::config::{self, Sources};
use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  monolith explain server.bind\n  monolith explain stores.main --profile prod")]
pub(super) struct Explain {
    /// A key such as server.bind, or a section such as stores.main.
    key: String,
    /// How it is printed: for people, or as JSON.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

impl Explain {
    pub(super) fn run(&self, sources: &Sources) -> Result<ExitCode, Failure> {
        let explain = config::load(sources).explain;
        let mut explained: Vec<Explanation> =
            explain.keys_below(&self.key).into_iter().filter_map(|key| explain.key(key)).collect();
        if explained.is_empty() {
            explained.push(explain.key(&self.key).map_or_else(|| self.silence(&explain), Ok)?);
        }
        match self.output {
            Format::Json => report::data(format_args!("{:#}", explained.iter().map(as_json).collect::<Json>())),
            Format::Text => explained.iter().for_each(print),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// A key of which nobody speaks: not set, or not there.
    fn silence(&self, explain: &config::explain::Explain) -> Result<Explanation, Failure> {
        let key = &self.key;
        let unknown = Failure::failed(format!("there is no key `{key}`"));
        Err(match explain.silence(key) {
            Silence::NotSet => {
                return Ok(Explanation { key: key.clone(), value: Json::Null, masked: false, layers: Vec::new() });
            }
            Silence::Renamed(new) => unknown.hint(format!("it is `{new}`")),
            Silence::Near(near) => unknown.hint(format!("did you mean `{near}`?")),
            Silence::Unknown => unknown.hint("a key is written as in server.bind or workers.heartbeat.every"),
        })
    }
}

fn print(explanation: &Explanation) {
    match (&explanation.value, explanation.layers.is_empty()) {
        (Json::Null, true) => report::data(format_args!("{} is not set, and has no default", explanation.key)),
        (Json::Null, false) => report::data(format_args!("{} is not set: a higher layer removed it", explanation.key)),
        (value, _) => report::data(format_args!("{} = {value}", explanation.key)),
    }
    for voice in &explanation.layers {
        let mark = if voice.wins { '>' } else { ' ' };
        report::data(format_args!("  {mark} {:<22} {:<28} {}", voice.layer, place(voice), voice.value));
    }
}

fn place(voice: &Voice) -> String {
    voice.place.as_ref().map_or_else(|| "built in".to_owned(), ToString::to_string)
}

fn as_json(explanation: &Explanation) -> Json {
    let voices = explanation
        .layers
        .iter()
        .map(|voice| json!({ "layer": voice.layer, "place": place(voice), "value": voice.value, "wins": voice.wins }));
    json!({
        "key": explanation.key,
        "value": explanation.value,
        "masked": explanation.masked,
        "layers": voices.collect::<Json>(),
    })
}
