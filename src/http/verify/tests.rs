//! The answer that is written without a copy, held against the wire type that clients read.
//! Whether a key is good is judged, and tested, in `crate::keys`.

use super::*;
use crate::keys::{Rare, Record, Refused};
use crate::name::Kid;
use std::time::Duration;

fn record(full: bool) -> Arc<Record> {
    let at = Timestamp::from_millis(4_000_000_000_000);
    Arc::new(Record {
        kid: Kid::parse("000000000000").unwrap(),
        name: full.then(|| "bench \"x\"".into()),
        owner: full.then(|| "team".into()),
        environment: full.then_some(Environment::Live),
        scopes: if full { ["orders:read".into(), "a".into()].into() } else { [].into() },
        created_at: at,
        created_by: None,
        expires_at: full.then_some(at),
        last_used_at: None,
        rare: Rare::default(),
        version: 1,
        hash: None,
    })
}

fn standing() -> Standing {
    let second = Duration::from_secs(1);
    Standing { allowed: true, limit: 5, remaining: 4, reset: second, retry_after: Duration::ZERO }
}

#[test]
fn what_is_answered_without_a_copy_is_what_the_contract_says() {
    use Refused::{Disabled, Expired, IpDenied, RateLimited, Revoked, ScopeMissing};
    let refused = [Revoked, Disabled, Expired, IpDenied, ScopeMissing, RateLimited];
    let mut verdicts = vec![Verdict::Malformed, Verdict::Invalid, Verdict::Valid(record(false))];
    verdicts.extend(refused.map(|why| Verdict::Refused(why, record(true))));
    for verdict in verdicts {
        let answer = Answer::of(&verdict, Some(standing()), Some(Duration::from_millis(7))).unwrap();
        let written = serde_json::to_string(&answer).unwrap();
        let read: wire::Verdict = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written, "{verdict:?}");
        let tells_nothing = matches!(verdict, Verdict::Malformed | Verdict::Invalid);
        assert_eq!(read.kid.is_none() && read.rate_limit.is_none() && read.stale_ms.is_none(), tells_nothing);
        assert_eq!(read.valid, matches!(verdict, Verdict::Valid(_)));
    }
    assert!(Answer::of(&Verdict::Undecidable, None, None).is_none());
}

#[test]
fn every_code_has_a_counter() {
    use crate::telemetry::metrics::ByCode;
    let verdicts = [Verdict::Malformed, Verdict::Invalid, Verdict::Valid(record(false))];
    let codes = verdicts.iter().filter_map(Verdict::code).chain(["undecidable"]);
    codes.for_each(|code| assert!(ByCode::CODES.contains(&code), "{code}"));
}
