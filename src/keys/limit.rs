//! How often a key may be used: a generic cell rate algorithm (ITU-T I.371) per key, in this process by the crate `governor`,
//! or in one Redis for all replicas. A use that is refused for another reason is never counted; a Redis that does not
//! answer costs at most [`shared::LIMIT`], and then each replica allows its share.

mod shared; // one count for all replicas

use crate::name::{Kid, PolicyName};
use crate::settings::access::Rate;
use crate::store::Store;
use arc_swap::ArcSwapOption;
use governor::clock::DefaultClock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};
use shared::Away;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Whose uses are counted together: a key's under one policy, or a key's own.
pub(super) type Subject = (Option<PolicyName>, Kid);
type Limiter = RateLimiter<Subject, States, DefaultClock, StateInformationMiddleware>;

/// The most different rates that are counted at once; the rates of keys are texts that operators choose.
const MAX_RATES: usize = 4096;

/// Where a key stands with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether this use is within it.
    pub allowed: bool,
    /// How many uses in a row it allows.
    pub limit: u32,
    /// How many are left of them.
    pub remaining: u32,
    /// Until all of them are back.
    pub reset: Duration,
    /// Until the next one is allowed; zero where it is now.
    pub retry_after: Duration,
}

/// Whether a question is a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is, and is counted where it is allowed.
    Use,
    /// It only wants to know.
    Look,
}

/// The uses of keys. Each rate has a limiter of its own, for a limiter has one rate.
#[derive(Default)]
pub(super) struct Limits {
    local: RwLock<HashMap<Rate, Arc<Local>>>,
    /// The Redis that counts for all replicas, where there is one.
    shared: ArcSwapOption<Store>,
    away: Away,
    /// How many replicas there are; 0: nobody said, so this one.
    replicas: AtomicU32,
}

/// The uses under one rate in this process.
struct Local {
    limiter: Limiter,
    states: Arc<DashMapStateStore<Subject>>,
    began: Instant,
}

impl Limits {
    /// Counts one use, if it is within the rate; or only looks.
    pub(super) async fn ask(&self, rate: Rate, subject: Subject, asked: Asked) -> Standing {
        let Some(store) = self.shared.load_full() else { return self.here(rate, subject, asked) };
        match self.away.ask(&store, rate, &subject, asked).await {
            Some(standing) => standing,
            None => self.here(rate.share_of(self.replicas.load(Ordering::Relaxed)), subject, asked),
        }
    }

    /// Lets a Redis count for all replicas, or none.
    pub(super) fn share_through(&self, store: Option<Arc<Store>>) {
        self.shared.store(store);
    }

    /// Says how many replicas there are, for their shares while no Redis counts.
    pub(super) fn set_replicas(&self, replicas: u32) {
        self.replicas.store(replicas, Ordering::Relaxed);
    }

    /// Forgets whoever has all of its uses back, and rates that nobody has.
    pub(super) fn tidy(&self) {
        let mut limiters = self.local.write().unwrap_or_else(PoisonError::into_inner);
        limiters.retain(|_, local| {
            local.limiter.retain_recent();
            !local.limiter.is_empty()
        });
        limiters.values().for_each(|local| local.limiter.shrink_to_fit());
    }

    fn here(&self, rate: Rate, subject: Subject, asked: Asked) -> Standing {
        use governor::clock::Clock;
        let Some(local) = self.local(rate) else { return Standing::unlimited(rate) };
        if asked == Asked::Look {
            return local.look(rate, &subject);
        }
        let (allowed, remaining, retry_after) = match local.limiter.check_key(&subject) {
            Ok(state) => (true, state.remaining_burst_capacity(), Duration::ZERO),
            Err(refused) => (false, 0, refused.wait_time_from(DefaultClock::default().now())),
        };
        let reset = rate.interval() * rate.count.saturating_sub(remaining);
        Standing { allowed, limit: rate.count, remaining, reset, retry_after }
    }

    fn local(&self, rate: Rate) -> Option<Arc<Local>> {
        if let Some(local) = self.local.read().unwrap_or_else(PoisonError::into_inner).get(&rate) {
            return Some(Arc::clone(local));
        }
        let made = Arc::new(Local::new(rate)?);
        let mut limiters = self.local.write().unwrap_or_else(PoisonError::into_inner);
        if limiters.len() >= MAX_RATES {
            // Whoever chose that many rates is not limited by none: the oldest counts are lost, not the limit.
            limiters.clear();
        }
        Some(Arc::clone(limiters.entry(rate).or_insert(made)))
    }
}

