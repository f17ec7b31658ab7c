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
            self.error(
                "telemetry.log",
                format!("must be a filter such as \"info\" or \"info,monolith::work=debug\": {error}"),
            );
        }
        let format = match written.format {
            written::LogFormat::Pretty => LogFormat::Pretty,
            written::LogFormat::Json => LogFormat::Json,
        };
        Telemetry { log: written.log.clone(), format }
    }
}
