//! Which keys somebody should look at: those that end soon, and those that nobody uses. Pure, over records.
//! A key that was meant to live for days only is not told of: its end surprises nobody.

use super::record::{KeyState, Record};
use crate::clock::Timestamp;
use std::time::Duration;

/// How long before its end a key is worth a word.
pub const ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);
/// For how long nobody uses a key that is probably forgotten.
pub const UNUSED: Duration = Duration::from_secs(90 * 86_400);
/// How many are named.
const MAX_NAMED: usize = 3;

/// Keys of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Few {
    /// How many there are.
    pub count: u64,
    /// Some of them, by name and id.
    pub named: Vec<String>,
    /// Since when the first of them is one.
    pub since: Option<Timestamp>,
}

/// Keys that somebody should look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attention {
    /// Keys that end soon and have no successor.
    pub ending: Few,
    /// Keys that nobody uses.
    pub unused: Few,
}

impl Attention {
    pub(super) fn take_in(&mut self, record: &Record, now: Timestamp) {
        if record.state(now) != KeyState::Active {
            return;
        }
        let meant_to_last = |end: Timestamp| end.since(record.created_at) > ENDS_SOON;
        if let Some(end) = record.expires_at.filter(|end| end.before(ENDS_SOON) <= now && meant_to_last(*end)) {
            self.ending.add(record, end.before(ENDS_SOON));
        }
        let idle = record.last_used_at.unwrap_or(record.created_at).after(UNUSED);
        if idle <= now {
            self.unused.add(record, idle);
        }
    }
}

impl Few {
    fn add(&mut self, record: &Record, since: Timestamp) {
        self.count += 1;
        self.since = Some(self.since.map_or(since, |first| first.min(since)));
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{} ({})", record.name.as_deref().unwrap_or("unnamed"), record.kid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn seen(change: impl FnOnce(&mut Record, Timestamp)) -> (u64, u64) {
        let now = Timestamp::EPOCH.after(DAY * 1000);
        let mut record = record();
        record.created_at = now.before(DAY * 30);
        record.expires_at = Some(now.after(DAY * 60));
        change(&mut record, now);
        let mut attention = Attention::default();
        attention.take_in(&record, now);
        (attention.ending.count, attention.unused.count)
    }

    #[test]
    fn a_key_is_told_of_when_it_ends_soon_or_is_forgotten() {
        assert_eq!(seen(|_, _| {}), (0, 0));
        assert_eq!(seen(|key, now| key.expires_at = Some(now.after(DAY * 13))), (1, 0));
        assert_eq!(seen(|key, now| key.expires_at = Some(now.after(DAY * 15))), (0, 0));
        assert_eq!(seen(|key, now| key.created_at = now.before(DAY * 91)), (0, 1));
        assert_eq!(
            seen(|key, now| {
                key.created_at = now.before(DAY * 91);
                key.last_used_at = Some(now.before(DAY));
            }),
            (0, 0)
        );
        let short = |key: &mut Record, now: Timestamp| {
            key.created_at = now;
            key.expires_at = Some(now.after(DAY));
        };
        assert_eq!(seen(short), (0, 0), "it was meant to end");
        let revoked = |key: &mut Record, now: Timestamp| {
            key.expires_at = Some(now.after(DAY));
            key.rare.edit(|rare| rare.revoked_at = Some(now));
        };
        assert_eq!(seen(revoked), (0, 0), "it has ended");
    }
}
