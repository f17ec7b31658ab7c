//! What is logged, and how.
//! Installing it is `crate::telemetry`.

use super::compile::Compiler;
use crate::config::written;

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// A tracing filter, such as `info` or `info,monolith::work=debug`; known to be valid.
    pub log: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Compiler<'_> {
    pub(super) fn telemetry(&mut self, written: &written::Telemetry) -> Telemetry {
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&written.log) {
            let error = error.to_string();
            let why = error.strip_prefix("error parsing level filter: ").unwrap_or(&error);
            let message = format!("must be a filter such as \"info\" or \"info,monolith::work=debug\": {why}");
            self.error("telemetry.log", message);
        } else if let Some((word, level)) = misspelt_level(&written.log) {
            let message = format!("`{word}` is taken for the name of a module, so that little else is logged");
            self.warn_with_hint("telemetry.log", message, format!("did you mean \"{level}\"?"));
        }
        let format = match written.format {
            written::LogFormat::Pretty => LogFormat::Pretty,
            written::LogFormat::Json => LogFormat::Json,
        };
        Telemetry { log: written.log.clone(), format }
    }
}

/// A directive of one word that is no level but looks like one: it would silence everything else.
fn misspelt_level(filter: &str) -> Option<(&str, &'static str)> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    filter.split(',').map(str::trim).find_map(|word| {
        let known = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        let near = crate::config::schema::nearest(word, LEVELS.into_iter())?;
        (!known && !word.is_empty()).then_some((word, near))
    })
}
