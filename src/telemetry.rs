//! The log and the metrics of this process. Installs the one subscriber and lets a reload change its filter and format.
//! What is worth telling is decided where it happens.

pub mod lanes; // metrics that every request counts in
pub mod metrics; // every metric by its name, registered once
pub mod recent; // the last warnings and errors

use crate::settings::telemetry::{LogFormat, Telemetry};
use recent::Recent;
use std::io::{self, IsTerminal};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// The filter stands below the lines and not around them: a filter around a layer cannot be replaced while it runs.
type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type Lines = Box<dyn Layer<Filtered> + Send + Sync>;

/// The installed log.
#[derive(Clone)]
pub struct Log {
    handles: Option<(reload::Handle<EnvFilter, Registry>, reload::Handle<Lines, Filtered>)>,
    recent: Recent,
}

impl Log {
    /// Installs the log of this process, on standard error. A second call, as in an embedding program that has its own,
    /// leaves the first in place.
    #[must_use]
    pub fn install(telemetry: &Telemetry) -> Self {
        let (filter, filter_handle) = reload::Layer::new(filter(telemetry));
        let (lines, lines_handle) = reload::Layer::new(lines(telemetry));
        let recent = Recent::default();
        let subscriber = Registry::default().with(filter).with(lines).with(recent.clone());
        let installed = tracing::subscriber::set_global_default(subscriber).is_ok();
        Self { handles: installed.then_some((filter_handle, lines_handle)), recent }
    }

    /// The last warnings and errors, as far as the filter lets them through.
    #[must_use]
    pub fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// Changes filter and format.
    pub fn apply(&self, telemetry: &Telemetry) {
        let Some((filter_handle, lines_handle)) = &self.handles else { return };
        let applied = filter_handle.reload(filter(telemetry)).and_then(|()| lines_handle.reload(lines(telemetry)));
        if let Err(error) = applied {
            tracing::error!(%error, "the log could not be changed");
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

/// `settings` has tried the filter; an impossible one would tell everything rather than nothing.
fn filter(telemetry: &Telemetry) -> EnvFilter {
    EnvFilter::builder().parse(&telemetry.log).unwrap_or_default()
}

fn lines(telemetry: &Telemetry) -> Lines {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match telemetry.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).with_target(false).boxed(),
    }
}