impl Local {
    fn new(rate: Rate) -> Option<Self> {
        let quota = Quota::with_period(rate.interval())?.allow_burst(NonZeroU32::new(rate.count)?);
        let (states, began) = (Arc::new(DashMapStateStore::default()), Instant::now());
        let limiter = Limiter::new(quota, States(Arc::clone(&states)), DefaultClock::default());
        Some(Self { limiter, states, began })
    }

    /// Reads what a key has left without counting: the state is the instant at which it has everything back.
    fn look(&self, rate: Rate, subject: &Subject) -> Standing {
        let unchanged = self.states.measure_and_replace(subject, Err::<((), Nanos), _>);
        let back = unchanged.err().flatten().map_or(0, Nanos::as_u64);
        let reset = Duration::from_nanos(back).saturating_sub(self.began.elapsed());
        Standing::with_left(rate, reset)
    }
}

impl Standing {
    /// A rate below a use in a nanosecond cannot be counted, and need not.
    const fn unlimited(rate: Rate) -> Self {
        let (limit, none) = (rate.count, Duration::ZERO);
        Self { allowed: true, limit, remaining: limit, reset: none, retry_after: none }
    }

    /// Of a key that has everything back after a while.
    fn with_left(rate: Rate, reset: Duration) -> Self {
        let (interval, whole) = (rate.interval(), rate.interval() * rate.count);
        let left = whole.saturating_sub(reset).as_nanos() / interval.as_nanos().max(1);
        let remaining = u32::try_from(left).unwrap_or(rate.count).min(rate.count);
        let retry_after = (reset + interval).saturating_sub(whole);
        Self { allowed: remaining > 0, limit: rate.count, remaining, reset, retry_after }
    }
}

/// The states of a limiter, which this module can read, too.
struct States(Arc<DashMapStateStore<Subject>>);

impl StateStore for States {
    type Key = Subject;

    fn measure_and_replace<T, F, E>(&self, key: &Subject, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, f)
    }
}

impl ShrinkableKeyedStateStore<Subject> for States {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        ShrinkableKeyedStateStore::shrink_to_fit(&*self.0);
    }

    fn len(&self) -> usize {
        ShrinkableKeyedStateStore::len(&*self.0)
    }

    fn is_empty(&self) -> bool {
        ShrinkableKeyedStateStore::is_empty(&*self.0)
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Limits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(limits: &Limits, rate: &str, policy: Option<&str>, kid: &str, asked: Asked) -> Standing {
        let policy = policy.map(|name| PolicyName::parse(name).unwrap());
        limits.here(Rate::parse(rate).unwrap(), (policy, Kid::parse(kid).unwrap()), asked)
    }

    fn count(limits: &Limits, rate: &str, policy: Option<&str>, kid: &str) -> Standing {
        ask(limits, rate, policy, kid, Asked::Use)
    }

    #[test]
    fn as_many_as_the_number_may_come_at_once_and_then_no_more() {
        let limits = Limits::default();
        let uses: Vec<Standing> = (0..4).map(|_| count(&limits, "3/d", None, "a")).collect();
        assert_eq!(
            uses.iter().map(|one| (one.allowed, one.remaining)).collect::<Vec<_>>(),
            [(true, 2), (true, 1), (true, 0), (false, 0)]
        );
        let refused = uses.last().unwrap();
        assert!(
            refused.retry_after > Duration::from_secs(28_000) && refused.reset >= refused.retry_after,
            "{refused:?}"
        );
    }

    #[test]
    fn a_look_costs_nothing_and_sees_what_uses_have_left() {
        let limits = Limits::default();
        for left in [3, 2, 1] {
            for _ in 0..5 {
                let seen = ask(&limits, "3/d", None, "a", Asked::Look);
                assert_eq!((seen.allowed, seen.remaining), (true, left));
            }
            count(&limits, "3/d", None, "a");
        }
        let seen = ask(&limits, "3/d", None, "a", Asked::Look);
        assert_eq!((seen.allowed, seen.remaining), (false, 0));
        assert!(seen.retry_after > Duration::from_secs(28_000), "{seen:?}");
    }

    #[test]
    fn each_key_and_each_policy_is_counted_for_itself() {
        let limits = Limits::default();
        assert!(count(&limits, "1/d", None, "a").allowed);
        assert!(!count(&limits, "1/d", None, "a").allowed);
        assert!(count(&limits, "1/d", None, "b").allowed);
        assert!(count(&limits, "1/d", Some("orders"), "a").allowed);
        limits.tidy();
        assert!(!count(&limits, "1/d", None, "a").allowed, "tidying forgets nobody who is still limited");
    }
}
