//! `monolith explain KEY`: the value that is used, and what every layer says about it.
//! Works on a configuration with mistakes in it, too: that is when it is needed.

use super::report::{self, FAILED, Failure};
use crate::config::explain::{Explanation, Voice};
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
        let explained: Vec<Explanation> =
            explain.keys_below(&self.key).into_iter().filter_map(|key| explain.key(key)).collect();
        if explained.is_empty() {
            let failure = Failure::failed(format!("nothing is said about `{}` anywhere", self.key));
            return Err(match explain.nearest(&self.key) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("a key is written as in server.bind or workers.heartbeat.every"),
            });
        }
        match self.output {
            Format::Json => report::data(format_args!("{:#}", explained.iter().map(as_json).collect::<Json>())),
            Format::Text => explained.iter().for_each(print),
        }
        Ok(if explained.is_empty() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }
}

fn print(explanation: &Explanation) {
    report::data(format_args!("{} = {}", explanation.key, explanation.value));
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
