//! How often a key may be used: a generic cell rate algorithm (ITU-T I.371) per key, in this process, by the crate `governor`.
//! A use that is refused for another reason is never counted; nothing here is shared with other replicas.

use crate::name::{Kid, PolicyName};
use crate::settings::access::Rate;
use governor::clock::DefaultClock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Whose uses are counted together: a key's under one policy, or a key's own.
type Subject = (Option<PolicyName>, Kid);
type Limiter = RateLimiter<Subject, DashMapStateStore<Subject>, DefaultClock, StateInformationMiddleware>;

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

/// The uses of keys in this process. Each rate has a limiter of its own, for a limiter has one rate.
#[derive(Default)]
pub(super) struct Limits(RwLock<HashMap<Rate, Arc<Limiter>>>);

impl Limits {
    /// Counts one use, if it is within the rate.
    pub(super) fn count(&self, rate: Rate, policy: Option<&PolicyName>, kid: &Kid) -> Standing {
        use governor::clock::Clock;
        let Some(limiter) = self.limiter(rate) else { return Standing::unlimited(rate) };
        let (allowed, remaining, retry_after) = match limiter.check_key(&(policy.cloned(), kid.clone())) {
            Ok(state) => (true, state.remaining_burst_capacity(), Duration::ZERO),
            Err(refused) => (false, 0, refused.wait_time_from(DefaultClock::default().now())),
        };
        let reset = rate.interval() * rate.count.saturating_sub(remaining);
        Standing { allowed, limit: rate.count, remaining, reset, retry_after }
    }

    /// Forgets whoever has all of its uses back, and rates that nobody has.
    pub(super) fn tidy(&self) {
        let mut limiters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        limiters.retain(|_, limiter| {
            limiter.retain_recent();
            !limiter.is_empty()
        });
        limiters.values().for_each(|limiter| limiter.shrink_to_fit());
    }

    fn limiter(&self, rate: Rate) -> Option<Arc<Limiter>> {
        if let Some(limiter) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&rate) {
            return Some(Arc::clone(limiter));
        }
        let quota = Quota::with_period(rate.interval())?.allow_burst(NonZeroU32::new(rate.count)?);
        let mut limiters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if limiters.len() >= MAX_RATES {
            // Whoever chose that many rates is not limited by none: the oldest counts are lost, not the limit.
            limiters.clear();
        }
        let make = || Arc::new(RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>());
        Some(Arc::clone(limiters.entry(rate).or_insert_with(make)))
    }
}

impl Standing {
    /// A rate below a use in a nanosecond cannot be counted, and need not.
    const fn unlimited(rate: Rate) -> Self {
        let (limit, none) = (rate.count, Duration::ZERO);
        Self { allowed: true, limit, remaining: limit, reset: none, retry_after: none }
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

    fn count(limits: &Limits, rate: &str, policy: Option<&str>, kid: &str) -> Standing {
        let policy = policy.map(|name| PolicyName::parse(name).unwrap());
        limits.count(Rate::parse(rate).unwrap(), policy.as_ref(), &Kid::parse(kid).unwrap())
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
