//! How often an address may fail to prove who it is: a burst, then so many a second. Whoever proves it is never slowed.
//! It counts failures in this process alone; memory is bounded, whatever addresses there are.

use governor::clock::DefaultClock;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

/// How many failures in a row are answered as what they are: a fleet with an old token, or a person who looks for the right one.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
/// And then how many a second.
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// The most addresses that are counted apart; those beyond share one count.
const MAX_ADDRESSES: usize = 65_536;

/// Counts failures by address.
pub struct Throttle(RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock>);

impl Throttle {
    /// Counts a failure; `false` where there were too many from there.
    #[must_use]
    pub fn allows_another_failure(&self, from: IpAddr) -> bool {
        let mut place = network_of(from);
        if self.0.len() >= MAX_ADDRESSES {
            self.0.retain_recent();
            if self.0.len() >= MAX_ADDRESSES {
                place = Ipv6Addr::UNSPECIFIED.into();
            }
        }
        self.0.check_key(&place).is_ok()
    }

    /// Forgets addresses whose failures no longer count; to be called now and then.
    pub fn tidy(&self) {
        self.0.retain_recent();
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_second(PER_SECOND).allow_burst(BURST)))
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttle")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_fails_a_hundred_times_and_then_no_more_and_its_neighbour_is_not_slowed() {
        let throttle = Throttle::default();
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        let refused = (0..150).filter(|_| !throttle.allows_another_failure(from("192.0.2.1"))).count();
        assert!((45..=50).contains(&refused), "{refused}");
        assert!(!throttle.allows_another_failure(from("::ffff:192.0.2.1")), "the same address in another notation");
        assert!(throttle.allows_another_failure(from("192.0.2.2")));
        for n in 0..100 {
            assert!(throttle.allows_another_failure(from(&format!("2001:db8::{n:x}"))));
        }
        assert!((0..5).any(|_| !throttle.allows_another_failure(from("2001:db8::ffff"))), "one network is one client");
    }

    #[test]
    fn a_flood_from_everywhere_takes_bounded_memory() {
        let throttle = Throttle::default();
        for n in 0..70_000_u32 {
            let _counted = throttle.allows_another_failure(std::net::Ipv4Addr::from_bits(n).into());
        }
        assert!(throttle.0.len() <= MAX_ADDRESSES + 1, "{}", throttle.0.len());
    }
}
