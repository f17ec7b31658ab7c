//! Every metric by its name, registered once; hot paths keep the handles. The names are a contract (DESIGN §5.1).
//! Values that are only known when somebody asks, such as a store's state, are set by whoever renders.

use super::lanes::Lanes;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// The content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// From half a millisecond to half a minute: requests, probes and reloads.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// From a microsecond to ten milliseconds: a verification touches memory only.
const MICROSECONDS: &[f64] = &[0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.001, 0.01];
/// From a hundredth of a second to an hour: what workers do.
const RUNS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// The metrics of this process.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the metric of its name, which DESIGN §5.1 documents")]
pub struct Metrics {
    registry: Registry,
    pub http_requests: Lanes<IntCounterVec>,
    pub http_duration: Lanes<HistogramVec>,
    pub http_connections: IntGauge,
    pub store_up: IntGaugeVec,
    pub store_probe: HistogramVec,
    pub store_pool: IntGaugeVec,
    pub config_generation: IntGauge,
    pub config_info: IntGaugeVec,
    pub config_disk_matches: IntGauge,
    pub config_reloads: IntCounterVec,
    pub config_last_reload_success: IntGauge,
    pub config_last_reload_at: Gauge,
    pub config_reload: Histogram,
    pub keys: IntGaugeVec,
    pub key_verifications: ByCode,
    pub key_verify: Lanes<Histogram>,
    pub key_index_age: Gauge,
    pub revocation_lag: Histogram,
    pub key_usage_lost: IntCounter,
    pub worker_runs: IntCounterVec,
    pub worker_run: HistogramVec,
    pub worker_lateness: Histogram,
    pub worker_last_success: GaugeVec,
    pub worker_overdue: IntGaugeVec,
    pub worker_pings: IntCounterVec,
    pub worker_paused: IntGaugeVec,
    pub runs_in_progress: IntGauge,
    pub alerts: IntCounterVec,
    pub tasks: IntGauge,
    pub audit_spooled: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When a name or a label is not one; a test makes sure that this does not happen.
    #[expect(clippy::too_many_lines, reason = "a list: one entry a metric")]
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let new = New(&registry);
        let build = new.gauges("monolith_build_info", "The running build; always 1.", &["version", "commit"])?;
        build.with_label_values(&[crate::VERSION, crate::COMMIT]).set(1);
        Ok(Self {
            http_requests: new.in_lanes(|| {
                let options = Opts::new(
                    "http_requests_total",
                    "Requests by what became of them; 499: the client left before its answer.",
                );
                IntCounterVec::new(options, &["method", "route", "status"])
            })?,
            http_duration: new.in_lanes(|| {
                let options = HistogramOpts::new("http_request_duration_seconds", "From the header to the answer.");
                HistogramVec::new(options.buckets(SECONDS.to_vec()), &["method", "route"])
            })?,
            http_connections: new.gauge("http_connections", "Open connections.")?,
            store_up: new.gauges("monolith_store_up", "1 up, 0 down, -1 unknown.", &["store", "kind"])?,
            store_probe: new.histograms(
                "monolith_store_probe_seconds",
                "How long a probe took.",
                &["store"],
                SECONDS,
            )?,
            store_pool: new.gauges("monolith_store_pool_connections", "Connections of a pool.", &["store", "state"])?,
            config_generation: new.gauge("monolith_config_generation", "Settings committed in this process.")?,
            config_info: new.gauges("monolith_config_info", "The running settings' hash; always 1.", &["hash"])?,
            config_disk_matches: new
                .gauge("monolith_config_disk_matches_running", "1 where the files say what is running, else 0.")?,
            config_reloads: new.counters("monolith_config_reloads_total", "Reloads.", &["outcome"])?,
            config_last_reload_success: new
                .gauge("monolith_config_last_reload_success", "1 where the last reload was not rejected, else 0.")?,
            config_last_reload_at: new
                .gauge_f64("monolith_config_last_reload_timestamp_seconds", "When the last reload ended.")?,
            config_reload: new.histogram("monolith_config_reload_seconds", "How long a reload took.", SECONDS)?,
            keys: new.gauges("monolith_keys", "Keys by state.", &["state"])?,
            key_verifications: ByCode::of(&new.in_lanes(|| {
                IntCounterVec::new(Opts::new("monolith_key_verifications_total", "Verifications."), &["code"])
            })?),
            key_verify: new.in_lanes(|| {
                let options = HistogramOpts::new("monolith_key_verify_seconds", "How long a verification took.");
                Histogram::with_opts(options.buckets(MICROSECONDS.to_vec()))
            })?,
            key_index_age: new
                .gauge_f64("monolith_key_index_age_seconds", "Since the key index was last proved fresh.")?,
            revocation_lag: new.histogram(
                "monolith_revocation_lag_seconds",
                "From a revocation's commit to this replica's index.",
                SECONDS,
            )?,
            key_usage_lost: new.counter(
                "monolith_key_usage_lost_total",
                "Uses of keys that were not counted, because too many waited to be written.",
            )?,
            worker_runs: new.counters("monolith_worker_runs_total", "Runs ended.", &["worker", "outcome"])?,
            worker_run: new.histograms("monolith_worker_run_seconds", "How long a run took.", &["worker"], RUNS)?,
            worker_lateness: new.histogram(
                "monolith_worker_lateness_seconds",
                "From the instant a run was due to its start.",
                SECONDS,
            )?,
            worker_last_success: new.gauges_f64(
                "monolith_worker_last_success_timestamp_seconds",
                "When a worker last succeeded here.",
                &["worker"],
            )?,
            worker_overdue: new.gauges("monolith_worker_overdue", "1 where a worker is overdue.", &["worker"])?,
            worker_pings: new.counters(
                "monolith_worker_pings_total",
                "Pings after a success: ok, or failed after three tries.",
                &["worker", "outcome"],
            )?,
            worker_paused: new.gauges("monolith_worker_paused", "1 where a worker is paused.", &["worker"])?,
            runs_in_progress: new.gauge("monolith_runs_in_progress", "Runs in progress in this process.")?,
            alerts: new.counters("monolith_alerts_total", "Messages to receivers.", &["alert", "outcome"])?,
            tasks: new.gauge("monolith_tasks", "Asynchronous tasks of this process, one a connection among them.")?,
            audit_spooled: new.gauge("monolith_audit_spooled", "Audit entries that wait to be chained.")?,
            registry,
        })
    }

    /// Takes in how long a store's probe took.
    pub fn store_probed(&self, store: &str, took: Duration) {
        self.store_probe.with_label_values(&[store]).observe(took.as_secs_f64());
    }

    /// All metrics in the text format.
    ///
    /// # Errors
    /// When a metric cannot be written, which would be a fault of ours.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(32 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

