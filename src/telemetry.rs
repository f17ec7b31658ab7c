//! The log and the metrics of this process. Installs the one subscriber and lets a reload change its filter and format.
//! What is worth telling is decided where it happens.

pub mod metrics; // every metric by its name, registered once

use crate::settings::telemetry::{LogFormat, Telemetry};
use std::io::{self, IsTerminal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// The installed log.
#[derive(Clone)]
pub struct Log {
    handle: Option<reload::Handle<Boxed, Registry>>,
}

impl Log {
    /// Installs the log of this process, on standard error. A second call, as in an embedding program that has its own,
    /// leaves the first in place.
    #[must_use]
    pub fn install(telemetry: &Telemetry) -> Self {
        let (layer, handle) = reload::Layer::new(layer(telemetry));
        let installed = tracing::subscriber::set_global_default(Registry::default().with(layer)).is_ok();
        Self { handle: installed.then_some(handle) }
    }

    /// Changes filter and format.
    pub fn apply(&self, telemetry: &Telemetry) {
        if let Some(handle) = &self.handle
            && let Err(error) = handle.reload(layer(telemetry))
        {
            tracing::error!(%error, "the log could not be changed");
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

fn layer(telemetry: &Telemetry) -> Boxed {
    // `settings` has tried the filter; an impossible one would tell everything rather than nothing.
    let filter = EnvFilter::builder().parse(&telemetry.log).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match telemetry.format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).with_target(false).with_filter(filter).boxed(),
    }
}
