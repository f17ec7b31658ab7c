//! Metrics that every request counts in. Each thread counts in a lane of its own, and whoever asks is told the sum: processors that
//! count in one place wait for each other, which costs a verification as much as its hash.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, Metric, MetricFamily, MetricType};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// The most lanes of one metric; more threads than that share.
const MOST: usize = 16;

/// One metric, once for each lane.
#[derive(Debug)]
pub struct Lanes<M>(Arc<[M]>);

impl<M> Clone for Lanes<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Lanes<M> {
    /// As many as there are processors.
    ///
    /// # Errors
    /// That of the first one that cannot be made.
    pub(super) fn new<E>(make: impl Fn() -> Result<M, E>) -> Result<Self, E> {
        let lanes = available_parallelism().map_or(1, |processors| processors.get().min(MOST));
        (0..lanes).map(|_| make()).collect::<Result<Arc<[M]>, E>>().map(Self)
    }

    /// What is made out of the metric of each lane.
    #[must_use]
    pub fn map<N>(&self, make: impl Fn(&M) -> N) -> Lanes<N> {
        Lanes(self.0.iter().map(make).collect())
    }

    /// The lane of this thread.
    #[must_use]
    pub fn here(&self) -> &M {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static LANE: Cell<usize> = Cell::new(TAKEN.fetch_add(1, Ordering::Relaxed));
        }
        &self.0[LANE.get() % self.0.len()]
    }
}

impl<M: Collector> Collector for Lanes<M> {
    fn desc(&self) -> Vec<&Desc> {
        self.0.first().map(Collector::desc).unwrap_or_default()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut lanes = self.0.iter().map(Collector::collect);
        let mut whole = lanes.next().unwrap_or_default();
        for lane in lanes {
            for (family, mut more) in whole.iter_mut().zip(lane) {
                let kind = family.get_field_type();
                for metric in more.take_metric() {
                    let known = |known: &&mut Metric| known.get_label() == metric.get_label();
                    match family.mut_metric().iter_mut().find(known) {
                        Some(known) => add(kind, known, &metric),
                        None => family.mut_metric().push(metric),
                    }
                }
            }
        }
        whole
    }
}

/// Counters and histograms only: of nothing else the sum says anything.
fn add(kind: MetricType, known: &mut Metric, more: &Metric) {
    match kind {
        MetricType::COUNTER => {
            let mut sum = Counter::default();
            sum.set_value(known.get_counter().get_value() + more.get_counter().get_value());
            known.set_counter(sum);
        }
        MetricType::HISTOGRAM => {
            let (one, other) = (known.get_histogram(), more.get_histogram());
            let bucket = |(one, other): (&Bucket, &Bucket)| {
                let mut sum = Bucket::default();
                sum.set_upper_bound(one.upper_bound());
                sum.set_cumulative_count(one.cumulative_count() + other.cumulative_count());
                sum
            };
            let mut sum = Histogram::default();
            sum.set_sample_count(one.get_sample_count() + other.get_sample_count());
            sum.set_sample_sum(one.get_sample_sum() + other.get_sample_sum());
            sum.set_bucket(one.get_bucket().iter().zip(other.get_bucket()).map(bucket).collect());
            known.set_histogram(sum);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

    #[test]
    fn what_many_threads_counted_is_told_as_one_sum() {
        let registry = Registry::new();
        let counters = Lanes::new(|| IntCounterVec::new(Opts::new("asked", "Asked."), &["code"])).unwrap();
        let buckets = vec![1.0, 2.0];
        let options = || HistogramOpts::new("took", "Took.").buckets(buckets.clone());
        let times = Lanes::new(|| HistogramVec::new(options(), &["route"])).unwrap();
        registry.register(Box::new(counters.clone())).unwrap();
        registry.register(Box::new(times.clone())).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..5 {
                let (counters, times) = (&counters, &times);
                scope.spawn(move || {
                    counters.here().with_label_values(&["valid"]).inc();
                    counters.here().with_label_values(&[if thread == 0 { "rare" } else { "valid" }]).inc();
                    times.here().with_label_values(&["/"]).observe(1.5);
                });
            }
        });
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "asked{code=\"rare\"} 1",
            "asked{code=\"valid\"} 9",
            "took_bucket{route=\"/\",le=\"1\"} 0",
            "took_bucket{route=\"/\",le=\"2\"} 5",
            "took_bucket{route=\"/\",le=\"+Inf\"} 5",
            "took_sum{route=\"/\"} 7.5",
            "took_count{route=\"/\"} 5",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}: {text}");
        }
        assert_eq!(text.matches("# TYPE asked counter").count(), 1, "{text}");
    }
}