struct New<'a>(&'a Registry);

impl New<'_> {
    fn registered<M: prometheus::core::Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn in_lanes<M: prometheus::core::Collector + 'static>(
        &self,
        make: impl Fn() -> Result<M, prometheus::Error>,
    ) -> Result<Lanes<M>, prometheus::Error> {
        self.registered(Lanes::new(make)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.registered(IntGauge::new(name, help)?)
    }

    fn gauge_f64(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.registered(Gauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.registered(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges_f64(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.registered(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.registered(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.registered(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.registered(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}

/// A counter of verifications for each code, looked up once: a look-up by label costs more than the verification.
#[derive(Debug)]
pub struct ByCode([(&'static str, Counter); Self::CODES.len()]);

impl ByCode {
    /// What a verification can come to; the most usual ones first.
    pub const CODES: [&'static str; 10] = [
        "valid",
        "invalid",
        "malformed",
        "rate_limited",
        "scope_missing",
        "revoked",
        "expired",
        "disabled",
        "ip_denied",
        "undecidable",
    ];

    fn of(counters: &Lanes<IntCounterVec>) -> Self {
        Self(Self::CODES.map(|code| (code, counters.map(|counters| counters.with_label_values(&[code])))))
    }

    /// Counts one.
    pub fn count(&self, code: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == code) {
            counter.here().inc();
        }
    }
}

/// One counter, for hot paths that keep it.
pub type Counter = Lanes<IntCounter>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_can_be_registered_and_written() {
        let metrics = Metrics::new().unwrap();
        metrics.store_probed("main", Duration::from_millis(3));
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("monolith_build_info{"), "{text}");
        assert!(text.contains("monolith_store_probe_seconds_count{store=\"main\"} 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
