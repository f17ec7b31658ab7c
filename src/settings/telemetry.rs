//! What is logged, and how.
//! Installing it is `crate::telemetry`.

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
