//! Lists of keys: filtered, sorted, in parts that stay right while keys are made. Pure, over records of the index.
//! The cursor is the sort value and the id of the last item, so that nothing shifts under a reader.

use super::record::{KeyState, Record};
use super::{FieldError, KeysError};
use crate::clock::Timestamp;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Which keys.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<KeyState>,
    /// Of this owner.
    pub owner: Option<String>,
    /// With this scope.
    pub scope: Option<String>,
    /// With this text in id, name or owner, whatever its case.
    pub text: Option<String>,
    /// By which field, `created_at`, `name`, `owner`, `expires_at` or `last_used_at`, a `-` before it for the reverse;
    /// the newest first where nobody says.
    pub sort: Option<String>,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// The keys.
    pub items: Vec<Arc<Record>>,
    /// Where the next part begins; `None`: there is none.
    pub next: Option<String>,
}

impl Filter {
    /// Whether a key is among them.
    pub(super) fn lets_through(&self, record: &Record, now: Timestamp) -> bool {
        self.fits(self.text.as_deref().map(str::to_lowercase).as_deref(), record, now)
    }

    /// The same with the text in small letters.
    fn fits(&self, text: Option<&str>, record: &Record, now: Timestamp) -> bool {
        let contains = |own: &str, part: &str| own.to_lowercase().contains(part);
        self.state.is_none_or(|state| record.state(now) == state)
            && self.owner.as_deref().is_none_or(|owner| record.owner.as_deref() == Some(owner))
            && self.scope.as_deref().is_none_or(|scope| record.scopes.iter().any(|own| **own == *scope))
            && text.is_none_or(|part| {
                contains(record.kid.as_str(), part)
                    || [record.name.as_deref(), record.owner.as_deref()]
                        .iter()
                        .any(|own| own.is_some_and(|own| contains(own, part)))
            })
    }
}

/// By what keys are sorted.
#[derive(Debug, Clone, Copy)]
enum By {
    Created,
    Expires,
    LastUsed,
    Name,
    Owner,
}

/// An order of keys; those that are equal in it are in the order of their ids.
#[derive(Debug, Clone, Copy)]
struct Order {
    by: By,
    reverse: bool,
}

/// What a key is sorted by; nothing comes first, and letters are small ones.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    At(Option<i64>),
    Called(&'a str),
}

impl Order {
    fn read(text: Option<&str>) -> Result<Self, KeysError> {
        let wanted = text.unwrap_or("-created_at");
        let (field, reverse) = wanted.strip_prefix('-').map_or((wanted, false), |field| (field, true));
        let by = match field {
            "created_at" => By::Created,
            "expires_at" => By::Expires,
            "last_used_at" => By::LastUsed,
            "name" => By::Name,
            "owner" => By::Owner,
            _ => {
                let message =
                    "must be created_at, name, owner, expires_at or last_used_at, with a - before it for the reverse";
                return Err(KeysError::Invalid(vec![FieldError { key: "sort".into(), message: message.into() }]));
            }
        };
        Ok(Self { by, reverse })
    }

    fn place(self, record: &Record) -> Place<'_> {
        match self.by {
            By::Created => Place::At(Some(record.created_at.millis())),
            By::Expires => Place::At(record.expires_at.map(Timestamp::millis)),
            By::LastUsed => Place::At(record.last_used_at.map(Timestamp::millis)),
            By::Name => Place::Called(record.name.as_deref().unwrap_or_default()),
            By::Owner => Place::Called(record.owner.as_deref().unwrap_or_default()),
        }
    }

    fn compare(self, one: (Place<'_>, &str), other: (Place<'_>, &str)) -> Ordering {
        let small = |text| str::chars(text).flat_map(char::to_lowercase);
        let placed = match (one.0, other.0) {
            (Place::At(one), Place::At(other)) => one.cmp(&other),
            (Place::Called(one), Place::Called(other)) => small(one).cmp(small(other)),
            (Place::At(_), Place::Called(_)) => Ordering::Less,
            (Place::Called(_), Place::At(_)) => Ordering::Greater,
        };
        let ordering = placed.then_with(|| one.1.cmp(other.1));
        if self.reverse { ordering.reverse() } else { ordering }
    }
}

/// The last key of the part before.
struct Cursor {
    kid: String,
    key: String,
}

impl Cursor {
    fn read(text: &str) -> Result<Self, KeysError> {
        use base64::Engine;
        let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once('\n')) {
            Some((kid, key)) => Ok(Self { kid: kid.to_owned(), key: key.to_owned() }),
            None => {
                let message = "is not a cursor of this list: take it from `next`";
                Err(KeysError::Invalid(vec![FieldError { key: "after".into(), message: message.into() }]))
            }
        }
    }

    fn write(record: &Record, order: Order) -> String {
        use base64::Engine;
        let key = match order.place(record) {
            Place::At(at) => at.map(|at| at.to_string()).unwrap_or_default(),
            // As they are compared: of a whole word some letters have another small form at its end.
            Place::Called(name) => name.chars().flat_map(char::to_lowercase).collect(),
        };
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{}\n{key}", record.kid))
    }

    fn place(&self, order: Order) -> (Place<'_>, &str) {
        let place = match order.by {
            By::Created | By::Expires | By::LastUsed => Place::At(self.key.parse().ok()),
            By::Name | By::Owner => Place::Called(&self.key),
        };
        (place, &self.kid)
    }
}

/// A key that is among the first so far.
struct Chosen {
    record: Arc<Record>,
    order: Order,
}

impl Chosen {
    fn place(&self) -> (Place<'_>, &str) {
        (self.order.place(&self.record), self.record.kid.as_str())
    }
}

impl Ord for Chosen {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(self.place(), other.place())
    }
}

impl PartialOrd for Chosen {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Chosen {}

/// Chooses the part of a list out of all keys, each looked at once and only the first ones kept: sorting a million keys to
/// show fifty takes a second.
pub(super) struct Choice<'a> {
    filter: &'a Filter,
    text: Option<String>,
    order: Order,
    cursor: Option<Cursor>,
    limit: usize,
    now: Timestamp,
    /// One more than the part has, so that it is known whether there are more; the last one on top.
    first: BinaryHeap<Chosen>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(
        filter: &'a Filter,
        limit: usize,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        Ok(Self {
            filter,
            text: filter.text.as_deref().map(str::to_lowercase),
            order: Order::read(filter.sort.as_deref())?,
            cursor: after.map(Cursor::read).transpose()?,
            limit,
            now,
            first: BinaryHeap::new(),
        })
    }

    /// Looks at a key.
    pub(super) fn look(&mut self, record: &Arc<Record>) {
        let place = (self.order.place(record), record.kid.as_str());
        let comes_after = |other| self.order.compare(place, other).is_gt();
        if self.first.len() > self.limit && self.first.peek().is_some_and(|last| comes_after(last.place())) {
            return;
        }
        let is_past = self.cursor.as_ref().is_none_or(|cursor| comes_after(cursor.place(self.order)));
        if is_past && self.filter.fits(self.text.as_deref(), record, self.now) {
            self.first.push(Chosen { record: Arc::clone(record), order: self.order });
            if self.first.len() > self.limit + 1 {
                drop(self.first.pop());
            }
        }
    }

    /// The part.
    pub(super) fn page(self) -> Page {
        let mut items: Vec<Arc<Record>> =
            self.first.into_sorted_vec().into_iter().map(|chosen| chosen.record).collect();
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(|record| Cursor::write(record, self.order));
        Page { items, next }
    }
}
